/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/header.h"

#include <time.h>

#include "agent/base/macro.h"
#include "agent/base/text.h"
#include "collectors/field_type.h"

#define HEADER_MAX 512u
#define DAY_S INT64_C(86400)

/* What may belong to the header, and where reading has come to. */
struct reader {
	const uint8_t *p;
	size_t len;
	size_t at;
	uint8_t beyond; /* read in place of what stands behind `len` */
};

static inline uint8_t peek(const struct reader *r, size_t i)
{
	return i < r->len ? r->p[i] : r->beyond;
}

/* A blank, or the end of the line. */
static inline bool is_gap(uint8_t c)
{
	return c == ' ' || c == '\0';
}

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* A number of exactly `width` digits at `i`; -1 where there is none. */
static int digits(const struct reader *r, size_t i, unsigned width)
{
	int v = 0;

	for (unsigned k = 0; k < width; k++) {
		if (!is_digit(peek(r, i + k)))
			return -1;
		v = v * 10 + (peek(r, i + k) - '0');
	}
	return v;
}

/* --- times -------------------------------------------------------------------------------- */

/* A time as it is being read. `exact`: stamp_render() writes it like this. */
struct reading {
	struct civil c;
	size_t end;
	unsigned fraction_digits, fraction_us;
	int offset_s;
	bool zoned, z, exact;
};

static bool date_valid(const struct civil *c)
{
	static const uint8_t days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);

	return c->year >= 1 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= days[c->month - 1] && (leap || c->month != 2 || c->day <= 28);
}

/* "hh:mm:ss" and a fraction. */
static bool read_clock(const struct reader *r, size_t i, struct reading *t)
{
	unsigned unit = 100000;

	t->c.hour = digits(r, i, 2);
	t->c.minute = digits(r, i + 3, 2);
	t->c.second = digits(r, i + 6, 2);
	if (t->c.hour < 0 || t->c.hour > 23 || t->c.minute < 0 || t->c.minute > 59 || t->c.second < 0 ||
	    t->c.second > 60 || peek(r, i + 2) != ':' || peek(r, i + 5) != ':')
		return false;
	t->exact &= t->c.second < 60;
	i += 8;
	if ((peek(r, i) == '.' || peek(r, i) == ',') && is_digit(peek(r, i + 1))) {
		t->exact &= peek(r, i) == '.';
		for (i++; is_digit(peek(r, i)); i++, unit /= 10) {
			t->fraction_us += unit * (peek(r, i) - '0');
			t->fraction_digits++;
		}
		t->exact &= t->fraction_digits <= 6;
	}
	t->end = i;
	return true;
}

/* "Z", "+hh:mm", "+hhmm", "+hh" or nothing. */
static bool read_zone(const struct reader *r, struct reading *t)
{
	uint8_t sign = peek(r, t->end);
	int hours, minutes = 0;

	if (sign == 'Z') {
		t->zoned = t->z = true;
		t->end++;
	} else if (sign == '+' || sign == '-') {
		hours = digits(r, t->end + 1, 2);
		t->end += 3;
		if (peek(r, t->end) == ':') {
			minutes = digits(r, t->end + 1, 2);
			t->end += 3;
		} else {
			t->exact = false;
			if (is_digit(peek(r, t->end))) {
				minutes = digits(r, t->end, 2);
				t->end += 2;
			}
		}
		if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
			return false;
		t->zoned = true;
		t->offset_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
		t->exact &= sign == '+' || t->offset_s != 0;
	} else {
		t->exact = false;
	}
	return is_gap(peek(r, t->end));
}

static bool read_iso8601(const struct reader *r, struct reading *t)
{
	size_t i = r->at;

	*t = (struct reading){ .exact = peek(r, i + 10) == 'T' };
	t->c.year = digits(r, i, 4);
	t->c.month = digits(r, i + 5, 2);
	t->c.day = digits(r, i + 8, 2);
	return peek(r, i + 4) == '-' && peek(r, i + 7) == '-' && (t->exact || peek(r, i + 10) == ' ') &&
	       date_valid(&t->c) && read_clock(r, i + 11, t) && read_zone(r, t);
}

