/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a batch: when it is full, and that it always fits a frame. */
#include "tests/unit/test.h"

#include <errno.h>

#include "proto/compress.h"
#include "proto/envelope.h"
#include "proto/event_reader.h"
#include "proto/event_writer.h"

static struct event_writer *new_writer(void)
{
	struct event_writer *w = NULL;

	assert_int_equal(event_writer_new(&w), 0);
	return w;
}

static int add_message(struct event_writer *w, struct bytes program, struct bytes message)
{
	struct origin o = { .source = 1, .program = program, .provenance = PROVENANCE_NONE };

	return event_writer_add(w, &o, 0, 0, message, &wording_unknown, &message);
}

static uint64_t random_state = 1;

static void fill_random(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		random_state = random_state * UINT64_C(6364136223846793005) + 1;
		p[i] = (uint8_t)(random_state >> 56);
	}
}

TEST(the_longest_line_fits_and_a_longer_one_is_refused)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	_cleanup_(freep) uint8_t *line = malloc(EVENT_RAW_MAX + 1);
	struct origin o = { .has_header = true, .provenance = PROVENANCE_NONE };
	struct bytes message = LIT("x");
	struct event e;

	assert_non_null(line);
	fill_random(line, EVENT_RAW_MAX + 1);
	assert_int_equal(add_message(w, LIT("p"), bytes_of(line, EVENT_RAW_MAX + 1)), -EINVAL);
	assert_int_equal(add_message(w, bytes_of(line, EVENT_RAW_MAX + 1), LIT("x")), -EINVAL);
	o.header.time = bytes_of(line, EVENT_RAW_MAX + 1);
	assert_int_equal(event_writer_add(w, &o, 0, 0, message, &wording_unknown, &message), -EINVAL);
	assert_int_equal(event_writer_count(w), 0);
	assert_int_equal(add_message(w, bytes_of(line, EVENT_RAW_MAX), bytes_of(line, EVENT_RAW_MAX)), 0);
	assert_int_equal(event_writer_finish(w, 0, &plain), 0);
	assert_int_equal(event_reader_new(buf_bytes(&plain), 0, &r), 0);
	assert_int_equal(event_reader_next(r, &e), 1);
	assert_int_equal(e.raw.len, EVENT_RAW_MAX);
	assert_memory_equal(e.raw.data, line, EVENT_RAW_MAX);
}

TEST(header_parts_that_are_no_neighbours_are_refused)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	struct origin o = { .has_header = true, .provenance = PROVENANCE_NONE };
	struct bytes message = LIT("x");
	static const char line[] = "<38>Nov  3 04:05:06";

	o.header.before = bytes_of(line, 4);
	o.header.time = bytes_of(line + 5, 5);
	assert_int_equal(event_writer_add(w, &o, 0, 0, message, &wording_unknown, &message), -EINVAL);
	assert_int_equal(event_writer_count(w), 0);
	o.header.time = bytes_of(line + 4, 5);
	assert_int_equal(event_writer_add(w, &o, 0, 0, message, &wording_unknown, &message), 0);
}

