/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from a submission, and all that is refused. */
#include "tests/unit/test.h"

#include <errno.h>

#include "collectors/intake.h"
#include "tests/unit/submission-sample.h"

#define FINDING (1u << HALLMARK__V1__KIND__KIND_FINDING)

static struct submission_rights rights(void)
{
	return (struct submission_rights){ FINDING, { "drill", NULL }, 100 };
}

static int try_bytes(struct bytes b, const char **ret_why)
{
	struct submission_rights may = rights();
	struct submission *s = NULL;
	int r = submission_read(b, &may, &s, ret_why);

	assert_true((r == 0) == (s != NULL));
	submission_free(s);
	return r;
}

static const char no_submission[] = "it is no submission, or not encoded in the one way that is taken";

static void assert_refused(struct bytes b, const char *expected)
{
	const char *why = NULL;

	assert_int_equal(try_bytes(b, &why), -EBADMSG);
	assert_string_equal(why, expected);
}

/* Packs it, and gives it back. */
static void assert_sample_refused(struct sample *s, const char *expected)
{
	assert_refused(sample_pack(s), expected);
	sample_free(s);
}

TEST(a_submission_comes_with_words_values_and_times)
{
	struct sample *sample = sample_new();
	struct submission_rights may = rights();
	struct submission *s = NULL;
	const char *why = NULL;

	assert_int_equal(submission_read(sample_pack(sample), &may, &s, &why), 0);
	assert_int_equal(s->n_events, 2);
	assert_int_equal(s->events[0].wording->n_fields, 2);
	assert_bytes_equal(s->events[0].wording->literals[0], "check ");
	assert_bytes_equal(s->events[0].wording->literals[1], " {is}: ");
	assert_bytes_equal(s->events[0].wording->literals[2], "");
	assert_string_equal(event_field_name(s->events[0].wording->field_ids[1]), "reason");
	assert_bytes_equal(s->events[0].values[1], "caf\xc3\xa9");
	assert_true(s->events[0].time_us == 1795431604000000);
	assert_int_equal(s->events[0].wording->meaning.n_constants, 1);
	assert_int_equal(s->events[1].wording->n_fields, 0);
	assert_bytes_equal(s->events[1].wording->literals[0], "no fields");
	assert_true(s->events[1].time_us == 7);
	submission_free(s);
	sample_free(sample);
}

TEST(a_mark_is_put_to_each_event)
{
	struct sample *sample = sample_new();
	struct submission_rights may = { FINDING, { "drill", "yes" }, 100 };
	struct submission *s = NULL;
	const char *why = NULL;

	assert_int_equal(submission_read(sample_pack(sample), &may, &s, &why), 0);
	assert_int_equal(s->events[0].wording->meaning.n_constants, 2);
	assert_string_equal(s->events[0].wording->meaning.constants[1].name, "drill");
	assert_string_equal(s->events[0].wording->meaning.constants[1].value, "yes");
	assert_int_equal(s->events[1].wording->meaning.n_constants, 1);
	submission_free(s);
	sample_free(sample);
}

TEST(what_breaks_a_rule_of_the_message_is_refused)
{
	struct sample *s;

	assert_refused(BYTES_NONE, "it is of another version");
	assert_refused(LIT("\xff"), no_submission);
	s = sample_new(), s->submission.version = 2;
	assert_sample_refused(s, "it is of another version");
	s = sample_new(), s->submission.time_us = 0;
	assert_sample_refused(s, "it names no time");
	s = sample_new(), s->submission.time_us = -1;
	assert_sample_refused(s, "it names no time");
	s = sample_new(), s->submission.n_events = 0;
	assert_sample_refused(s, "it has no event");
	s = sample_new(), s->submission.n_events = 257;
	for (size_t i = 0; i < 257; i++)
		s->events[i].template_ = 1;
	assert_sample_refused(s, "it has more than 256 events");
	s = sample_new(), s->submission.n_templates = 65;
	assert_sample_refused(s, "it has more than 64 templates");
}

