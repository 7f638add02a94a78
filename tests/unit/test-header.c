/* SPDX-License-Identifier: Apache-2.0 */
/* What stands before a message: every form that programs write, and that nothing of a line is lost or
 * invented. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/text.h"
#include "collectors/header.h"

#define NONE HALLMARK__V1__STAMP__STAMP_NONE
#define RFC3164 HALLMARK__V1__STAMP__STAMP_RFC3164
#define ISO HALLMARK__V1__STAMP__STAMP_ISO8601
#define ISO_Z HALLMARK__V1__STAMP__STAMP_ISO8601_Z

#define NOW_US (INT64_C(1795438800) * 1000000) /* 2026-11-23 13:00:00 UTC */

static void set_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

static void append(struct buf *out, struct bytes b)
{
	assert_int_equal(buf_append(out, b), 0);
}

/* The contract: the parts are the line to the letter; a stamp, and a pid, give their very text back. */
static void check_parts(struct bytes line, const struct parsed_line *p)
{
	_cleanup_(buf_done) struct buf again = BUF_INIT(1 << 20);
	char text[STAMP_TEXT_MAX + 16];

	append(&again, p->header.before);
	append(&again, p->header.time);
	append(&again, p->header.between);
	append(&again, p->header.pid_text);
	append(&again, p->header.after);
	append(&again, p->message);
	assert_int_equal(again.len, line.len);
	if (line.len > 0)
		assert_memory_equal(again.data, line.data, line.len);
	if (p->header.stamp != NONE) {
		size_t n = stamp_render(p->header.stamp, p->header.fraction_digits, p->header.utc_offset_min,
					p->time_us, text);

		assert_true(p->has_time);
		assert_int_equal(n, p->header.time.len);
		assert_memory_equal(text, p->header.time.data, n);
	} else {
		assert_int_equal(p->header.time.len, 0);
	}
	assert_int_equal(p->header.has_pid, p->pid > 0);
	if (p->pid > 0) {
		assert_int_equal(snprintf(text, sizeof text, "%u", p->pid), p->header.pid_text.len);
		assert_memory_equal(text, p->header.pid_text.data, p->header.pid_text.len);
	} else {
		assert_int_equal(p->header.pid_text.len, 0);
	}
	if (!p->has_time)
		assert_int_equal(p->time_us, 0);
}

static struct parsed_line parsed(const char *line)
{
	struct header_clock clock = { .now_us = NOW_US };
	struct parsed_line p, again;

	header_parse(&clock, bytes_str(line), &p);
	check_parts(bytes_str(line), &p);
	/* the clock remembers the time's text: the second time is another way through */
	header_parse(&clock, bytes_str(line), &again);
	check_parts(bytes_str(line), &again);
	assert_int_equal(p.time_us, again.time_us);
	assert_int_equal(p.header.stamp, again.header.stamp);
	assert_int_equal(p.message.len, again.message.len);
	return p;
}

/* time, or "-"; host, program, pid, message */
static void check_line(const char *line, const char *expected)
{
	struct parsed_line p = parsed(line);
	char time[TEXT_TIME_MAX] = "-", found[1024];

	if (p.has_time)
		(void)text_time(p.time_us, time);
	(void)snprintf(found, sizeof found, "%s|%.*s|%.*s|%u|%.*s", time, (int)p.host.len,
		       (const char *)p.host.data, (int)p.program.len, (const char *)p.program.data, p.pid,
		       (int)p.message.len, (const char *)p.message.data);
	if (strcmp(found, expected) != 0)
		fail_msg("%s\n   is %s\n  not %s", line, found, expected);
}