static bool read_rfc3164(const struct reader *r, struct reading *t)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	size_t i = r->at;

	*t = (struct reading){ .exact = true };
	if (r->len - i < 3 || peek(r, i + 3) != ' ')
		return false;
	for (unsigned m = 0; m < 12; m++) {
		if (memcmp(r->p + i, months + 3 * (size_t)m, 3) == 0)
			t->c.month = (int)m + 1;
	}
	if (t->c.month == 0)
		return false;
	i += 4;
	if (peek(r, i) == ' ') {
		t->c.day = digits(r, i + 1, 1);
		i += 2;
	} else if (peek(r, i + 1) == ' ') {
		t->c.day = digits(r, i, 1);
		t->exact = false;
		i++;
	} else {
		t->c.day = digits(r, i, 2);
		t->exact = t->c.day >= 10;
		i += 2;
	}
	if (t->c.day < 1 || peek(r, i) != ' ' || !read_clock(r, i + 1, t) || !is_gap(peek(r, t->end)))
		return false;
	t->exact &= t->fraction_digits == 0;
	t->c.year = 2000; /* a leap year, until the right one is known */
	return date_valid(&t->c);
}

static int64_t civil_seconds(const struct civil *c)
{
	return civil_to_seconds(c->year, c->month, c->day, c->hour, c->minute, c->second);
}

static int offset_at(int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	return localtime_r(&t, &tm) ? (int)tm.tm_gmtoff : 0;
}

/* How far the host's clocks are ahead of UTC when they show `local` seconds. */
static int local_offset(struct header_clock *clock, int64_t local)
{
	int64_t hour = local / 3600;

	if (!clock->zone_known || clock->zone_hour != hour) {
		clock->zone_offset_s = offset_at(local - offset_at(local));
		clock->zone_hour = hour;
		clock->zone_known = true;
	}
	return clock->zone_offset_s;
}

static void find_year(struct header_clock *clock, struct reading *t)
{
	int64_t latest = clock->now_us / 1000000 + DAY_S;
	struct civil now;

	if (!civil_from_seconds(latest, &now))
		return;
	/* 29 February can be eight years ago; one year more for zones on the other side of new year */
	for (int year = now.year + 1; year > now.year - 10; year--) {
		t->c.year = year;
		if (date_valid(&t->c) &&
		    civil_seconds(&t->c) - local_offset(clock, civil_seconds(&t->c)) <= latest)
			return;
	}
}

/* Reads the time at r->at into the clock, and goes past it. */
static bool read_time(struct header_clock *clock, struct reader *r)
{
	struct reading t;
	int64_t local;
	bool iso;

	if (clock->text_len > 0 && r->len - r->at >= clock->text_len &&
	    is_gap(peek(r, r->at + clock->text_len)) &&
	    memcmp(r->p + r->at, clock->text, clock->text_len) == 0) {
		r->at += clock->text_len;
		return true;
	}
	iso = is_digit(peek(r, r->at));
	if (iso ? !read_iso8601(r, &t) : !read_rfc3164(r, &t))
		return false;
	if (t.end - r->at > sizeof clock->text)
		return false;
	if (!iso)
		find_year(clock, &t);
	local = civil_seconds(&t.c);
	if (!t.zoned)
		t.offset_s = local_offset(clock, local);
	clock->seen.len = 0;
	clock->stamp = !t.exact || t.offset_s % 60 != 0 ? HALLMARK__V1__STAMP__STAMP_NONE
		       : !iso				? HALLMARK__V1__STAMP__STAMP_RFC3164
		       : t.z				? HALLMARK__V1__STAMP__STAMP_ISO8601_Z
							: HALLMARK__V1__STAMP__STAMP_ISO8601;
	clock->fraction_digits = t.fraction_digits;
	clock->utc_offset_min = t.offset_s / 60;
	clock->time_us = (local - t.offset_s) * 1000000 + t.fraction_us;
	clock->text_len = (uint8_t)(t.end - r->at);
	memcpy(clock->text, r->p + r->at, clock->text_len);
	r->at = t.end;
	return true;
}

/* --- tags --------------------------------------------------------------------------------- */