/* Not even bytes that cannot be compressed make a batch that no frame takes. */
TEST(a_full_batch_fits_a_frame_whatever_is_in_it)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(signing_key_freep) struct signing_key *key = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX),
				       packed = BUF_INIT(BATCH_EXPANDED_MAX);
	_cleanup_(buf_done) struct buf frame = BUF_INIT(FRAME_MAX);
	_cleanup_(freep) uint8_t *line = malloc(EVENT_RAW_MAX);
	uint8_t run_id[16] = { 1 }, digest[DIGEST_SIZE];
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;
	Hallmark__V1__Host host = HALLMARK__V1__HOST__INIT;
	int r;

	assert_non_null(line);
	do {
		fill_random(line, 5000);
		r = add_message(w, LIT("p"), bytes_of(line, 5000));
	} while (r == 0);
	assert_int_equal(r, -EMSGSIZE);
	assert_in_range(event_writer_size(w), 700 * 1024, 768 * 1024);
	assert_int_equal(event_writer_finish(w, 0, &plain), 0);
	assert_in_range(event_writer_size(w) - plain.len, 0, 256);
	assert_int_equal(events_compress(buf_bytes(&plain), &packed), 0);
	events_compress_trim();
	assert_in_range(packed.len, plain.len, 800000);
	assert_int_equal(signing_key_generate(&key), 0);
	host.name = (char *)(uintptr_t) "host";
	batch.host = &host;
	batch.run_id = (ProtobufCBinaryData){ sizeof run_id, run_id };
	batch.sequence = 1;
	batch.event_count = (uint32_t)event_writer_count(w);
	batch.events = (ProtobufCBinaryData){ packed.len, packed.data };
	batch.events_size = (uint32_t)plain.len;
	assert_int_equal(frame_seal(key, &batch, &frame, digest), 0);

	/* what had no room has room in the next batch */
	event_writer_reset(w);
	assert_int_equal(event_writer_count(w), 0);
	assert_int_equal(add_message(w, LIT("p"), bytes_of(line, 5000)), 0);
}

static size_t fill(struct event_writer *w, size_t program_len, struct bytes message)
{
	static char program[EVENT_RAW_MAX];
	int r;

	memset(program, 'p', sizeof program);
	do {
		if (program_len > 1)
			(void)snprintf(program, sizeof program, "%0*zu", (int)program_len,
				       event_writer_count(w));
		r = add_message(w, bytes_of(program, program_len), message);
	} while (r == 0 && event_writer_count(w) < 1000000);
	assert_int_equal(r, -EMSGSIZE);
	assert_in_range(event_writer_size(w), 1, 768 * 1024);
	return event_writer_count(w);
}

TEST(a_batch_is_bounded_in_events_origins_and_raw_bytes)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(freep) uint8_t *line = calloc(1, EVENT_RAW_MAX);

	assert_non_null(line);
	assert_int_equal(fill(w, 1, LIT("the same")), 65536);
	event_writer_reset(w);
	assert_int_equal(fill(w, 5, LIT("the same")), 4096);
	event_writer_reset(w);
	assert_int_equal(fill(w, 50000, LIT("the same")), 15);
	event_writer_reset(w);
	assert_int_equal(fill(w, 1, bytes_of(line, EVENT_RAW_MAX)), BATCH_RAW_MAX / EVENT_RAW_MAX);
	event_writer_trim(w); /* not while something is in it */
	assert_int_equal(event_writer_count(w), BATCH_RAW_MAX / EVENT_RAW_MAX);
}

/* Names that share all their slots of the hash table cost bytes, and are still told apart. */
TEST(very_many_origins_stay_themselves)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	char program[32];
	struct event e;

	for (size_t round = 0; round < 3; round++)
		for (size_t i = 0; i < 4000; i++) {
			(void)snprintf(program, sizeof program, "p%zu", i);
			assert_int_equal(add_message(w, bytes_str(program), LIT("x")), 0);
		}
	assert_int_equal(event_writer_finish(w, 0, &plain), 0);
	assert_int_equal(event_reader_new(buf_bytes(&plain), 0, &r), 0);
	for (size_t i = 0; i < 12000; i++) {
		(void)snprintf(program, sizeof program, "p%zu", i % 4000);
		assert_int_equal(event_reader_next(r, &e), 1);
		assert_true(bytes_eq(e.origin.program, bytes_str(program)));
	}
}

/* --- origins ------------------------------------------------------------------------------- */

struct variant {
	char line[128];
	struct origin origin;
	struct bytes message;
};

static struct bytes put(struct variant *v, size_t *len, const char *s)
{
	struct bytes b = bytes_of(v->line + *len, strlen(s));

