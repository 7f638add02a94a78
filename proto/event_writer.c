/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event_writer.h"

#include <errno.h>

#include "agent/base/text.h"
#include "proto/origins.h"
#include "proto/wire.h"

/* What a batch is filled to. Not even bytes that do not compress pass FRAME_MAX then, with a hundred
 * kilobytes to spare for what stands in the clear. */
#define PLAIN_TARGET (768u * 1024)
/* Events that say next to nothing new take four bytes each: readers need not hold more of them. */
#define EVENTS_TARGET 65536u

/* The numbers of every event, each a packed field of message Events. */
enum stream { STREAM_ORIGIN, STREAM_TEMPLATE, STREAM_TIME, STREAM_PID, STREAM_MAX };
#define STREAM_FIELD(i) (3u + (i))
#define COLUMNS_FIELD 7u

/* All of it is kept as it will stand in the message: packing is putting it together. */
struct column {
	struct buf lengths, values;
	size_t last, last_len; /* the value before, in `values` */
};

struct event_writer {
	uint64_t batch;
	size_t count, unknown, size, raw_size;
	Hallmark__V1__Severity severity;

	int64_t first_time_us, time_us; /* the first delta is known only in the end */
	uint32_t pid;
	struct buf streams[STREAM_MAX];

	struct origins origins;
	struct buf templates;
	uint32_t n_templates;

	struct column columns[EVENT_FIELD_IDS_MAX];
	uint16_t used[EVENT_FIELD_IDS_MAX]; /* columns in this batch */
	size_t n_used;

	/* the stamp of the line before, which mostly is that of the next one */
	struct {
		Hallmark__V1__Stamp stamp;
		unsigned fraction_digits;
		int utc_offset_min;
		int64_t time_us;
		size_t len;
		char text[STAMP_TEXT_MAX];
	} stamp;
};

static const uint16_t unknown_fields[] = { 0 }; /* "message" */

struct wording wording_unknown = {
	.meaning = {
		.kind = HALLMARK__V1__KIND__KIND_LOG,
		.activity = "",
		.severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO,
	},
	.unknown = true,
	.n_fields = 1,
	.literals = (const struct bytes[]){ { NULL, 0 }, { NULL, 0 } },
	.field_ids = unknown_fields,
};

/* Batches are numbered throughout the process, since a wording's slot may have been another writer's. */
static uint64_t next_batch(void)
{
	static uint64_t last;

	return ++last;
}

int event_writer_new(struct event_writer **ret)
{
	struct event_writer *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	w->origins = (struct origins)ORIGINS_INIT;
	w->templates.max = BATCH_EXPANDED_MAX;
	for (size_t i = 0; i < STREAM_MAX; i++)
		w->streams[i].max = BATCH_EXPANDED_MAX;
	event_writer_reset(w);
	*ret = w;
	return 0;
}

void event_writer_reset(struct event_writer *w)
{
	w->batch = next_batch();
	w->count = w->unknown = w->size = w->raw_size = 0;
	w->severity = HALLMARK__V1__SEVERITY__SEVERITY_NONE;
	w->pid = 0;
	for (size_t i = 0; i < STREAM_MAX; i++)
		buf_clear(&w->streams[i]);
	origins_reset(&w->origins);
	buf_clear(&w->templates);
	w->n_templates = 0;
	for (size_t i = 0; i < w->n_used; i++) {
		struct column *c = &w->columns[w->used[i]];

		buf_clear(&c->lengths);
		buf_clear(&c->values);
		c->last = c->last_len = 0;
	}
	w->n_used = 0;
}

void event_writer_trim(struct event_writer *w)
{
	if (w->count > 0)
		return;
	event_writer_reset(w);
	for (size_t i = 0; i < STREAM_MAX; i++)
		buf_done(&w->streams[i]);
	origins_done(&w->origins);
	buf_done(&w->templates);
	for (size_t i = 0; i < EVENT_FIELD_IDS_MAX; i++) {
		if (!w->columns[i].lengths.data)
			continue;
		buf_done(&w->columns[i].lengths);
		buf_done(&w->columns[i].values);
	}
}

struct event_writer *event_writer_free(struct event_writer *w)
{
	if (w) {
		w->count = 0;
		event_writer_trim(w);
		free(w);
	}
	return NULL;
}