/* Where the parts of a header are, as it is being read. */
struct parts {
	struct bytes host, program;
	size_t time, time_end; /* equal: none, or none that a stamp gives back */
	size_t pid, pid_end;   /* equal: none */
	size_t end;	       /* where the message begins */
	bool is_login;	       /* the program does not stand in the line */
};

static struct bytes slice(const struct reader *r, size_t begin, size_t end)
{
	return bytes_of(r->p + begin, end - begin);
}

static size_t word_end(const struct reader *r, size_t i)
{
	const uint8_t *blank = i < r->len ? memchr(r->p + i, ' ', r->len - i) : NULL;

	return blank ? (size_t)(blank - r->p) : r->len;
}

static void end_tag(const struct reader *r, size_t i, struct parts *ret)
{
	i += peek(r, i) == ':';
	ret->end = i + (peek(r, i) == ' ');
}

/* "sshd[17]: ", "sudo: ", "sshd[17] ", "pop(pam_unix)[17]: ", and "[sshd]: " or "[sshd] " as metalog writes
 * them. */
static bool read_tag(const struct reader *r, size_t begin, struct parts *ret)
{
	size_t end = word_end(r, begin), i = begin + 1;

	if (peek(r, begin) == '[') {
		while (i < end && r->p[i] != ']')
			i++;
		if (peek(r, i) != ']' || i == begin + 1 || is_digit(r->p[begin + 1]) ||
		    (peek(r, i + 1) != ':' && !is_gap(peek(r, i + 1))))
			return false;
		ret->program = slice(r, begin + 1, i);
		end_tag(r, i + 1, ret);
		return true;
	}
	for (i = begin; i < end; i++) {
		const uint8_t *bracket = memchr(r->p + i, '[', end - i);
		size_t after;

		if (!bracket)
			break;
		i = (size_t)(bracket - r->p);
		for (after = i + 1; is_digit(peek(r, after)); after++)
			;
		if (after > i + 1 && peek(r, after) == ']' &&
		    (peek(r, after + 1) == ':' || is_gap(peek(r, after + 1)))) {
			ret->program = slice(r, begin, i);
			ret->pid = i + 1;
			ret->pid_end = after;
			end_tag(r, after + 1, ret);
			return true;
		}
	}
	if (end <= begin + 1 || r->p[end - 1] != ':' || !is_gap(peek(r, end)))
		return false;
	ret->program = slice(r, begin, end - 1);
	end_tag(r, end - 1, ret);
	return true;
}

/* "-- alice[17]: ", also behind one more blank: an old login, whose tag is the name that was typed. */
static bool read_login_tag(const struct reader *r, size_t begin, struct parts *ret)
{
	begin += peek(r, begin) == ' ';
	if (!bytes_starts(slice(r, MIN(begin, r->len), r->len), LIT("-- ")) || !read_tag(r, begin + 3, ret))
		return false;
	ret->program = LIT("login");
	ret->is_login = true;
	return true;
}

/* "[ID 800047 auth.info] " */
static void skip_solaris_id(const struct reader *r, struct parts *parts)
{
	size_t i = parts->end;

	if (r->len - MIN(i, r->len) < 4 || memcmp(r->p + i, "[ID ", 4) != 0)
		return;
	for (i += 4; i < r->len && r->p[i] != ']'; i++)
		;
	if (peek(r, i) == ']' && peek(r, i + 1) == ' ')
		parts->end = i + 2;
}

static bool is_repeat_notice(struct bytes line)
{
	return bytes_starts(line, LIT("last message repeated ")) ||
	       bytes_starts(line, LIT("message repeated "));
}

/* Host and tag behind a time; each may be missing. */
static void read_host_and_tag(const struct reader *r, struct parts *ret)
{
	size_t end = word_end(r, r->at);

	ret->end = r->at;
	if (is_repeat_notice(slice(r, r->at, r->len)))
		return;
	if (!read_tag(r, r->at, ret) && end > r->at && peek(r, end) == ' ') {
		ret->host = slice(r, r->at, end);
		ret->end = end + 1;
		if (!read_login_tag(r, end + 1, ret))
			(void)read_tag(r, end + 1, ret);
	}
	skip_solaris_id(r, ret);
}