TEST(every_form_of_header_is_understood)
{
	static const char *const cases[][2] = {
		/* RFC 3164, and days that are not padded, or padded with 0 */
		{ "Nov  3 04:05:06 web1 sshd[17]: a b", "2026-11-03T04:05:06.000000Z|web1|sshd|17|a b" },
		{ "Nov 23 04:05:06 web1 sudo: a", "2026-11-23T04:05:06.000000Z|web1|sudo|0|a" },
		{ "Feb 7 16:01:07 h sshd[5]: a", "2026-02-07T16:01:07.000000Z|h|sshd|5|a" },
		{ "Jul 05 18:22:44 h sshd[5]: a", "2026-07-05T18:22:44.000000Z|h|sshd|5|a" },
		{ "Nov  3 04:05:06 h sudo:    alice : b",
		  "2026-11-03T04:05:06.000000Z|h|sudo|0|   alice : b" },
		{ "<38>Nov  3 04:05:06 h su: a", "2026-11-03T04:05:06.000000Z|h|su|0|a" },
		{ "Nov  3 04:05:06 h pop(pam_unix)[4920]: a",
		  "2026-11-03T04:05:06.000000Z|h|pop(pam_unix)|4920|a" },
		{ "Nov  3 04:05:06 h postfix/smtpd[1]: a",
		  "2026-11-03T04:05:06.000000Z|h|postfix/smtpd|1|a" },
		{ "Nov  3 04:05:06 2001:db8::1 sshd[1]: a",
		  "2026-11-03T04:05:06.000000Z|2001:db8::1|sshd|1|a" },
		{ "Nov  3 04:05:06.123 h sshd[1]: a", "2026-11-03T04:05:06.123000Z|h|sshd|1|a" },
		{ "Nov  3 04:05:06 h sshd[1]:", "2026-11-03T04:05:06.000000Z|h|sshd|1|" },
		{ "Nov  3 04:05:06 h sshd[1]: ", "2026-11-03T04:05:06.000000Z|h|sshd|1|" },
		{ "Nov  3 04:05:06 h sshd[1] a", "2026-11-03T04:05:06.000000Z|h|sshd|1|a" },
		{ "Nov  3 04:05:06 h foo::bar[1]: a", "2026-11-03T04:05:06.000000Z|h|foo::bar|1|a" },
		{ "Nov  3 04:05:06 h sshd[1]:a", "2026-11-03T04:05:06.000000Z|h|sshd|1|a" },
		/* the year is the one that is nearest before now; a day ahead is a clock that is ahead */
		{ "Nov 24 12:59:59 h a: b", "2026-11-24T12:59:59.000000Z|h|a|0|b" },
		{ "Nov 24 13:00:01 h a: b", "2025-11-24T13:00:01.000000Z|h|a|0|b" },
		{ "Dec 31 23:59:59 h a: b", "2025-12-31T23:59:59.000000Z|h|a|0|b" },
		{ "Feb 29 00:00:00 h a: b", "2024-02-29T00:00:00.000000Z|h|a|0|b" },
		/* ISO 8601 as rsyslog writes it, and its relatives */
		{ "2026-11-23T12:00:00.123456+00:00 h sshd[1]: a", "2026-11-23T12:00:00.123456Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00+02:00 h sshd[1]: a", "2026-11-23T10:00:00.000000Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00.5-05:30 h sshd[1]: a", "2026-11-23T17:30:00.500000Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00.1Z h sshd[1]: a", "2026-11-23T12:00:00.100000Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00Z h sshd[1]: a", "2026-11-23T12:00:00.000000Z|h|sshd|1|a" },
		{ "2026-11-23 12:00:00.1+00:00 h sshd[1]: a", "2026-11-23T12:00:00.100000Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00 h sshd[1]: a", "2026-11-23T12:00:00.000000Z|h|sshd|1|a" },
		{ "2026-11-23 12:00:00,250 h sshd[1]: a", "2026-11-23T12:00:00.250000Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00.123456789+00:00 h sshd[1]: a",
		  "2026-11-23T12:00:00.123456Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00+0100 h sshd[1]: a", "2026-11-23T11:00:00.000000Z|h|sshd|1|a" },
		{ "2026-11-23T12:00:00-00:00 h sshd[1]: a", "2026-11-23T12:00:00.000000Z|h|sshd|1|a" },
		/* parts that are missing */
		{ "Nov 23 04:05:06 sshd[8148]: a", "2026-11-23T04:05:06.000000Z||sshd|8148|a" },
		{ "Nov 23 04:05:06 [sshd]: User root", "2026-11-23T04:05:06.000000Z||sshd|0|User root" },
		{ "Nov 23 04:05:06 [sshd] User root", "2026-11-23T04:05:06.000000Z||sshd|0|User root" },
		{ "Nov 23 04:05:06 h [sshd] User root", "2026-11-23T04:05:06.000000Z|h|sshd|0|User root" },
		{ "Nov 23 04:05:06 h -- root[17]: ROOT LOGIN", "2026-11-23T04:05:06.000000Z|h|login|17|ROOT LOGIN" },
		{ "Nov 23 04:05:06 h  -- root[17]: ROOT LOGIN", "2026-11-23T04:05:06.000000Z|h|login|17|ROOT LOGIN" },
		{ "Nov 23 04:05:06 h -- a b[17]: x", "2026-11-23T04:05:06.000000Z|h||0|-- a b[17]: x" },
		{ "Nov 23 04:05:06 h --", "2026-11-23T04:05:06.000000Z|h||0|--" },
		{ "Nov 23 04:05:06 h a b c", "2026-11-23T04:05:06.000000Z|h||0|a b c" },
		{ "Nov 23 04:05:06 h last message repeated 2 times",
		  "2026-11-23T04:05:06.000000Z|h||0|last message repeated 2 times" },
		{ "Nov 23 04:05:06 last message repeated 2 times",
		  "2026-11-23T04:05:06.000000Z|||0|last message repeated 2 times" },
		{ "Nov 23 04:05:06 h sshd[1]: message repeated 2 times: [ a]",
		  "2026-11-23T04:05:06.000000Z|h|sshd|1|message repeated 2 times: [ a]" },
		{ "Nov 23 04:05:06", "2026-11-23T04:05:06.000000Z|||0|" },
		{ "Nov 23 04:05:06 ", "2026-11-23T04:05:06.000000Z|||0|" },
		{ "Nov 23 04:05:06 h", "2026-11-23T04:05:06.000000Z|||0|h" },
		/* no time, but a tag with a pid */
		{ "srv sshd[24077]: error: a", "-|srv|sshd|24077|error: a" },
		{ "sshd[24077]: a", "-||sshd|24077|a" },
		{ "<38>sshd[24077]: a", "-||sshd|24077|a" },
		/* Solaris */
		{ "Nov 23 04:05:06 h sshd[1]: [ID 800047 auth.info] a",
		  "2026-11-23T04:05:06.000000Z|h|sshd|1|a" },
		{ "sshd[1]: [ID 800047 auth.info] a", "-||sshd|1|a" },
		/* RFC 5424 */
		{ "<38>1 2026-11-23T12:00:00.1-04:00 h.example sshd 57915 - - a",
		  "2026-11-23T16:00:00.100000Z|h.example|sshd|57915|a" },
		{ "<38>1 2026-11-23T12:00:00Z h sshd 1 ID47 [x@1 k=\"[a] \\\"\\] b\"][y z=\"]\"] a [b]",
		  "2026-11-23T12:00:00.000000Z|h|sshd|1|a [b]" },
		{ "<38>1 2026-11-23T12:00:00Z h sshd 1 - - \xef\xbb\xbfz",
		  "2026-11-23T12:00:00.000000Z|h|sshd|1|z" },
		{ "<38>1 2026-11-23T12:00:00Z - - - - - a", "2026-11-23T12:00:00.000000Z|||0|a" },
		{ "<38>1 - h sshd 1 - - a", "-|h|sshd|1|a" },
		{ "<38>1 2026-11-23T12:00:00Z h sshd 1 - -", "2026-11-23T12:00:00.000000Z|h|sshd|1|" },
		{ "<38>1 2026-11-23T12:00:00Z h sshd 1 - [open a",
		  "2026-11-23T12:00:00.000000Z|h|sshd|1|[open a" },
		/* not what it seems: a pid that is none, or not written as numbers are */
		{ "Nov 23 04:05:06 h sshd[007]: a", "2026-11-23T04:05:06.000000Z|h|sshd|0|a" },
		{ "Nov 23 04:05:06 h sshd[0]: a", "2026-11-23T04:05:06.000000Z|h|sshd|0|a" },
		{ "Nov 23 04:05:06 h sshd[4294967296]: a", "2026-11-23T04:05:06.000000Z|h|sshd|0|a" },
		{ "Nov 23 04:05:06 h sshd[2147483647]: a",
		  "2026-11-23T04:05:06.000000Z|h|sshd|2147483647|a" },
	};

	set_zone("UTC0");
	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		check_line(cases[i][0], cases[i][1]);
}

