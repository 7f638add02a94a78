/* SPDX-License-Identifier: Apache-2.0 */
/* The record: what the writer takes, the reader gives back to the letter, whatever it is. */
#include "tests/unit/test.h"

#include <errno.h>

#include "proto/event_reader.h"
#include "proto/event_writer.h"
#include "proto/wire.h"

#define BATCH_TIME_US INT64_C(1795438400123456)

/* --- numbers, always the same ones --------------------------------------------------------- */

static uint64_t random_state = 1;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static unsigned random_below(unsigned n)
{
	return (unsigned)(random_number() % n);
}

/* --- lines made of parts ------------------------------------------------------------------- */

struct line {
	char data[2048];
	size_t len;
};

static struct bytes add(struct line *l, struct bytes b)
{
	struct bytes there = bytes_of(l->data + l->len, b.len);

	assert_true(l->len + b.len <= sizeof l->data);
	if (b.len > 0)
		memcpy(l->data + l->len, b.data, b.len);
	l->len += b.len;
	return there;
}

static struct bytes add_str(struct line *l, const char *s)
{
	return add(l, bytes_str(s));
}

/* A typical line of a log file, and its origin. */
static struct bytes typical(struct line *l, struct origin *o, int64_t time_us, uint32_t pid,
			    const char *message)
{
	char text[STAMP_TEXT_MAX], number[16];
	size_t n = stamp_render(HALLMARK__V1__STAMP__STAMP_RFC3164, 0, 0, time_us, text);

	l->len = 0;
	(void)snprintf(number, sizeof number, "%u", pid);
	*o = (struct origin){ .source = 1,
			      .program = LIT("sshd"),
			      .host = LIT("host"),
			      .has_header = true,
			      .provenance = PROVENANCE_NONE };
	o->header.stamp = HALLMARK__V1__STAMP__STAMP_RFC3164;
	o->header.has_pid = true;
	o->header.before = add_str(l, "");
	o->header.time = add(l, bytes_of(text, n));
	o->header.between = add_str(l, " host sshd[");
	o->header.pid_text = add_str(l, number);
	o->header.after = add_str(l, "]: ");
	return add_str(l, message);
}

static struct event_writer *new_writer(void)
{
	struct event_writer *w = NULL;

	assert_int_equal(event_writer_new(&w), 0);
	return w;
}

/* Packs what the writer has; the bound that it gave holds, and protobuf-c reads the same message. */
static struct event_reader *read_back(struct event_writer *w, struct buf *plain)
{
	struct event_reader *r = NULL;
	Hallmark__V1__Events *m;

	buf_clear(plain);
	assert_int_equal(event_writer_finish(w, BATCH_TIME_US, plain), 0);
	assert_in_range(plain->len, 0, event_writer_size(w));
	m = hallmark__v1__events__unpack(NULL, plain->len, plain->data);
	assert_non_null(m);
	assert_int_equal(m->n_origin, event_writer_count(w));
	hallmark__v1__events__free_unpacked(m, NULL);
	assert_int_equal(event_reader_new(buf_bytes(plain), BATCH_TIME_US, &r), 0);
	assert_int_equal(event_reader_count(r), event_writer_count(w));
	return r;
}

static void assert_same(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.data, b.data, a.len);
}

/* --- wordings ------------------------------------------------------------------------------ */

static const struct event_constant failed_constants[] = { { "auth_method", "password" }, { "x", "" } };
static const struct bytes failed_literals[] = { { (const uint8_t *)"Failed password for ", 20 },
						{ (const uint8_t *)" from ", 6 },
						{ NULL, 0 } };
static uint16_t failed_ids[2];
static struct wording failed = {
	.meaning = { .kind = HALLMARK__V1__KIND__KIND_AUTHENTICATION,
		     .activity = "logon",
		     .outcome = HALLMARK__V1__OUTCOME__OUTCOME_FAILURE,
		     .severity = HALLMARK__V1__SEVERITY__SEVERITY_LOW,
		     .constants = failed_constants,
		     .n_constants = 2 },
	.n_fields = 2,
	.literals = failed_literals,
	.field_ids = failed_ids,
};