/* A tag with a pid, perhaps after a host name, and no time before it. */
static bool read_bare_tag(const struct reader *r, struct parts *ret)
{
	size_t end = word_end(r, r->at);

	if (read_tag(r, r->at, ret) && ret->pid > 0) {
		skip_solaris_id(r, ret);
		return true;
	}
	for (size_t i = r->at; i < end; i++) {
		if (!field_type_holds(TYPE_HOST, r->p[i]))
			return false;
	}
	ret->host = slice(r, r->at, end);
	if (peek(r, end) != ' ' || !read_tag(r, end + 1, ret) || ret->pid == 0)
		return false;
	skip_solaris_id(r, ret);
	return true;
}

/* --- RFC 5424 ----------------------------------------------------------------------------- */

/* STRUCTURED-DATA from `i` on: "-", or elements in brackets; the place behind it, or 0. */
static size_t structured_data_end(const struct reader *r, size_t i)
{
	bool quoted = false;

	if (peek(r, i) == '-')
		return i + 1;
	while (peek(r, i) == '[') {
		for (i++; i < r->len && (quoted || r->p[i] != ']'); i++) {
			if (quoted && r->p[i] == '\\')
				i++;
			else if (r->p[i] == '"')
				quoted = !quoted;
		}
		if (i >= r->len)
			return 0;
		i++;
	}
	return i;
}

/* HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG], behind "<PRI>1 TIMESTAMP ". */
static bool read_rfc5424(const struct reader *r, struct parts *ret)
{
	size_t begin[4], end[4], i = r->at;

	for (unsigned k = 0; k < ELEMENTSOF(begin); k++) {
		begin[k] = i;
		end[k] = i = word_end(r, i);
		if (end[k] == begin[k] || peek(r, i) != ' ')
			return false;
		i++;
	}
	begin[0] += peek(r, begin[0]) == '-' && end[0] == begin[0] + 1;
	begin[1] += peek(r, begin[1]) == '-' && end[1] == begin[1] + 1;
	ret->host = slice(r, begin[0], end[0]);
	ret->program = slice(r, begin[1], end[1]);
	ret->pid = begin[2];
	ret->pid_end = end[2];
	ret->end = i;
	i = structured_data_end(r, i);
	if (i <= ret->end || !is_gap(peek(r, i)))
		/* no structured data that ends in time: it is left to the message */
		return ret->end < r->len;
	ret->end = MIN(i + 1, r->len);
	if (r->len - ret->end >= 3 && memcmp(r->p + ret->end, "\xef\xbb\xbf", 3) == 0)
		ret->end += 3;
	return true;
}

/* "<PRI>", and "1 " behind it: 0, 1 where there is a priority, 5424 where there is a version too. */
static int read_priority(struct reader *r)
{
	size_t i = 1;

	if (peek(r, 0) != '<')
		return 0;
	while (i < 4 && is_digit(peek(r, i)))
		i++;
	if (i == 1 || peek(r, i) != '>')
		return 0;
	r->at = i + 1;
	if (peek(r, r->at) == '1' && peek(r, r->at + 1) == ' ') {
		r->at += 2;
		return 5424;
	}
	return 1;
}

/* --- the line ----------------------------------------------------------------------------- */

/* Only what is written as the number itself: it is given back from the number. */
static uint32_t canonical_pid(struct bytes text)
{
	uint64_t pid;

	if (text.len == 0 || text.data[0] == '0' || bytes_to_u64(text, &pid) < 0 || pid > INT32_MAX)
		return 0;
	return (uint32_t)pid;
}

/* What stands from the line's beginning on; false where nothing is understood. */
static bool read_parts(struct header_clock *clock, struct reader *r, bool *ret_timed, struct parts *ret)
{
	int priority = read_priority(r);
	size_t time = r->at;

	*ret_timed = read_time(clock, r);
	if (*ret_timed) {
		ret->time_end = r->at;
		ret->time = clock->stamp == HALLMARK__V1__STAMP__STAMP_NONE ? r->at : time;
		if (peek(r, r->at) != ' ') {
			ret->end = r->at;
			return true;
		}
		r->at++;
		if (priority == 5424)
			return read_rfc5424(r, ret);
		read_host_and_tag(r, ret);
		return true;
	}
	if (priority == 5424 && peek(r, r->at) == '-' && peek(r, r->at + 1) == ' ') {
		r->at += 2;
		return read_rfc5424(r, ret);
	}
	return read_bare_tag(r, ret);
}

