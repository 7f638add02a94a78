/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that somebody else put together, with a key that was stolen: each rule that they may break. */
#include "tests/unit/test.h"

#include <errno.h>

#include "proto/event_reader.h"

/* A message with every part in it: two events, one template of two fields, one column each. */
struct sample {
	Hallmark__V1__Events events;
	Hallmark__V1__Origin origin, *origins[1];
	Hallmark__V1__Header header;
	Hallmark__V1__Template template, *templates[1];
	Hallmark__V1__Constant constant, *constants[1];
	Hallmark__V1__Column columns[2], *column_list[2];
	uint32_t origin_index[2], template_index[2], lengths[2][3];
	int64_t times[2];
	int32_t pids[2];
};

static char *text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void make_sample(struct sample *s)
{
	*s = (struct sample){ .times = { 5000000, 0 }, .pids = { 7, -6 }, .lengths = { { 3, 0, 0 }, { 1, 4, 0 } } };
	hallmark__v1__events__init(&s->events);
	hallmark__v1__origin__init(&s->origin);
	hallmark__v1__header__init(&s->header);
	hallmark__v1__template__init(&s->template);
	hallmark__v1__constant__init(&s->constant);
	s->header.before = (ProtobufCBinaryData){ 2, (uint8_t *)text("> ") };
	s->header.stamp = HALLMARK__V1__STAMP__STAMP_ISO8601_Z;
	s->header.pid = true;
	s->header.between = (ProtobufCBinaryData){ 1, (uint8_t *)text(" ") };
	s->header.after = s->header.before;
	s->origin.header = &s->header;
	s->origins[0] = &s->origin;
	s->template.text = text("a {x} {{{y}}}");
	s->template.activity = text("logon");
	s->constant.name = text("n");
	s->constant.value = text("v");
	s->constants[0] = &s->constant;
	s->template.constants = s->constants;
	s->template.n_constants = 1;
	s->templates[0] = &s->template;
	for (size_t i = 0; i < 2; i++) {
		hallmark__v1__column__init(&s->columns[i]);
		s->columns[i].name = text(i ? "y" : "x");
		s->columns[i].lengths = s->lengths[i];
		s->columns[i].n_lengths = 2;
		s->column_list[i] = &s->columns[i];
	}
	s->columns[0].values = (ProtobufCBinaryData){ 2, (uint8_t *)text("hi") };
	s->columns[1].values = (ProtobufCBinaryData){ 3, (uint8_t *)text("abc") };
	s->events.origins = s->origins;
	s->events.templates = s->templates;
	s->events.columns = s->column_list;
	s->events.origin = s->origin_index;
	s->events.template_ = s->template_index;
	s->events.time_delta_us = s->times;
	s->events.pid_delta = s->pids;
	s->events.n_origins = s->events.n_templates = 1;
	s->events.n_columns = 2;
	s->events.n_origin = s->events.n_template_ = s->events.n_time_delta_us = s->events.n_pid_delta = 2;
}

static void pack(const struct sample *s, struct buf *plain)
{
	buf_clear(plain);
	assert_int_equal(buf_reserve(plain, hallmark__v1__events__get_packed_size(&s->events)), 0);
	plain->len = hallmark__v1__events__pack(&s->events, plain->data);
}

/* How many events come before what is wrong; -1 where none can come. */
static int events_read(struct bytes plain)
{
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	struct event e;
	int n = 0, k = event_reader_new(plain, 0, &r);

	if (k < 0) {
		assert_int_equal(k, -EBADMSG);
		assert_null(r);
		return -1;
	}
	while ((k = event_reader_next(r, &e)) == 1)
		n++;
	if (k < 0)
		assert_int_equal(event_reader_next(r, &e), -EBADMSG);
	return k < 0 ? n : 100 + n;
}

