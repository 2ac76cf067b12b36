/* SPDX-License-Identifier: MIT */
/* The upcall server against a helper that is played by the test, with a fake issuer behind it. */

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/upcall-wire.h"
#include "fake-issuer.h"
#include "qkd-keyringd/upcall.h"
#include "tests/unit/support/test-directory.h"

static sd_event *event;
static struct admission admission;
static struct upcall_server *server;
static char *directory;
static char path[64];

static void set_up_as(uid_t helper_uid)
{
	struct upcall_server_options options = {
		.name = "alice",
		.site = "alice",
		.helper_uid = helper_uid,
		.admission = &admission,
	};
	struct policy *policy;

	options.directory = directory = test_directory_new();
	snprintf(path, sizeof(path), "%s/alice/socket", directory);
	sd_event_new(&event);
	policy_new_default(&policy); /* uid 0 alone */
	admission_init(&admission, NULL, policy);
	options.event = event;
	cr_assert_eq(upcall_server_new(&options, &server), 0);
}

static void set_up(void)
{
	set_up_as(getuid());
}

static void tear_down(void)
{
	char site[64];

	upcall_server_free(server);
	admission_done(&admission);
	sd_event_unref(event);
	snprintf(site, sizeof(site), "%s/alice", directory);
	cr_assert_eq(rmdir(site), 0, "the socket is gone");
	test_directory_remove(directory);
}

static void run_loop(void)
{
	while (sd_event_run(event, 10000) > 0)
		;
}

static int connect_helper(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, sizeof(path));
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static struct upcall_request request_for(const char *description, const char *callout)
{
	struct upcall_request request = {.magic = UPCALL_MAGIC, .type = "user", .key_serial = 9};

	snprintf(request.description, sizeof(request.description), "%s", description);
	snprintf(request.callout, sizeof(request.callout), "%s", callout);
	return request;
}

static int send_request(const char *description, const char *callout)
{
	struct upcall_request request = request_for(description, callout);
	int fd = connect_helper();

	send(fd, &request, sizeof(request), 0);
	run_loop();
	return fd;
}

static void answer(int result, size_t size, uint32_t expires_sec)
{
	_cleanup_(secret_freep) struct secret *key = NULL;
	struct issued_key issued = {.expires_sec = expires_sec, .delivery = &fake.delivery};

	cr_assert(fake.pending);
	fake.pending = false;
	secret_new(size, &key);
	memset(key->bytes, 0x5a, size);
	issued.key = key;
	fake.operation.delivered(result, result < 0 ? NULL : &issued, fake.operation.userdata);
}

static struct upcall_reply read_reply(int fd)
{
	struct upcall_reply reply;

	cr_assert_eq(recv(fd, &reply, sizeof(reply), MSG_DONTWAIT), (ssize_t)sizeof(reply));
	cr_assert_eq(reply.magic, UPCALL_MAGIC);
	return reply;
}

static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void report(int fd, uint32_t delivered)
{
	struct upcall_report report = {.magic = UPCALL_MAGIC, .delivered = delivered};

	send(fd, &report, sizeof(report), 0);
	run_loop();
}

TestSuite(upcall, .init = set_up, .fini = tear_down);

Test(upcall, gives_a_label_and_takes_the_report)
{
	int fd = send_request("qkd:bob:vpn1", "size=256 ttl=60 wait=2");
	struct upcall_reply reply;

	cr_assert_str_eq(fake.peer, "bob");
	cr_assert_str_eq(fake.label, "vpn1");
	cr_assert_eq(fake.bits, 256);
	cr_assert_eq(fake.ttl_sec, 60);
	cr_assert_eq(fake.owner, 0);
	answer(0, 32, 3600);
	reply = read_reply(fd);
	cr_assert_eq(reply.error, 0);
	cr_assert_eq(reply.key_bytes, 32);
	cr_assert_eq(reply.key[31], 0x5a);
	cr_assert_eq(reply.permission, 0x1b010000);
	cr_assert_eq(reply.timeout_sec, 60);
	report(fd, 1);
	cr_assert_eq(fake.delivered, 1);
	cr_assert_eq(fake.abandoned, 0);
	cr_assert_eq(upcall_server_open_count(server), 0);
	close(fd);
}

Test(upcall, gives_a_key_by_its_id_at_this_site)
{
	int fd = send_request("qkd@alice:bob:id=f47ac10b-58cc-4372-a567-0e02b2c3d479", "");
	char text[UUID_CHARS + 1];

	uuid_format(&fake.id, text);
	cr_assert_str_eq(text, "f47ac10b-58cc-4372-a567-0e02b2c3d479");
	answer(0, 64, 0);
	cr_assert_eq(read_reply(fd).timeout_sec, 0);
	close(fd);
}

