# SPDX-License-Identifier: MIT
# make            everything         make check    every test that needs no virtual machine
# make install    DESTDIR= PREFIX=   make bench    BENCH=NAME for one    make fuzz    make lint
# Objects go to $(B); another set of flags wants another directory: make B=build-asan SANITIZE=address,undefined

PREFIX      ?= /usr
DESTDIR     ?=
SYSCONFDIR  ?= /etc
B           ?= build
SANITIZE    ?=
V           ?=
ifeq ($(strip $(B)),)
$(error B is empty: objects would go to /)
endif

LIBEXECDIR  := $(PREFIX)/libexec/qkd
PACKAGES    := libsystemd jansson libcurl libcrypto libssl libkeyutils libnl-3.0

CC          ?= gcc
CFLAGS      ?= -O2 -g
QKD_CFLAGS  := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -MMD -MP -pthread -fPIE \
	       -Wall -Wextra -Werror=implicit-function-declaration -Wstrict-prototypes \
	       -Wmissing-prototypes -Wshadow -Wpointer-arith -Wvla -Wformat=2 -Wundef \
	       -Wno-unused-parameter -Wno-missing-field-initializers -fno-strict-aliasing \
	       $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
HARDENING   := -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero \
	       -fzero-call-used-regs=used-gpr -fcf-protection
LDLIBS      := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm
QKD_LDFLAGS := -pthread -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

