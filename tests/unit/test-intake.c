/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>

#include "agent/base/clock.h"
#include "collectors/intake.h"
#include "proto/event_reader.h"

static const char templates_text[] =
	"sshd | authentication logon failure low | Failed {method:word} for {[invalid user ]}{user:last} from {src_ip} port {src_port} ssh2\n"
	"sshd | log other | Connection closed by {src_ip} port {src_port:word}{[ [preauth]]}\n"
	"sshd | log other | {{brace}} {detail}\n"
	"sudo | privilege privilege success | {:blanks}{user:word} : PWD={cwd} ; USER={target_user} ; COMMAND={command}\n"
	"* | log other | message repeated {repeat} times: [ {detail}]\n"
	"* | evidence_loss high | Missed {lost:int} messages\n";

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
	assert_int_equal(template_set_add(interpreter_templates(f->interpreter), bytes_str(templates_text), "test", NULL), 6);
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

/* --- lines in parts ------------------------------------------------------------------------------------ */

#define HEAD "2026-11-03T04:05:06.789012+00:00 golden "

static int take(struct fixture *f, const char *line)
{
	return intake_line(f->intake, 1, bytes_str(line), NULL, 0);
}

static size_t count(const struct fixture *f)
{
	return event_writer_count(intake_writer(f->intake));
}

TEST(the_parts_of_a_line_are_one_event_which_has_the_first_ones_header)
{
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(take(&f, HEAD "sudo[77]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/x a"), INTAKE_OK);
	assert_true(intake_due_us(f.intake) > clock_boot_us());
	assert_int_equal(take(&f, HEAD "sshd[1]: x"), INTAKE_OK);
	assert_int_equal(take(&f, "2026-11-03T04:05:07+00:00 golden sudo[77]:    alice : (command continued) b"), INTAKE_OK);
	assert_int_equal(count(&f), 1);
	assert_int_equal(intake_settle(f.intake), INTAKE_OK);
	assert_int_equal(intake_due_us(f.intake), 0);
	assert_int_equal(intake_counters(f.intake)->events, 2);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_PRIVILEGE);
	assert_bytes_equal(event_get(&e, "command"), "/bin/x a b");
	assert_bytes_equal(event_get(&e, "joined"), "yes");
	assert_bytes_equal(e.raw, HEAD "sudo[77]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/x a b");
	assert_int_equal(e.pid, 77);
	assert_int_equal(event_reader_next(f.reader, &e), 0);
	teardown(&f);
}

TEST(a_line_that_nothing_continues_is_the_event_that_it_always_was)
{
	struct bytes line = LIT(HEAD "sudo:    alice : PWD=/ ; USER=root ; COMMAND=/bin/x a");
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(intake_line(f.intake, 1, line, NULL, 0), INTAKE_OK);
	assert_int_equal(take(&f, HEAD "sudo: pam_unix(sudo:session): session opened for user root"), INTAKE_OK);
	assert_int_equal(count(&f), 2);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_true(bytes_eq(e.raw, line));
	assert_null(event_get(&e, "joined").data);
	teardown(&f);
}

static struct journal_entry entry(uint64_t uid, const char *message)
{
	struct journal_entry e = { .message = bytes_str(message),
				   .program = LIT("sudo"),
				   .host = LIT("golden"),
				   .provenance = PROVENANCE_NONE,
				   .time_us = INT64_C(1793678706789012),
				   .pid = 77 };

	e.provenance.uid = uid;
	e.provenance.transport = LIT("syslog");
	return e;
}