TEST(a_message_is_read_as_the_format_says)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	struct sample s;
	struct event e;

	make_sample(&s);
	pack(&s, &plain);
	assert_int_equal(events_read(buf_bytes(&plain)), 102);
	assert_int_equal(event_reader_new(buf_bytes(&plain), 1000000, &r), 0);
	assert_int_equal(event_reader_next(r, &e), 1);
	assert_bytes_equal(e.raw, "> 1970-01-01T00:00:06Z 7> a hi {}");
	assert_bytes_equal(event_get(&e, "n"), "v");
	assert_int_equal(event_reader_next(r, &e), 1);
	assert_bytes_equal(e.raw, "> 1970-01-01T00:00:06Z 1> a hi {abc}");
	assert_bytes_equal(e.message, "a hi {abc}");
	assert_bytes_equal(e.origin.header.after, "> ");
	assert_bytes_equal(event_get(&e, "y"), "abc");
	assert_int_equal(e.pid, 1);
}

/* Breaks one rule; returns how many events may still be read (as events_read), or -2 at the end. */
static int spoil(struct sample *s, unsigned which)
{
	switch (which) {
	case 0: s->events.n_template_ = 1; return -1;
	case 1: s->events.n_time_delta_us = 1; return -1;
	case 2: s->events.n_pid_delta = 1; return -1;
	case 3: s->events.n_origin = 1; return -1;
	case 4: s->origin_index[1] = 1; return -1;
	case 5: s->template_index[0] = UINT32_MAX; return -1;
	case 6:
		s->columns[1].name = text("x");
		s->template.text = text("{x}");
		return -1;
	case 7: s->columns[1].name = text("z"); return -1;
	case 8:
		s->columns[1].name = text("");
		s->template.text = text("{x}{}");
		return -1;
	case 9:
		s->columns[1].name = text("a b");
		s->template.text = text("{x}{a b}");
		return -1;
	case 10: s->template.text = text("a {x"); return -1;
	case 11: s->template.text = text("a {x} } {y}"); return -1;
	case 12: s->template.text = text("{x{y}}"); return -1;
	case 13: s->template.text = text("{}{x}{y}"); return -1;
	case 14: s->template.text = text("{"); return -1;
	case 15: s->template.text = text("\xc3{x}{y}"); return -1;
	case 16: s->template.activity = text("\xff"); return -1;
	case 17: s->constant.name = text("a b"); return -1;
	case 18: s->constant.value = text("\x80"); return -1;
	case 19: /* 33 fields */
		s->template.text = text("{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}"
					"{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}");
		return -1;
	case 20: s->lengths[0][0] = 4; return 0;
	case 21: s->lengths[0][1] = UINT32_MAX; return 1;
	case 22: s->columns[0].n_lengths = 1; return 1;
	case 23: s->columns[1].n_lengths = 0; return 0;
	case 24: s->header.stamp = (Hallmark__V1__Stamp)9; return 0;
	case 25: s->header.utc_offset_min = 1; return 0;
	case 26: s->header.fraction_digits = 10; return 0;
	case 27: s->times[0] = INT64_MAX; return 0;
	case 28: s->times[1] = 1; return 1;
	case 29: s->columns[0].values.len = 1; return 0;
	case 30: s->lengths[1][1] = 3; return 2; /* a byte that belongs to nobody */
	case 31: s->template.text = text("{x}"); return 2; /* values that belong to nobody */
	case 32: s->lengths[0][1] = 2; return 1; /* one byte more than there are */
	case 33: s->columns[0].n_lengths = 3; return 2; /* a repetition that belongs to nobody */
	case 34:
		s->template.text = text("{x}{y2345678901234567890123456789012345678901234567890123456789012345678901234567890}");
		return -1;
	default: return -2;
	}
}

TEST(each_broken_rule_is_refused)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);

	for (unsigned i = 0;; i++) {
		struct sample s;
		int expected;

		make_sample(&s);
		expected = spoil(&s, i);
		if (expected == -2)
			return;
		pack(&s, &plain);
		assert_int_equal(events_read(buf_bytes(&plain)), expected);
	}
}

TEST(thirty_two_fields_are_not_too_many)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	struct sample s;
	uint32_t lengths[64] = { 3 };

	make_sample(&s);
	s.template.text = text("{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}"
			       "{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}");
	s.columns[0].lengths = lengths;
	s.columns[0].n_lengths = 64;
	s.events.n_columns = 1;
	pack(&s, &plain);
	assert_int_equal(events_read(buf_bytes(&plain)), 102);
}