ifeq ($(SANITIZE),)
HARDENING   += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
else
QKD_CFLAGS  += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
QKD_LDFLAGS += -fsanitize=$(SANITIZE)
endif
Q := $(if $(V),,@)
comma := ,
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# The libraries, each a directory; what stands later may use what stands earlier.
COMMON      := $(wildcard common/*.c)
DRIVERS     := $(wildcard drivers/*.c)
LINKD       := $(filter-out %/main.c,$(wildcard qkd-linkd/*.c qkd-linkd/*/*.c))
KEYRINGD    := $(filter-out %/main.c,$(wildcard qkd-keyringd/*.c))
QKDCTL      := $(filter-out %/main.c,$(wildcard keyring-helpers/qkdctl/*.c))
METRICS     := $(filter-out %/main.c,$(wildcard keyring-helpers/qkd-metrics/*.c))
XFRMD       := $(filter-out %/main.c,$(wildcard keyring-helpers/qkd-xfrmd/*.c))
REQUESTKEY  := $(filter-out %/main.c,$(wildcard keyring-helpers/qkd-request-key/*.c))

objects      = $(patsubst %.c,$(B)/%.o,$(1))
LIBS        := $(B)/libcommon.a $(B)/libdrivers.a $(B)/liblinkd.a $(B)/libkeyringd.a \
	       $(B)/libqkdctl.a $(B)/libmetrics.a $(B)/libxfrmd.a $(B)/librequestkey.a
PROGRAMS    := $(B)/bin/qkd-linkd $(B)/bin/qkd-distill $(B)/bin/qkd-keyringd $(B)/bin/qkdctl $(B)/bin/qkd-metrics \
	       $(B)/bin/qkd-xfrmd $(B)/bin/qkd-request-key
UNIT_TESTS  := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test-*.c))
FUZZ        := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
SUPPORT     := $(wildcard tests/unit/support/*.c tests/explore/explore-*.c tests/explore/sync-*.c)
EXPLORERS   := $(patsubst tests/explore/main-%.c,$(B)/tests/explore/explore-%,$(wildcard tests/explore/main-*.c))
GROUP       := -Wl,--start-group $(LIBS) $(B)/libsupport.a -Wl,--end-group
MOCKS       := $(patsubst tests/integration/%.c,$(B)/tests/integration/%,$(wildcard tests/integration/*.c))
BENCHES     := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))

.PHONY: all programs units replay benches mocks explorers install check bench fuzz lint format clean
all: programs
programs: $(PROGRAMS)
units: $(UNIT_TESTS)
benches: $(BENCHES)
mocks: $(MOCKS)
explorers: $(EXPLORERS)
replay: $(FUZZ:%=$(B)/tests/fuzz/replay-%)

$(B)/libcommon.a:     $(call objects,$(COMMON))
$(B)/libdrivers.a:    $(call objects,$(DRIVERS))
$(B)/liblinkd.a:      $(call objects,$(LINKD))
$(B)/libkeyringd.a:   $(call objects,$(KEYRINGD))
$(B)/libqkdctl.a:     $(call objects,$(QKDCTL))
$(B)/libmetrics.a:    $(call objects,$(METRICS))
$(B)/libxfrmd.a:      $(call objects,$(XFRMD))
$(B)/librequestkey.a: $(call objects,$(REQUESTKEY))
$(B)/libsupport.a:    $(call objects,$(SUPPORT))

$(B)/bin/qkd-linkd:    $(B)/qkd-linkd/main.o $(B)/liblinkd.a $(B)/libdrivers.a $(B)/libcommon.a
$(B)/bin/qkd-distill:  $(B)/qkd-linkd/qkd-distill/main.o $(B)/liblinkd.a $(B)/libdrivers.a $(B)/libcommon.a
$(B)/bin/qkd-keyringd: $(B)/qkd-keyringd/main.o $(B)/libkeyringd.a $(B)/libcommon.a
$(B)/bin/qkdctl:       $(B)/keyring-helpers/qkdctl/main.o $(B)/libqkdctl.a $(B)/libcommon.a
$(B)/bin/qkd-xfrmd:    $(B)/keyring-helpers/qkd-xfrmd/main.o $(B)/libxfrmd.a $(B)/libcommon.a
$(B)/bin/qkd-metrics:  $(B)/keyring-helpers/qkd-metrics/main.o $(B)/libmetrics.a $(B)/libcommon.a

%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/bin/%:
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(QKD_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The upcall helper needs nothing but the kernel: freestanding where raw.h knows the machine (no C
# library means no stack protector either), else static, and an ordinary program with a sanitizer.
HELPER_FREE   := $(if $(SANITIZE),,$(filter x86_64-% aarch64-%,$(shell $(CC) -dumpmachine)))
HELPER_LINK   := $(if $(HELPER_FREE),-nostdlib -static-pie -Wl$(comma)--build-id=none,\
		   $(if $(SANITIZE),-pie -fsanitize=$(SANITIZE),-static-pie))
HELPER_OBJECTS = $(call objects,$(wildcard keyring-helpers/qkd-request-key/*.c))
ifneq ($(HELPER_FREE),)
$(HELPER_OBJECTS): QKD_CFLAGS += -ffreestanding -fno-stack-protector -DHELPER_FREESTANDING
$(HELPER_OBJECTS): HARDENING := $(filter-out -fstack-protector% %FORTIFY_SOURCE %FORTIFY_SOURCE=3,$(HARDENING))
endif

$(B)/bin/qkd-request-key: $(B)/keyring-helpers/qkd-request-key/main.o $(B)/librequestkey.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(HELPER_LINK) -Wl,-z,relro,-z,now,-z,noexecstack -o $@ $^

$(B)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(QKD_CFLAGS) $(HARDENING) $(CPPFLAGS) -c -o $@ $<

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(LIBS) $(B)/libsupport.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(QKD_LDFLAGS) -o $@ $< $(GROUP) -lcriterion $(LDLIBS)

# An independent product of polynomials to compare with, where it is installed.
$(B)/tests/unit/test-gf2-polynomial: LDLIBS += $(if $(wildcard /usr/include/gf2x.h),-lgf2x)

$(B)/tests/bench/%: $(B)/tests/bench/%.o $(LIBS) $(B)/libsupport.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(QKD_LDFLAGS) -o $@ $< $(GROUP) $(LDLIBS)

# The daemon itself, but for a call that the test's file answers.
$(B)/tests/integration/lying-keyringd: $(B)/tests/integration/lying-keyringd.o $(B)/qkd-keyringd/main.o \
				       $(B)/libkeyringd.a $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(QKD_LDFLAGS) -Wl,--wrap=path_message_build -o $@ $^ $(LDLIBS)

$(B)/tests/integration/%: $(B)/tests/integration/%.o $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(QKD_LDFLAGS) -o $@ $^ $(LDLIBS)

# Real code in a simulated world, explored from seeds; issuer-fake-loop.c stands for sd-event.
$(B)/tests/explore/explore-issuer: $(call objects,$(wildcard tests/explore/issuer-*.c))
$(B)/tests/explore/explore-relay: $(call objects,$(wildcard tests/explore/relay-*.c) tests/explore/issuer-fake-loop.c)
$(B)/tests/explore/explore-%: $(B)/tests/explore/main-%.o $(B)/libcommon.a $(B)/libdrivers.a \
			      $(B)/liblinkd.a $(B)/libkeyringd.a $(B)/libsupport.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(QKD_LDFLAGS) -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

# A fuzz target is LLVMFuzzerTestOneInput; replay-* runs its corpus as an ordinary test.
$(B)/tests/fuzz/replay-%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(LIBS) $(B)/libsupport.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(QKD_LDFLAGS) -o $@ $(B)/tests/fuzz/$*.o $(B)/tests/fuzz/replay.o \
		$(GROUP) $(LDLIBS)

check:
	$(Q)scripts/check
bench: all benches
	$(Q)QKD_BUILD=$(abspath $(B)) scripts/bench $(BENCH)
fuzz:
	$(Q)scripts/fuzz $(TARGET)
lint:
	$(Q)scripts/lint
format:
	$(Q)git ls-files '*.[ch]' | xargs clang-format -i
clean:
	$(Q)rm -rf $(B)

-include scripts/install.mk
.SECONDARY:
-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