TEST(what_is_no_header_is_all_message)
{
	static const char *const lines[] = {
		"",
		" ",
		"Failed password for x from 1.2.3.4 port 22 ssh2",
		"error: sshd: a",
		"alice : TTY=pts/0 ; a",
		"Nov 31 04:05:06 h a: b",
		"Feb 30 04:05:06 h a: b",
		"Nov  3 24:05:06 h a: b",
		"Nov  3 04:60:06 h a: b",
		"Nov  0 04:05:06 h a: b",
		"Nov 3",
		"Nov",
		"nov  3 04:05:06 h a: b",
		"Nov  3 04:05:6 h a: b",
		"Nov  3 04:05:061 h a: b",
		"2026-11-31T12:00:00Z h a: b",
		"2026-13-01T12:00:00Z h a: b",
		"2026-1-01T12:00:00Z h a: b",
		"2026-11-23T12:00:00+24:00 h a: b",
		"2026-11-23T12:00:00+1 h a: b",
		"2026-11-23T12:00:00. h a: b",
		"2026-11-23T12:00:00.1234567890123456789012345678901234567890Z h a: b",
		"<38>1 2026-11-23T12:00:00Z h sshd",
		"<38>1 2026-11-23T12:00:00Z  sshd 1 - - a",
		"<38>",
		"<",
		"<a>",
		"an ordinary[1]: sentence[2]: with brackets",
		"two words: sshd[1]: a",
		"ao\xc3\xbbt 19 11:08:37 nlaptop symphorien[4961]: test",
	};

	set_zone("UTC0");
	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		struct parsed_line p = parsed(lines[i]);

		if (i == ELEMENTSOF(lines) - 3)
			continue; /* "an ordinary[1]: " does look like host and tag, and loses nothing by it
				   */
		if (p.has_time || p.program.len > 0 || p.host.len > 0 || p.message.len != strlen(lines[i]))
			fail_msg("%s: a header of %zu bytes", lines[i], strlen(lines[i]) - p.message.len);
	}
}

