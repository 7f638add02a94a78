/* SPDX-License-Identifier: Apache-2.0 */
/* Names of fields and enumerations, and stamps as text. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "agent/base/macro.h"
#include "proto/event_writer.h"

#define NONE HALLMARK__V1__STAMP__STAMP_NONE
#define RFC3164 HALLMARK__V1__STAMP__STAMP_RFC3164
#define ISO HALLMARK__V1__STAMP__STAMP_ISO8601
#define ISO_Z HALLMARK__V1__STAMP__STAMP_ISO8601_Z

TEST(every_word_of_the_enumerations_means_its_number)
{
	for (unsigned i = 0; i <= HALLMARK__V1__KIND__KIND_LIFECYCLE; i++) {
		Hallmark__V1__Kind kind;

		assert_int_equal(kind_from_name(bytes_str(kind_name((Hallmark__V1__Kind)i)), &kind), 0);
		assert_int_equal(kind, i);
	}
	for (unsigned i = 0; i <= HALLMARK__V1__OUTCOME__OUTCOME_FAILURE; i++) {
		Hallmark__V1__Outcome outcome;

		assert_int_equal(outcome_from_name(bytes_str(outcome_name((Hallmark__V1__Outcome)i)),
						   &outcome),
				 0);
		assert_int_equal(outcome, i);
	}
	for (unsigned i = 0; i <= HALLMARK__V1__SEVERITY__SEVERITY_HIGH; i++) {
		Hallmark__V1__Severity severity;

		assert_int_equal(severity_from_name(bytes_str(severity_name((Hallmark__V1__Severity)i)),
						    &severity),
				 0);
		assert_int_equal(severity, i);
	}
	assert_string_equal(kind_name(HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS), "evidence_loss");
	assert_string_equal(outcome_name(HALLMARK__V1__OUTCOME__OUTCOME_NONE), "");
	assert_string_equal(severity_name(HALLMARK__V1__SEVERITY__SEVERITY_HIGH), "high");
}

TEST(words_and_numbers_that_are_none_are_told)
{
	Hallmark__V1__Kind kind = HALLMARK__V1__KIND__KIND_SESSION;
	Hallmark__V1__Outcome outcome;
	Hallmark__V1__Severity severity;

	assert_int_equal(kind_from_name(LIT("logon"), &kind), -EINVAL);
	assert_int_equal(kind_from_name(LIT("lo"), &kind), -EINVAL);
	assert_int_equal(kind_from_name(LIT("Log"), &kind), -EINVAL);
	assert_int_equal(kind_from_name(LIT("unknown"), &kind), -EINVAL);
	assert_int_equal(kind, HALLMARK__V1__KIND__KIND_SESSION);
	assert_int_equal(outcome_from_name(LIT("none"), &outcome), -EINVAL);
	assert_int_equal(severity_from_name(LIT(""), &severity), -EINVAL);
	assert_string_equal(kind_name((Hallmark__V1__Kind)10), "unknown");
	assert_string_equal(kind_name((Hallmark__V1__Kind)-1), "unknown");
	assert_string_equal(outcome_name((Hallmark__V1__Outcome)3), "unknown");
	assert_string_equal(severity_name((Hallmark__V1__Severity)5), "unknown");
}

TEST(a_field_name_keeps_its_number)
{
	int id = event_field_id("user");

	assert_int_equal(event_field_id("message"), 0);
	assert_in_range(id, 1, 255);
	assert_int_equal(event_field_id("user"), id);
	assert_string_equal(event_field_name((unsigned)id), "user");
	assert_int_not_equal(event_field_id("user2"), id);
	assert_null(event_field_name(255));
}

TEST(what_cannot_stand_between_braces_is_no_field_name)
{
	static const char *const names[] = {
		"",    "a b",	   "a}",  "{a",
		"a\n", "\xc3\xa9", "a:b", "a23456789_123456789_123456789_123456789_123456789_123456789_12345"
	};

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		assert_false(event_name_ok(names[i]));
		assert_int_equal(event_field_id(names[i]), -EINVAL);
	}
	assert_true(event_name_ok("a23456789_123456789_123456789_123456789_123456789_123456789_1234"));
	assert_true(event_name_ok("A-z.0_9"));
}

TEST(there_are_256_field_names)
{
	char name[32];
	int r = 0, n = 0;

	while (r >= 0 && n < 300) {
		(void)snprintf(name, sizeof name, "field%d", n++);
		r = event_field_id(name);
	}
	assert_int_equal(r, -ENOSPC);
	assert_non_null(event_field_name(255));
	assert_null(event_field_name(256));
	assert_int_equal(event_field_id("message"), 0);
}

TEST(an_event_is_asked_for_fields_first_and_facts_second)
{
	static const struct event_constant constants[] = { { "user", "nobody" }, { "method", "password" } };
	struct event e = { .n_fields = 2, .meaning = { .constants = constants, .n_constants = 2 } };

	e.fields[0] = (struct event_field){ "user", LIT("root") };
	e.fields[1] = (struct event_field){ "user", LIT("second") };
	assert_bytes_equal(event_get(&e, "user"), "root");
	assert_bytes_equal(event_get(&e, "method"), "password");
	assert_null(event_get(&e, "use").data);
}

/* --- stamps -------------------------------------------------------------------------------- */

