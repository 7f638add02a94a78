/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands before the message of a line in a log file: RFC 3164, ISO 8601 as rsyslog writes it,
 * RFC 5424, Solaris style, and what remains of them where parts are missing.
 */
#ifndef HALLMARK_COLLECTORS_HEADER_H
#define HALLMARK_COLLECTORS_HEADER_H

#include "proto/event.h"

struct parsed_line {
	struct header header; /* all of it borrowed from the line */
	struct bytes host, program;
	struct bytes message;
	int64_t time_us; /* only where has_time */
	bool has_time;
	uint32_t pid; /* 0: none */
};

/* What a line began with, up to its pid, and where in it what stands: of the same program in the same second the next
 * begins with the same. */
#define HEADER_SEEN_MAX 128u
struct header_seen {
	uint8_t text[HEADER_SEEN_MAX];
	size_t len; /* 0: none */
	size_t time, time_end, host, host_end, program, program_end;
};

/* The time of RFC 3164 has neither year nor zone: it is taken in the host's zone (localtime_r), and in
 * the year that puts it nearest before now, at most a day ahead. Keeps the last stamp that it read, and the last header
 * with that stamp, since the next line mostly has the same. Start with {0}. */
struct header_clock {
	int64_t now_us;       /* set by the caller before each run of lines */
	uint8_t text[40];     /* the last stamp, and what it meant */
	uint8_t text_len;
	Hallmark__V1__Stamp stamp;
	unsigned fraction_digits;
	int utc_offset_min;
	int64_t time_us;
	int64_t zone_hour; /* the hour of local time for which the host's zone was asked last */
	int zone_offset_s;
	bool zone_known;
	struct header_seen seen;
};

/* Takes a line (without its newline) apart. Never fails: where nothing is understood the header is
 * empty, the message is the whole line, and has_time is false. The parts of the header and the message,
 * put together, are the line to the letter. Linear in the header's length (at most 512 bytes are looked at).
 *
 * header.stamp is set only where stamp_render() gives the very text back. Where it would not (a day that is
 * not padded, more than six digits of a fraction, a blank for the T, no zone), the time stands at the end of
 * header.before, and has_time is true all the same. A pid that is not written as a number from 1 to
 * INT32_MAX is taken for text. A line without a time has a header only where its tag has a pid: anything
 * else could as well be a message. */
void header_parse(struct header_clock *clock, struct bytes line, struct parsed_line *ret);

#endif