/* --- the header ---------------------------------------------------------------------------- */

/* Two neighbouring parts of a line as one. */
static int join(struct bytes a, struct bytes b, struct bytes *ret)
{
	if (a.len > 0 && b.len > 0 && a.data + a.len != b.data)
		return -EINVAL;
	*ret = bytes_of(a.len > 0 ? a.data : b.data, a.len + b.len);
	return 0;
}

static bool time_is_given_back(struct event_writer *w, const struct header *h, int64_t time_us)
{
	if (h->stamp == HALLMARK__V1__STAMP__STAMP_NONE)
		return h->time.len == 0;
	if (w->stamp.time_us != time_us || w->stamp.stamp != h->stamp ||
	    w->stamp.fraction_digits != h->fraction_digits || w->stamp.utc_offset_min != h->utc_offset_min) {
		w->stamp.stamp = h->stamp;
		w->stamp.fraction_digits = h->fraction_digits;
		w->stamp.utc_offset_min = h->utc_offset_min;
		w->stamp.time_us = time_us;
		w->stamp.len =
			stamp_render(h->stamp, h->fraction_digits, h->utc_offset_min, time_us, w->stamp.text);
	}
	return w->stamp.len > 0 && bytes_eq(h->time, bytes_of(w->stamp.text, w->stamp.len));
}

static bool pid_is_given_back(const struct header *h, uint32_t pid)
{
	uint64_t v;

	if (!h->has_pid)
		return h->pid_text.len == 0;
	return h->pid_text.len <= 10 && bytes_to_u64(h->pid_text, &v) == 0 && v == pid &&
	       (h->pid_text.data[0] != '0' || h->pid_text.len == 1);
}

/* Puts what could not be given back among the words of the header. */
static int header_to_words(struct header *h, bool time_ok, bool pid_ok)
{
	int r = 0;

	if (!time_ok) {
		r = join(h->before, h->time, &h->before);
		h->stamp = HALLMARK__V1__STAMP__STAMP_NONE;
		h->utc_offset_min = 0;
		h->fraction_digits = 0;
	}
	if (r == 0 && !pid_ok) {
		r = join(h->between, h->pid_text, &h->between);
		h->has_pid = false;
	}
	return r;
}

static __attribute__((noinline)) int place_in_words(struct event_writer *w, const struct origin *origin,
						    bool time_ok, bool pid_ok, size_t room)
{
	struct origin changed = *origin;
	int r = header_to_words(&changed.header, time_ok, pid_ok);

	return r < 0 ? r : origins_place(&w->origins, &changed, room);
}

static int place_origin(struct event_writer *w, const struct origin *origin, int64_t time_us, uint32_t pid,
			size_t room)
{
	if (origin->has_header) {
		bool time_ok = time_is_given_back(w, &origin->header, time_us);
		bool pid_ok = pid_is_given_back(&origin->header, pid);

		if (!time_ok || !pid_ok)
			return place_in_words(w, origin, time_ok, pid_ok, room);
	}
	return origins_place(&w->origins, origin, room);
}

/* --- the wording --------------------------------------------------------------------------- */

/* Takes `part` off the front of `rest` if it stands there. */
static inline bool take(struct bytes *rest, struct bytes part)
{
	if (part.len == 0)
		return true;
	/* values mostly are the very bytes of the message */
	if (part.len > rest->len || (part.data != rest->data && !bytes_starts(*rest, part)))
		return false;
	rest->data += part.len;
	rest->len -= part.len;
	return true;
}

static bool message_is_given_back(const struct wording *wording, const struct bytes *values,
				  struct bytes message)
{
	for (size_t i = 0; i < wording->n_fields; i++)
		if (!take(&message, wording->literals[i]) || !take(&message, values[i]))
			return false;
	return bytes_eq(message, wording->literals[wording->n_fields]);
}

