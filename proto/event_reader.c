/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event_reader.h"

#include <errno.h>

#include "agent/base/text.h"
#include "proto/strict.h"

#define RAW_MAX (2u * EVENT_RAW_MAX)

struct column {
	const char *name;
	const Hallmark__V1__Column *message;
	size_t next;     /* among its lengths */
	size_t consumed; /* of its values */
	struct bytes last;
};

/* A piece of a template's text: words, and the column whose next value comes after them. */
struct piece {
	uint32_t words, words_len; /* in event_reader.words */
	struct column *column;     /* NULL after the last piece */
};

struct shape {
	size_t piece, n_fields; /* its first piece; there is one more than fields */
	struct meaning meaning;
};

struct event_reader {
	Hallmark__V1__Events *events;
	size_t n_columns, next, raw_total;
	struct column *columns;
	struct shape *shapes;
	struct event_constant *constants;
	struct buf pieces, words, raw;
	int64_t time_us;
	uint32_t pid, origin_index;
	struct origin origin; /* the one at origin_index */
	bool failed;

	/* the stamp of the event before */
	int64_t stamp_time_us;
	size_t stamp_len;
	char stamp[STAMP_TEXT_MAX];
};

struct event_reader *event_reader_free(struct event_reader *r)
{
	if (r) {
		if (r->events)
			hallmark__v1__events__free_unpacked(r->events, NULL);
		free(r->columns);
		free(r->shapes);
		free(r->constants);
		buf_done(&r->pieces);
		buf_done(&r->words);
		buf_done(&r->raw);
		free(r);
	}
	return NULL;
}

/* --- columns ------------------------------------------------------------------------------- */

static int compare_columns(const void *a, const void *b)
{
	return strcmp(((const struct column *)a)->name, ((const struct column *)b)->name);
}

static int read_columns(struct event_reader *r)
{
	const Hallmark__V1__Events *m = r->events;

	r->columns = calloc(m->n_columns + 1, sizeof *r->columns);
	if (!r->columns)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_columns; i++) {
		if (!event_name_ok(m->columns[i]->name))
			return -EBADMSG;
		r->columns[i].name = m->columns[i]->name;
		r->columns[i].message = m->columns[i];
	}
	r->n_columns = m->n_columns;
	qsort(r->columns, r->n_columns, sizeof *r->columns, compare_columns);
	for (size_t i = 1; i < r->n_columns; i++)
		if (strcmp(r->columns[i - 1].name, r->columns[i].name) == 0)
			return -EBADMSG;
	return 0;
}

static int next_value(struct column *c, struct bytes *ret)
{
	uint32_t len;

	if (c->next == c->message->n_lengths)
		return -EBADMSG;
	len = c->message->lengths[c->next++];
	if (len > 0) {
		if (--len > c->message->values.len - c->consumed)
			return -EBADMSG;
		c->last = bytes_of(len > 0 ? c->message->values.data + c->consumed : NULL, len);
		c->consumed += len;
	}
	*ret = c->last;
	return 0;
}

/* --- templates ----------------------------------------------------------------------------- */

/* "name}…" behind a brace: the column of that name. */
static struct column *take_field(struct event_reader *r, const char **text)
{
	char name[EVENT_NAME_MAX + 1];
	size_t n = strcspn(*text, "{}");

	if ((*text)[n] != '}' || n > EVENT_NAME_MAX)
		return NULL;
	memcpy(name, *text, n);
	name[n] = '\0';
	*text += n + 1;
	return bsearch(&(struct column){ .name = name }, r->columns, r->n_columns, sizeof *r->columns,
		       compare_columns);
}

static int add_piece(struct event_reader *r, uint32_t words, struct column *column)
{
	struct piece piece = { .words = words,
			       .words_len = (uint32_t)r->words.len - words,
			       .column = column };

	return buf_append(&r->pieces, bytes_of(&piece, sizeof piece));
}

/* Takes the text of a template apart into pieces. */
static int read_text(struct event_reader *r, const char *text, struct shape *shape)
{
	uint32_t words = (uint32_t)r->words.len;
	int k;

	shape->piece = r->pieces.len / sizeof(struct piece);
	for (;;) {
		size_t n = strcspn(text, "{}");

		k = buf_append(&r->words, bytes_of(text, n));
		text += n;
		if (k < 0 || *text == '\0')
			break;
		if (text[0] == text[1]) { /* "{{" or "}}" */
			k = buf_byte(&r->words, (uint8_t)*text);
			text += 2;
		} else if (*text++ == '{') {
			struct column *column = take_field(r, &text);

			if (!column || shape->n_fields++ == EVENT_FIELDS_MAX)
				return -EBADMSG;
			k = add_piece(r, words, column);
			words = (uint32_t)r->words.len;
		} else {
			return -EBADMSG;
		}
		if (k < 0)
			return k;
	}
	return k < 0 ? k : add_piece(r, words, NULL);
}

