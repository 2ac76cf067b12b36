/* SPDX-License-Identifier: MIT */

/*
 * The loops of a kernel around its multiplication, included once by each kernel. Before it, define
 *	GF128_TARGET			attributes of its functions
 *	GF128_LANES			field elements in a vector
 *	GF128_NARROW			the kernel for runs shorter than a vector, when LANES > 1
 * and the type `vector` with vector_load, _store, _add, _multiply and _broadcast. Defines the
 *static functions layers_multiply_each, layers_forward and layers_inverse.
 */

/* The twiddle factor of a block, by the bits of its number. */
GF128_TARGET static inline struct gf128 first_twiddle(const struct gf2_twiddles *twiddles,
						      size_t block)
{
	struct gf128 t = {};

	for (unsigned j = 0; block >> j; j++)
		if (block >> j & 1)
			t = gf128_add(t, twiddles->beta[j + 1]);
	return t;
}

/* That of the next block: incrementing flips the lowest bits up to the first zero. */
GF128_TARGET static inline struct gf128 next_twiddle(const struct gf2_twiddles *twiddles,
						     struct gf128 t, size_t block)
{
	return gf128_add(t, twiddles->step[__builtin_ctzll(block + 1)]);
}

GF128_TARGET static void layers_multiply_each(struct gf128 *a, const struct gf128 *b, size_t count)
{
	size_t i = 0;

	for (; i + GF128_LANES <= count; i += GF128_LANES)
		vector_store(a + i, vector_multiply(vector_load(a + i), vector_load(b + i)));
#if GF128_LANES > 1
	GF128_NARROW.multiply_each(a + i, b + i, count - i);
#endif
}

GF128_TARGET static inline void forward_block(struct gf128 *values, size_t run, vector t)
{
	for (size_t i = 0; i < run; i += GF128_LANES) {
		vector u = vector_load(values + i), v = vector_load(values + i + run);

		u = vector_add(u, vector_multiply(v, t));
		vector_store(values + i, u);
		vector_store(values + i + run, vector_add(u, v));
	}
}

GF128_TARGET static inline void inverse_block(struct gf128 *values, size_t run, vector t)
{
	for (size_t i = 0; i < run; i += GF128_LANES) {
		vector u = vector_load(values + i), v = vector_load(values + i + run);

		v = vector_add(v, u);
		vector_store(values + i, vector_add(u, vector_multiply(v, t)));
		vector_store(values + i + run, v);
	}
}

GF128_TARGET static void layers_forward(struct gf128 *values, unsigned run_log2, size_t first_block,
					size_t block_count, const struct gf2_twiddles *twiddles)
{
	size_t run = (size_t)1 << run_log2;
	struct gf128 t = first_twiddle(twiddles, first_block);

#if GF128_LANES > 1
	if (run < GF128_LANES) {
		GF128_NARROW.forward(values, run_log2, first_block, block_count, twiddles);
		return;
	}
#endif
	for (size_t b = 0; b < block_count; b++) {
		forward_block(values + 2 * run * b, run, vector_broadcast(t));
		t = next_twiddle(twiddles, t, first_block + b);
	}
}

GF128_TARGET static void layers_inverse(struct gf128 *values, unsigned run_log2, size_t first_block,
					size_t block_count, const struct gf2_twiddles *twiddles)
{
	size_t run = (size_t)1 << run_log2;
	struct gf128 t = first_twiddle(twiddles, first_block);

#if GF128_LANES > 1
	if (run < GF128_LANES) {
		GF128_NARROW.inverse(values, run_log2, first_block, block_count, twiddles);
		return;
	}
#endif
	for (size_t b = 0; b < block_count; b++) {
		inverse_block(values + 2 * run * b, run, vector_broadcast(t));
		t = next_twiddle(twiddles, t, first_block + b);
	}
}