/* Keeps what read_seen() can find again: a header that has a time, and a pid in brackets, before which all is text. */
static void keep_seen(struct header_seen *seen, struct bytes line, const struct parts *parts)
{
	if (parts->pid > HEADER_SEEN_MAX || parts->pid == parts->pid_end || line.data[parts->pid - 1] != '[' ||
	    parts->time == parts->time_end || parts->is_login)
		return;
	memcpy(seen->text, line.data, parts->pid);
	seen->len = parts->pid;
	seen->time = parts->time;
	seen->time_end = parts->time_end;
	seen->host = parts->host.len > 0 ? (size_t)(parts->host.data - line.data) : 0;
	seen->host_end = seen->host + parts->host.len;
	seen->program = (size_t)(parts->program.data - line.data);
	seen->program_end = seen->program + parts->program.len;
}

/* A line that begins like the one that was kept, goes on with another pid and "]: ", and not with what could still be
 * of the header. */
static bool read_seen(const struct header_seen *seen, struct bytes line, struct parts *ret, uint32_t *ret_pid)
{
	const uint8_t *p = line.data;
	size_t at = seen->len;
	uint64_t pid = 0;

	if (seen->len == 0 || line.len < seen->len || !bytes_same(p, seen->text, seen->len))
		return false;
	while (at < line.len && is_digit(p[at]) && at - seen->len < 10)
		pid = pid * 10 + (p[at++] - '0');
	if (at == seen->len || p[seen->len] == '0' || pid > INT32_MAX || line.len - at < 4 || p[at] != ']' ||
	    p[at + 1] != ':' || p[at + 2] != ' ' || p[at + 3] == '[')
		return false;
	*ret = (struct parts){
		.host = bytes_of(p + seen->host, seen->host_end - seen->host),
		.program = bytes_of(p + seen->program, seen->program_end - seen->program),
		.time = seen->time,
		.time_end = seen->time_end,
		.pid = seen->len,
		.pid_end = at,
		.end = at + 3,
	};
	*ret_pid = (uint32_t)pid;
	return true;
}

void header_parse(struct header_clock *clock, struct bytes line, struct parsed_line *ret)
{
	struct reader r = { .p = line.data,
			    .len = MIN(line.len, HEADER_MAX),
			    .beyond = line.len > HEADER_MAX ? '?' : '\0' };
	struct parts parts = { 0 };
	bool timed = true, has_stamp;
	uint32_t pid;

	if (!read_seen(&clock->seen, line, &parts, &pid)) {
		if (line.len == 0 || !read_parts(clock, &r, &timed, &parts)) {
			*ret = (struct parsed_line){ .message = line };
			return;
		}
		pid = canonical_pid(slice(&r, parts.pid, parts.pid_end));
		if (pid == 0)
			parts.pid = parts.pid_end = parts.end;
		keep_seen(&clock->seen, line, &parts);
	}
	has_stamp = parts.time < parts.time_end;
	ret->header = (struct header){
		.before = slice(&r, 0, parts.time),
		.time = slice(&r, parts.time, parts.time_end),
		.between = slice(&r, parts.time_end, parts.pid),
		.after = slice(&r, parts.pid_end, parts.end),
		.pid_text = slice(&r, parts.pid, parts.pid_end),
		.stamp = has_stamp ? clock->stamp : HALLMARK__V1__STAMP__STAMP_NONE,
		.utc_offset_min = has_stamp ? clock->utc_offset_min : 0,
		.fraction_digits = has_stamp ? clock->fraction_digits : 0,
		.has_pid = pid > 0,
	};
	ret->host = parts.host;
	ret->program = parts.program;
	ret->message = bytes_of(line.data + parts.end, line.len - parts.end);
	ret->time_us = timed ? clock->time_us : 0;
	ret->has_time = timed;
	ret->pid = pid;
}