static void name_fields(void)
{
	failed_ids[0] = (uint16_t)event_field_id("user");
	failed_ids[1] = (uint16_t)event_field_id("src_ip");
}

static int add_failed(struct event_writer *w, int64_t time_us, uint32_t pid, const char *user, const char *ip)
{
	struct line l;
	struct origin o;
	char message[512];
	struct bytes values[2] = { bytes_str(user), bytes_str(ip) };

	name_fields();
	(void)snprintf(message, sizeof message, "Failed password for %s from %s", user, ip);
	return event_writer_add(w, &o, time_us, pid, typical(&l, &o, time_us, pid, message), &failed, values);
}

TEST(a_line_comes_back_as_raw_line_and_as_fields)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	struct event e;

	assert_int_equal(add_failed(w, INT64_C(1795438400000000), 812, "ro}{ot", "192.0.2.7"), 0);
	assert_int_equal(event_writer_severity(w), HALLMARK__V1__SEVERITY__SEVERITY_LOW);
	assert_int_equal(event_writer_unknown(w), 0);
	r = read_back(w, &plain);
	assert_int_equal(event_reader_next(r, &e), 1);
	assert_bytes_equal(e.raw,
			   "Nov 23 12:53:20 host sshd[812]: Failed password for ro}{ot from 192.0.2.7");
	assert_bytes_equal(e.message, "Failed password for ro}{ot from 192.0.2.7");
	assert_string_equal(e.template_text, "Failed password for {user} from {src_ip}");
	assert_int_equal(e.time_us, INT64_C(1795438400000000));
	assert_int_equal(e.pid, 812);
	assert_int_equal(e.n_fields, 2);
	assert_string_equal(e.fields[0].name, "user");
	assert_bytes_equal(event_get(&e, "src_ip"), "192.0.2.7");
	assert_bytes_equal(event_get(&e, "auth_method"), "password");
	assert_non_null(event_get(&e, "x").data);
	assert_null(event_get(&e, "port").data);
	assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_AUTHENTICATION);
	assert_string_equal(e.meaning.activity, "logon");
	assert_int_equal(e.meaning.outcome, HALLMARK__V1__OUTCOME__OUTCOME_FAILURE);
	assert_bytes_equal(e.origin.header.pid_text, "812");
	assert_bytes_equal(e.origin.host, "host");
	assert_int_equal(event_reader_next(r, &e), 0);
	assert_int_equal(event_reader_next(r, &e), 0);
}

TEST(what_lines_have_in_common_stands_once)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	Hallmark__V1__Events *m;

	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(add_failed(w, INT64_C(1795438400000000), 812, "root", "192.0.2.7"), 0);
	assert_int_equal(event_writer_finish(w, BATCH_TIME_US, &plain), 0);
	m = hallmark__v1__events__unpack(NULL, plain.len, plain.data);
	assert_non_null(m);
	assert_int_equal(m->n_origins, 1);
	assert_int_equal(m->n_templates, 1);
	assert_int_equal(m->n_columns, 2);
	assert_int_equal(m->time_delta_us[0], INT64_C(1795438400000000) - BATCH_TIME_US);
	assert_int_equal(m->pid_delta[0], 812);
	assert_int_equal(m->pid_delta[1], 0);
	assert_int_equal(m->columns[0]->lengths[0], 5);
	assert_int_equal(m->columns[0]->lengths[99], 0);
	assert_int_equal(m->columns[0]->values.len, 4);
	assert_int_equal(m->origins[0]->provenance == NULL, 1);
	hallmark__v1__events__free_unpacked(m, NULL);
	assert_in_range(plain.len, 1, 100 * 6 + 200);
}

