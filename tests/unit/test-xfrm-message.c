/* SPDX-License-Identifier: MIT */
/* Messages for the kernel's IPsec, read back with libnl and with our own parser. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netlink/msg.h>

#include "keyring-helpers/qkd-xfrmd/sa-derive.h"
#include "keyring-helpers/qkd-xfrmd/xfrm-message.h"

static uint8_t bytes[XFRM_MESSAGE_MAX_BYTES] __attribute__((aligned(8)));
static struct nlmsghdr *const header = (struct nlmsghdr *)bytes;

static struct ip_address address_of(const char *text)
{
	struct ip_address address;

	cr_assert_eq(ip_address_parse(text, &address), 0);
	return address;
}

static struct xfrm_sa sa_of(bool v6)
{
	return (struct xfrm_sa){
		.source = address_of(v6 ? "2001:db8::1" : "192.0.2.1"),
		.destination = address_of(v6 ? "2001:db8::2" : "192.0.2.2"),
		.spi = 0xc0ffee01,
		.reqid = 0x51000007,
		.tunnel = true,
		.soft_sec = 3,
		.hard_sec = 15,
		.hard_bytes = 1 << 20,
	};
}

static struct secret *key_of(size_t size_bytes)
{
	struct secret *key;

	cr_assert_eq(secret_new(size_bytes, &key), 0);
	memset(key->bytes, 0x5a, size_bytes);
	return key;
}

Test(xfrm_message, for_an_association_has_key_lifetimes_and_replay_window)
{
	_cleanup_(secret_freep) struct secret *key = key_of(SA_DERIVE_KEY_BYTES);
	struct xfrm_sa sa = sa_of(false);
	int size = xfrm_message_new_sa(&sa, key, 9, bytes, sizeof(bytes));
	const struct xfrm_usersa_info *info = nlmsg_data(header);
	const struct xfrm_algo_aead *aead;
	const struct xfrm_replay_state_esn *replay;
	struct nlattr *attribute;

	cr_assert_eq((int)header->nlmsg_len, size);
	cr_assert_eq(header->nlmsg_type, XFRM_MSG_NEWSA);
	cr_assert_eq(header->nlmsg_flags & NLM_F_EXCL, NLM_F_EXCL);
	cr_assert_eq(info->id.spi, htonl(0xc0ffee01));
	cr_assert_eq(info->id.daddr.a4, inet_addr("192.0.2.2"));
	cr_assert_eq(info->mode, XFRM_MODE_TUNNEL);
	cr_assert_eq(info->lft.soft_add_expires_seconds, 3);
	cr_assert_eq(info->lft.hard_byte_limit, 1 << 20);
	cr_assert_eq(info->lft.soft_byte_limit, XFRM_INF);
	attribute = nlmsg_find_attr(header, sizeof(*info), XFRMA_ALG_AEAD);
	cr_assert_not_null(attribute);
	aead = nla_data(attribute);
	cr_assert_str_eq(aead->alg_name, "rfc4106(gcm(aes))");
	cr_assert_eq(aead->alg_key_len, 288);
	cr_assert_eq(aead->alg_icv_len, 128);
	cr_assert_arr_eq(aead->alg_key, key->bytes, key->size_bytes);
	attribute = nlmsg_find_attr(header, sizeof(*info), XFRMA_REPLAY_ESN_VAL);
	cr_assert_not_null(attribute);
	replay = nla_data(attribute);
	cr_assert_eq(replay->replay_window, 32 * replay->bmp_len);
	cr_assert_eq(nla_len(attribute), (int)(sizeof(*replay) + 4 * replay->bmp_len));
}

Test(xfrm_message, with_another_key_size_is_not_built)
{
	_cleanup_(secret_freep) struct secret *key = key_of(SA_DERIVE_KEY_BYTES - 1);
	struct xfrm_sa sa = sa_of(false);

	cr_assert_eq(xfrm_message_new_sa(&sa, key, 9, bytes, sizeof(bytes)), -EINVAL);
}

Test(xfrm_message, that_does_not_fit_is_refused_at_every_length)
{
	_cleanup_(secret_freep) struct secret *key = key_of(SA_DERIVE_KEY_BYTES);
	struct xfrm_sa sa = sa_of(true);
	int size = xfrm_message_new_sa(&sa, key, 9, bytes, sizeof(bytes));

	for (size_t room = 0; room < (size_t)size; room++)
		cr_assert_eq(xfrm_message_new_sa(&sa, key, 9, bytes, room), -ENOBUFS);
	cr_assert_eq(xfrm_message_new_sa(&sa, key, 9, bytes, (size_t)size), size);
}

Test(xfrm_message, for_an_association_reads_back)
{
	for (int v6 = 0; v6 <= 1; v6++) {
		_cleanup_(secret_freep) struct secret *key = key_of(SA_DERIVE_KEY_BYTES);
		struct xfrm_sa sa = sa_of(v6);
		struct xfrm_report report;

		cr_assert_gt(xfrm_message_new_sa(&sa, key, 9, bytes, sizeof(bytes)), 0);
		((struct xfrm_usersa_info *)nlmsg_data(header))->curlft.bytes = 65536;
		cr_assert_eq(xfrm_message_parse(header, &report), 0);
		cr_assert_eq(report.used_bytes, 65536);
		cr_assert_eq(report.type, XFRM_REPORT_SA);
		cr_assert_eq(report.sequence, 9);
		cr_assert_eq(report.spi, sa.spi);
		cr_assert_eq(report.reqid, sa.reqid);
		cr_assert(ip_address_equal(&report.source, &sa.source));
		cr_assert(ip_address_equal(&report.destination, &sa.destination));
	}
}

static struct xfrm_policy_rule rule_of(void)
{
	struct xfrm_policy_rule rule = {
		.direction = XFRM_DIRECTION_FORWARD,
		.protocol = 17,
		.destination_port = 53,
		.priority = 1234,
		.outer_source = address_of("192.0.2.1"),
		.outer_destination = address_of("192.0.2.2"),
		.reqid = 0x51000007,
		.tunnel = true,
	};

	cr_assert_eq(ip_prefix_parse("10.1.0.0/16", &rule.source), 0);
	cr_assert_eq(ip_prefix_parse("10.2.0.0/16", &rule.destination), 0);
	return rule;
}

Test(xfrm_message, for_a_policy_reads_back_and_is_recognised)
{
	struct xfrm_policy_rule rule = rule_of(), other = rule;
	struct xfrm_report report;
	const struct xfrm_userpolicy_info *info = nlmsg_data(header);

	cr_assert_gt(xfrm_message_set_policy(&rule, 1, bytes, sizeof(bytes)), 0);
	cr_assert_eq(info->dir, XFRM_POLICY_FWD);
	cr_assert_eq(info->sel.dport, htons(53));
	cr_assert_eq(info->sel.dport_mask, UINT16_MAX);
	cr_assert_eq(info->sel.sport_mask, 0);
	header->nlmsg_type = XFRM_MSG_NEWPOLICY; /* as a dump has it */
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert_eq(report.type, XFRM_REPORT_POLICY);
	cr_assert_eq(report.reqid, rule.reqid);
	cr_assert(xfrm_message_names_policy(&report.policy, &rule));
	other.destination.length_bits = 17;
	cr_assert_not(xfrm_message_names_policy(&report.policy, &other));
	other = rule;
	other.direction = XFRM_DIRECTION_IN;
	cr_assert_not(xfrm_message_names_policy(&report.policy, &other));
}

