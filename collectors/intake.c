/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/intake.h"

#include <errno.h>
#include <inttypes.h>

#include "agent/base/clock.h"
#include "collectors/joiner.h"

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
	[OWN_CLOCK_STEP] = { "the wall clock was set from {clock_before} to {clock_after}",
			     { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "clock_step",
			       .severity = HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM } },
	[OWN_SUBMISSION_REFUSED] = { "the submission {submission} was refused: {reason}; SHA-256 {sha256}",
				     { .kind = HALLMARK__V1__KIND__KIND_LIFECYCLE, .activity = "submission_refused",
				       .outcome = HALLMARK__V1__OUTCOME__OUTCOME_FAILURE,
				       .severity = HALLMARK__V1__SEVERITY__SEVERITY_HIGH } },
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
	struct joiner *joiner;
	struct joiner_line line;        /* of a log file: what does not change from one to the next stays */
	uint64_t excluded[EXCLUDE_MAX]; /* lines, by entry, since the batch before */
	bool redacted;                  /* the last line that became an event */
	struct own_wording own[OWN_EVENT_MAX];
	struct own_wording loss;
	struct buf text; /* of the event that is being put together from its wording */
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
	in->text = (struct buf)BUF_INIT(EVENT_RAW_MAX);
	in->line.origin = (struct origin){ .has_header = true, .provenance = PROVENANCE_NONE };
	in->clock.now_us = clock_wall_us();
	r = event_writer_new(&in->writer);
	if (r >= 0)
		r = joiner_new(&in->joiner);
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
		joiner_free(in->joiner);
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

/* --- lines, and those that are held -------------------------------------------------------------------- */

/* What a line may grow to while it is held: a first part is taken into a batch that has so much room. */
#define GROWTH_MAX (2 * EVENT_RAW_MAX)

/* Whether another event, of lines and texts of `len` bytes, fits beside what is held. Where nothing is, the writer
 * has the word. */
static bool intake_fits(const struct intake *in, size_t len)
{
	size_t held = joiner_count(in->joiner);

	return held == 0 || event_writer_has_room(in->writer, held + 1, joiner_bytes(in->joiner) + len);
}

/* Whether a held line has grown, by what stands for its secrets, into the room that is kept for the others. */
static bool intake_is_crowded(const struct intake *in, const struct joiner_line *line, size_t len)
{
	return len > line->message.len &&
	       !event_writer_has_room(in->writer, joiner_count(in->joiner),
				      joiner_bytes(in->joiner) + (len - line->message.len));
}

/* A template with kilobytes of words, or much that stands for secrets, at the end of a batch: the held line is there,
 * though untyped and no longer than it was. */
static int intake_put_untyped(struct intake *in, const struct joiner_line *line, const struct interpretation *i)
{
	struct bytes message = bytes_of(i->message.data, MIN(i->message.len, line->message.len));
	struct wording *wording = template_vary(interpreter_templates(in->interpreter), &wording_unknown,
						i->varieties & ~(unsigned)VARIETY_REPEATED);

	if (!wording)
		return -ENOMEM;
	return intake_add(in, &line->origin, line->time_us, line->pid, message, wording, &message);
}

/* Makes a line an event. `held`: it was, and a place is kept for it. */
static int intake_put(struct intake *in, const struct joiner_line *line, bool held)
{
	_uninitialized_ struct interpretation i;
	int r;

	r = interpret(in->interpreter, &line->origin, line->time_us, line->message, line->joined ? VARIETY_JOINED : 0, &i);
	if (r < 0)
		return r;
	if (i.excluded >= 0) {
		in->excluded[i.excluded]++;
		in->counters.excluded++;
		return INTAKE_OK;
	}
	in->redacted = i.message.data != line->message.data;
	r = held && intake_is_crowded(in, line, i.message.len) ? INTAKE_FULL :
		    intake_add(in, &line->origin, line->time_us, line->pid, i.message, i.wording, i.values);
	return r == INTAKE_FULL && held ? intake_put_untyped(in, line, &i) : r;
}