	memcpy(v->line + *len, s, b.len);
	*len += b.len;
	return b;
}

/* An origin with every part in it, of which number `i` has another one; false where there are no more. */
static bool make_variant(struct variant *v, unsigned i)
{
	struct origin *o = &v->origin;
	struct provenance *p = &o->provenance;
	struct bytes *const texts[] = { &o->program, &o->host, &p->transport, &p->boot_id,
					&p->exe,     &p->comm, &p->unit,      &p->message_id };
	uint64_t *const numbers[] = { &p->uid,		 &p->gid,	 &p->audit_loginuid,
				      &p->audit_session, &p->syslog_pid, &p->facility };
	const Hallmark__V1__Stamp stamp = HALLMARK__V1__STAMP__STAMP_ISO8601;
	size_t len = 0;

	memset(v, 0, sizeof *v);
	for (size_t k = 0; k < ELEMENTSOF(texts); k++)
		*texts[k] = i == k ? LIT("other") : LIT("text");
	for (size_t k = 0; k < ELEMENTSOF(numbers); k++)
		*numbers[k] = i == 10 + k ? 6 : 5;
	o->source = i == 20 ? 2 : 1;
	o->has_header = i != 21;
	o->has_provenance = i != 22;
	if (!o->has_provenance)
		*p = PROVENANCE_NONE;
	if (o->has_header) {
		o->header.before = put(v, &len, i == 30 ? "<" : ">");
		o->header.stamp = i == 31 ? HALLMARK__V1__STAMP__STAMP_ISO8601_Z : stamp;
		o->header.utc_offset_min = i == 32 ? 60 : 0;
		o->header.fraction_digits = i == 33 ? 1 : 0;
		o->header.time = put(v, &len,
				     i == 31   ? "1970-01-01T00:00:09Z"
				     : i == 32 ? "1970-01-01T01:00:09+01:00"
				     : i == 33 ? "1970-01-01T00:00:09.0+00:00"
					       : "1970-01-01T00:00:09+00:00");
		o->header.between = put(v, &len, i == 34 ? "(" : "[");
		o->header.has_pid = i != 35;
		o->header.pid_text = put(v, &len, i == 35 ? "" : "17");
		o->header.after = put(v, &len, i == 36 ? ")" : "]");
	}
	v->message = put(v, &len, "m");
	return i < 37;
}

/* Each follows the one that it differs from in one part: no part may be taken for the other one's. */
TEST(origins_that_differ_in_one_part_stay_apart)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	struct variant v;
	struct event e;

	for (unsigned i = 0; make_variant(&v, i); i++) {
		for (unsigned k = 0; k < 2; k++) {
			(void)make_variant(&v, k == 0 ? 99 : i);
			assert_int_equal(event_writer_add(w, &v.origin, 9000000, 17, v.message,
							  &wording_unknown, &v.message),
					 0);
		}
	}
	assert_int_equal(event_writer_finish(w, 0, &plain), 0);
	assert_int_equal(event_reader_new(buf_bytes(&plain), 0, &r), 0);
	for (unsigned i = 0; make_variant(&v, i); i++) {
		for (unsigned k = 0; k < 2; k++) {
			const struct header *a = &v.origin.header, *b = &e.origin.header;
			struct provenance *p = &v.origin.provenance, *q = &e.origin.provenance;

			(void)make_variant(&v, k == 0 ? 99 : i);
			assert_int_equal(event_reader_next(r, &e), 1);
			assert_true(bytes_eq(e.raw, bytes_of(v.line, strlen(v.line))));
			assert_int_equal(e.origin.source, v.origin.source);
			assert_int_equal(e.origin.has_header, v.origin.has_header);
			assert_int_equal(e.origin.has_provenance, v.origin.has_provenance);
			assert_true(bytes_eq(e.origin.program, v.origin.program) &&
				    bytes_eq(e.origin.host, v.origin.host));
			assert_true(a->stamp == b->stamp && a->utc_offset_min == b->utc_offset_min &&
				    a->fraction_digits == b->fraction_digits && a->has_pid == b->has_pid);
			assert_true(bytes_eq(a->before, b->before) && bytes_eq(a->time, b->time) &&
				    bytes_eq(a->between, b->between) && bytes_eq(a->pid_text, b->pid_text) &&
				    bytes_eq(a->after, b->after));
			assert_true(p->uid == q->uid && p->gid == q->gid &&
				    p->audit_loginuid == q->audit_loginuid &&
				    p->audit_session == q->audit_session && p->syslog_pid == q->syslog_pid &&
				    p->facility == q->facility);
			assert_true(bytes_eq(p->transport, q->transport) &&
				    bytes_eq(p->boot_id, q->boot_id) && bytes_eq(p->exe, q->exe) &&
				    bytes_eq(p->comm, q->comm) && bytes_eq(p->unit, q->unit) &&
				    bytes_eq(p->message_id, q->message_id));
		}
	}
}