TEST(what_is_encoded_in_another_way_is_refused)
{
	struct sample *s = sample_new();
	struct bytes right = sample_pack(s);
	_cleanup_(buf_done) struct buf b = BUF_INIT(1u << 20);
	const char *why;
	size_t one;

	assert_int_equal(try_bytes(right, &why), 0);
	s->submission.n_events = 1;
	one = hallmark__v1__submission__get_packed_size(&s->submission);
	for (size_t n = 0; n < right.len; n++)
		assert_int_equal(try_bytes(bytes_of(right.data, n), &why), n == one ? 0 : -EBADMSG);
	assert_int_equal(buf_append(&b, right), 0);
	assert_int_equal(buf_append(&b, LIT("\x08\x01")), 0); /* the version twice */
	assert_refused(buf_bytes(&b), no_submission);
	b.len = right.len;
	assert_int_equal(buf_append(&b, LIT("\x50\x01")), 0); /* field 10 */
	assert_refused(buf_bytes(&b), "it has a field that is not known");
	buf_clear(&b);
	assert_int_equal(buf_append(&b, LIT("\x08\x81\x00")), 0); /* a number longer than it has to be */
	assert_int_equal(buf_append(&b, bytes_from(right, 2)), 0);
	assert_refused(buf_bytes(&b), no_submission);
	buf_clear(&b);
	assert_int_equal(buf_append(&b, right), 0);
	*(uint8_t *)memmem(b.data, b.len, "ssh", 3) = '\0';
	assert_refused(buf_bytes(&b), no_submission);
	sample_free(s);
}

TEST(what_breaks_a_rule_of_the_templates_is_refused)
{
	static const struct {
		const char *text, *why;
	} texts[] = {
		{ "a } b", "a template's braces are not right" },
		{ "a { b", "a template's braces are not right" },
		{ "{", "a template's braces are not right" },
		{ "{a", "a template's braces are not right" },
		{ "{a{b}}", "a template's braces are not right" },
		{ "{}", "a field has no proper name" },
		{ "{a b}", "a field has no proper name" },
		{ "{a:int}", "a field has no proper name" },
		{ "{x} {x}", "a name is there twice in one event, or is not for its submitter" },
		{ "{c0} {x}", "a name is there twice in one event, or is not for its submitter" },
		{ "{drill} {x}", "a name is there twice in one event, or is not for its submitter" },
		{ "\xc3(", no_submission },
		{ "{f0}{f1}{f2}{f3}{f4}{f5}{f6}{f7}{f8}{f9}{f10}{f11}{f12}{f13}{f14}{f15}{f16}{f17}{f18}{f19}{f20}"
		  "{f21}{f22}{f23}{f24}{f25}{f26}{f27}{f28}{f29}{f30}{f31}{f32}", "a template has more than 32 fields" },
	};
	struct sample *s;
	char *text;

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		s = sample_new(), s->templates[0].text = (char *)(uintptr_t)texts[i].text;
		assert_sample_refused(s, texts[i].why);
	}
	s = sample_new(), text = calloc(1, 4098);
	memset(text, 'x', 4097);
	s->templates[1].text = text;
	assert_sample_refused(s, "a template's text is too long");
	free(text);
	s = sample_new(), s->templates[1].kind = HALLMARK__V1__KIND__KIND_AUTHENTICATION;
	assert_sample_refused(s, "its submitter may not carry an event of that kind");
	s = sample_new(), s->templates[1].kind = (Hallmark__V1__Kind)(32 + HALLMARK__V1__KIND__KIND_FINDING);
	assert_sample_refused(s, "its submitter may not carry an event of that kind");
	s = sample_new(), s->templates[1].kind = (Hallmark__V1__Kind)-27;
	assert_sample_refused(s, "its submitter may not carry an event of that kind");
	s = sample_new(), s->templates[1].activity = (char *)(uintptr_t)"two words";
	assert_sample_refused(s, "an activity is no name");
	s = sample_new(), s->templates[1].outcome = 3;
	assert_sample_refused(s, "an outcome is none");
	s = sample_new(), s->templates[1].severity = 0;
	assert_sample_refused(s, "a severity is none");
	s = sample_new(), s->templates[1].severity = 5;
	assert_sample_refused(s, "a severity is none");
	s = sample_new(), s->templates[1].n_constants = 17;
	assert_sample_refused(s, "a template has more than 16 constants");
	s = sample_new(), s->constants[0].value = (char *)(uintptr_t)"\xff";
	assert_sample_refused(s, no_submission);
	s = sample_new(), s->constants[0].name[0] = ' ';
	assert_sample_refused(s, "a constant has no proper name");
}