TEST(a_journal_entry_is_continued_by_its_sender_alone)
{
	struct journal_entry first = entry(1000, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x a");
	struct journal_entry forged = entry(1001, "   alice : (command continued) --harmless");
	struct journal_entry second = entry(1000, "   alice : (command continued) b");
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(intake_entry(f.intake, 1, &first), INTAKE_OK);
	assert_int_equal(intake_entry(f.intake, 1, &forged), INTAKE_OK);
	assert_int_equal(intake_entry(f.intake, 1, &second), INTAKE_OK);
	assert_int_equal(count(&f), 1);
	assert_int_equal(intake_settle(f.intake), INTAKE_OK);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_bytes_equal(e.message, "   alice : (command continued) --harmless");
	assert_int_equal(e.origin.provenance.uid, 1001);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_bytes_equal(event_get(&e, "command"), "/bin/x a b");
	assert_int_equal(e.origin.provenance.uid, 1000);
	teardown(&f);
}

struct stream {
	struct fixture f;
	size_t events, joined, batches;
};

/* As the recorder closes a batch: what is held goes into it. */
static void close_batch(struct stream *s)
{
	struct event e;

	assert_int_equal(intake_settle(s->f.intake), INTAKE_OK);
	read_back(&s->f);
	while (event_reader_next(s->f.reader, &e) == 1) {
		s->events++;
		s->joined += event_get(&e, "joined").len > 0;
	}
	s->batches++;
}

static void stream_take(struct stream *s, struct bytes line)
{
	int r = intake_line(s->f.intake, 1, line, NULL, 0);

	if (r == INTAKE_FULL) {
		close_batch(s);
		r = intake_line(s->f.intake, 1, line, NULL, 0);
	}
	assert_int_equal(r, INTAKE_OK);
}

/* Whatever fills a batch, what is held has a place in it, and no boundary comes between two parts. */
TEST(a_batch_that_fills_up_keeps_room_for_what_is_held)
{
	static char text[60000];
	struct stream s = { 0 };
	size_t lines = 0, pairs = 0;

	setup(&s.f);
	memset(text, 'x', sizeof text);
	for (unsigned i = 0; i < 4000; i++) {
		unsigned pid = 1 + i % 40, len;
		char head[80];

		(void)snprintf(head, sizeof head, HEAD "sudo[%u]:    alice : ", pid);
		for (int part = 0; part < 2 - (int)(i % 3 == 0); part++, lines++) {
			len = 100 + (i * 7919 + (unsigned)part * 104729) % (i % 5 == 0 ? 30000 : 900);
			(void)snprintf(text, sizeof text, "%s%s%u", head,
				       part ? "(command continued) " : "PWD=/ ; USER=root ; COMMAND=/bin/x ", i);
			text[strlen(text)] = 'x';
			stream_take(&s, bytes_of(text, len));
			memset(text, 'x', 120);
			pairs += (unsigned)part;
		}
	}
	close_batch(&s);
	assert_true(s.batches > 5);
	assert_int_equal(s.joined, pairs);
	assert_int_equal(s.events, lines - pairs);
	assert_int_equal(intake_counters(s.f.intake)->events, s.events);
	teardown(&s.f);
}

/* Lines of other programs leave room for what is held, and for what the agent itself has to say. */
TEST(what_is_held_finds_its_place_in_a_batch_that_others_filled)
{
	static char text[EVENT_RAW_MAX - 64];
	struct long_line longer = { .length = 1000000 };
	struct stream s = { 0 };
	size_t lines = 0;
	int r = INTAKE_OK;

	setup(&s.f);
	for (unsigned pid = 1; pid <= 8; pid++) {
		memset(text, 'x', 30000);
		(void)snprintf(text, sizeof text, HEAD "sudo[%u]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/%u", pid, pid);
		text[strlen(text)] = 'x';
		assert_int_equal(intake_line(s.f.intake, 1, bytes_of(text, 30000), NULL, 0), INTAKE_OK);
	}
	assert_int_equal(count(&s.f), 0);
	for (; r == INTAKE_OK; lines++) {
		memset(text, (int)('a' + lines), sizeof text);
		memcpy(text, HEAD "sshd[1]: ", sizeof HEAD - 1 + 9);
		r = intake_line(s.f.intake, 1, bytes_of(text, sizeof text), NULL, 0);
	}
	assert_int_equal(r, INTAKE_FULL);
	assert_in_range(lines, 4, 9);
	assert_int_equal(intake_line(s.f.intake, 1, bytes_of(text, sizeof text), &longer, 0), INTAKE_FULL);
	r = INTAKE_OK;
	for (size_t i = 0; i < 4000 && r == INTAKE_OK; i++, lines++) {
		(void)snprintf(text, sizeof text, "%zu", i);
		r = intake_own(s.f.intake, 0, OWN_STOPPED, (struct bytes[]){ bytes_of(text, 1000) });
	}
	assert_int_equal(r, INTAKE_FULL);
	assert_int_equal(intake_settle(s.f.intake), INTAKE_OK);
	assert_int_equal(count(&s.f), lines - 2 + 8);
	/* typed, not just stored */
	assert_int_equal(intake_counters(s.f.intake)->unknown, lines - 2 - (size_t)intake_counters(s.f.intake)->by_source[0]);
	teardown(&s.f);
}

/* --- repetitions --------------------------------------------------------------------------------------- */

TEST(a_repetition_means_what_is_repeated)
{
	struct bytes line = LIT(HEAD "sshd[1]: message repeated 5 times: [ Failed password for bob from 203.0.113.7 port 5 ssh2]");
	struct fixture f;
	struct event e;

	setup(&f);
	assert_int_equal(intake_line(f.intake, 1, line, NULL, 0), INTAKE_OK);
	read_back(&f);
	assert_int_equal(event_reader_next(f.reader, &e), 1);
	assert_int_equal(e.meaning.outcome, HALLMARK__V1__OUTCOME__OUTCOME_FAILURE);
	assert_string_equal(e.fields[0].name, "repeat");
	assert_bytes_equal(e.fields[0].value, "5");
	assert_bytes_equal(event_get(&e, "user"), "bob");
	assert_true(bytes_eq(e.raw, line));
	teardown(&f);
}

TEST(what_is_no_repetition_of_a_known_message_stays_as_it_is)
{
	static const char *const messages[] = {
		"message repeated 5 times: [ what nobody knows]",
		"message repeated 5 times: [ message repeated 5 times: [ Failed password for bob from 203.0.113.7 port 5 ssh2]]",
		"message repeated five times: [ Failed password for bob from 203.0.113.7 port 5 ssh2]",
		"message repeated 99999999999999999999 times: [ Failed password for bob from 203.0.113.7 port 5 ssh2]",
		"message repeated 5 times: [ Failed password for bob from 203.0.113.7 port 5 ssh2",
		"message repeated 5 times: [ Failed password for bob from 203.0]",
		"message repeated 5 times: [ ",
		"message repeated 5 times: []",
		"message repeated  times: [ Failed password for bob from 203.0.113.7 port 5 ssh2]",
		"message repeated ",
	};

	for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
		char line[256];
		struct fixture f;
		struct event e;

		setup(&f);
		(void)snprintf(line, sizeof line, HEAD "sshd[1]: %s", messages[i]);
		assert_int_equal(take(&f, line), INTAKE_OK);
		read_back(&f);
		assert_int_equal(event_reader_next(f.reader, &e), 1);
		assert_int_equal(e.meaning.kind, HALLMARK__V1__KIND__KIND_LOG);
		assert_true(bytes_eq(e.raw, bytes_str(line)));
		teardown(&f);
	}
}