/* A wording whose texts are no texts could not be read again. */
static bool wording_is_text(const struct wording *wording)
{
	const struct meaning *m = &wording->meaning;

	for (size_t i = 0; i <= wording->n_fields; i++) {
		struct bytes literal = wording->literals[i];

		if (!text_is_utf8(literal) || (literal.len > 0 && memchr(literal.data, '\0', literal.len)))
			return false;
		if (i < wording->n_fields && !event_field_name(wording->field_ids[i]))
			return false;
	}
	if (!text_is_utf8(bytes_str(m->activity)))
		return false;
	for (size_t i = 0; i < m->n_constants; i++)
		if (!event_name_ok(m->constants[i].name) || !text_is_utf8(bytes_str(m->constants[i].value)))
			return false;
	return true;
}

static int wording_text(const struct wording *wording, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i <= wording->n_fields; i++) {
		struct bytes literal = wording->literals[i];

		for (size_t k = 0; r == 0 && k < literal.len; k++) {
			r = buf_byte(ret, literal.data[k]);
			if (r == 0 && (literal.data[k] == '{' || literal.data[k] == '}'))
				r = buf_byte(ret, literal.data[k]);
		}
		if (r == 0 && i < wording->n_fields)
			r = buf_printf(ret, "{%s}", event_field_name(wording->field_ids[i]));
	}
	return r < 0 ? r : buf_byte(ret, '\0');
}

static void constant_messages(const struct meaning *m, Hallmark__V1__Constant *messages,
			      Hallmark__V1__Constant **list)
{
	for (size_t i = 0; i < m->n_constants; i++) {
		hallmark__v1__constant__init(&messages[i]);
		messages[i].name = (char *)(uintptr_t)m->constants[i].name;
		messages[i].value = (char *)(uintptr_t)m->constants[i].value;
		list[i] = &messages[i];
	}
}

/* Once for each wording and batch. -EBADMSG for a wording that cannot stand in one. */
static int add_wording(struct event_writer *w, struct wording *wording, size_t room)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(PLAIN_TARGET / 4);
	_cleanup_(freep) Hallmark__V1__Constant *messages = NULL;
	_cleanup_(freep) Hallmark__V1__Constant **list = NULL;
	Hallmark__V1__Template template = HALLMARK__V1__TEMPLATE__INIT;
	const struct meaning *m = &wording->meaning;
	size_t size;
	uint8_t *p;
	int r;

	if (!wording_is_text(wording))
		return -EBADMSG;
	messages = calloc(m->n_constants + 1, sizeof *messages);
	list = calloc(m->n_constants + 1, sizeof *list);
	if (!messages || !list)
		return -ENOMEM;
	r = wording_text(wording, &text);
	if (r < 0)
		return r == -EMSGSIZE ? -EBADMSG : r;
	constant_messages(m, messages, list);
	template.text = (char *)text.data;
	template.kind = m->kind;
	template.activity = (char *)(uintptr_t)m->activity;
	template.outcome = m->outcome;
	template.severity = m->severity;
	template.n_constants = m->n_constants;
	template.constants = list;
	size = hallmark__v1__template__get_packed_size(&template);
	if (size > PLAIN_TARGET / 4)
		return -EBADMSG;
	if (1 + WIRE_VARINT_MAX + size > room)
		return -EMSGSIZE;
	r = buf_reserve(&w->templates, 1 + WIRE_VARINT_MAX + size);
	if (r < 0)
		return r;
	p = wire_put_head(w->templates.data + w->templates.len, 2, size);
	p += hallmark__v1__template__pack(&template, p);
	w->size += (size_t)(p - w->templates.data) - w->templates.len;
	w->templates.len = (size_t)(p - w->templates.data);
	wording->slot.batch = w->batch;
	wording->slot.index = w->n_templates++;
	return 0;
}

/* --- the columns --------------------------------------------------------------------------- */

/* Makes room in a column for `n` values of together `len` bytes. */
static inline int reserve_values(struct column *c, size_t n, size_t len)
{
	int r;

	if (c->lengths.cap - c->lengths.len >= n * WIRE_VARINT_MAX && c->values.cap - c->values.len >= len)
		return 0;
	/* the first time; what nobody uses is not even touched */
	c->lengths.max = c->values.max = BATCH_EXPANDED_MAX;
	r = buf_reserve(&c->lengths, n * WIRE_VARINT_MAX);
	return r < 0 ? r : buf_reserve(&c->values, len);
}