/* What the header says and what the line says differ: the line's own words are kept. */
TEST(a_stamp_or_pid_that_cannot_be_given_back_stands_as_it_was)
{
	static const struct {
		const char *time, *pid_text;
		bool time_ok, pid_ok, no_pid;
	} cases[] = {
		{ "Nov 23 12:53:20", "812", true, true, false },
		{ "Nov 23 12:53:20", "0812", true, false, false },
		{ "Nov 23 12:53:20", "", true, false, false },
		{ "Nov 23 12:53:20", "813", true, false, false },
		{ "Nov 23 12:53:21", "812", false, true, false },
		{ "Nov 23 12:53:2", "812", false, true, false },
		{ "nov 23 12:53:20", "x", false, false, false },
		{ "", "812", false, true, false },
		{ "Nov 23 12:53:20", "4294968108", true, false, false }, /* 812 + 2^32 */
		{ "Nov 23 12:53:20", "00000000812", true, false, false },
		{ "Nov 23 12:53:20", "812", true, false, true },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
		_cleanup_(event_reader_freep) struct event_reader *r = NULL;
		_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
		struct line l = { .len = 0 };
		struct origin o = { .source = 2, .has_header = true, .provenance = PROVENANCE_NONE };
		struct event e;
		struct bytes message;

		o.header.before = add_str(&l, "<38>");
		o.header.time = add_str(&l, cases[i].time);
		o.header.between = add_str(&l, " h p[");
		o.header.pid_text = add_str(&l, cases[i].pid_text);
		o.header.after = add_str(&l, "]: ");
		o.header.stamp = HALLMARK__V1__STAMP__STAMP_RFC3164;
		o.header.has_pid = !cases[i].no_pid;
		message = add_str(&l, "hello");
		assert_int_equal(event_writer_add(w, &o, INT64_C(1795438400000000), 812, message,
						  &wording_unknown, &message),
				 0);
		r = read_back(w, &plain);
		assert_int_equal(event_reader_next(r, &e), 1);
		assert_same(e.raw, bytes_of(l.data, l.len));
		assert_int_equal(e.time_us, INT64_C(1795438400000000));
		assert_int_equal(e.pid, 812);
		assert_int_equal(e.origin.header.stamp != HALLMARK__V1__STAMP__STAMP_NONE, cases[i].time_ok);
		assert_int_equal(e.origin.header.has_pid, cases[i].pid_ok);
	}
}

TEST(a_message_that_its_wording_does_not_give_back_is_kept_untyped)
{
	static const char *const messages[] = { "Failed password for root from 192.0.2.8",
						"Failed password for root from 192.0.2.7 ",
						"Failed password for root from ",
						"Failed",
						"",
						"failed password for root from 192.0.2.7" };
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	struct bytes values[2] = { LIT("root"), LIT("192.0.2.7") };
	struct event e;

	name_fields();
	for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
		struct line l;
		struct origin o;

		assert_int_equal(event_writer_add(w, &o, 0, 1, typical(&l, &o, 0, 1, messages[i]), &failed,
						  values),
				 0);
	}
	assert_int_equal(event_writer_unknown(w), ELEMENTSOF(messages));
	assert_int_equal(event_writer_severity(w), HALLMARK__V1__SEVERITY__SEVERITY_INFO);
	r = read_back(w, &plain);
	for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
		assert_int_equal(event_reader_next(r, &e), 1);
		assert_same(e.message, bytes_str(messages[i]));
		assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_LOG);
		assert_string_equal(e.template_text, "{message}");
		assert_same(event_get(&e, "message"), e.message);
	}
}

TEST(a_wording_that_is_no_text_is_never_stored)
{
	static const struct {
		struct bytes literals[2];
		const char *activity;
		struct event_constant constant;
	} cases[] = {
		{ { { (const uint8_t *)"\xff", 1 } }, "", { "x", "" } },
		{ { { (const uint8_t *)"a\0b", 3 } }, "", { "x", "" } },
		{ { { NULL, 0 }, { (const uint8_t *)"\xc3", 1 } }, "", { "x", "" } },
		{ { { NULL, 0 } }, "\x80", { "x", "" } },
		{ { { NULL, 0 } }, "", { "a b", "" } },
		{ { { NULL, 0 } }, "", { "x", "\xc3" } },
	};
	uint16_t id = (uint16_t)event_field_id("user");

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
		_cleanup_(event_reader_freep) struct event_reader *r = NULL;
		_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
		struct wording wording = {
			.meaning = { .activity = cases[i].activity,
				     .constants = &cases[i].constant,
				     .n_constants = 1 },
			.n_fields = 1,
			.literals = cases[i].literals,
			.field_ids = &id,
		};
		struct origin o = { .provenance = PROVENANCE_NONE };
		struct line l = { .len = 0 };
		struct bytes value = LIT("v"), message;
		struct event e;

		message.data = add(&l, cases[i].literals[0]).data;
		(void)add(&l, value);
		(void)add(&l, cases[i].literals[1]);
		message.len = l.len;
		assert_int_equal(event_writer_add(w, &o, 5, 0, message, &wording, &value), 0);
		assert_int_equal(event_writer_unknown(w), 1);
		r = read_back(w, &plain);
		assert_int_equal(event_reader_next(r, &e), 1);
		assert_same(e.raw, message);
	}
}