Test(upcall, abandons_a_key_whose_helper_died_before_it_reported)
{
	int fd = send_request("qkd:bob:vpn1", "");

	answer(0, 32, 0);
	close(fd);
	run_loop();
	cr_assert_eq(fake.abandoned, 1);
	cr_assert_eq(fake.reports, 0);
	cr_assert_eq(upcall_server_open_count(server), 0);
}

Test(upcall, reports_a_key_that_the_kernel_did_not_take)
{
	int fd = send_request("qkd:bob:vpn1", "");

	answer(0, 32, 0);
	report(fd, 0);
	cr_assert_eq(fake.reports, 1);
	cr_assert_eq(fake.delivered, 0);
	close(fd);
}

Test(upcall, cancels_the_request_of_a_helper_that_went_away)
{
	int fd = send_request("qkd:bob:vpn1", "");

	close(fd);
	run_loop();
	cr_assert(fake.cancelled);
	cr_assert_eq(upcall_server_open_count(server), 0);
}

Test(upcall, tells_the_errors_that_a_requester_may_see)
{
	static const struct {
		int result;
		uint32_t seen;
	} cases[] = {
		{-ENOKEY, ENOKEY}, {-ETIMEDOUT, ETIMEDOUT}, {-EKEYEXPIRED, EKEYEXPIRED},
		{-EACCES, EACCES}, {-EINVAL, EINVAL},       {-EDQUOT, EDQUOT},
		{-EIO, ENOKEY},    {-ENOMEM, ENOKEY},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		int fd = send_request("qkd:bob:vpn1", "");

		answer(cases[i].result, 32, 0);
		cr_assert_eq(read_reply(fd).error, cases[i].seen);
		cr_assert(is_closed(fd));
		close(fd);
	}
}

Test(upcall, refuses_hostile_text_without_asking_the_issuer)
{
	static const char *const bad[] = {"", "qkd:", "qkd:bob", "qkd@bob:alice:x", "qkd:../x:y"};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		int fd = send_request(bad[i], "");

		cr_assert_eq(read_reply(fd).error, EINVAL, "%s", bad[i]);
		close(fd);
	}
	cr_assert_not(fake.pending);
}

Test(upcall, refuses_whom_the_policy_refuses)
{
	struct upcall_request request = request_for("qkd:bob:vpn1", "");
	int fd = connect_helper();

	request.requester_uid = 1000;
	send(fd, &request, sizeof(request), 0);
	run_loop();
	cr_assert_eq(read_reply(fd).error, EACCES);
	cr_assert_not(fake.pending);
	close(fd);
}

Test(upcall, closes_on_packets_that_are_no_requests)
{
	struct upcall_request request = request_for("qkd:bob:vpn1", "");
	int fd = connect_helper();

	send(fd, &request, sizeof(request) - 1, 0);
	run_loop();
	cr_assert(is_closed(fd));
	close(fd);
	fd = connect_helper();
	request.magic++;
	send(fd, &request, sizeof(request), 0);
	run_loop();
	cr_assert(is_closed(fd));
	close(fd);
	cr_assert_not(fake.pending);
}

Test(upcall, gives_logon_keys_a_permission_without_read)
{
	struct upcall_request request = request_for("qkd:bob:vpn1", "");
	int fd = connect_helper();

	snprintf(request.type, sizeof(request.type), "logon");
	send(fd, &request, sizeof(request), 0);
	run_loop();
	answer(0, 32, 0);
	cr_assert_eq(read_reply(fd).permission, 0x19010000);
	close(fd);
}

Test(upcall, drops_a_helper_that_connects_and_says_nothing)
{
	int fd = connect_helper();

	run_loop();
	cr_assert_eq(upcall_server_open_count(server), 1);
	for (int i = 0; i < 30 && upcall_server_open_count(server) > 0; i++)
		sd_event_run(event, 100000);
	cr_assert_eq(upcall_server_open_count(server), 0);
	cr_assert(is_closed(fd));
	close(fd);
}

Test(upcall, keeps_its_socket_for_its_owner)
{
	struct stat status;

	cr_assert_eq(stat(path, &status), 0);
	cr_assert_eq(status.st_mode & 0777, 0600);
}

static void set_up_for_another_uid(void)
{
	set_up_as(getuid() + 1);
}

Test(upcall_strangers, are_not_heard, .init = set_up_for_another_uid, .fini = tear_down)
{
	struct upcall_request request = request_for("qkd:bob:vpn1", "");
	int fd = connect_helper();

	send(fd, &request, sizeof(request), MSG_NOSIGNAL);
	run_loop();
	cr_assert_eq(upcall_server_open_count(server), 0);
	cr_assert_not(fake.pending);
	close(fd);
}