/* Makes room for one more event of that wording, whose values are together `len` bytes. */
static int reserve_event(struct event_writer *w, const struct wording *wording, size_t len)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < wording->n_fields; i++)
		r = reserve_values(&w->columns[wording->field_ids[i]], wording->n_fields, len);
	for (size_t i = 0; r == 0 && i < STREAM_MAX; i++)
		r = buf_reserve(&w->streams[i], WIRE_VARINT_MAX);
	return r;
}

/* Tag and length of the column, of its name, its lengths and its values. */
#define COLUMN_HEADS (4 * (1 + WIRE_VARINT_MAX))

static void use_column(struct event_writer *w, uint16_t id)
{
	w->used[w->n_used++] = id;
	w->size += COLUMN_HEADS + strlen(event_field_name(id));
}

static inline size_t put_value(struct column *c, struct bytes v)
{
	uint8_t *end = c->lengths.data + c->lengths.len;

	if (v.len == c->last_len && bytes_same(v.data, c->values.data + c->last, v.len)) {
		*end = 0;
		c->lengths.len++;
		return 1;
	}
	bytes_copy(c->values.data + c->values.len, v);
	c->last = c->values.len;
	c->last_len = v.len;
	c->values.len += v.len;
	c->lengths.len += (size_t)(wire_put_varint(end, v.len + 1) - end);
	return v.len + wire_varint_size(v.len + 1);
}

static inline size_t put_number(struct buf *stream, uint64_t v)
{
	uint8_t *end = stream->data + stream->len;
	size_t n = (size_t)(wire_put_varint(end, v) - end);

	stream->len += n;
	return n;
}

static void put_event(struct event_writer *w, int origin, uint32_t template, int64_t time_us, uint32_t pid)
{
	w->size += put_number(&w->streams[STREAM_ORIGIN], (uint32_t)origin);
	w->size += put_number(&w->streams[STREAM_TEMPLATE], template);
	/* differences wrap around, so that any two times and pids have one */
	if (w->count > 0)
		w->size += put_number(&w->streams[STREAM_TIME],
				      wire_zigzag((int64_t)((uint64_t)time_us - (uint64_t)w->time_us)));
	else
		w->first_time_us = time_us;
	w->size += put_number(&w->streams[STREAM_PID], (uint32_t)wire_zigzag((int32_t)(pid - w->pid)));
	w->time_us = time_us;
	w->pid = pid;
}

/* --- one event ----------------------------------------------------------------------------- */

static size_t header_size(const struct header *h)
{
	return h->before.len + h->time.len + h->between.len + h->pid_text.len + h->after.len;
}

/* What an event takes at most, without its origin and its wording if they are new. */
static size_t event_size_max(size_t n_fields, size_t message_len)
{
	return STREAM_MAX * WIRE_VARINT_MAX + message_len +
	       n_fields * (WIRE_VARINT_MAX + COLUMN_HEADS + EVENT_NAME_MAX);
}

/* Finds the event's origin and wording their places in this batch. What was added of them stays, unused,
 * if there is no room for the rest. */
static int place_event(struct event_writer *w, const struct origin *origin, int64_t time_us, uint32_t pid,
		       struct wording *wording, size_t room)
{
	size_t before = w->origins.packed.len;
	int place = place_origin(w, origin, time_us, pid, room);

	if (place < 0)
		return place;
	w->size += w->origins.packed.len - before;
	if (wording->slot.batch != w->batch) {
		int r = add_wording(w, wording, room - (w->origins.packed.len - before));

		if (r < 0)
			return r;
	}
	return place;
}

int event_writer_add(struct event_writer *w, const struct origin *origin, int64_t time_us, uint32_t pid,
		     struct bytes message, struct wording *wording, const struct bytes *values)
{
	size_t raw = message.len + (origin->has_header ? header_size(&origin->header) : 0), most;
	int place, r;