#define NOON INT64_C(1793678706) /* 2026-11-03 04:05:06 UTC */

TEST(stamps_are_written_as_the_sources_write_them)
{
	static const struct {
		int64_t time_us;
		Hallmark__V1__Stamp stamp;
		unsigned digits;
		int offset;
		const char *text;
	} cases[] = {
		{ NOON * 1000000, RFC3164, 0, 0, "Nov  3 04:05:06" },
		{ (NOON + 20 * 86400) * 1000000, RFC3164, 0, 0, "Nov 23 04:05:06" },
		{ NOON * 1000000, RFC3164, 0, -300, "Nov  2 23:05:06" },
		{ NOON * 1000000 + 1, RFC3164, 0, 0, "" },
		{ NOON * 1000000, RFC3164, 1, 0, "" },
		{ NOON * 1000000 + 789012, ISO, 6, 0, "2026-11-03T04:05:06.789012+00:00" },
		{ NOON * 1000000 + 789012, ISO, 9, 330, "2026-11-03T09:35:06.789012000+05:30" },
		{ NOON * 1000000 + 789000, ISO, 3, -90, "2026-11-03T02:35:06.789-01:30" },
		{ NOON * 1000000 + 789012, ISO, 3, 0, "" },
		{ NOON * 1000000 + 789500, ISO, 3, 0, "" },
		{ NOON * 1000000 + 500000, ISO, 0, 0, "" },
		{ NOON * 1000000 + 789012, ISO, 10, 0, "" },
		{ NOON * 1000000, ISO, 0, 0, "2026-11-03T04:05:06+00:00" },
		{ NOON * 1000000, ISO, 0, 1439, "2026-11-04T04:04:06+23:59" },
		{ NOON * 1000000, ISO, 0, 1440, "" },
		{ NOON * 1000000, ISO, 0, -1440, "" },
		{ NOON * 1000000, ISO, 0, INT32_MIN, "" },
		{ NOON * 1000000 + 500000, ISO_Z, 1, 0, "2026-11-03T04:05:06.5Z" },
		{ NOON * 1000000, ISO_Z, 0, 60, "" },
		{ NOON * 1000000, NONE, 0, 0, "" },
		{ NOON * 1000000, (Hallmark__V1__Stamp)4, 0, 0, "" },
		{ NOON * 1000000, (Hallmark__V1__Stamp)-1, 0, 0, "" },
		{ 0, ISO_Z, 0, 0, "1970-01-01T00:00:00Z" },
		{ -1, ISO_Z, 6, 0, "1969-12-31T23:59:59.999999Z" },
		{ -1, ISO_Z, 0, 0, "" },
		{ INT64_C(253402300799) * 1000000, ISO_Z, 0, 0, "9999-12-31T23:59:59Z" },
		{ INT64_C(253402300800) * 1000000, ISO_Z, 0, 0, "" },
		{ INT64_C(253402300799) * 1000000, ISO, 0, 1, "" },
		{ -INT64_C(62135596800) * 1000000, ISO_Z, 0, 0, "0001-01-01T00:00:00Z" },
		{ -INT64_C(62135596801) * 1000000, ISO_Z, 0, 0, "" },
		{ INT64_MAX, ISO, 6, 1439, "" },
		{ INT64_MIN, ISO, 6, -1439, "" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		char text[STAMP_TEXT_MAX];
		size_t n = stamp_render(cases[i].stamp, cases[i].digits, cases[i].offset, cases[i].time_us,
					text);

		assert_int_equal(n, strlen(cases[i].text));
		if (n > 0)
			assert_memory_equal(text, cases[i].text, n);
	}
}

/* The C library has calendars too. */
TEST(stamps_agree_with_strftime)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < 20000; i++) {
		char ours[STAMP_TEXT_MAX], theirs[64];
		int64_t seconds;
		struct tm tm;
		time_t t;

		state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		seconds = (int64_t)(state >> 11) % INT64_C(315537897600) - INT64_C(62135596800);
		t = (time_t)seconds;
		assert_non_null(gmtime_r(&t, &tm));
		ours[stamp_render(ISO_Z, 0, 0, seconds * 1000000, ours)] = '\0';
		(void)snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
			       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_string_equal(ours, theirs);
		ours[stamp_render(RFC3164, 0, 0, seconds * 1000000, ours)] = '\0';
		assert_in_range(strftime(theirs, sizeof theirs, "%b %e %H:%M:%S", &tm), 1, sizeof theirs);
		assert_string_equal(ours, theirs);
	}
}
