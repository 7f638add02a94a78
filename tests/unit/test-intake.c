/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "collectors/intake.h"
#include "proto/event_reader.h"

static const char templates_text[] =
	"sshd | authentication logon failure low | Failed {method:word} for {[invalid user ]}{user:last} from {src_ip} port {src_port} ssh2\n";

struct fixture {
	struct interpreter *interpreter;
	struct intake *intake;
	struct buf plain;
	struct event_reader *reader;
};

static void setup(struct fixture *f)
{
	*f = (struct fixture){ .plain = BUF_INIT(BATCH_EXPANDED_MAX) };
	assert_int_equal(interpreter_new(&f->interpreter), 0);
	assert_int_equal(template_set_add(interpreter_templates(f->interpreter), bytes_str(templates_text), "test", NULL), 1);
	assert_int_equal(interpreter_ready(f->interpreter), 0);
	assert_int_equal(intake_new(f->interpreter, &f->intake), 0);
}

/* Closes the batch, and opens it for reading. */
static void read_back(struct fixture *f)
{
	int64_t now = clock_wall_us();

	buf_clear(&f->plain);
	f->reader = event_reader_free(f->reader);
	assert_int_equal(event_writer_finish(intake_writer(f->intake), now, &f->plain), 0);
	event_writer_reset(intake_writer(f->intake));
	assert_int_equal(event_reader_new(buf_bytes(&f->plain), now, &f->reader), 0);
}

static void teardown(struct fixture *f)
{
	event_reader_free(f->reader);
	intake_free(f->intake);
	interpreter_free(f->interpreter);
	buf_done(&f->plain);
}

TEST(a_known_line_comes_back_typed_and_to_the_letter)
{
	struct bytes line = LIT("2026-11-03T04:05:06.789012+00:00 golden sshd[812]: Failed password for invalid user bob from 203.0.113.7 port 50022 ssh2");
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(intake_line(f.intake, 1, line, NULL, 0), INTAKE_OK);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_AUTHENTICATION);
	assert_int_equal(e.meaning.outcome, HALLMARK__V1__OUTCOME__OUTCOME_FAILURE);
	assert_int_equal(e.origin.source, 1);
	assert_int_equal(e.pid, 812);
	assert_true(e.time_us == INT64_C(1793678706789012));
	assert_bytes_equal(event_get(&e, "user"), "bob");
	assert_bytes_equal(event_get(&e, "src_ip"), "203.0.113.7");
	assert_true(bytes_eq(e.raw, line));
	assert_int_equal(event_reader_next(f.reader, &e), 0);
	teardown(&f);
}

TEST(an_unknown_line_is_a_log_record_and_is_counted)
{
	struct bytes line = LIT("Nov  3 04:05:06 golden blorb: \x01 what nobody \xff knows");
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(intake_line(f.intake, 1, line, NULL, 0), INTAKE_OK);
	assert_int_equal(intake_counters(f.intake)->unknown, 1);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_LOG);
	assert_bytes_equal(e.origin.program, "blorb");
	assert_true(bytes_eq(e.raw, line));
	teardown(&f);
}

TEST(a_stamp_without_a_year_is_read_rightly_behind_an_event_of_our_own)
{
	const struct bytes values[8] = { LIT("a"), LIT("b"), LIT("c"), LIT("d") };
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(intake_own(f.intake, 0, OWN_STARTED, values), INTAKE_OK);
	assert_int_equal(intake_line(f.intake, 1, LIT("Nov  3 04:05:06 golden sshd[1]: x"), NULL, 0), INTAKE_OK);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_true(e.time_us > clock_wall_us() - INT64_C(367) * 86400 * 1000000);
	assert_true(e.time_us < clock_wall_us() + INT64_C(2) * 86400 * 1000000);
	teardown(&f);
}

TEST(a_line_older_than_the_start_is_passed_over_as_if_counted)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(intake_line(f.intake, 1, LIT("2020-01-01T00:00:00+00:00 golden sshd[1]: old"), NULL, clock_wall_us()),
			 INTAKE_OK);
	assert_int_equal(event_writer_count(intake_writer(f.intake)), 0);
	assert_int_equal(intake_counters(f.intake)->events, 0);
	teardown(&f);
}

TEST(a_cut_line_declares_what_was_cut_in_the_same_batch)
{
	static uint8_t long_text[EVENT_RAW_MAX];
	struct long_line longer = { .length = 1000000, .digest = { 0xab } };
	struct fixture f;
	struct event e;

	setup(&f);
	memset(long_text, 'x', sizeof long_text);
	assert_int_equal(intake_line(f.intake, 1, bytes_of(long_text, sizeof long_text), &longer, 0), INTAKE_OK);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(e.raw.len, EVENT_RAW_MAX);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS);
	assert_int_equal(e.origin.source, 1);
	assert_bytes_equal(event_get(&e, "loss_reason"), "line_too_long");
	assert_bytes_equal(event_get(&e, "loss_amount"), "934464");
	assert_true(memmem(e.message.data, e.message.len, "abab", 4) == NULL);
	assert_non_null(memmem(e.message.data, e.message.len, "SHA-256 of the whole line is ab00", 33));
	teardown(&f);
}

TEST(a_full_batch_says_so_and_does_not_count_the_line)
{
	static uint8_t text[60000];
	struct fixture f;
	uint64_t counted = 0, read = 0;
	struct event e;
	int r;

	setup(&f);
	memset(text, 'x', sizeof text);
	/* no two alike: a value that repeats the one before it takes no room */
	while ((text[0] = (uint8_t)('!' + counted % 90),
		r = intake_line(f.intake, 1, bytes_of(text, sizeof text), NULL, 0)) == INTAKE_OK)
		counted++;
	assert_int_equal(r, INTAKE_FULL);
	assert_in_range(counted, 5, 200);
	assert_int_equal(intake_counters(f.intake)->events, counted);
	read_back(&f);
	while ((r = event_reader_next(f.reader, &e)) == 1)
		read++;
	assert_int_equal(r, 0);
	assert_int_equal(read, counted);
	assert_int_equal(intake_line(f.intake, 1, bytes_of(text, sizeof text), NULL, 0), INTAKE_OK);
	teardown(&f);
}

TEST(every_event_of_our_own_can_be_written_and_read)
{
	const struct bytes values[8] = { LIT("a"), LIT("b"), LIT("c"), LIT("d"), LIT("e"), LIT("f"), LIT("g"), LIT("h") };
	struct fixture f;
	struct event e;
	int n = 0, r;

	setup(&f);
	for (int which = 0; which < OWN_EVENT_MAX; which++)
		assert_int_equal(intake_own(f.intake, 0, (enum own_event)which, values), INTAKE_OK);
	read_back(&f);
	while ((r = event_reader_next(f.reader, &e)) == 1) {
		assert_bytes_equal(e.origin.program, "hallmark");
		assert_string_not_equal(e.meaning.activity, "");
		assert_in_range(e.meaning.severity, HALLMARK__V1__SEVERITY__SEVERITY_INFO, HALLMARK__V1__SEVERITY__SEVERITY_HIGH);
		assert_in_range(e.n_fields, 1, 8);
		n++;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, OWN_EVENT_MAX);
	teardown(&f);
}
