/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign bytes as text for people and for JSON; sizes and spans of time as people write them. */
#ifndef HALLMARK_BASE_TEXT_H
#define HALLMARK_BASE_TEXT_H

#include "agent/base/buf.h"

/* Appends `b` so that a terminal or a log shows it and obeys none of it: control bytes, DEL, C1
 * controls, what changes the direction of text, and what is not UTF-8 become \xhh, byte for byte; a
 * backslash is doubled. */
int text_escape(struct buf *out, struct bytes b);

/* Appends `b` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD each. */
int text_json(struct buf *out, struct bytes b);
bool text_is_utf8(struct bytes b);

int text_hex(struct buf *out, struct bytes b);
int text_base64(struct buf *out, struct bytes b);

/* "512M", "1G", "65536": bytes; K, M, G, T are powers of 1024. 0 or -EINVAL, -ERANGE. */
int text_to_size(const char *s, uint64_t *ret);
/* "50ms", "5min", "1d 2h", "90" (seconds): microseconds. Units as in systemd.time(7): us ms s min h d w. */
int text_to_span(const char *s, uint64_t *ret_us);
int text_to_bool(const char *s, bool *ret);

/* The reverse, for people: "8.5M", "512"; "3 s", "5 min", "47 h", "12 d", of which nothing is rounded up. */
#define TEXT_SIZE_MAX 32
void text_size(uint64_t bytes, char out[static TEXT_SIZE_MAX]);
#define TEXT_SPAN_MAX 24
void text_span(uint64_t us, char out[static TEXT_SPAN_MAX]);

/* "2026-11-23T13:13:04.123456Z", UTC; "@SECONDS.FRACTION" outside the years 1 to 9999. At least
 * TEXT_TIME_MAX bytes. Returns the length. */
#define TEXT_TIME_MAX 40
size_t text_time(int64_t time_us, char out[static TEXT_TIME_MAX]);
/* RFC 3339 with an offset, or "YYYY-MM-DD[ HH:MM[:SS]]" and "@SECONDS", taken as UTC; or a span of
 * time (text_to_span) before `now_us`, as in "1d" or "-1d". */
int text_to_time(const char *s, int64_t now_us, int64_t *ret_us);

/* A date and time of the proleptic Gregorian calendar; month and day from 1. */
struct civil {
	int year, month, day, hour, minute, second;
};

/* Seconds since 1970 of a civil UTC date. Valid for years 1 to 9999. */
int64_t civil_to_seconds(int year, int month, int day, int hour, int minute, int second);
/* The reverse; false outside the years 1 to 9999. */
bool civil_from_seconds(int64_t seconds, struct civil *ret);

/* Writes the last `width` decimal digits of `value`; returns the place behind them. */
static inline char *text_digits(char *out, unsigned value, unsigned width)
{
	for (unsigned i = width; i > 0; i--, value /= 10)
		out[i - 1] = (char)('0' + value % 10);
	return out + width;
}

#endif
