# SPDX-License-Identifier: MIT
# make install: everything where a Debian administrator expects it. Nothing is started or enabled.
# Below /etc it writes the upcall rules only.

UNITDIR      := $(PREFIX)/lib/systemd/system
INSTALL      ?= install
MAN_PAGES    := $(wildcard man/*.[1-8])
PATHS_SED    := sed -e 's|/usr/sbin/qkd|$(PREFIX)/sbin/qkd|g' -e 's|/usr/libexec/qkd|$(LIBEXECDIR)|g' \
		-e 's|/etc/qkd|$(SYSCONFDIR)/qkd|g'

# $(call put,MODE,FROM,TO): one file, with the paths of this installation in it
put = $(call say,INST,$(3))$(NEWLINE)	$(Q)$(PATHS_SED) $(2) | $(INSTALL) -D -m $(1) /dev/stdin $(DESTDIR)$(3)
define NEWLINE


endef

install: programs
	$(call say,INST,$(PREFIX)/sbin)
	$(Q)$(INSTALL) -D -m 0755 -t $(DESTDIR)$(PREFIX)/sbin $(B)/bin/qkd-linkd $(B)/bin/qkd-keyringd $(B)/bin/qkd-xfrmd
	$(call say,INST,$(PREFIX)/bin)
	$(Q)$(INSTALL) -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(B)/bin/qkdctl $(B)/bin/qkd-distill
	$(call say,INST,$(LIBEXECDIR))
	$(Q)$(INSTALL) -D -m 0755 -t $(DESTDIR)$(LIBEXECDIR) $(B)/bin/qkd-request-key $(B)/bin/qkd-metrics
	$(call put,0644,systemd/qkd-keyringd.service,$(UNITDIR)/qkd-keyringd.service)
	$(call put,0644,systemd/qkd-linkd@.service,$(UNITDIR)/qkd-linkd@.service)
	$(call put,0644,systemd/qkd-xfrmd.service,$(UNITDIR)/qkd-xfrmd.service)
	$(call put,0644,systemd/qkd-metrics.socket,$(UNITDIR)/qkd-metrics.socket)
	$(call put,0644,systemd/qkd-metrics@.service,$(UNITDIR)/qkd-metrics@.service)
	$(call put,0644,systemd/qkd-keyring.sysusers,$(PREFIX)/lib/sysusers.d/qkd-keyring.conf)
	$(call put,0644,systemd/qkd-keyring.tmpfiles,$(PREFIX)/lib/tmpfiles.d/qkd-keyring.conf)
	$(call put,0644,systemd/qkd-keyring.sysctl,$(PREFIX)/lib/sysctl.d/60-qkd-keyring.conf)
	$(call put,0644,systemd/qkd-keyring.catalog,$(PREFIX)/lib/systemd/catalog/qkd-keyring.catalog)
	$(call put,0644,systemd/qkd-keyring.rules,$(PREFIX)/share/polkit-1/rules.d/qkd-keyring.rules)
	$(call put,0644,systemd/org.qkd.policy,$(PREFIX)/share/polkit-1/actions/org.qkd.policy)
	$(call put,0644,systemd/org.qkd.conf,$(PREFIX)/share/dbus-1/system.d/org.qkd.conf)
	$(call put,0644,keyring-helpers/qkd-request-key/qkd-keyring.conf,$(SYSCONFDIR)/request-key.d/qkd-keyring.conf)
	$(call put,0644,keyring-helpers/qkdctl/completion.bash,$(PREFIX)/share/bash-completion/completions/qkdctl)
	$(call put,0644,keyring-helpers/qkdctl/completion.zsh,$(PREFIX)/share/zsh/vendor-completions/_qkdctl)
	$(Q)$(INSTALL) -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/qkd/links.d
	$(call say,INST,$(PREFIX)/share/man)
	$(Q)for page in $(MAN_PAGES); do \
		$(INSTALL) -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; done
	$(call say,INST,$(PREFIX)/share/doc/qkd-keyring)
	$(Q)$(INSTALL) -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/qkd-keyring \
		README.md SECURITY.md LICENSE $(wildcard docs/*.md docs/*.json)
	$(Q)$(INSTALL) -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/qkd-keyring/examples docs/examples/*.json
	$(Q)$(INSTALL) -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/qkd-keyring/schema docs/schema/*.json
	$(Q)if [ -n "$(wildcard docs/dbus/*.xml)" ]; then $(INSTALL) -D -m 0644 \
		-t $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces $(wildcard docs/dbus/*.xml); fi
