/* SPDX-License-Identifier: MIT */

/*
 * The sites of an episode, their links and paths, and the keys of links: each tells whose and which
 * it is.
 */

#include "tests/explore/relay-world.h"

const char *const relays_names[RELAYS_SITES] = {"alice", "bob", "carol", "dave"};

unsigned relays_link(unsigned a, unsigned b)
{
	static const unsigned links[RELAYS_SITES][RELAYS_SITES] = {
		{0, 0, 1, 2}, {0, 0, 3, 4}, {1, 3, 0, 5}, {2, 4, 5, 0}};

	return links[a][b];
}

bool relays_has_link(const struct relays *world, unsigned a, unsigned b)
{
	static const bool has[RELAYS_SHAPES_][RELAYS_LINKS] = {
		/*                    ab     ac     ad     bc     bd     cd */
		[RELAYS_ROW_OF_3] = {true, false, false, true, false, false},
		[RELAYS_ROW_OF_4] = {true, false, false, true, false, true},
		[RELAYS_DISJOINT] = {true, true, false, false, true, true},
		[RELAYS_DIRECT] = {true, true, false, true, false, false},
	};

	return has[world->shape][relays_link(a, b)];
}

size_t relays_paths(const struct relays *world, struct path ret[static PATH_MAX_DISJOINT])
{
	static const struct path abc = {3, {"alice", "bob", "carol"}};
	static const struct path abcd = {4, {"alice", "bob", "carol", "dave"}};
	static const struct path abd = {3, {"alice", "bob", "dave"}};
	static const struct path acd = {3, {"alice", "carol", "dave"}};

	switch (world->shape) {
	case RELAYS_ROW_OF_4:
		ret[0] = abcd;
		return 1;
	case RELAYS_DISJOINT:
		ret[0] = abd;
		ret[1] = acd;
		return 2;
	case RELAYS_ROW_OF_3:
	case RELAYS_DIRECT:
	case RELAYS_SHAPES_:
		break;
	}
	ret[0] = abc;
	return 1;
}

void relays_key(unsigned link, uint64_t sequence, uint8_t ret[static RELAYS_KEY_BYTES])
{
	uint64_t key[2] = {prng_mix(sequence * RELAYS_LINKS + link),
			   prng_mix(~(sequence * RELAYS_LINKS + link))};

	memcpy(ret, key, RELAYS_KEY_BYTES);
}

struct uuid relays_id(unsigned link, uint64_t sequence)
{
	struct uuid id = {{0x1d, 0x1d, 0x1d, (uint8_t)link}};

	memcpy(id.bytes + 8, &sequence, sizeof(sequence));
	return id;
}

bool relays_find_id(const struct uuid *id, unsigned *ret_link, uint64_t *ret_sequence)
{
	unsigned link = id->bytes[3];
	uint64_t sequence;
	struct uuid again;

	memcpy(&sequence, id->bytes + 8, sizeof(sequence));
	again = relays_id(link, sequence);
	if (!uuid_equal(id, &again) || link >= RELAYS_LINKS || sequence >= RELAYS_MAX_KEYS)
		return false;
	*ret_link = link;
	*ret_sequence = sequence;
	return true;
}
