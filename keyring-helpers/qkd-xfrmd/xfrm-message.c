/* SPDX-License-Identifier: MIT */
/* Messages of NETLINK_XFRM: security associations and policies as the kernel wants them. */

#include "xfrm-message.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netlink/msg.h>

#include "sa-derive.h"

#define AEAD_NAME     "rfc4106(gcm(aes))"
#define AEAD_ICV_BITS 128
/* A thousand packets may overtake one; a bitmap of 32-bit words. */
#define REPLAY_WINDOW_BITS  1024
#define REPLAY_WINDOW_WORDS (REPLAY_WINDOW_BITS / 32)

/* A message that grows in somebody's memory; once it does not fit, nothing more is written. */
struct builder {
	uint8_t *bytes;
	size_t size_bytes, used_bytes;
	bool overflow;
};

static void *builder_reserve(struct builder *b, size_t size_bytes)
{
	size_t aligned = NLMSG_ALIGN(size_bytes);
	uint8_t *at = b->bytes + b->used_bytes;

	if (b->overflow || aligned > b->size_bytes - b->used_bytes) {
		b->overflow = true;
		return NULL;
	}
	memset(at, 0, aligned);
	b->used_bytes += aligned;
	return at;
}

static void builder_add(struct builder *b, const void *data, size_t size_bytes)
{
	void *at = builder_reserve(b, size_bytes);

	if (at)
		memcpy(at, data, size_bytes);
}

static void builder_begin(struct builder *b, uint16_t type, uint16_t flags, uint32_t sequence)
{
	const struct nlmsghdr header = {
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
		.nlmsg_seq = sequence,
	};

	builder_add(b, &header, sizeof(header));
}

/* Room for an attribute's payload, zeroed, or NULL. */
static void *builder_attribute(struct builder *b, uint16_t type, size_t size_bytes)
{
	struct nlattr *attribute = builder_reserve(b, NLA_HDRLEN + size_bytes);

	if (!attribute)
		return NULL;
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + size_bytes);
	return (uint8_t *)attribute + NLA_HDRLEN;
}

static int builder_end(struct builder *b)
{
	if (b->overflow)
		return -ENOBUFS;
	((struct nlmsghdr *)b->bytes)->nlmsg_len = (uint32_t)b->used_bytes;
	return (int)b->used_bytes;
}

static xfrm_address_t to_kernel(const struct ip_address *address)
{
	xfrm_address_t kernel = {0};

	memcpy(&kernel, address->bytes, ip_address_size(address));
	return kernel;
}

static struct ip_address from_kernel(const xfrm_address_t *kernel, uint16_t family)
{
	struct ip_address address = {.family = family == AF_INET6 ? AF_INET6 : AF_INET};

	memcpy(address.bytes, kernel, ip_address_size(&address));
	return address;
}

static struct xfrm_lifetime_cfg lifetime(const struct xfrm_sa *sa)
{
	return (struct xfrm_lifetime_cfg){
		.soft_byte_limit = sa->soft_bytes ? sa->soft_bytes : XFRM_INF,
		.hard_byte_limit = sa->hard_bytes ? sa->hard_bytes : XFRM_INF,
		.soft_packet_limit = XFRM_INF,
		.hard_packet_limit = XFRM_INF,
		.soft_add_expires_seconds = sa->soft_sec,
		.hard_add_expires_seconds = sa->hard_sec,
	};
}

static void add_key(struct builder *b, const struct secret *key)
{
	struct xfrm_algo_aead *aead =
		builder_attribute(b, XFRMA_ALG_AEAD, sizeof(*aead) + key->size_bytes);

	if (!aead)
		return;
	memcpy(aead->alg_name, AEAD_NAME, sizeof(AEAD_NAME));
	aead->alg_key_len = (unsigned)key->size_bytes * 8;
	aead->alg_icv_len = AEAD_ICV_BITS;
	memcpy(aead->alg_key, key->bytes, key->size_bytes);
}

static void add_replay_window(struct builder *b)
{
	struct xfrm_replay_state_esn *replay = builder_attribute(
		b, XFRMA_REPLAY_ESN_VAL, sizeof(*replay) + REPLAY_WINDOW_WORDS * sizeof(uint32_t));

	if (!replay)
		return;
	replay->bmp_len = REPLAY_WINDOW_WORDS;
	replay->replay_window = REPLAY_WINDOW_BITS;
}

