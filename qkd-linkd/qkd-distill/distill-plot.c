/* SPDX-License-Identifier: MIT */
/* A picture of a distillation run as SVG. Four panels, one under the other; no library needed. */

#include <math.h>

#include "qkd-linkd/distill/cascade.h"
#include "qkd-linkd/qkd-distill/distill-plot.h"

#define WIDTH          760
#define PANEL_HEIGHT   190
#define LEFT           70
#define RIGHT          20
#define TOP            34
#define BOTTOM         36
#define FIBRE_DB_KM    0.2
#define THEORY_MAX_KM  200
#define TYPICAL_F      1.04 /* of our Cascade: qkd-distillation(7) */
#define SECONDS_PER_PS 1e-12

/* One panel's axes; y is logarithmic when low is above 0. */
struct panel {
	FILE *file;
	double top, x_end, low, high;
};

static double plot_x(const struct panel *panel, double x)
{
	return LEFT + x / panel->x_end * (WIDTH - LEFT - RIGHT);
}

static double plot_y(const struct panel *panel, double y)
{
	double share;

	if (panel->low > 0)
		share = log(fmax(y, panel->low) / panel->low) / log(panel->high / panel->low);
	else
		share = y / panel->high;
	return panel->top + TOP + (1 - fmin(share, 1)) * (PANEL_HEIGHT - TOP - BOTTOM);
}

static void draw_axes(const struct panel *panel, const char *title, const char *x_title)
{
	double bottom = panel->top + PANEL_HEIGHT - BOTTOM;

	fprintf(panel->file,
		"<text x='%d' y='%.1f' class='t'>%s</text>\n"
		"<path d='M%d %.1fV%.1fH%d' class='a'/>\n"
		"<text x='%d' y='%.1f' class='e'>%.3g</text><text x='%d' y='%.1f' class='e'>%.3g</text>\n"
		"<text x='%d' y='%.1f'>0</text><text x='%d' y='%.1f' class='e'>%.4g %s</text>\n",
		LEFT, panel->top + 20, title, LEFT, panel->top + TOP, bottom, WIDTH - RIGHT,
		LEFT - 6, panel->top + TOP + 5, panel->high, LEFT - 6, bottom, panel->low, LEFT,
		bottom + 18, WIDTH - RIGHT, bottom + 18, panel->x_end, x_title);
}

static void draw_dot(const struct panel *panel, double x, double y)
{
	fprintf(panel->file, "<circle cx='%.1f' cy='%.1f' r='3'/>\n", plot_x(panel, x),
		plot_y(panel, y));
}

static double value_of(const struct distill_plot_block *block, unsigned which)
{
	switch (which) {
	case 0:
		return 100 * block->error_rate;
	case 1:
		return block->efficiency;
	default:
		return block->key_rate / 1e6;
	}
}

static void draw_blocks(FILE *file, unsigned which, const struct distill_plot_block *blocks,
			size_t count)
{
	static const char *const titles[] = {
		"Error rate of the key basis, %",
		"Leak over Shannon's limit (f)",
		"Final key, Mbit for each second of light",
	};
	struct panel panel = {
		.file = file, .top = which * PANEL_HEIGHT, .x_end = (double)count, .high = 1e-3};

	for (size_t i = 0; i < count; i++)
		panel.high = fmax(panel.high, 1.1 * value_of(&blocks[i], which));
	draw_axes(&panel, titles[which], "blocks");
	for (size_t i = 0; i < count; i++)
		draw_dot(&panel, (double)i + 0.5, value_of(&blocks[i], which));
}

/* Expected counts of a block whose key basis gives n bits. */
static void expect_counts(const struct sim_optics_parameters *p, double n,
			  struct key_length_counts *ret)
{
	double gain = sim_optics_mean_gain(p);
	double test = (1 - p->key_basis) * (1 - p->key_basis) / (p->key_basis * p->key_basis);

	for (unsigned k = 0; k < p->intensity_count; k++) {
		struct sim_expectation e;

		sim_optics_expect(p, k, &e);
		ret->n_x[k] = n * p->probability[k] * e.gain / gain;
		ret->m_x[k] = ret->n_x[k] * e.error_rate;
		ret->n_z[k] = ret->n_x[k] * test;
		ret->m_z[k] = ret->m_x[k] * test;
	}
}

double distill_plot_theory(const struct sim_optics_parameters *optics,
			   const struct distill_config *config, double km)
{
	struct sim_optics_parameters p = *optics;
	struct key_length_counts counts = {};
	struct key_length_bounds bounds = {};
	double n = (double)config->block_frames * CASCADE_FRAME_BITS, gain, seconds, leak;
	double errors = 0;

	p.loss_db = km * FIBRE_DB_KM;
	gain = sim_optics_mean_gain(&p);
	seconds = n / (p.key_basis * p.key_basis) / (gain / (1 + p.dead_gates * gain)) *
		  p.period_ps * SECONDS_PER_PS;
	expect_counts(&p, n, &counts);
	for (unsigned k = 0; k < p.intensity_count; k++)
		errors += counts.m_x[k];
	leak = TYPICAL_F * n * key_length_entropy(errors / n);
	if (config->bound == DISTILL_BOUND_WIESEMANN)
		key_length_wiesemann(&config->source, &counts, leak, config->eps_sec,
				     config->eps_cor, &bounds);
	else
		key_length_lim(&config->source, &counts, leak, config->eps_sec, config->eps_cor,
			       &bounds);
	return bounds.length / seconds;
}

static void draw_theory(FILE *file, const struct sim_optics_parameters *optics,
			const struct distill_config *config, double km, double measured)
{
	struct panel panel = {.file = file,
			      .top = 3 * PANEL_HEIGHT,
			      .x_end = THEORY_MAX_KM,
			      .low = 1,
			      .high = 1e8};
	bool is_first = true;

	draw_axes(&panel, "Key rate, bit/s: theory for this block size, and measured", "km");
	fputs("<path class='l' d='", file);
	for (double at = 0; at <= THEORY_MAX_KM; at += 1) {
		double rate = distill_plot_theory(optics, config, at);

		if (rate < panel.low)
			break;
		fprintf(file, "%c%.1f %.1f", is_first ? 'M' : 'L', plot_x(&panel, at),
			plot_y(&panel, rate));
		is_first = false;
	}
	fputs("'/>\n", file);
	if (measured > 0)
		draw_dot(&panel, km, measured);
}

int distill_plot_write(FILE *file, const struct sim_optics_parameters *optics,
		       const struct distill_config *config, double km,
		       const struct distill_plot_block *blocks, size_t count)
{
	double sum = 0;

	fprintf(file,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"font-family='sans-serif' font-size='12'>\n"
		"<style>.t{font-weight:bold}.e{text-anchor:end}.a{fill:none;stroke:#444}"
		".l{fill:none;stroke:#06c;stroke-width:2}circle{fill:#c30}</style>\n"
		"<rect width='100%%' height='100%%' fill='white'/>\n",
		WIDTH, 4 * PANEL_HEIGHT);
	for (unsigned which = 0; which < 3; which++)
		draw_blocks(file, which, blocks, count);
	for (size_t i = 0; i < count; i++)
		sum += blocks[i].key_rate;
	draw_theory(file, optics, config, km, count > 0 ? sum / (double)count : 0);
	fputs("</svg>\n", file);
	return ferror(file) ? -EIO : 0;
}