/* --- anything, at random ------------------------------------------------------------------- */

#define WORDINGS 12
#define PARTS 5

static struct bytes random_literals[WORDINGS][PARTS];
static uint16_t random_ids[WORDINGS][PARTS];
static struct wording random_wordings[WORDINGS];

static void make_wordings(void)
{
	static const char *const literals[] = { "",	 " ",	    "{",	"}",	 "{}",
						"from ", "}{user}", "\xc3\xa9", "user=", "a{{b" };
	static const char *const names[] = { "user", "src_ip", "message", "a", "b", "c-d", "e.f" };

	for (size_t i = 0; i < WORDINGS; i++) {
		size_t n = random_below(PARTS);

		for (size_t k = 0; k < PARTS; k++) {
			random_literals[i][k] = bytes_str(literals[random_below(ELEMENTSOF(literals))]);
			random_ids[i][k] = (uint16_t)event_field_id(names[random_below(ELEMENTSOF(names))]);
		}
		random_wordings[i] = (struct wording){
			.meaning = { .kind = (Hallmark__V1__Kind)random_below(9),
				     .activity = "x",
				     .severity = (Hallmark__V1__Severity)random_below(5) },
			.n_fields = n,
			.literals = random_literals[i],
			.field_ids = random_ids[i],
		};
	}
}

static struct bytes add_random(struct line *l, unsigned max)
{
	uint8_t b[300];
	size_t n = random_below(max);

	for (size_t i = 0; i < n; i++)
		b[i] = random_below(4) ? (uint8_t)('a' + random_below(3)) : (uint8_t)random_number();
	return add(l, bytes_of(b, n));
}

static uint64_t random_id(void)
{
	return random_below(3) ? random_below(4) : EVENT_NUMBER_NONE;
}

struct sample {
	struct line line, names;
	struct origin origin;
	int64_t time_us;
	uint32_t pid;
	struct bytes message, values[PARTS];
	struct wording *wording;
	bool given_back, time_ok, pid_ok;
};

static void random_header(struct sample *s)
{
	struct header *h = &s->origin.header;
	char text[STAMP_TEXT_MAX];

	s->origin.has_header = true;
	h->before = add_random(&s->line, 2);
	h->stamp = (Hallmark__V1__Stamp)random_below(4);
	h->utc_offset_min = random_below(3) ? 0 : (int)random_below(2000) - 1000;
	h->fraction_digits = random_below(2) ? 0 : random_below(10);
	h->time = add(&s->line, bytes_of(text, stamp_render(h->stamp, h->fraction_digits, h->utc_offset_min,
							    s->time_us, text)));
	s->time_ok = h->time.len > 0 && (random_below(20) || add_random(&s->line, 3).len == 0);
	h->time.len = s->line.len - h->before.len;
	h->between = add_random(&s->line, 4);
	h->has_pid = random_below(3);
	if (h->has_pid) {
		s->pid_ok = random_below(20);
		(void)snprintf(text, sizeof text, s->pid_ok ? "%u" : "%012u", s->pid);
		h->pid_text = add_str(&s->line, text);
	}
	h->after = add_random(&s->line, 3);
}