TEST(what_breaks_a_rule_of_the_events_is_refused)
{
	struct sample *s;
	char *value = calloc(1, EVENT_RAW_MAX + 1);

	s = sample_new(), s->events[1].template_ = 2;
	assert_sample_refused(s, "an event has no template");
	s = sample_new(), s->events[1].template_ = UINT32_MAX;
	assert_sample_refused(s, "an event has no template");
	s = sample_new(), s->events[1].time_us = -1;
	assert_sample_refused(s, "an event has no proper time");
	s = sample_new(), s->events[0].n_values = 1;
	assert_sample_refused(s, "an event has not as many values as its template has fields");
	s = sample_new(), s->events[1].n_values = 1;
	assert_sample_refused(s, "an event has not as many values as its template has fields");
	s = sample_new(), s->values[1] = (char *)(uintptr_t)"\xed\xa0\x80";
	assert_sample_refused(s, no_submission);
	memset(value, 'x', EVENT_RAW_MAX);
	s = sample_new(), s->values[1] = value;
	assert_sample_refused(s, "an event is longer than 64 KiB");
	value[EVENT_RAW_MAX - strlen("check ssh {is}: ")] = '\0';
	s = sample_new(), s->values[1] = value;
	assert_int_equal(try_bytes(sample_pack(s), &(const char *){ NULL }), 0);
	sample_free(s);
	free(value);
}

TEST(many_small_messages_do_not_become_much_memory)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(SUBMISSION_SIZE_MAX + 2);

	while (b.len < SUBMISSION_SIZE_MAX)
		assert_int_equal(buf_append(&b, LIT("\x1a\x00")), 0);
	assert_refused(buf_bytes(&b), no_submission);
	assert_int_equal(buf_append(&b, LIT("\x1a")), 0);
	assert_refused(buf_bytes(&b), "it is larger than 256 KiB");
}

TEST(ever_new_names_of_fields_come_to_an_end)
{
	struct submission_rights may = { FINDING, { "drill", NULL }, 4 };
	char text[64];
	unsigned taken = 0;

	for (unsigned i = 0; i < 20; i++) {
		struct sample *sample = sample_new();
		struct submission *s = NULL;
		const char *why = NULL;

		(void)snprintf(text, sizeof text, "{check} {new_%u}", i);
		sample->templates[0].text = text;
		if (submission_read(sample_pack(sample), &may, &s, &why) == 0)
			taken++;
		else
			assert_string_equal(why, "its submitter has brought too many different names of fields");
		submission_free(s);
		sample_free(sample);
	}
	assert_in_range(taken, 3, 4); /* "check" may be new, too */
	assert_int_equal(may.names_left, 0);
}

/* --- the largest ones fit ------------------------------------------------------------------------------- */

static struct interpreter *interpreter;
static struct intake *in;

static void intake_setup(void)
{
	assert_int_equal(interpreter_new(&interpreter), 0);
	assert_int_equal(interpreter_ready(interpreter), 0);
	assert_int_equal(intake_new(interpreter, &in), 0);
}

static void intake_teardown(void)
{
	in = intake_free(in);
	interpreter = interpreter_free(interpreter);
}

