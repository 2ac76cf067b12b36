/* SPDX-License-Identifier: MIT */
/* Starts, stops and spoils the mock KMEs that the tests of etsi014 talk to. */

#include "tests/unit/support/kme-pair.h"
#include "tests/unit/support/test-directory.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PYTHON "/usr/bin/python3"
#define MOCK   "tests/mock-kme/mock-kme"

const char *const kme_pair_saes[] = {"alice", "bob"};
const char *const kme_pair_names[] = {"kme-a", "kme-b"};
char *kme_pair_directory;
unsigned kme_pair_ports[2];
static pid_t kmes[2];

int kme_pair_shell(const char *format, ...)
{
	char *command;
	va_list arguments;
	int r;

	va_start(arguments, format);
	cr_assert_geq(vasprintf(&command, format, arguments), 0);
	va_end(arguments);
	r = system(command);
	free(command);
	return r;
}

void kme_pair_make_ca(const char *name)
{
	cr_assert_eq(
		kme_pair_shell("cd %s && openssl req -x509 -newkey ec -pkeyopt "
			       "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=%s -keyout %s.key "
			       "-out %s.crt 2>/dev/null",
			       kme_pair_directory, name, name, name),
		0);
}

static void make_certificate(const char *name)
{
	cr_assert_eq(
		kme_pair_shell(
			"cd %s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
			"-subj /CN=%s -keyout %s.key -out %s.csr 2>/dev/null && "
			"printf 'subjectAltName=IP:127.0.0.1,DNS:%s' > %s.ext && "
			"openssl x509 -req -in %s.csr -CA ca.crt -CAkey ca.key -CAcreateserial "
			"-days 2 -extfile %s.ext -out %s.crt 2>/dev/null",
			kme_pair_directory, name, name, name, name, name, name, name, name),
		0);
}

static void wait_for_port(enum kme_side side)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/port.%s", kme_pair_directory, kme_pair_names[side]);
	for (unsigned tries = 0; tries < 500; tries++) {
		FILE *file = fopen(path, "r");

		if (file) {
			cr_assert_eq(fscanf(file, "%u", &kme_pair_ports[side]), 1);
			fclose(file);
			unlink(path);
			return;
		}
		usleep(20000);
	}
	cr_assert_fail("%s did not come up", kme_pair_names[side]);
}

void kme_pair_start(enum kme_side side, const char *const *more)
{
	const char *name = kme_pair_names[side];
	char text[7][80];
	const char *arguments[24] = {
		PYTHON,     MOCK,    "--name",  name,    "--peer-kme",  kme_pair_names[!side],
		"--listen", text[0], "--ca",    text[1], "--cert",      text[2],
		"--key",    text[3], "--state", text[4], "--port-file", text[5]};
	size_t n = 18;

	snprintf(text[0], sizeof(text[0]), "127.0.0.1:%u", kme_pair_ports[side]);
	snprintf(text[1], sizeof(text[1]), "%s/ca.crt", kme_pair_directory);
	snprintf(text[2], sizeof(text[2]), "%s/%s.crt", kme_pair_directory, name);
	snprintf(text[3], sizeof(text[3]), "%s/%s.key", kme_pair_directory, name);
	snprintf(text[4], sizeof(text[4]), "%s/state", kme_pair_directory);
	snprintf(text[5], sizeof(text[5]), "%s/port.%s", kme_pair_directory, name);
	while (more && *more)
		arguments[n++] = *more++;
	kmes[side] = fork();
	cr_assert_geq(kmes[side], 0);
	if (kmes[side] == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test is killed */
		execv(PYTHON, (char *const *)arguments);
		_exit(127);
	}
	wait_for_port(side);
}

void kme_pair_kill(enum kme_side side)
{
	if (kmes[side] <= 0)
		return;
	kill(kmes[side], SIGKILL);
	waitpid(kmes[side], NULL, 0);
	kmes[side] = 0;
}

void kme_pair_set_fault(enum kme_side side, const char *text)
{
	char path[96], fresh[104];
	FILE *file;

	snprintf(path, sizeof(path), "%s/state/faults.%s", kme_pair_directory,
		 kme_pair_names[side]);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	file = fopen(fresh, "w");
	cr_assert_not_null(file);
	fprintf(file, "%s\n", text);
	fclose(file);
	cr_assert_eq(rename(fresh, path), 0);
}

bool kme_pair_is_possible(void)
{
	return access(PYTHON, X_OK) == 0 && access(MOCK, X_OK) == 0;
}

void kme_pair_init(void)
{
	kme_pair_directory = test_directory_new();
	kme_pair_make_ca("ca");
	for (enum kme_side side = ALICE; side <= BOB; side++) {
		make_certificate(kme_pair_saes[side]);
		make_certificate(kme_pair_names[side]);
	}
}

void kme_pair_done(void)
{
	kme_pair_kill(ALICE);
	kme_pair_kill(BOB);
	test_directory_remove(kme_pair_directory);
}