/* Repetitions cost next to nothing in a message; put together they must not fill the memory, nor the day. */
TEST(lines_that_repetition_makes_huge_are_refused)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	_cleanup_(freep) uint8_t *value = calloc(1, EVENT_RAW_MAX);
	struct sample s;
	uint32_t lengths[8] = { EVENT_RAW_MAX + 1 };

	assert_non_null(value);
	make_sample(&s);
	s.origin.header = NULL;
	s.columns[0].values = (ProtobufCBinaryData){ EVENT_RAW_MAX, value };
	s.columns[0].lengths = lengths;
	s.columns[0].n_lengths = 4;
	s.template.text = text("{x}{x}");
	s.events.n_columns = 1;
	pack(&s, &plain);
	assert_int_equal(events_read(buf_bytes(&plain)), 102);
	s.template.text = text("{x}{x}!");
	pack(&s, &plain);
	assert_int_equal(events_read(buf_bytes(&plain)), 0);
}

TEST(a_batch_of_more_than_its_raw_bytes_is_refused)
{
	enum { EVENTS = 2 * BATCH_RAW_MAX / EVENT_RAW_MAX };
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	_cleanup_(freep) uint8_t *value = calloc(1, EVENT_RAW_MAX);
	static uint32_t zeros[EVENTS], lengths[EVENTS] = { EVENT_RAW_MAX + 1 };
	static int64_t times[EVENTS];
	struct sample s;

	assert_non_null(value);
	make_sample(&s);
	s.origin.header = NULL;
	s.columns[0].values = (ProtobufCBinaryData){ EVENT_RAW_MAX, value };
	s.columns[0].lengths = lengths;
	s.columns[0].n_lengths = EVENTS;
	s.template.text = text("{x}");
	s.events.n_columns = 1;
	s.events.origin = s.events.template_ = zeros;
	s.events.time_delta_us = times;
	s.events.pid_delta = (int32_t *)zeros;
	s.events.n_origin = s.events.n_template_ = s.events.n_time_delta_us = s.events.n_pid_delta = EVENTS;
	pack(&s, &plain);
	assert_int_equal(events_read(buf_bytes(&plain)), BATCH_RAW_MAX / EVENT_RAW_MAX);
}

/* Two bytes for an empty origin, a hundred for the struct that it becomes. */
TEST(a_small_message_does_not_become_a_large_one)
{
	static const char *const units[] = { "\x0a\x00", "\x12\x00", "\x3a\x00" };
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);

	for (size_t i = 0; i < ELEMENTSOF(units); i++) {
		buf_clear(&plain);
		for (size_t n = 0; n < 1000; n++)
			assert_int_equal(buf_append(&plain, bytes_of(units[i], 2)), 0);
		/* a few are taken for what they are: things that no event uses, or a column without a name */
		assert_int_equal(events_read(bytes_of(plain.data, 20)), i == 2 ? -1 : 100);
		for (size_t n = 0; n < 1000000; n++)
			assert_int_equal(buf_append(&plain, bytes_of(units[i], 2)), 0);
		assert_int_equal(events_read(buf_bytes(&plain)), -1);
	}
}

TEST(a_message_past_its_limit_is_refused)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(2 * BATCH_EXPANDED_MAX);

	/* a field that this program does not know, of 8 MiB less its head */
	assert_int_equal(buf_append(&plain, LIT("\x7a\xfb\xff\xff\x03")), 0);
	assert_int_equal(buf_reserve(&plain, BATCH_EXPANDED_MAX), 0);
	memset(plain.data + plain.len, 0, BATCH_EXPANDED_MAX);
	assert_int_equal(events_read(bytes_of(plain.data, BATCH_EXPANDED_MAX)), 100);
	plain.data[1] = 0xfc;
	assert_int_equal(events_read(bytes_of(plain.data, BATCH_EXPANDED_MAX + 1)), -1);
}

TEST(nothing_is_a_message_without_events)
{
	assert_int_equal(events_read(BYTES_NONE), 100);
}