/* --- wordings ------------------------------------------------------------------------------ */

TEST(a_wording_past_its_limits_is_not_used)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(freep) char *huge = malloc(1 << 20);
	struct bytes nothing[EVENT_FIELDS_MAX + 2] = { { 0 } };
	uint16_t ids[EVENT_FIELDS_MAX + 1] = { 0 };
	struct origin o = { .provenance = PROVENANCE_NONE };
	struct event_constant constant = { "x", huge };
	struct wording wording = { .meaning = { .activity = "" }, .literals = nothing, .field_ids = ids };

	assert_non_null(huge);
	memset(huge, 'x', (1 << 20) - 1);
	huge[(1 << 20) - 1] = '\0';
	wording.n_fields = EVENT_FIELDS_MAX + 1;
	assert_int_equal(event_writer_add(w, &o, 0, 0, BYTES_NONE, &wording, nothing), 0);
	assert_int_equal(event_writer_unknown(w), 1);
	wording.n_fields = EVENT_FIELDS_MAX;
	assert_int_equal(event_writer_add(w, &o, 0, 0, BYTES_NONE, &wording, nothing), 0);
	assert_int_equal(event_writer_unknown(w), 1);
	wording.slot.batch = 0;
	wording.meaning.constants = &constant;
	wording.meaning.n_constants = 1;
	assert_int_equal(event_writer_add(w, &o, 0, 0, BYTES_NONE, &wording, nothing), 0);
	assert_int_equal(event_writer_unknown(w), 2);
}

TEST(a_batch_has_the_highest_severity_in_it)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	struct bytes nothing[1] = { { 0 } };
	struct origin o = { .provenance = PROVENANCE_NONE };
	struct wording grave = { .meaning = { .activity = "",
					      .severity = HALLMARK__V1__SEVERITY__SEVERITY_HIGH },
				 .literals = nothing };

	assert_int_equal(event_writer_add(w, &o, 0, 0, BYTES_NONE, &grave, nothing), 0);
	assert_int_equal(add_message(w, LIT("p"), LIT("x")), 0);
	assert_int_equal(event_writer_severity(w), HALLMARK__V1__SEVERITY__SEVERITY_HIGH);
	event_writer_reset(w);
	assert_int_equal(add_message(w, LIT("p"), LIT("x")), 0);
	assert_int_equal(event_writer_severity(w), HALLMARK__V1__SEVERITY__SEVERITY_INFO);
}

TEST(an_empty_batch_is_no_bytes)
{
	_cleanup_(event_writer_freep) struct event_writer *w = new_writer();
	_cleanup_(buf_done) struct buf plain = BUF_INIT(16);

	assert_int_equal(event_writer_finish(w, 4711, &plain), 0);
	assert_int_equal(plain.len, 0);
	assert_int_equal(event_writer_severity(w), HALLMARK__V1__SEVERITY__SEVERITY_NONE);
}
