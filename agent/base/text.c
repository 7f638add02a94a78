/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <strings.h>

static const char hex_digits[] = "0123456789abcdef";

/* --- UTF-8 --------------------------------------------------------------------------------- */

/* Well-formed sequences, Unicode 15 table 3-7: by first byte, what the second may be. All further
 * bytes are 80 to BF. That leaves out overlong forms, surrogates and what lies past U+10FFFF. */
static const struct {
	uint8_t first, last, low, high, len;
} utf8_forms[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* The length of the well-formed sequence that starts at `p`, which is not ASCII; 0 where none does. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < ELEMENTSOF(utf8_forms); i++) {
		size_t n = utf8_forms[i].len;

		if (p[0] < utf8_forms[i].first || p[0] > utf8_forms[i].last)
			continue;
		if (len < n || p[1] < utf8_forms[i].low || p[1] > utf8_forms[i].high)
			return 0;
		for (size_t k = 2; k < n; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return n;
	}
	return 0;
}

bool text_is_utf8(struct bytes b)
{
	for (size_t i = 0; i < b.len;) {
		size_t n = b.data[i] < 0x80 ? 1 : utf8_sequence(b.data + i, b.len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* Characters of more than one byte that a terminal obeys: C1 controls, and marks, overrides and
 * isolates of direction (Unicode 15 §23.2), by which a line can be made to read as another. */
static bool utf8_is_obeyed(const uint8_t *p, size_t n)
{
	if (n == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return n == 3 && p[0] == 0xe2 &&
	       ((p[1] == 0x80 && ((p[2] >= 0x8e && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
		(p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* How many bytes at the front of `b` are printable and none of `special`. */
static size_t plain_run(struct bytes b, const char *special)
{
	size_t i = 0;

	while (i < b.len) {
		uint8_t c = b.data[i];
		size_t n = 1;

		if (c < 0x20 || c == 0x7f || c == (uint8_t)special[0] || c == (uint8_t)special[1])
			break;
		if (c >= 0x80) {
			n = utf8_sequence(b.data + i, b.len - i);
			if (n == 0 || utf8_is_obeyed(b.data + i, n))
				break;
		}
		i += n;
	}
	return i;
}

/* --- escaping ------------------------------------------------------------------------------ */

int text_escape(struct buf *out, struct bytes b)
{
	size_t before = out->len;

	while (b.len > 0) {
		size_t n = plain_run(b, "\\\\");
		int r = buf_append(out, bytes_of(b.data, n));

		b = bytes_from(b, n);
		if (r == 0 && b.len > 0) {
			const char code[4] = { '\\', 'x', hex_digits[b.data[0] >> 4],
					       hex_digits[b.data[0] & 15] };

			r = buf_append(out, b.data[0] == '\\' ? LIT("\\\\") : bytes_of(code, sizeof code));
			b = bytes_from(b, 1);
		}
		if (r < 0) {
			out->len = before;
			return r;
		}
	}
	return 0;
}

/* Appends what stands in JSON for the front of `b`, which may not stand there as it is; returns how
 * many bytes of `b` that took, or a negative errno. */
static int json_escape_one(struct buf *out, struct bytes b)
{
	uint8_t c = b.data[0];
	unsigned code = c;
	size_t n = 1;
	int r;

	if (c == '"' || c == '\\') {
		const char quoted[2] = { '\\', (char)c };

		r = buf_append(out, bytes_of(quoted, sizeof quoted));
		return r < 0 ? r : 1;
	}
	if (c >= 0x80) {
		n = utf8_sequence(b.data, b.len);
		if (n == 0) {
			code = 0xfffd;
			n = 1;
		} else if (n == 2) {
			code = (c & 0x1fu) << 6 | (b.data[1] & 0x3fu);
		} else { /* only three-byte characters are left (utf8_is_obeyed) */
			code = (c & 0x0fu) << 12 | (b.data[1] & 0x3fu) << 6 | (b.data[2] & 0x3fu);
		}
	}
	r = buf_printf(out, "\\u%04x", code);
	return r < 0 ? r : (int)n;
}

int text_json(struct buf *out, struct bytes b)
{
	size_t before = out->len;
	int r = buf_byte(out, '"');

	while (r >= 0 && b.len > 0) {
		size_t n = plain_run(b, "\"\\");

		r = buf_append(out, bytes_of(b.data, n));
		b = bytes_from(b, n);
		if (r == 0 && b.len > 0) {
			r = json_escape_one(out, b);
			b = bytes_from(b, r > 0 ? (size_t)r : 0);
		}
	}
	if (r >= 0)
		r = buf_byte(out, '"');
	if (r < 0)
		out->len = before;
	return r;
}

int text_hex(struct buf *out, struct bytes b)
{
	int r = buf_reserve(out, 2 * b.len);

	if (r < 0)
		return r;
	for (size_t i = 0; i < b.len; i++) {
		out->data[out->len++] = (uint8_t)hex_digits[b.data[i] >> 4];
		out->data[out->len++] = (uint8_t)hex_digits[b.data[i] & 15];
	}
	return 0;
}

int text_base64(struct buf *out, struct bytes b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int r = buf_reserve(out, (b.len + 2) / 3 * 4);

	if (r < 0)
		return r;
	for (size_t i = 0; i < b.len; i += 3) {
		size_t n = MIN(b.len - i, 3u);
		unsigned v = (unsigned)b.data[i] << 16 | (n > 1 ? (unsigned)b.data[i + 1] << 8 : 0) |
			     (n > 2 ? b.data[i + 2] : 0u);

		for (size_t k = 0; k < 4; k++)
			out->data[out->len++] = k <= n ? (uint8_t)digits[v >> (18 - 6 * k) & 63] : '=';
	}
	return 0;
}

/* --- sizes and spans ----------------------------------------------------------------------- */

/* Takes decimal digits off the front of `s`. */
static int take_number(const char **s, uint64_t *ret)
{
	size_t n = strspn(*s, "0123456789");
	int r = bytes_to_u64(bytes_of(*s, n), ret);

	if (r == 0)
		*s += n;
	return r;
}

int text_to_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t n;
	int r = take_number(&s, &n);

	if (r < 0)
		return r;
	if (*s != '\0') {
		unit = strchr(units, *s);
		if (!unit || s[1] != '\0')
			return -EINVAL;
		if (__builtin_mul_overflow(n, UINT64_C(1) << 10 * (unit - units + 1), &n))
			return -ERANGE;
	}
	*ret = n;
	return 0;
}

static const struct {
	const char *name;
	uint64_t us;
} span_units[] = {
	{ "us", 1 },
	{ "ms", 1000 },
	{ "s", 1000000 },
	{ "min", UINT64_C(60) * 1000000 },
	{ "h", UINT64_C(3600) * 1000000 },
	{ "d", UINT64_C(86400) * 1000000 },
	{ "w", UINT64_C(7) * 86400 * 1000000 },
	{ "", 1000000 },
};

static int take_unit(const char **s, uint64_t *ret_us)
{
	size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = 0; i < ELEMENTSOF(span_units); i++)
		if (bytes_eq(bytes_of(*s, n), bytes_str(span_units[i].name))) {
			*s += n;
			*ret_us = span_units[i].us;
			return 0;
		}
	return -EINVAL;
}

int text_to_span(const char *s, uint64_t *ret_us)
{
	uint64_t sum = 0;

	s += strspn(s, " ");
	do {
		uint64_t n, unit;
		int r = take_number(&s, &n);

		if (r < 0)
			return r;
		s += strspn(s, " ");
		r = take_unit(&s, &unit);
		if (r < 0)
			return r;
		s += strspn(s, " ");
		if (__builtin_mul_overflow(n, unit, &n) || __builtin_add_overflow(sum, n, &sum))
			return -ERANGE;
	} while (*s != '\0');
	*ret_us = sum;
	return 0;
}

int text_to_bool(const char *s, bool *ret)
{
	static const char *const words[2][4] = { { "no", "false", "off", "0" },
						 { "yes", "true", "on", "1" } };

	for (unsigned i = 0; i < 8; i++)
		if (strcasecmp(s, words[i / 4][i % 4]) == 0) {
			*ret = i / 4;
			return 0;
		}
	return -EINVAL;
}

void text_size(uint64_t bytes, char out[static TEXT_SIZE_MAX])
{
	static const char letters[] = "KMGTPE";
	uint64_t rest = 0;
	size_t i = 0;

	for (; bytes >= 1024 && i < sizeof letters - 1; i++, bytes /= 1024)
		rest = bytes % 1024;
	if (i == 0)
		(void)snprintf(out, TEXT_SIZE_MAX, "%" PRIu64, bytes);
	else if (rest * 10 / 1024 == 0)
		(void)snprintf(out, TEXT_SIZE_MAX, "%" PRIu64 "%c", bytes, letters[i - 1]);
	else
		(void)snprintf(out, TEXT_SIZE_MAX, "%" PRIu64 ".%" PRIu64 "%c", bytes, rest * 10 / 1024, letters[i - 1]);
}

void text_span(uint64_t us, char out[static TEXT_SPAN_MAX])
{
	static const struct {
		uint64_t seconds, below;
		const char *name;
	} units[] = { { 1, 120, "s" }, { 60, 7200, "min" }, { 3600, 172800, "h" }, { 86400, UINT64_MAX, "d" } };
	uint64_t s = us / 1000000;
	size_t i = 0;

	while (s >= units[i].below)
		i++;
	(void)snprintf(out, TEXT_SPAN_MAX, "%" PRIu64 " %s", s / units[i].seconds, units[i].name);
}

/* --- dates --------------------------------------------------------------------------------- */

/* Years are counted from March here, so that the leap day is the last of the year; 400 years are
 * 146,097 days, and day 719,468 of that calendar is 1970-01-01. */
int64_t civil_to_seconds(int year, int month, int day, int hour, int minute, int second)
{
	int64_t y = month > 2 ? year : year - 1, month_from_march = (month + 9) % 12;
	int64_t days =
		365 * y + y / 4 - y / 100 + y / 400 + (153 * month_from_march + 2) / 5 + day - 1 - 719468;

	return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

#define SECONDS_MIN (-INT64_C(62135596800)) /* 0001-01-01 00:00:00 */
#define SECONDS_MAX INT64_C(253402300799)   /* 9999-12-31 23:59:59 */

bool civil_from_seconds(int64_t seconds, struct civil *ret)
{
	uint64_t since;
	unsigned days, era, of_era, year, of_year, month, of_day;

	if (seconds < SECONDS_MIN || seconds > SECONDS_MAX)
		return false;
	since = (uint64_t)(seconds + INT64_C(719468) * 86400);
	days = (unsigned)(since / 86400);
	of_day = (unsigned)(since % 86400);
	era = days / 146097;
	of_era = days % 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	*ret = (struct civil){
		.year = (int)(400 * era + year + (month >= 10)),
		.month = (int)(month < 10 ? month + 3 : month - 9),
		.day = (int)(of_year - (153 * month + 2) / 5 + 1),
		.hour = (int)(of_day / 3600),
		.minute = (int)(of_day / 60 % 60),
		.second = (int)(of_day % 60),
	};
	return true;
}

size_t text_time(int64_t time_us, char out[static TEXT_TIME_MAX])
{
	int64_t seconds = time_us / 1000000, fraction = time_us % 1000000;
	struct civil c;

	if (fraction < 0) {
		seconds--;
		fraction += 1000000;
	}
	if (!civil_from_seconds(seconds, &c))
		return (size_t)snprintf(out, TEXT_TIME_MAX, "@%lld.%06lld", (long long)seconds,
					(long long)fraction);
	return (size_t)snprintf(out, TEXT_TIME_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%06lldZ", c.year, c.month,
				c.day, c.hour, c.minute, c.second, (long long)fraction);
}

/* Takes exactly `width` digits, which mean `min` to `max`, and the separator before them (0: none). */
static bool take_part(const char **s, char separator, unsigned width, int min, int max, int *ret)
{
	const char *p = *s;
	int v = 0;

	if (separator != '\0' && *p++ != separator)
		return false;
	for (unsigned i = 0; i < width; i++, p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = 10 * v + (*p - '0');
	}
	if (v < min || v > max)
		return false;
	*s = p;
	*ret = v;
	return true;
}

static bool take_date(const char **s, struct civil *c)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap;

	if (!take_part(s, '\0', 4, 1, 9999, &c->year) || !take_part(s, '-', 2, 1, 12, &c->month) ||
	    !take_part(s, '-', 2, 1, days[c->month - 1], &c->day))
		return false;
	leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
	return c->month != 2 || c->day < 29 || leap;
}

/* The fraction of a second, of which all past microseconds is dropped. */
static bool take_fraction(const char **s, int64_t *ret_us)
{
	int64_t scale = 100000, us = 0;
	size_t n;

	if (**s != '.')
		return true;
	n = strspn(++*s, "0123456789");
	for (size_t i = 0; i < n; i++, scale /= 10)
		us += ((*s)[i] - '0') * scale;
	*s += n;
	*ret_us = us;
	return n > 0;
}

/* "Z" or "+hh:mm" in seconds. */
static bool take_offset(const char **s, int64_t *ret)
{
	int hours, minutes, sign = **s == '-' ? -1 : 1;

	if (**s == 'Z' || **s == 'z') {
		++*s;
		*ret = 0;
		return true;
	}
	if (!take_part(s, sign < 0 ? '-' : '+', 2, 0, 23, &hours) || !take_part(s, ':', 2, 0, 59, &minutes))
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool take_timestamp(const char *s, int64_t *ret_us)
{
	struct civil c = { 0 };
	int64_t us = 0, offset = 0;
	bool rfc3339;

	if (!take_date(&s, &c))
		return false;
	rfc3339 = *s == 'T' || *s == 't';
	if (*s != '\0' || rfc3339) {
		if (!rfc3339 && *s != ' ')
			return false;
		s++;
		if (!take_part(&s, '\0', 2, 0, 23, &c.hour) || !take_part(&s, ':', 2, 0, 59, &c.minute))
			return false;
		/* 60: a leap second, which counts as the first second of the next minute */
		if ((rfc3339 || *s == ':') &&
		    (!take_part(&s, ':', 2, 0, 60, &c.second) || !take_fraction(&s, &us)))
			return false;
		if ((rfc3339 || *s != '\0') && !take_offset(&s, &offset))
			return false;
	}
	if (*s != '\0')
		return false;
	*ret_us = (civil_to_seconds(c.year, c.month, c.day, c.hour, c.minute, c.second) - offset) * 1000000 +
		  us;
	return true;
}

int text_to_time(const char *s, int64_t now_us, int64_t *ret_us)
{
	uint64_t n;
	int64_t us = 0;
	int r;

	if (take_timestamp(s, ret_us))
		return 0;
	if (*s == '@') {
		s++;
		r = take_number(&s, &n);
		if (r == 0 && *s != '\0')
			r = -EINVAL;
		if (r == 0 &&
		    (n > (uint64_t)INT64_MAX / 1000000 || __builtin_mul_overflow((int64_t)n, 1000000, &us)))
			r = -ERANGE;
	} else {
		r = text_to_span(*s == '-' ? s + 1 : s, &n);
		if (r == 0 && (n > INT64_MAX || __builtin_sub_overflow(now_us, (int64_t)n, &us)))
			r = -ERANGE;
	}
	if (r < 0)
		return r;
	*ret_us = us;
	return 0;
}
