/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a log file: the parts are the line to the letter, stamp and pid give their text back, and what the clock
 * remembers of the lines before changes nothing. */
#include "collectors/header.h"
#include "tests/fuzz/fuzz.h"

#define NOW_US (INT64_C(1795438800) * 1000000) /* 2026-11-23 13:00:00 UTC */

__attribute__((constructor)) static void set_zone(void)
{
	/* one with summer time, for which no zone files are needed */
	check(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1) == 0);
}

static bool within(struct bytes part, struct bytes line)
{
	return part.len == 0 ||
	       (part.data >= line.data && part.data + part.len <= line.data + line.len);
}

static void check_line(const struct parsed_line *p, struct bytes line)
{
	const struct header *h = &p->header;
	const struct bytes parts[] = { h->before, h->time, h->between, h->pid_text, h->after, p->message };
	char text[STAMP_TEXT_MAX];
	struct bytes rest = line;

	for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
		check(bytes_starts(rest, parts[i]) && within(parts[i], line));
		rest = bytes_from(rest, parts[i].len);
	}
	check(rest.len == 0);
	check(within(p->host, line) && within(p->program, line));
	check(p->has_time || (p->time_us == 0 && h->stamp == HALLMARK__V1__STAMP__STAMP_NONE));
	check((h->stamp == HALLMARK__V1__STAMP__STAMP_NONE) == (h->time.len == 0));
	if (h->time.len > 0)
		check(bytes_eq(h->time, bytes_of(text, stamp_render(h->stamp, h->fraction_digits, h->utc_offset_min,
								     p->time_us, text))));
	check(h->has_pid == (p->pid > 0));
	if (p->pid > 0)
		check(bytes_eq(h->pid_text, bytes_of(text, (size_t)snprintf(text, sizeof text, "%u", p->pid))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header_clock clock = { .now_us = NOW_US };
	struct bytes text = { data, size };

	while (text.len > 0) {
		struct bytes line = take_line(&text);
		struct header_clock fresh = { .now_us = NOW_US };
		struct parsed_line p, q;

		header_parse(&clock, line, &p);
		check_line(&p, line);
		header_parse(&fresh, line, &q);
		check_line(&q, line);
		check(p.has_time == q.has_time && p.time_us == q.time_us && p.pid == q.pid &&
		      p.header.stamp == q.header.stamp && p.message.len == q.message.len);
	}
	return 0;
}