static int intake_let_go(struct intake *in, const struct joiner_line *held)
{
	int r = intake_put(in, held, true);

	if (r == INTAKE_OK)
		joiner_drop(in->joiner, held);
	return r == INTAKE_FULL ? -EMSGSIZE : r;
}

int intake_settle(struct intake *in)
{
	const struct joiner_line *held;
	int r = INTAKE_OK;

	while (r == INTAKE_OK && (held = joiner_oldest(in->joiner)))
		r = intake_let_go(in, held);
	return r;
}

uint64_t intake_due_us(const struct intake *in)
{
	return joiner_due_us(in->joiner);
}

static int intake_hold(struct intake *in, const struct joiner_line *line)
{
	size_t len = joiner_bytes(in->joiner) + joiner_line_size(line) + GROWTH_MAX;
	int r;

	if (!event_writer_has_room(in->writer, joiner_count(in->joiner) + 1, len))
		return INTAKE_FULL;
	r = joiner_hold(in->joiner, line, clock_boot_us());
	return r < 0 ? r : INTAKE_OK;
}

/* `whole`: it was not cut. */
static int intake_message(struct intake *in, const struct joiner_line *line, bool whole)
{
	const struct joiner_line *out;
	int r;

	if (!joiner_concerns(in->joiner, line->origin.program))
		return intake_put(in, line, false);
	if (!intake_fits(in, joiner_line_size(line)))
		return INTAKE_FULL;
	while ((r = joiner_look(in->joiner, line, whole, &out)) == JOINER_OUT) {
		r = intake_let_go(in, out);
		if (r < 0)
			return r;
	}
	if (r == JOINER_FIRST)
		return intake_hold(in, line);
	if (r == JOINER_OTHER)
		return intake_put(in, line, false);
	return r < 0 ? r : INTAKE_OK;
}

struct intake_excluded intake_excluded(const struct intake *in)
{
	struct intake_excluded e = { .counts = in->excluded };

	e.entries = interpreter_excluded(in->interpreter, &e.n);
	return e;
}

void intake_excluded_reset(struct intake *in)
{
	memset(in->excluded, 0, sizeof in->excluded);
}

/* --- what the agent says itself ------------------------------------------------------------------------ */

/* The message that a wording and its values make; it lives until the next one. */
static int intake_compose(struct intake *in, const struct wording *w, const struct bytes *values, struct bytes *ret)
{
	int r = 0;

	buf_clear(&in->text);
	for (size_t i = 0; i < w->n_fields && r >= 0; i++) {
		r = buf_append(&in->text, w->literals[i]);
		if (r >= 0)
			r = buf_append(&in->text, values[i]);
	}
	if (r >= 0)
		r = buf_append(&in->text, w->literals[w->n_fields]);
	if (r >= 0)
		*ret = buf_bytes(&in->text);
	return r;
}

static int intake_wording(struct intake *in, uint32_t source, struct own_wording *o, const struct bytes *values)
{
	struct origin origin = { .source = source, .program = LIT("hallmark"), .provenance = PROVENANCE_NONE };
	struct bytes cut[OWN_FIELDS_MAX], message;
	int r;

	for (size_t i = 0; i < o->wording.n_fields; i++)
		cut[i] = bytes_of(values[i].data, MIN(values[i].len, OWN_VALUE_MAX));
	r = intake_compose(in, &o->wording, cut, &message);
	if (r < 0)
		return r;
	if (!intake_fits(in, message.len))
		return INTAKE_FULL;
	return intake_add(in, &origin, clock_wall_us(), (uint32_t)getpid(), message, &o->wording, cut);
}

int intake_own(struct intake *in, uint32_t source, enum own_event which, const struct bytes *values)
{
	return intake_wording(in, source, &in->own[which], values);
}