int xfrm_message_new_sa(const struct xfrm_sa *sa, const struct secret *key, uint32_t sequence,
			uint8_t *bytes, size_t size_bytes)
{
	struct builder b = {.bytes = bytes, .size_bytes = size_bytes};
	const struct xfrm_usersa_info info = {
		.id = {.daddr = to_kernel(&sa->destination),
		       .spi = htonl(sa->spi),
		       .proto = IPPROTO_ESP},
		.saddr = to_kernel(&sa->source),
		.lft = lifetime(sa),
		.reqid = sa->reqid,
		.family = (uint16_t)sa->destination.family,
		.mode = sa->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT,
		/* A tunnel carries either family, whatever its own. */
		.flags = XFRM_STATE_ESN | (sa->tunnel ? XFRM_STATE_AF_UNSPEC : 0),
	};

	if (key->size_bytes != SA_DERIVE_KEY_BYTES)
		return -EINVAL;
	builder_begin(&b, XFRM_MSG_NEWSA, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sequence);
	builder_add(&b, &info, sizeof(info));
	add_key(&b, key);
	add_replay_window(&b);
	return builder_end(&b);
}

int xfrm_message_delete_sa(const struct xfrm_sa *sa, uint32_t sequence, uint8_t *bytes,
			   size_t size_bytes)
{
	struct builder b = {.bytes = bytes, .size_bytes = size_bytes};
	const struct xfrm_usersa_id id = {
		.daddr = to_kernel(&sa->destination),
		.spi = htonl(sa->spi),
		.family = (uint16_t)sa->destination.family,
		.proto = IPPROTO_ESP,
	};

	builder_begin(&b, XFRM_MSG_DELSA, NLM_F_ACK, sequence);
	builder_add(&b, &id, sizeof(id));
	return builder_end(&b);
}

static struct xfrm_selector selector(const struct xfrm_policy_rule *rule)
{
	return (struct xfrm_selector){
		.daddr = to_kernel(&rule->destination.address),
		.saddr = to_kernel(&rule->source.address),
		.prefixlen_d = rule->destination.length_bits,
		.prefixlen_s = rule->source.length_bits,
		.family = (uint16_t)rule->destination.address.family,
		.proto = rule->protocol,
		.sport = htons(rule->source_port),
		.sport_mask = rule->source_port ? UINT16_MAX : 0,
		.dport = htons(rule->destination_port),
		.dport_mask = rule->destination_port ? UINT16_MAX : 0,
	};
}

static void add_template(struct builder *b, const struct xfrm_policy_rule *rule)
{
	struct xfrm_user_tmpl *template = builder_attribute(b, XFRMA_TMPL, sizeof(*template));

	if (!template)
		return;
	*template = (struct xfrm_user_tmpl){
		.id = {.daddr = to_kernel(&rule->outer_destination), .proto = IPPROTO_ESP},
		.family = (uint16_t)rule->outer_destination.family,
		.saddr = to_kernel(&rule->outer_source),
		.reqid = rule->reqid,
		.mode = rule->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT,
		.aalgos = UINT32_MAX,
		.ealgos = UINT32_MAX,
		.calgos = UINT32_MAX,
	};
}

int xfrm_message_set_policy(const struct xfrm_policy_rule *rule, uint32_t sequence, uint8_t *bytes,
			    size_t size_bytes)
{
	struct builder b = {.bytes = bytes, .size_bytes = size_bytes};
	const struct xfrm_sa endless = {0};
	const struct xfrm_userpolicy_info info = {
		.sel = selector(rule),
		.lft = lifetime(&endless),
		.priority = rule->priority,
		.index = rule->index,
		.dir = (uint8_t)rule->direction,
		.action = XFRM_POLICY_ALLOW,
		.share = XFRM_SHARE_ANY,
	};

	builder_begin(&b, XFRM_MSG_UPDPOLICY, NLM_F_ACK, sequence);
	builder_add(&b, &info, sizeof(info));
	if (!rule->clear)
		add_template(&b, rule);
	return builder_end(&b);
}

static int name_policy(uint16_t type, const struct xfrm_userpolicy_id *id, uint32_t sequence,
		       uint8_t *bytes, size_t size_bytes)
{
	struct builder b = {.bytes = bytes, .size_bytes = size_bytes};

	builder_begin(&b, type, NLM_F_ACK, sequence);
	builder_add(&b, id, sizeof(*id));
	return builder_end(&b);
}

int xfrm_message_delete_policy(const struct xfrm_userpolicy_id *id, uint32_t sequence,
			       uint8_t *bytes, size_t size_bytes)
{
	return name_policy(XFRM_MSG_DELPOLICY, id, sequence, bytes, size_bytes);
}

int xfrm_message_get_policy(const struct xfrm_userpolicy_id *id, uint32_t sequence, uint8_t *bytes,
			    size_t size_bytes)
{
	return name_policy(XFRM_MSG_GETPOLICY, id, sequence, bytes, size_bytes);
}