/* As large as may be, with that many events of that many fields. */
static struct submission *largest(struct sample *s, size_t n_events, size_t n_fields)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(4096);
	struct submission_rights may = rights();
	struct submission *ret = NULL;
	const char *why = NULL;
	size_t len = SUBMISSION_SIZE_MAX / n_events / n_fields;
	char *value = calloc(1, len + 1);

	for (size_t i = 0; i < n_fields; i++)
		assert_int_equal(buf_printf(&text, "{f%zu}", i), 0);
	assert_int_equal(buf_byte(&text, '\0'), 0);
	for (size_t i = 0; i < len; i++)
		value[i] = (char)('0' + rand() % 64);
	for (size_t i = 0; i < n_fields; i++)
		s->values[i] = value;
	s->submission.n_templates = 64;
	for (size_t i = 0; i < 64; i++)
		s->templates[i].text = (char *)text.data;
	s->submission.n_events = n_events;
	for (size_t i = 0; i < n_events; i++) {
		s->events[i].template_ = (uint32_t)i % 64;
		s->events[i].n_values = n_fields;
	}
	while (hallmark__v1__submission__get_packed_size(&s->submission) > SUBMISSION_SIZE_MAX)
		value[--len] = '\0';
	assert_int_equal(submission_read(sample_pack(s), &may, &ret, &why), 0);
	free(value);
	return ret;
}

TEST(whatever_there_is_room_for_fits)
{
	static const size_t shapes[][2] = { { 256, 32 }, { 256, 1 }, { 5, 1 }, { 4, 30 }, { 256, 8 } };
	char filler[4000];

	for (size_t i = 0; i < ELEMENTSOF(shapes); i++) {
		struct sample *sample = sample_new();
		struct submission *s = largest(sample, shapes[i][0], shapes[i][1]);

		intake_setup();
		memset(filler, 'f', sizeof filler);
		/* just before there is no room any more */
		for (size_t n = 0; event_writer_size(intake_writer(in)) < 249000; n++) {
			filler[n] = 'F';
			assert_int_equal(intake_line(in, 1, bytes_of(filler, sizeof filler), NULL, 0), INTAKE_OK);
		}
		assert_true(intake_has_room_for_submission(in));
		assert_int_equal(intake_submission(in, 1, LIT("p"), s), INTAKE_OK);
		assert_false(intake_has_room_for_submission(in));
		assert_int_equal(intake_submission(in, 1, LIT("p"), s), INTAKE_FULL);
		event_writer_reset(intake_writer(in));
		assert_true(intake_has_room_for_submission(in));
		assert_int_equal(intake_submission(in, 1, LIT("p"), s), INTAKE_OK);
		assert_int_equal(event_writer_count(intake_writer(in)), s->n_events);
		assert_int_equal(event_writer_unknown(intake_writer(in)), 0);
		intake_teardown();
		submission_free(s);
		sample_free(sample);
	}
}

/* A line that may be continued is held, and has its place in this very batch. */
TEST(what_is_held_keeps_its_place_beside_a_submission)
{
	static char text[30000];
	struct sample *sample = sample_new();
	struct submission *s = largest(sample, 5, 1);
	size_t pid = 0;

	intake_setup();
	do {
		memset(text, 'x', sizeof text);
		(void)snprintf(text, sizeof text, "Nov 23 13:13:04 h sudo[%zu]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/", ++pid);
		text[strlen(text)] = 'x';
		assert_int_equal(intake_line(in, 2, bytes_of(text, sizeof text), NULL, 0), INTAKE_OK);
		assert_int_equal(event_writer_count(intake_writer(in)), 0); /* all of them are held */
	} while (intake_has_room_for_submission(in));
	assert_int_equal(intake_submission(in, 1, LIT("p"), s), INTAKE_FULL);
	assert_int_equal(intake_settle(in), INTAKE_OK);
	event_writer_reset(intake_writer(in));
	for (size_t i = 1; i < pid; i++) {
		(void)snprintf(text, sizeof text, "Nov 23 13:13:04 h sudo[%zu]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/", i);
		text[strlen(text)] = 'x';
		assert_int_equal(intake_line(in, 2, bytes_of(text, sizeof text), NULL, 0), INTAKE_OK);
	}
	assert_int_equal(intake_submission(in, 1, LIT("p"), s), INTAKE_OK);
	assert_int_equal(intake_settle(in), INTAKE_OK);
	assert_int_equal(event_writer_count(intake_writer(in)), s->n_events + pid - 1);
	intake_teardown();
	submission_free(s);
	sample_free(sample);
}
