/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/intake.h"

#include <errno.h>
#include <inttypes.h>

#include "agent/base/clock.h"

/* Foreign text in an event of our own (a path, an error) is cut to this. */
#define OWN_VALUE_MAX 1024u

/*
 * What the agent says itself. Written like a template, with plain {name} fields, and carried in the record
 * like any other template: a reader needs to know nothing about them beforehand.
 */
static const struct {
	const char *text;
	struct meaning meaning;
} own_events[OWN_EVENT_MAX] = {
	[OWN_STARTED] = { "hallmark {version} started, reading {sources}; key {key_fingerprint}; the run before: {previous_end}",
			  { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "started",
			    .severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO } },
	[OWN_STARTED_UNCLEAN] = { "hallmark {version} started, reading {sources}; key {key_fingerprint}; the run before: {previous_end}",
				  { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "started",
				    .severity = HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM } },
	[OWN_STOPPED] = { "hallmark stopped: {reason}",
			  { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "stopped",
			    .severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO } },
	[OWN_IDENTITY_RESET] = { "new key and new chain: {reason}; the key before was {old_key_fingerprint}",
				 { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "identity_reset",
				   .severity = HALLMARK__V1__SEVERITY__SEVERITY_HIGH } },
	[OWN_SOURCE_STATE] = { "source {source_name} is {state}: {reason}",
			       { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "source_state",
				 .severity = HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM } },
	[OWN_SPOOL_TROUBLE] = { "the spool could not be written for {duration_s} s: {reason}",
				{ .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "spool_trouble",
				  .severity = HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM } },
	[OWN_SPOOL_CUT] = { "{bytes} bytes after the last whole frame of the spool were cut off",
			    { .kind = HALLMARK__V1__KIND__KIND_INTEGRITY, .activity = "spool_cut",
			      .severity = HALLMARK__V1__SEVERITY__SEVERITY_LOW } },
};

static const char loss_text[] =
	"evidence lost: {loss_reason}: {detail} ({loss_amount} {loss_unit}; before: {identity_before}; after: {identity_after})";
static const struct meaning loss_meaning = {
	.kind = HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS,
	.activity = "evidence_loss",
	.severity = HALLMARK__V1__SEVERITY__SEVERITY_HIGH,
};

#define OWN_FIELDS_MAX 8u

/* A wording of our own, with the memory that it needs. */
struct own_wording {
	struct wording wording;
	struct bytes literals[OWN_FIELDS_MAX + 1];
	uint16_t field_ids[OWN_FIELDS_MAX];
};

struct intake {
	struct interpreter *interpreter;
	struct event_writer *writer;
	struct header_clock clock;
	struct own_wording own[OWN_EVENT_MAX];
	struct own_wording loss;
	struct buf text; /* of the own event that is being written */
	struct intake_counters counters;
};

static int own_wording_init(struct own_wording *o, const char *text, const struct meaning *meaning)
{
	size_t n = 0;

	for (;;) {
		const char *open = strchr(text, '{'), *close;
		char name[64];
		int id;

		o->literals[n] = open ? bytes_of(text, (size_t)(open - text)) : bytes_str(text);
		if (!open)
			break;
		close = strchr(open, '}');
		if (!close || n == OWN_FIELDS_MAX || (size_t)(close - open) > sizeof name)
			return -EINVAL;
		memcpy(name, open + 1, (size_t)(close - open) - 1);
		name[close - open - 1] = '\0';
		id = event_field_id(name);
		if (id < 0)
			return id;
		o->field_ids[n++] = (uint16_t)id;
		text = close + 1;
	}
	o->wording = (struct wording){
		.meaning = *meaning,
		.n_fields = n,
		.literals = o->literals,
		.field_ids = o->field_ids,
	};
	return 0;
}

int intake_new(struct interpreter *interpreter, struct intake **ret)
{
	_cleanup_(intake_freep) struct intake *in = calloc(1, sizeof *in);
	int r;

	if (!in)
		return -ENOMEM;
	in->interpreter = interpreter;
	in->text = (struct buf)BUF_INIT(16 * 1024);
	in->clock.now_us = clock_wall_us();
	r = event_writer_new(&in->writer);
	for (size_t i = 0; r >= 0 && i < OWN_EVENT_MAX; i++)
		r = own_wording_init(&in->own[i], own_events[i].text, &own_events[i].meaning);
	if (r >= 0)
		r = own_wording_init(&in->loss, loss_text, &loss_meaning);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(in);
	return 0;
}

struct intake *intake_free(struct intake *in)
{
	if (in) {
		event_writer_free(in->writer);
		buf_done(&in->text);
		free(in);
	}
	return NULL;
}

struct event_writer *intake_writer(struct intake *in)
{
	return in->writer;
}

const struct intake_counters *intake_counters(const struct intake *in)
{
	return &in->counters;
}

/* Adds what the template made of a message, and counts it. */
static int intake_add(struct intake *in, const struct origin *origin, int64_t time_us, uint32_t pid,
		      struct bytes message, struct wording *wording, const struct bytes *values)
{
	size_t unknown = event_writer_unknown(in->writer);
	int r = event_writer_add(in->writer, origin, time_us, pid, message, wording, values);