bool xfrm_message_names_policy(const struct xfrm_userpolicy_id *id,
			       const struct xfrm_policy_rule *rule)
{
	const struct xfrm_selector *a = &id->sel, b = selector(rule);

	return id->dir == rule->direction && a->family == b.family && a->proto == b.proto &&
	       a->prefixlen_s == b.prefixlen_s && a->prefixlen_d == b.prefixlen_d &&
	       a->sport == b.sport && a->dport == b.dport &&
	       memcmp(&a->saddr, &b.saddr, sizeof(b.saddr)) == 0 &&
	       memcmp(&a->daddr, &b.daddr, sizeof(b.daddr)) == 0;
}

int xfrm_message_dump(bool policies, uint32_t sequence, uint8_t *bytes, size_t size_bytes)
{
	struct builder b = {.bytes = bytes, .size_bytes = size_bytes};

	builder_begin(&b, policies ? XFRM_MSG_GETPOLICY : XFRM_MSG_GETSA, NLM_F_DUMP, sequence);
	return builder_end(&b);
}

static int parse_sa(struct nlmsghdr *header, struct xfrm_report *report)
{
	const struct xfrm_usersa_info *sa = nlmsg_data(header);

	if (nlmsg_datalen(header) < (int)sizeof(*sa) || sa->id.proto != IPPROTO_ESP)
		return -EBADMSG;
	report->type = XFRM_REPORT_SA;
	report->reqid = sa->reqid;
	report->spi = ntohl(sa->id.spi);
	report->destination = from_kernel(&sa->id.daddr, sa->family);
	report->source = from_kernel(&sa->saddr, sa->family);
	report->added_sec = sa->curlft.add_time;
	report->used_bytes = sa->curlft.bytes;
	return 0;
}

static int parse_expire(struct nlmsghdr *header, struct xfrm_report *report)
{
	const struct xfrm_user_expire *expire = nlmsg_data(header);
	int r;

	if (nlmsg_datalen(header) < (int)sizeof(*expire))
		return -EBADMSG;
	r = parse_sa(header, report); /* begins with it */
	if (r < 0)
		return r;
	report->type = XFRM_REPORT_EXPIRE;
	report->hard = expire->hard;
	return 0;
}

static uint32_t template_reqid(struct nlmsghdr *header, size_t header_bytes)
{
	struct nlattr *attribute = nlmsg_find_attr(header, (int)header_bytes, XFRMA_TMPL);
	const struct xfrm_user_tmpl *template;

	if (!attribute || nla_len(attribute) < (int)sizeof(*template))
		return 0;
	template = nla_data(attribute);
	return template->reqid;
}

static int parse_policy(struct nlmsghdr *header, struct xfrm_report *report)
{
	const struct xfrm_userpolicy_info *policy = nlmsg_data(header);

	if (nlmsg_datalen(header) < (int)sizeof(*policy))
		return -EBADMSG;
	report->type = XFRM_REPORT_POLICY;
	report->policy.sel = policy->sel;
	report->policy.index = policy->index;
	report->policy.dir = policy->dir;
	report->reqid = template_reqid(header, sizeof(*policy));
	report->clear = policy->action == XFRM_POLICY_ALLOW &&
			!nlmsg_find_attr(header, sizeof(*policy), XFRMA_TMPL);
	return 0;
}

static int parse_acquire(struct nlmsghdr *header, struct xfrm_report *report)
{
	if (nlmsg_datalen(header) < (int)sizeof(struct xfrm_user_acquire))
		return -EBADMSG;
	report->type = XFRM_REPORT_ACQUIRE;
	report->reqid = template_reqid(header, sizeof(struct xfrm_user_acquire));
	return 0;
}

/* An error, or the number of a dump's end: both begin with an int. */
static int parse_result(struct nlmsghdr *header, struct xfrm_report *report)
{
	int result;

	if (nlmsg_datalen(header) < (int)sizeof(result))
		return -EBADMSG;
	memcpy(&result, nlmsg_data(header), sizeof(result));
	report->type = XFRM_REPORT_RESULT;
	report->result = MIN(result, 0);
	return 0;
}

int xfrm_message_parse(struct nlmsghdr *header, struct xfrm_report *ret)
{
	struct xfrm_report report = {.sequence = header->nlmsg_seq};
	int r;

	switch (header->nlmsg_type) {
	case XFRM_MSG_NEWSA:
		r = parse_sa(header, &report);
		break;
	case XFRM_MSG_EXPIRE:
		r = parse_expire(header, &report);
		break;
	case XFRM_MSG_NEWPOLICY:
		r = parse_policy(header, &report);
		break;
	case XFRM_MSG_ACQUIRE:
		r = parse_acquire(header, &report);
		break;
	case NLMSG_ERROR:
	case NLMSG_DONE:
		r = parse_result(header, &report);
		break;
	default:
		return -ENOMSG;
	}
	if (r >= 0)
		*ret = report;
	return r;
}