/* --- what is left out ---------------------------------------------------------------------------------- */

static void setup_excluding(struct fixture *f, const char *const *entries, size_t n)
{
	setup(f);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(interpreter_exclude(f->interpreter, entries[i]), 0);
}

TEST(what_is_left_out_is_no_event_and_is_counted_by_entry)
{
	static const char *const entries[] = { "CRON", "sshd: Connection closed by {src_ip}", "sys*", "sshd: {{brace}}", "*: {message}" };
	static const char *const left_out[] = { "CRON[5]: anything", "sshd[5]: Connection closed by 192.0.2.1 port 5",
						"systemd[1]: x", "sshd[5]: {brace} x" };
	static const char *const kept[] = { "CRONY: x", "cron: x", "sshd[5]: Failed password for bob from 203.0.113.7 port 5 ssh2",
					    "sshd[5]: Connection closed by nobody", "sy: x",
					    "sshd[5]: Failed password for Connection closed by 192.0.2.1 port 5 from 203.0.113.7 port 5 ssh2",
					    "xsshd[5]: Connection closed by 192.0.2.1 port 5", "systemd[1]: Missed 5 messages" };
	struct fixture f;
	char line[200];

	setup_excluding(&f, entries, ELEMENTSOF(entries));
	for (size_t i = 0; i < ELEMENTSOF(left_out); i++) {
		(void)snprintf(line, sizeof line, HEAD "%s", left_out[i]);
		assert_int_equal(take(&f, line), INTAKE_OK);
		assert_int_equal(intake_excluded(f.intake).counts[i], 1);
	}
	assert_int_equal(take(&f, HEAD "sshd[5]: message repeated 2 times: [ Connection closed by 192.0.2.1 port 5 [preauth]]"), INTAKE_OK);
	assert_int_equal(intake_excluded(f.intake).counts[1], 2);
	assert_int_equal(count(&f), 0);
	for (size_t i = 0; i < ELEMENTSOF(kept); i++) {
		(void)snprintf(line, sizeof line, HEAD "%s", kept[i]);
		assert_int_equal(take(&f, line), INTAKE_OK);
		assert_int_equal(count(&f), i + 1);
	}
	assert_int_equal(intake_counters(f.intake)->excluded, 5);
	assert_int_equal(intake_counters(f.intake)->events, ELEMENTSOF(kept));
	assert_int_equal(intake_excluded(f.intake).n, ELEMENTSOF(entries));
	assert_string_equal(intake_excluded(f.intake).entries[0], "CRON");
	intake_excluded_reset(f.intake);
	assert_int_equal(intake_excluded(f.intake).counts[1], 0);
	teardown(&f);
}

TEST(a_line_in_parts_is_left_out_once_and_whole)
{
	static const char *const entries[] = { "sudo: {blanks}{user} : PWD=" };
	struct fixture f;

	setup_excluding(&f, entries, 1);
	assert_int_equal(take(&f, HEAD "sudo[7]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/x a"), INTAKE_OK);
	assert_int_equal(take(&f, HEAD "sudo[7]:    alice : (command continued) b"), INTAKE_OK);
	assert_int_equal(intake_settle(f.intake), INTAKE_OK);
	assert_int_equal(count(&f), 0);
	assert_int_equal(intake_excluded(f.intake).counts[0], 1);
	teardown(&f);
}

TEST(an_entry_names_a_tag_or_a_tag_and_how_a_template_begins)
{
	static const char *const good[] = { "CRON", "a", "sys*", "sshd: x", "sshd: x: y", "*: x", "polkitd(a=b): {x}" };
	static const char *const bad[] = { "", "*", ":", ": x", "sshd:", "sshd: ", "sshd:x", "ss hd", "a,b", "sshd x", "a\xff" };
	struct exclusion e;
	char text[EXCLUDE_TEXT_MAX + 2];

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_int_equal(exclusion_parse(good[i], &e), 0);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_int_equal(exclusion_parse(bad[i], &e), -EINVAL);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(exclusion_parse(text, &e), -EINVAL);
	assert_int_equal(exclusion_parse(text + 1, &e), 0);
}