	if (message.len > EVENT_RAW_MAX || raw - message.len > EVENT_RAW_MAX ||
	    origin_text_size(origin) > EVENT_RAW_MAX)
		return -EINVAL;
	if (wording->n_fields > EVENT_FIELDS_MAX || !message_is_given_back(wording, values, message)) {
		wording = &wording_unknown;
		values = &message;
	}
	most = event_size_max(wording->n_fields, message.len);
	if (w->count == EVENTS_TARGET || raw > BATCH_RAW_MAX - w->raw_size ||
	    event_writer_size(w) + most > PLAIN_TARGET)
		return -EMSGSIZE;
	place = place_event(w, origin, time_us, pid, wording, PLAIN_TARGET - most - event_writer_size(w));
	if (place == -EBADMSG)
		return event_writer_add(w, origin, time_us, pid, message, &wording_unknown, &message);
	if (place < 0)
		return place;
	r = reserve_event(w, wording, message.len);
	if (r < 0)
		return r;

	put_event(w, place, wording->slot.index, time_us, pid);
	for (size_t i = 0; i < wording->n_fields; i++) {
		struct column *c = &w->columns[wording->field_ids[i]];

		if (c->lengths.len == 0)
			use_column(w, wording->field_ids[i]);
		w->size += put_value(c, values[i]);
	}
	w->count++;
	w->raw_size += raw;
	w->unknown += wording->unknown;
	w->severity = MAX(w->severity, wording->meaning.severity);
	return 0;
}

size_t event_writer_count(const struct event_writer *w)
{
	return w->count;
}

/* The numbers of an event and of its origin, the heads of its columns, and a wording of some kilobytes. */
#define EVENT_ROOM 8192u

bool event_writer_has_room(const struct event_writer *w, size_t n, size_t len)
{
	return w->count + n <= EVENTS_TARGET && w->origins.n + n <= ORIGINS_MAX && len <= BATCH_RAW_MAX - w->raw_size &&
	       event_writer_size(w) + len + n * EVENT_ROOM <= PLAIN_TARGET;
}

size_t event_writer_size(const struct event_writer *w)
{
	/* the heads of the streams, and the first time */
	return w->size + STREAM_MAX * (1 + WIRE_VARINT_MAX) + WIRE_VARINT_MAX;
}

Hallmark__V1__Severity event_writer_severity(const struct event_writer *w)
{
	return w->severity;
}

size_t event_writer_unknown(const struct event_writer *w)
{
	return w->unknown;
}

/* --- packing ------------------------------------------------------------------------------- */

static uint8_t *put_bytes(uint8_t *p, struct bytes b)
{
	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return p + b.len;
}

static uint8_t *put_field(uint8_t *p, unsigned field, struct bytes b)
{
	return put_bytes(wire_put_head(p, field, b.len), b);
}

static size_t field_size(struct bytes b)
{
	return 1 + wire_varint_size(b.len) + b.len;
}

static uint8_t *put_column(uint8_t *p, const struct column *c, const char *name)
{
	struct bytes lengths = buf_bytes(&c->lengths), values = buf_bytes(&c->values);
	size_t values_size = values.len > 0 ? field_size(values) : 0; /* what is empty is left out */

	p = wire_put_head(p, COLUMNS_FIELD, field_size(bytes_str(name)) + field_size(lengths) + values_size);
	p = put_field(p, 1, bytes_str(name));
	p = put_field(p, 2, lengths);
	return values_size > 0 ? put_field(p, 3, values) : p;
}

int event_writer_finish(struct event_writer *w, int64_t batch_time_us, struct buf *ret)
{
	uint64_t first = wire_zigzag((int64_t)((uint64_t)w->first_time_us - (uint64_t)batch_time_us));
	uint8_t *p;
	int r;

	if (w->count == 0)
		return 0;
	r = buf_reserve(ret, event_writer_size(w));
	if (r < 0)
		return r;
	p = put_bytes(ret->data + ret->len, buf_bytes(&w->origins.packed));
	p = put_bytes(p, buf_bytes(&w->templates));
	for (unsigned i = 0; i < STREAM_MAX; i++) {
		struct bytes stream = buf_bytes(&w->streams[i]);

		if (i == STREAM_TIME) {
			p = wire_put_head(p, STREAM_FIELD(i), wire_varint_size(first) + stream.len);
			p = put_bytes(wire_put_varint(p, first), stream);
		} else {
			p = put_field(p, STREAM_FIELD(i), stream);
		}
	}
	for (size_t i = 0; i < w->n_used; i++)
		p = put_column(p, &w->columns[w->used[i]], event_field_name(w->used[i]));
	ret->len = (size_t)(p - ret->data);
	return 0;
}