	if (r == -EMSGSIZE && event_writer_count(in->writer) > 0)
		return INTAKE_FULL;
	if (r < 0)
		return r;
	in->counters.events++;
	/* the writer has the last word: it stores a line as it is where the wording does not give it back */
	in->counters.unknown += event_writer_unknown(in->writer) - unknown;
	if (origin->source < INTAKE_SOURCES_MAX)
		in->counters.by_source[origin->source]++;
	return INTAKE_OK;
}

static int intake_message(struct intake *in, const struct origin *origin, int64_t time_us, uint32_t pid,
			  struct bytes message)
{
	struct interpretation i;
	int r = interpret(in->interpreter, origin, time_us, message, &i);

	return r < 0 ? r : intake_add(in, origin, time_us, pid, i.message, i.wording, i.values);
}

static int intake_wording(struct intake *in, uint32_t source, struct own_wording *o, const struct bytes *values)
{
	struct origin origin = { .source = source, .program = LIT("hallmark"), .provenance = PROVENANCE_NONE };
	struct bytes cut[OWN_FIELDS_MAX];
	size_t n = o->wording.n_fields;
	int r = 0;

	buf_clear(&in->text);
	for (size_t i = 0; i < n && r >= 0; i++) {
		cut[i] = bytes_of(values[i].data, MIN(values[i].len, OWN_VALUE_MAX));
		r = buf_append(&in->text, o->literals[i]);
		if (r >= 0)
			r = buf_append(&in->text, cut[i]);
	}
	if (r >= 0)
		r = buf_append(&in->text, o->literals[n]);
	if (r < 0)
		return r;
	return intake_add(in, &origin, clock_wall_us(), (uint32_t)getpid(), buf_bytes(&in->text), &o->wording, cut);
}

int intake_own(struct intake *in, uint32_t source, enum own_event which, const struct bytes *values)
{
	return intake_wording(in, source, &in->own[which], values);
}

int intake_loss(struct intake *in, uint32_t source, const struct loss *loss)
{
	char amount[24];
	int r;

	(void)snprintf(amount, sizeof amount, "%" PRIu64, loss->amount);
	const struct bytes values[] = { bytes_str(loss->reason), bytes_str(loss->detail), bytes_str(amount),
					bytes_str(loss->unit), loss->before, loss->after };

	r = intake_wording(in, source, &in->loss, values);
	if (r == INTAKE_OK)
		in->counters.losses++;
	return r;
}

/* What was cut off a line that is too long is a loss like any other; its digest says what the line was. */
static int intake_cut(struct intake *in, uint32_t source, const struct long_line *longer)
{
	_cleanup_(buf_done) struct buf detail = BUF_INIT(256);
	int r;

	r = buf_printf(&detail, "a line of %" PRIu64 " bytes was cut; SHA-256 of the whole line is ", longer->length);
	for (size_t i = 0; r >= 0 && i < sizeof longer->digest; i++)
		r = buf_printf(&detail, "%02x", longer->digest[i]);
	if (r >= 0)
		r = buf_byte(&detail, '\0');
	if (r < 0)
		return r;
	return intake_loss(in, source, &(struct loss){ .reason = "line_too_long",
						       .detail = (const char *)detail.data,
						       .unit = "bytes",
						       .amount = longer->length - EVENT_RAW_MAX });
}

/* A cut line and the loss that goes with it belong into one batch: there has to be room for both. */
static bool intake_has_room_for_cut(const struct intake *in)
{
	return event_writer_count(in->writer) == 0 || event_writer_size(in->writer) < 4 * EVENT_RAW_MAX;
}

int intake_line(struct intake *in, uint32_t source, struct bytes line, const struct long_line *longer,
		int64_t since_us)
{
	struct parsed_line p;
	int r;

	if (longer && !intake_has_room_for_cut(in))
		return INTAKE_FULL;
	/* only the year of a stamp without one hangs on it: no need to ask for each line */
	if (event_writer_count(in->writer) == 0)
		in->clock.now_us = clock_wall_us();
	header_parse(&in->clock, line, &p);
	if (!p.has_time)
		p.time_us = clock_wall_us();
	else if (since_us > 0 && p.time_us < since_us)
		return INTAKE_OK;
	struct origin origin = {
		.source = source,
		.program = p.program,
		.host = p.host,
		.has_header = true,
		.header = p.header,
		.provenance = PROVENANCE_NONE,
	};
	r = intake_message(in, &origin, p.time_us, p.pid, p.message);
	return r == INTAKE_OK && longer ? intake_cut(in, source, longer) : r;
}

int intake_entry(struct intake *in, uint32_t source, const struct journal_entry *e)
{
	struct origin origin = {
		.source = source,
		.program = e->program,
		.host = e->host,
		.has_provenance = true,
		.provenance = e->provenance,
	};
	int r;

	if (e->longer && !intake_has_room_for_cut(in))
		return INTAKE_FULL;
	r = intake_message(in, &origin, e->time_us, e->pid, e->message);
	return r == INTAKE_OK && e->longer ? intake_cut(in, source, e->longer) : r;
}