static void random_provenance(struct sample *s)
{
	struct provenance *p = &s->origin.provenance;

	s->origin.has_provenance = true;
	p->uid = random_id();
	p->gid = random_id();
	p->audit_loginuid = random_id();
	p->audit_session = random_id();
	p->syslog_pid = random_id();
	p->facility = random_id();
	p->transport = add_random(&s->names, 3);
	p->boot_id = add_random(&s->names, 2);
	p->exe = add_random(&s->names, 2);
	p->comm = add_random(&s->names, 2);
	p->unit = add_random(&s->names, 3);
	p->message_id = add_random(&s->names, 2);
}

static void random_sample(struct sample *s, int64_t near_us)
{
	static const int64_t odd_times[] = { 0, -1, INT64_MIN, INT64_MAX, INT64_C(253402300799999999) };
	size_t start;

	*s = (struct sample){ .origin = { .provenance = PROVENANCE_NONE } };
	s->time_us = near_us + (random_below(3) ? 0 : (int64_t)random_below(5000000) - 1000000);
	if (random_below(2))
		s->time_us -= s->time_us % 1000000;
	if (random_below(50) == 0)
		s->time_us = odd_times[random_below(ELEMENTSOF(odd_times))];
	s->pid = random_below(20) ? random_below(5000) : (uint32_t)random_number();
	s->origin.source = random_below(3);
	s->origin.program = add_random(&s->names, 3);
	s->origin.host = add_random(&s->names, 2);
	if (random_below(3))
		random_header(s);
	if (random_below(3) == 0)
		random_provenance(s);
	start = s->line.len;
	s->wording = random_below(5) ? &random_wordings[random_below(WORDINGS)] : &wording_unknown;
	for (size_t i = 0; i <= s->wording->n_fields; i++) {
		(void)add(&s->line, s->wording->literals[i]);
		if (i < s->wording->n_fields)
			s->values[i] = add_random(&s->line, random_below(10) ? 4 : 200);
	}
	s->given_back = true;
	if (random_below(20) == 0)
		s->given_back = add_random(&s->line, 3).len == 0;
	s->message = bytes_of(s->line.data + start, s->line.len - start);
}

static void assert_sample(const struct sample *s, const struct event *e)
{
	const struct provenance *a = &s->origin.provenance, *b = &e->origin.provenance;

	assert_same(e->raw, bytes_of(s->line.data, s->line.len));
	assert_same(e->message, s->message);
	assert_int_equal(e->time_us, s->time_us);
	assert_int_equal(e->pid, s->pid);
	assert_int_equal(e->origin.source, s->origin.source);
	assert_same(e->origin.program, s->origin.program);
	assert_same(e->origin.host, s->origin.host);
	if (s->time_ok) {
		assert_int_equal(e->origin.header.stamp, s->origin.header.stamp);
		assert_same(e->origin.header.time, s->origin.header.time);
	}
	assert_int_equal(e->origin.header.has_pid, s->pid_ok);
	assert_int_equal(e->origin.has_header, s->origin.has_header);
	assert_int_equal(e->origin.has_provenance, s->origin.has_provenance);
	assert_true(a->uid == b->uid && a->gid == b->gid && a->audit_loginuid == b->audit_loginuid &&
		    a->audit_session == b->audit_session && a->syslog_pid == b->syslog_pid &&
		    a->facility == b->facility);
	assert_same(a->transport, b->transport);
	assert_same(a->boot_id, b->boot_id);
	assert_same(a->exe, b->exe);
	assert_same(a->comm, b->comm);
	assert_same(a->unit, b->unit);
	assert_same(a->message_id, b->message_id);
	if (!s->given_back) {
		assert_string_equal(e->template_text, "{message}");
		return;
	}
	assert_int_equal(e->meaning.kind, s->wording->meaning.kind);
	assert_int_equal(e->meaning.severity, s->wording->meaning.severity);
	assert_int_equal(e->n_fields, s->wording->n_fields);
	for (size_t i = 0; i < e->n_fields; i++) {
		assert_string_equal(e->fields[i].name, event_field_name(s->wording->field_ids[i]));
		assert_same(e->fields[i].value, s->values[i]);
	}
}