static int read_meaning(const Hallmark__V1__Template *t, struct event_constant *constants,
			struct meaning *ret)
{
	if (t->n_constants > EVENT_FIELDS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < t->n_constants; i++) {
		constants[i] = (struct event_constant){ t->constants[i]->name, t->constants[i]->value };
		if (!event_name_ok(constants[i].name))
			return -EBADMSG;
	}
	*ret = (struct meaning){
		.kind = t->kind,
		.activity = t->activity,
		.outcome = t->outcome,
		.severity = t->severity,
		.constants = constants,
		.n_constants = t->n_constants,
	};
	return 0;
}

static int read_templates(struct event_reader *r)
{
	const Hallmark__V1__Events *m = r->events;
	size_t n_constants = 0;
	int k = 0;

	for (size_t i = 0; i < m->n_templates; i++)
		n_constants += m->templates[i]->n_constants;
	r->constants = calloc(n_constants + 1, sizeof *r->constants);
	r->shapes = calloc(m->n_templates + 1, sizeof *r->shapes);
	if (!r->constants || !r->shapes)
		return -ENOMEM;
	n_constants = 0;
	for (size_t i = 0; k == 0 && i < m->n_templates; i++) {
		k = read_meaning(m->templates[i], r->constants + n_constants, &r->shapes[i].meaning);
		if (k == 0)
			k = read_text(r, m->templates[i]->text, &r->shapes[i]);
		n_constants += m->templates[i]->n_constants;
	}
	return k;
}

/* --- the whole message --------------------------------------------------------------------- */

static int check_events(const Hallmark__V1__Events *m)
{
	if (m->n_template_ != m->n_origin || m->n_time_delta_us != m->n_origin ||
	    m->n_pid_delta != m->n_origin)
		return -EBADMSG;
	for (size_t i = 0; i < m->n_origin; i++)
		if (m->origin[i] >= m->n_origins || m->template_[i] >= m->n_templates)
			return -EBADMSG;
	return 0;
}

int event_reader_new(struct bytes plain, int64_t batch_time_us, struct event_reader **ret)
{
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	int k;

	if (plain.len > BATCH_EXPANDED_MAX)
		return -EBADMSG;
	r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->time_us = batch_time_us;
	r->origin_index = UINT32_MAX;
	r->words.max = BATCH_EXPANDED_MAX;
	r->pieces.max = sizeof(struct piece) * (size_t)BATCH_EXPANDED_MAX;
	r->raw.max = RAW_MAX;
	k = strict_unpack(&hallmark__v1__events__descriptor, plain, EVENTS_PARTS_MAX, (ProtobufCMessage **)&r->events);
	if (k == 0)
		k = check_events(r->events);
	if (k == 0)
		k = buf_reserve(&r->words, 1); /* where there are no words, they still have a place */
	if (k == 0)
		k = read_columns(r);
	if (k == 0)
		k = read_templates(r);
	if (k < 0)
		return k;
	*ret = TAKE_PTR(r);
	return 0;
}

size_t event_reader_count(const struct event_reader *r)
{
	return r->events->n_origin;
}

/* --- one event ----------------------------------------------------------------------------- */

static struct bytes plain_bytes(ProtobufCBinaryData b)
{
	return bytes_of(b.data, b.len);
}

static void read_provenance(const Hallmark__V1__Provenance *m, struct provenance *ret)
{
	*ret = (struct provenance){
		.uid = m->uid_plus1 - 1, /* 0 less 1 is EVENT_NUMBER_NONE */
		.gid = m->gid_plus1 - 1,
		.audit_loginuid = m->audit_loginuid_plus1 - 1,
		.audit_session = m->audit_session_plus1 - 1,
		.syslog_pid = m->syslog_pid_plus1 - 1,
		.facility = (uint64_t)m->facility_plus1 - 1,
		.transport = plain_bytes(m->transport),
		.boot_id = plain_bytes(m->boot_id),
		.exe = plain_bytes(m->exe),
		.comm = plain_bytes(m->comm),
		.unit = plain_bytes(m->unit),
		.message_id = plain_bytes(m->message_id),
	};
}

static void read_origin(struct event_reader *r, uint32_t index)
{
	const Hallmark__V1__Origin *m = r->events->origins[index];
	const Hallmark__V1__Header *h = m->header;

	r->origin_index = index;
	r->stamp_len = 0;
	r->origin = (struct origin){
		.source = m->source,
		.program = plain_bytes(m->program),
		.host = plain_bytes(m->host),
		.has_header = h != NULL,
		.has_provenance = m->provenance != NULL,
		.provenance = PROVENANCE_NONE,
	};
	if (h)
		r->origin.header = (struct header){
			.before = plain_bytes(h->before),
			.between = plain_bytes(h->between),
			.after = plain_bytes(h->after),
			.stamp = h->stamp,
			.utc_offset_min = h->utc_offset_min,
			.fraction_digits = h->fraction_digits,
			.has_pid = h->pid,
		};
	if (m->provenance)
		read_provenance(m->provenance, &r->origin.provenance);
}