TEST(a_stamp_stands_only_for_a_time_that_it_gives_back)
{
	static const struct {
		const char *line;
		Hallmark__V1__Stamp stamp;
		unsigned digits;
		int offset;
	} cases[] = {
		{ "Nov  3 04:05:06 h a: b", RFC3164, 0, 60 },
		{ "Nov 13 04:05:06 h a: b", RFC3164, 0, 60 },
		{ "Jul 13 04:05:06 h a: b", RFC3164, 0, 120 },
		{ "Nov 3 04:05:06 h a: b", NONE, 0, 0 },
		{ "Nov 03 04:05:06 h a: b", NONE, 0, 0 },
		{ "Nov 13 04:05:60 h a: b", NONE, 0, 0 },
		{ "Nov 13 04:05:06.1 h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:00+00:00 h a: b", ISO, 0, 0 },
		{ "2026-11-23T12:00:00.120+05:45 h a: b", ISO, 3, 345 },
		{ "2026-11-23T12:00:00.123456-23:59 h a: b", ISO, 6, -1439 },
		{ "2026-11-23T12:00:00.000000Z h a: b", ISO_Z, 6, 0 },
		{ "1969-12-31T23:59:59.999999Z h a: b", ISO_Z, 6, 0 },
		{ "2026-11-23T12:00:00.1234567Z h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:00,1Z h a: b", NONE, 0, 0 },
		{ "2026-11-23 12:00:00Z h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:00-00:00 h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:00+0000 h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:00+01 h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:00 h a: b", NONE, 0, 0 },
		{ "2026-11-23T12:00:60Z h a: b", NONE, 0, 0 },
	};

	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct parsed_line p = parsed(cases[i].line);

		if (!p.has_time || p.header.stamp != cases[i].stamp ||
		    p.header.fraction_digits != cases[i].digits || p.header.utc_offset_min != cases[i].offset)
			fail_msg("%s: stamp %d, %u digits, offset %d", cases[i].line, (int)p.header.stamp,
				 p.header.fraction_digits, p.header.utc_offset_min);
		assert_bytes_equal(p.message, "b");
	}
}

TEST(local_times_are_taken_in_the_hosts_zone)
{
	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	check_line("Nov  3 04:05:06 h a: b", "2026-11-03T03:05:06.000000Z|h|a|0|b");
	check_line("Jul  3 04:05:06 h a: b", "2026-07-03T02:05:06.000000Z|h|a|0|b");
	/* the hour that there is not, and the one that there is twice */
	check_line("Mar 29 01:59:59 h a: b", "2026-03-29T00:59:59.000000Z|h|a|0|b");
	check_line("Mar 29 03:00:00 h a: b", "2026-03-29T01:00:00.000000Z|h|a|0|b");
	(void)parsed("Mar 29 02:30:00 h a: b");
	(void)parsed("Oct 25 02:30:00 h a: b");
	set_zone("<+0545>-5:45");
	check_line("Nov  3 04:05:06 h a: b", "2026-11-02T22:20:06.000000Z|h|a|0|b");
	/* new year on one side of the line only */
	set_zone("<-12>12");
	check_line("Nov 23 01:00:00 h a: b", "2026-11-23T13:00:00.000000Z|h|a|0|b");
	/* a zone with seconds cannot be said in minutes */
	set_zone("LMT-0:53:28");
	assert_int_equal(parsed("Nov  3 04:05:06 h a: b").header.stamp, NONE);
}