TEST(whatever_is_written_is_read_back_to_the_letter)
{
	enum { EVENTS = 200, BATCHES = 100 };
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(freep) struct sample *samples = calloc(EVENTS, sizeof *samples);

	assert_non_null(samples);
	random_state = 42;
	for (unsigned batch = 0; batch < BATCHES; batch++) {
		_cleanup_(event_reader_freep) struct event_reader *r = NULL;
		_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
		struct event e;

		if (batch % 10 == 0)
			make_wordings();
		for (size_t i = 0; i < EVENTS; i++) {
			struct sample *s = &samples[i];

			random_sample(s, BATCH_TIME_US);
			assert_int_equal(event_writer_add(w, &s->origin, s->time_us, s->pid, s->message,
							  s->wording, s->values),
					 0);
		}
		r = read_back(w, &plain);
		for (size_t i = 0; i < EVENTS; i++) {
			assert_int_equal(event_reader_next(r, &e), 1);
			assert_sample(&samples[i], &e);
		}
		assert_int_equal(event_reader_next(r, &e), 0);
		event_writer_reset(w);
		if (batch % 7 == 0)
			event_writer_trim(w);
	}
}

/* Walks through a message that may be anything; what it says is of no interest, only that it ends. */
static void walk(struct bytes plain)
{
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	_cleanup_(freep) uint8_t *exact = malloc(plain.len + 1);
	struct event e;
	size_t sum = 0, n = 0;

	/* a block of just that size, so that a sanitizer sees one byte too many */
	assert_non_null(exact);
	exact = realloc(exact, plain.len ? plain.len : 1);
	if (plain.len > 0)
		memcpy(exact, plain.data, plain.len);
	if (event_reader_new(bytes_of(exact, plain.len), BATCH_TIME_US, &r) < 0)
		return;
	while (event_reader_next(r, &e) == 1) {
		for (size_t i = 0; i < e.raw.len; i++)
			sum += e.raw.data[i];
		for (size_t i = 0; i < e.n_fields; i++)
			sum += e.fields[i].value.len + strlen(e.fields[i].name);
		assert_non_null(e.raw.data);
		n++;
	}
	assert_in_range(n, 0, event_reader_count(r));
	assert_in_range(sum, 0, SIZE_MAX);
}

TEST(random_bytes_are_refused_or_read_but_do_no_harm)
{
	random_state = 7;
	for (unsigned i = 0; i < 10000; i++) {
		uint8_t b[64];
		size_t n = random_below(sizeof b);

		for (size_t k = 0; k < n; k++)
			/* mostly bytes that are tags and small lengths */
			b[k] = random_below(2) ? (uint8_t)random_below(64) : (uint8_t)random_number();
		walk(bytes_of(b, n));
	}
}

TEST(a_batch_that_was_changed_is_refused_or_read_but_does_no_harm)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);

	random_state = 99;
	make_wordings();
	for (size_t i = 0; i < 30; i++) {
		struct sample s;

		random_sample(&s, BATCH_TIME_US);
		assert_int_equal(event_writer_add(w, &s.origin, s.time_us, s.pid, s.message, s.wording,
						  s.values),
				 0);
	}
	assert_int_equal(event_writer_finish(w, BATCH_TIME_US, &plain), 0);
	for (size_t i = 0; i < plain.len; i++) {
		uint8_t before = plain.data[i];

		for (unsigned k = 0; k < 8; k++) {
			plain.data[i] = (uint8_t)(before ^ 1u << k);
			walk(buf_bytes(&plain));
		}
		plain.data[i] = before;
		walk(bytes_of(plain.data, i));
	}
	for (unsigned round = 0; round < 5000; round++) {
		_cleanup_(buf_done) struct buf changed = BUF_INIT(BATCH_EXPANDED_MAX);

		assert_int_equal(buf_append(&changed, buf_bytes(&plain)), 0);
		for (unsigned k = random_below(6) + 1; k > 0; k--)
			changed.data[random_below((unsigned)changed.len)] = (uint8_t)random_number();
		walk(buf_bytes(&changed));
	}
}