/* Renders time and pid of the header into its `time` and `pid_text`. */
static int render_header(struct event_reader *r, struct header *h, char pid_text[static 10])
{
	if (h->stamp != HALLMARK__V1__STAMP__STAMP_NONE) {
		if (r->stamp_len == 0 || r->stamp_time_us != r->time_us)
			r->stamp_len = stamp_render(h->stamp, h->fraction_digits, h->utc_offset_min,
						    r->time_us, r->stamp);
		if (r->stamp_len == 0)
			return -EBADMSG;
		r->stamp_time_us = r->time_us;
		h->time = bytes_of(r->stamp, r->stamp_len);
	}
	if (h->has_pid) {
		char *p = pid_text + 10;
		uint32_t v = r->pid;

		do
			*--p = (char)('0' + v % 10);
		while ((v /= 10) > 0);
		h->pid_text = bytes_of(p, (size_t)(pid_text + 10 - p));
	}
	return 0;
}

/* Appends to the raw line, whose room is reserved; returns the bytes as they stand there. */
static struct bytes put_raw(struct event_reader *r, struct bytes b)
{
	struct bytes there = bytes_of(r->raw.data + r->raw.len, b.len);

	if (b.len > 0)
		memcpy(r->raw.data + r->raw.len, b.data, b.len);
	r->raw.len += b.len;
	return there;
}

static int reserve_raw(struct event_reader *r, size_t len)
{
	if (len > RAW_MAX || len > BATCH_RAW_MAX - r->raw_total)
		return -EBADMSG;
	r->raw_total += len;
	buf_clear(&r->raw);
	/* one byte more, so that what is empty still has a place */
	return buf_reserve(&r->raw, MIN(len + 1, RAW_MAX));
}

static int put_header(struct event_reader *r, struct header *h, char pid_text[static 10], size_t message_len)
{
	int k = render_header(r, h, pid_text);

	if (k < 0)
		return k;
	k = reserve_raw(r, h->before.len + h->time.len + h->between.len + h->pid_text.len + h->after.len +
				   message_len);
	if (k < 0)
		return k;
	h->before = put_raw(r, h->before);
	h->time = put_raw(r, h->time);
	h->between = put_raw(r, h->between);
	h->pid_text = put_raw(r, h->pid_text);
	h->after = put_raw(r, h->after);
	return 0;
}

/* Takes the event's values off their columns; the length of the whole message. */
static int take_values(struct event_reader *r, const struct shape *shape, struct event *e, size_t *ret_len)
{
	const struct piece *pieces = (const struct piece *)(const void *)r->pieces.data + shape->piece;
	size_t len = 0;

	for (size_t i = 0; i <= shape->n_fields; i++) {
		len += pieces[i].words_len;
		if (!pieces[i].column)
			break;
		if (next_value(pieces[i].column, &e->fields[i].value) < 0)
			return -EBADMSG;
		e->fields[i].name = pieces[i].column->name;
		len += e->fields[i].value.len;
	}
	e->n_fields = shape->n_fields;
	*ret_len = len;
	return 0;
}

static void put_message(struct event_reader *r, const struct shape *shape, struct event *e)
{
	const struct piece *pieces = (const struct piece *)(const void *)r->pieces.data + shape->piece;
	size_t start = r->raw.len;

	for (size_t i = 0; i <= shape->n_fields; i++) {
		(void)put_raw(r, bytes_of(r->words.data + pieces[i].words, pieces[i].words_len));
		if (i < shape->n_fields)
			e->fields[i].value = put_raw(r, e->fields[i].value);
	}
	e->message = bytes_of(r->raw.data + start, r->raw.len - start);
	e->raw = buf_bytes(&r->raw);
}

static int read_event(struct event_reader *r, size_t i, struct event *e)
{
	const Hallmark__V1__Events *m = r->events;
	const struct shape *shape = &r->shapes[m->template_[i]];
	char pid_text[10];
	size_t len;
	int k;

	r->time_us = (int64_t)((uint64_t)r->time_us + (uint64_t)m->time_delta_us[i]);
	r->pid += (uint32_t)m->pid_delta[i];
	if (m->origin[i] != r->origin_index)
		read_origin(r, m->origin[i]);
	k = take_values(r, shape, e, &len);
	if (k < 0)
		return k;
	e->time_us = r->time_us;
	e->pid = r->pid;
	e->origin = r->origin;
	k = put_header(r, &e->origin.header, pid_text, len);
	if (k < 0)
		return k;
	e->meaning = shape->meaning;
	e->template_text = m->templates[m->template_[i]]->text;
	put_message(r, shape, e);
	return 1;
}

int event_reader_next(struct event_reader *r, struct event *ret)
{
	int k;

	if (r->failed)
		return -EBADMSG;
	if (r->next < r->events->n_origin) {
		k = read_event(r, r->next++, ret);
		r->failed = k < 0;
		return k;
	}
	/* values that belong to no event are no part of a record */
	for (size_t i = 0; i < r->n_columns; i++)
		if (r->columns[i].next != r->columns[i].message->n_lengths ||
		    r->columns[i].consumed != r->columns[i].message->values.len)
			return -EBADMSG;
	return 0;
}
