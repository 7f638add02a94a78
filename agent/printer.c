/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/printer.h"

#include <errno.h>

#include "agent/base/io.h"
#include "proto/compress.h"
#include "proto/event_reader.h"

#define FLUSH_BYTES (64u * 1024)

/* A stolen key may sign a batch that says little and is printed as terabytes: what a batch prints beside its
 * raw lines (which the reader bounds) is bounded too, far above what an agent signs. */
#define BURDEN_MAX (4u * BATCH_RAW_MAX)

void printer_done(struct printer *p)
{
	buf_done(&p->out);
	buf_done(&p->plain);
}

bool printer_colour(void)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
}

int printer_flush(struct printer *p, bool now)
{
	int r;

	if (p->out.len == 0 || (!now && p->out.len < FLUSH_BYTES))
		return 0;
	r = write_all(STDOUT_FILENO, buf_bytes(&p->out));
	buf_clear(&p->out);
	return r;
}

struct totals {
	uint64_t events, unknown, forged, losses;
};

static int count_events(const struct printer *p, const Hallmark__V1__Batch *b, struct totals *ret)
{
	_cleanup_(event_reader_freep) struct event_reader *reader = NULL;
	struct event_place place = { .batch = b };
	struct totals t = { 0 };
	uint64_t burden = 0;
	struct event e;
	int r;

	r = event_reader_new(buf_bytes(&p->plain), b->time_us, &reader);
	if (r < 0)
		return r;
	if (event_reader_count(reader) != b->event_count)
		return -EBADMSG;
	while ((r = event_reader_next(reader, &e)) > 0) {
		burden += event_burden(&e, &place);
		if (burden > BURDEN_MAX || e.origin.source > b->n_positions)
			return -EBADMSG;
		t.events++;
		t.unknown += event_is_unknown(&e);
		t.forged += e.meaning.kind == HALLMARK__V1__KIND__KIND_FORGED;
		t.losses += e.meaning.kind == HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS;
	}
	if (r == 0)
		*ret = t;
	return r;
}

static int print_events(struct printer *p, const struct frame *f, const char *fingerprint, struct chain *c)
{
	_cleanup_(event_reader_freep) struct event_reader *reader = NULL;
	struct event_place place = { .batch = f->batch, .fingerprint = fingerprint, .show_host = p->show_host };
	struct event e;
	int r;

	r = event_reader_new(buf_bytes(&p->plain), f->batch->time_us, &reader);
	if (r < 0)
		return r;
	for (; (r = event_reader_next(reader, &e)) > 0; place.index++) {
		if (c && e.meaning.kind == HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS)
			r = chain_note_loss(c, f, event_get(&e, "loss_reason"), event_get(&e, "loss_amount"),
					    event_get(&e, "loss_unit"));
		else if (c && event_is_unknown(&e))
			r = chain_note_unknown(c, f, e.origin.program);
		if (r >= 0 && !p->quiet && e.time_us >= p->since_us)
			r = render_event(&p->out, p->format, p->colour, &e, &place);
		if (r >= 0)
			r = printer_flush(p, false);
		if (r < 0)
			return r;
	}
	return r;
}

int printer_frame(struct printer *p, const struct frame *f, const char *fingerprint, struct chain *c)
{
	const Hallmark__V1__Batch *b = f->batch;
	struct totals t = { 0 };
	int r = c ? chain_note_excluded(c, f) : 0;

	if (r < 0)
		return r;
	if (b->event_count == 0)
		return b->events.len == 0 ? 0 : -EBADMSG;
	r = events_expand(b, &p->plain);
	if (r == 0)
		r = count_events(p, b, &t);
	if (r < 0)
		return r;
	if (c)
		chain_note_events(c, f, t.events, t.unknown, t.forged);
	return p->quiet && t.losses == 0 && t.unknown == 0 ? 0 : print_events(p, f, fingerprint, c);
}