bool intake_owns_activity(const char *activity)
{
	for (size_t i = 0; i < OWN_EVENT_MAX; i++)
		if (strcmp(own_events[i].meaning.activity, activity) == 0)
			return true;
	return strcmp(loss_meaning.activity, activity) == 0;
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

/* What was cut off a line that is too long is a loss like any other; its digest says what the line was, unless
 * somebody could try passwords by it. */
static int intake_cut(struct intake *in, uint32_t source, const struct long_line *longer)
{
	_cleanup_(buf_done) struct buf detail = BUF_INIT(256);
	int r;

	r = buf_printf(&detail, "a line of %" PRIu64 " bytes was cut; ", longer->length);
	if (r >= 0)
		r = buf_str(&detail, in->redacted ? "it is redacted" : "SHA-256 of the whole line is ");
	for (size_t i = 0; r >= 0 && !in->redacted && i < sizeof longer->digest; i++)
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
	if (joiner_count(in->joiner) > 0)
		return intake_fits(in, 4 * EVENT_RAW_MAX);
	return event_writer_count(in->writer) == 0 || event_writer_size(in->writer) < 4 * EVENT_RAW_MAX;
}

/* --- the collectors' lines ----------------------------------------------------------------------------- */

int intake_line(struct intake *in, uint32_t source, struct bytes line, const struct long_line *longer,
		int64_t since_us)
{
	_uninitialized_ struct parsed_line p;
	struct joiner_line *message = &in->line;
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
	message->origin.source = source;
	message->origin.program = p.program;
	message->origin.host = p.host;
	message->origin.header = p.header;
	message->time_us = p.time_us;
	message->pid = p.pid;
	message->message = p.message;
	r = intake_message(in, message, !longer);
	return r == INTAKE_OK && longer ? intake_cut(in, source, longer) : r;
}

int intake_entry(struct intake *in, uint32_t source, const struct journal_entry *e)
{
	struct joiner_line line = {
		.origin = { .source = source,
			    .program = e->program,
			    .host = e->host,
			    .has_provenance = true,
			    .provenance = e->provenance },
		.time_us = e->time_us,
		.pid = e->pid,
		.message = e->message,
	};
	int r;

	if (e->longer && !intake_has_room_for_cut(in))
		return INTAKE_FULL;
	r = intake_message(in, &line, !e->longer);
	return r == INTAKE_OK && e->longer ? intake_cut(in, source, e->longer) : r;
}

/* --- what others hand in ------------------------------------------------------------------------------- */

/* A submission's bytes stand in the batch no longer than in the file, but for some numbers of each event and a head
 * of each column: twice its size is enough for any. Few events before it: so the raw lines do not add up either. */
bool intake_has_room_for_submission(const struct intake *in)
{
	size_t n = event_writer_count(in->writer), held = joiner_count(in->joiner);

	return n + held == 0 ||
	       (n < SUBMISSION_EVENTS_MAX &&
		event_writer_has_room(in->writer, held + 1, joiner_bytes(in->joiner) + 2 * SUBMISSION_SIZE_MAX));
}

int intake_submission(struct intake *in, uint32_t source, struct bytes program, const struct submission *s)
{
	struct origin origin = { .source = source, .program = program, .provenance = PROVENANCE_NONE };

	if (!intake_has_room_for_submission(in))
		return INTAKE_FULL;
	for (size_t i = 0; i < s->n_events; i++) {
		const struct submitted *e = &s->events[i];
		struct bytes message;
		int r = intake_compose(in, e->wording, e->values, &message);

		if (r >= 0)
			r = intake_add(in, &origin, e->time_us, 0, message, e->wording, e->values);
		if (r != INTAKE_OK)
			return r < 0 ? r : -EMSGSIZE; /* half of it is counted: not to be gone on from */
	}
	return INTAKE_OK;
}