Test(xfrm_message, for_a_clear_policy_has_an_index_and_no_template)
{
	struct xfrm_policy_rule rule = rule_of();
	struct xfrm_userpolicy_info *info = nlmsg_data(header);
	struct xfrm_report report;

	rule.clear = true;
	rule.index = 0x5100000a;
	cr_assert_gt(xfrm_message_set_policy(&rule, 1, bytes, sizeof(bytes)), 0);
	cr_assert_eq(info->index, 0x5100000a);
	cr_assert_eq(info->action, XFRM_POLICY_ALLOW);
	cr_assert_null(nlmsg_find_attr(header, sizeof(*info), XFRMA_TMPL));
	header->nlmsg_type = XFRM_MSG_NEWPOLICY;
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert(report.clear);
	cr_assert_eq(report.reqid, 0);
	cr_assert_eq(report.policy.index, 0x5100000a);
	info->action = XFRM_POLICY_BLOCK;
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert_not(report.clear, "one that blocks lets nothing through");
	rule.clear = false;
	cr_assert_gt(xfrm_message_set_policy(&rule, 1, bytes, sizeof(bytes)), 0);
	header->nlmsg_type = XFRM_MSG_NEWPOLICY;
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert_not(report.clear);
}

Test(xfrm_message, asks_for_a_policy_by_its_index)
{
	const struct xfrm_userpolicy_id id = {.dir = XFRM_POLICY_OUT, .index = 0x51000009};
	const struct xfrm_userpolicy_id *sent = nlmsg_data(header);

	cr_assert_gt(xfrm_message_get_policy(&id, 3, bytes, sizeof(bytes)), 0);
	cr_assert_eq(header->nlmsg_type, XFRM_MSG_GETPOLICY);
	cr_assert_eq(header->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
	cr_assert_eq(sent->index, 0x51000009);
	cr_assert_eq(sent->dir, XFRM_POLICY_OUT);
}

static void put(uint16_t type, const void *payload, size_t size_bytes)
{
	*header = (struct nlmsghdr){.nlmsg_type = type,
				    .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size_bytes)};
	memcpy(bytes + NLMSG_HDRLEN, payload, size_bytes);
}

Test(xfrm_message, about_a_lifetime_says_whose_and_whether_it_is_hard)
{
	struct xfrm_user_expire expire = {
		.state = {.id = {.spi = htonl(7), .proto = IPPROTO_ESP},
			  .reqid = 5,
			  .family = AF_INET},
		.hard = 1,
	};
	struct xfrm_report report;

	put(XFRM_MSG_EXPIRE, &expire, sizeof(expire));
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert_eq(report.type, XFRM_REPORT_EXPIRE);
	cr_assert_eq(report.spi, 7);
	cr_assert_eq(report.reqid, 5);
	cr_assert(report.hard);
}

Test(xfrm_message, about_a_result_gives_it)
{
	struct nlmsgerr error = {.error = -EEXIST};
	struct xfrm_report report;
	int count = 17;

	put(NLMSG_ERROR, &error, sizeof(error));
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert_eq(report.result, -EEXIST);
	put(NLMSG_DONE, &count, sizeof(count));
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	cr_assert_eq(report.result, 0);
}

Test(xfrm_message, that_is_cut_short_or_of_no_interest_is_refused)
{
	static const uint16_t types[] = {XFRM_MSG_NEWSA, XFRM_MSG_EXPIRE, XFRM_MSG_NEWPOLICY,
					 XFRM_MSG_ACQUIRE, NLMSG_ERROR};
	static const uint8_t zeros[1024];
	struct xfrm_report report;

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		put(types[i], zeros, 3);
		cr_assert_eq(xfrm_message_parse(header, &report), -EBADMSG);
	}
	put(XFRM_MSG_FLUSHSA, zeros, 8);
	cr_assert_eq(xfrm_message_parse(header, &report), -ENOMSG);
}