TEST(one_clock_serves_lines_of_many_forms)
{
	static const char *const lines[] = { "Nov  3 04:05:06 h a[1]: b",
					     "2026-11-03T04:05:06Z h a[1]: b",
					     "Nov  3 04:05:06 h a[1]: b",
					     "Nov  3 04:05:07 h a[1]: b",
					     "Nov  3 04:05:07.5 h a[1]: b",
					     "2026-11-03T04:05:06.5Z h a[1]: b",
					     "Nov  3 04:05:07",
					     "h a[1]: b",
					     "2026-11-03T04:05:06 h a[1]: b" };
	struct header_clock clock = { .now_us = NOW_US };

	set_zone("UTC0");
	for (size_t i = 0; i < 4 * ELEMENTSOF(lines); i++) {
		const char *line = lines[i * 7 % ELEMENTSOF(lines)];
		struct parsed_line p, alone = parsed(line);

		header_parse(&clock, bytes_str(line), &p);
		check_parts(bytes_str(line), &p);
		assert_int_equal(p.time_us, alone.time_us);
		assert_int_equal(p.has_time, alone.has_time);
		assert_int_equal(p.header.stamp, alone.header.stamp);
	}
}

static unsigned pick(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % n;
}

TEST(random_and_mutated_lines_are_given_back_to_the_letter)
{
	static const char *const seeds[] = {
		"Nov  3 04:05:06 web1 sshd[17]: Failed password",
		"2026-11-23T12:00:00.123456+00:00 h sshd[1]: a",
		"<38>1 2026-11-23T12:00:00Z h sshd 1 ID47 [x@1 k=\"[a] \\\"\\] b\"] \xef\xbb\xbfz",
		"Nov 23 04:05:06 h sshd[1]: [ID 800047 auth.info] a",
		"srv sshd[24077]: error: a",
		"Nov 23 04:05:06 [sshd] User root",
	};
	static const char bytes[] = "  ::[]<>0123456789TZ+-.,\"\\\0\n\xef\xbb\xbfzNovJan";
	struct header_clock clock = { .now_us = NOW_US };
	unsigned seed = 20261123, with_time = 0;

	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	for (unsigned i = 0; i < 200000; i++) {
		char line[160];
		size_t len = 0;
		struct parsed_line p;

		if (i % 8 > 0) {
			len = strlen(seeds[i % ELEMENTSOF(seeds)]);
			memcpy(line, seeds[i % ELEMENTSOF(seeds)], len);
			for (unsigned k = pick(&seed, 4); k > 0; k--)
				line[pick(&seed, (unsigned)len)] = bytes[pick(&seed, sizeof bytes - 1)];
			if (pick(&seed, 4) == 0)
				len = pick(&seed, (unsigned)len);
		} else {
			for (len = 0; len < pick(&seed, 60) + 1u; len++)
				line[len] = bytes[pick(&seed, sizeof bytes - 1)];
		}
		{
			/* on the heap, and no byte more: a sanitizer sees reads beyond it */
			_cleanup_(freep) uint8_t *exact = malloc(len + 1);

			assert_non_null(exact);
			memcpy(exact + 1, line, len);
			header_parse(&clock, bytes_of(exact + 1, len), &p);
			check_parts(bytes_of(line, len), &p);
			with_time += p.has_time;
		}
	}
	assert_in_range(with_time, 50000, 190000);
}

TEST(a_long_line_costs_no_more_than_its_header)
{
	_cleanup_(freep) uint8_t *line = malloc(1 << 20);
	struct header_clock clock = { .now_us = NOW_US };
	struct parsed_line p;
	static const char *const heads[] = { "",
					     "Nov  3 04:05:06 ",
					     "Nov  3 04:05:06 h ",
					     "<38>1 2026-11-23T12:00:00Z h sshd 1 - [",
					     "Nov  3 04:05:06 h sshd[",
					     "Nov  3 04:05:06 h sshd[1]: [ID " };

	set_zone("UTC0");
	assert_non_null(line);
	for (size_t i = 0; i < ELEMENTSOF(heads); i++) {
		memset(line, '1', 1 << 20);
		memcpy(line, heads[i], strlen(heads[i]));
		header_parse(&clock, bytes_of(line, 1 << 20), &p);
		check_parts(bytes_of(line, 1 << 20), &p);
		assert_in_range(p.message.len, (1 << 20) - 512, 1 << 20);
	}
}
