/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <time.h>

#include "agent/base/text.h"

#define NOW_US INT64_C(1795438400000000)

/* --- UTF-8 and escaping -------------------------------------------------------------------- */

/* What each sequence is: its escaped form, its form in JSON, and whether it is UTF-8. */
static const struct {
	struct bytes in;
	const char *escaped, *json;
	bool utf8;
} texts[] = {
	{ { (const uint8_t *)"", 0 }, "", "", true },
	{ { (const uint8_t *)"plain text", 10 }, "plain text", "plain text", true },
	{ { (const uint8_t *)"a\\b\"c", 5 }, "a\\\\b\"c", "a\\\\b\\\"c", true },
	{ { (const uint8_t *)"\0\x1b[2J\n\t\x7f", 8 },
	  "\\x00\\x1b[2J\\x0a\\x09\\x7f",
	  "\\u0000\\u001b[2J\\u000a\\u0009\\u007f",
	  true },
	{ { (const uint8_t *)"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9 },
	  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	  true },
	/* C1 controls: U+0080, U+009B (CSI), U+009F; U+00A0 is none */
	{ { (const uint8_t *)"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", 8 },
	  "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\xc2\xa0",
	  "\\u0080\\u009b\\u009f\xc2\xa0",
	  true },
	/* direction: U+200E, U+2028, U+202E, U+2066, U+2069; U+2010 and U+206A are none */
	{ { (const uint8_t *)"\xe2\x80\x8e\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9", 15 },
	  "\\xe2\\x80\\x8e\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x81\\xa9",
	  "\\u200e\\u2028\\u202e\\u2066\\u2069",
	  true },
	{ { (const uint8_t *)"\xe2\x80\x90\xe2\x81\xaa", 6 },
	  "\xe2\x80\x90\xe2\x81\xaa",
	  "\xe2\x80\x90\xe2\x81\xaa",
	  true },
	/* a byte alone, a sequence cut short, and one that goes on with the wrong byte */
	{ { (const uint8_t *)"\x80", 1 }, "\\x80", "\\ufffd", false },
	{ { (const uint8_t *)"\xff\xfe", 2 }, "\\xff\\xfe", "\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xe2\x82", 2 }, "\\xe2\\x82", "\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xf0\x9f\x98", 3 }, "\\xf0\\x9f\\x98", "\\ufffd\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xe2\x82x", 3 }, "\\xe2\\x82x", "\\ufffd\\ufffdx", false },
	{ { (const uint8_t *)"\xc3\xc3\xa9", 3 }, "\\xc3\xc3\xa9", "\\ufffd\xc3\xa9", false },
	{ { (const uint8_t *)"\xf0\x9f\x98(", 4 }, "\\xf0\\x9f\\x98(", "\\ufffd\\ufffd\\ufffd(", false },
	/* overlong: "/" in two, three and four bytes; U+0080 in three, U+0800 in four */
	{ { (const uint8_t *)"\xc0\xaf", 2 }, "\\xc0\\xaf", "\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xc1\xbf", 2 }, "\\xc1\\xbf", "\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xe0\x80\xaf", 3 }, "\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xe0\x9f\xbf", 3 }, "\\xe0\\x9f\\xbf", "\\ufffd\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xf0\x8f\xbf\xbf", 4 },
	  "\\xf0\\x8f\\xbf\\xbf",
	  "\\ufffd\\ufffd\\ufffd\\ufffd",
	  false },
	/* surrogates U+D800 and U+DFFF, and the characters beside them */
	{ { (const uint8_t *)"\xed\xa0\x80", 3 }, "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xed\xbf\xbf", 3 }, "\\xed\\xbf\\xbf", "\\ufffd\\ufffd\\ufffd", false },
	{ { (const uint8_t *)"\xed\x9f\xbf\xee\x80\x80", 6 },
	  "\xed\x9f\xbf\xee\x80\x80",
	  "\xed\x9f\xbf\xee\x80\x80",
	  true },
	/* the last character, U+10FFFF, and the one behind it */
	{ { (const uint8_t *)"\xf4\x8f\xbf\xbf", 4 }, "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf", true },
	{ { (const uint8_t *)"\xf4\x90\x80\x80", 4 },
	  "\\xf4\\x90\\x80\\x80",
	  "\\ufffd\\ufffd\\ufffd\\ufffd",
	  false },
	{ { (const uint8_t *)"\xf5\x80\x80\x80", 4 },
	  "\\xf5\\x80\\x80\\x80",
	  "\\ufffd\\ufffd\\ufffd\\ufffd",
	  false },
};

static void assert_text(const struct buf *b, const char *expected)
{
	assert_int_equal(b->len, strlen(expected));
	if (b->len > 0)
		assert_memory_equal(b->data, expected, b->len);
}

TEST(foreign_bytes_become_text_that_nothing_obeys)
{
	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT(1024);
		_cleanup_(freep) uint8_t *exact = malloc(texts[i].in.len + 1);

		/* a block of just that size, so that a sanitizer sees one byte too many */
		assert_non_null(exact);
		memcpy(exact, texts[i].in.data, texts[i].in.len);
		exact = realloc(exact, texts[i].in.len ? texts[i].in.len : 1);
		assert_int_equal(text_escape(&b, bytes_of(exact, texts[i].in.len)), 0);
		assert_text(&b, texts[i].escaped);
		assert_int_equal(text_is_utf8(bytes_of(exact, texts[i].in.len)), texts[i].utf8);
	}
}

TEST(foreign_bytes_become_json_strings)
{
	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT(1024), expected = BUF_INIT(1024);

		assert_int_equal(text_json(&b, texts[i].in), 0);
		assert_int_equal(buf_printf(&expected, "\"%s\"", texts[i].json), 0);
		assert_bytes_equal(bytes_of(b.data, 1), "\"");
		assert_int_equal(b.len, expected.len);
		assert_memory_equal(b.data, expected.data, b.len);
	}
}

/* Whatever comes in, what goes out is printable and UTF-8. */
TEST(all_pairs_of_bytes_are_made_harmless)
{
	for (unsigned v = 0; v < 0x10000; v++) {
		uint8_t pair[2] = { (uint8_t)(v >> 8), (uint8_t)v };
		_cleanup_(buf_done) struct buf b = BUF_INIT(64);

		assert_int_equal(text_escape(&b, bytes_of(pair, 2)), 0);
		assert_int_equal(text_json(&b, bytes_of(pair, 2)), 0);
		assert_true(text_is_utf8(buf_bytes(&b)));
		for (size_t i = 0; i < b.len; i++)
			assert_true(b.data[i] >= 0x20 && b.data[i] != 0x7f);
	}
}

TEST(what_does_not_fit_leaves_the_buffer_as_it_was)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(8);

	assert_int_equal(buf_str(&b, "abc"), 0);
	assert_int_equal(text_escape(&b, LIT("x\n\n")), -EMSGSIZE);
	assert_int_equal(text_json(&b, LIT("xxx\"")), -EMSGSIZE);
	assert_int_equal(text_json(&b, LIT("\x01")), -EMSGSIZE);
	assert_int_equal(text_hex(&b, LIT("xyz")), -EMSGSIZE);
	assert_int_equal(text_base64(&b, LIT("wxyz")), -EMSGSIZE);
	assert_text(&b, "abc");
	assert_int_equal(text_escape(&b, LIT("x\n")), 0);
	assert_text(&b, "abcx\\x0a");
}

TEST(bytes_are_written_in_hexadecimal_and_base64)
{
	static const struct {
		struct bytes in;
		const char *hex, *base64;
	} cases[] = {
		{ { NULL, 0 }, "", "" },
		{ { (const uint8_t *)"f", 1 }, "66", "Zg==" },
		{ { (const uint8_t *)"fo", 2 }, "666f", "Zm8=" },
		{ { (const uint8_t *)"foo", 3 }, "666f6f", "Zm9v" },
		{ { (const uint8_t *)"foob", 4 }, "666f6f62", "Zm9vYg==" },
		{ { (const uint8_t *)"\xff\xff\xfe\0", 4 }, "fffffe00", "///+AA==" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT(64);

		assert_int_equal(text_hex(&b, cases[i].in), 0);
		assert_text(&b, cases[i].hex);
		buf_clear(&b);
		assert_int_equal(text_base64(&b, cases[i].in), 0);
		assert_text(&b, cases[i].base64);
	}
}

/* --- sizes, spans, booleans ---------------------------------------------------------------- */

TEST(sizes_are_read_as_people_write_them)
{
	static const struct {
		const char *text;
		int r;
		uint64_t size;
	} cases[] = {
		{ "0", 0, 0 },
		{ "65536", 0, 65536 },
		{ "1K", 0, 1024 },
		{ "512M", 0, UINT64_C(512) << 20 },
		{ "1G", 0, UINT64_C(1) << 30 },
		{ "3T", 0, UINT64_C(3) << 40 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "16777215T", 0, UINT64_C(16777215) << 40 },
		{ "16777216T", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999K", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "1MB", -EINVAL, 0 },
		{ "1 M", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "1m", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		uint64_t size = 4711;

		assert_int_equal(text_to_size(cases[i].text, &size), cases[i].r);
		assert_int_equal(size, cases[i].r == 0 ? cases[i].size : 4711);
	}
}

TEST(spans_of_time_are_read_as_in_systemd_time)
{
	static const struct {
		const char *text;
		int r;
		uint64_t us;
	} cases[] = {
		{ "90", 0, 90000000 },
		{ "7us", 0, 7 },
		{ "50ms", 0, 50000 },
		{ "0s", 0, 0 },
		{ "5min", 0, 300000000 },
		{ "2h", 0, UINT64_C(7200000000) },
		{ "1w", 0, UINT64_C(604800000000) },
		{ "1d 2h", 0, UINT64_C(93600000000) },
		{ "1d2h", 0, UINT64_C(93600000000) },
		{ " 1 d  2 h ", 0, UINT64_C(93600000000) },
		{ "5min 20", 0, 320000000 },
		{ "18446744073709551615us", 0, UINT64_MAX },
		{ "18446744073709551615us 1us", -ERANGE, 0 },
		{ "18446744073709551615", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ " ", -EINVAL, 0 },
		{ "d", -EINVAL, 0 },
		{ "1y", -EINVAL, 0 },
		{ "1m", -EINVAL, 0 },
		{ "1D", -EINVAL, 0 },
		{ "-1d", -EINVAL, 0 },
		{ "1.5h", -EINVAL, 0 },
		{ "1d,", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		uint64_t us = 4711;

		assert_int_equal(text_to_span(cases[i].text, &us), cases[i].r);
		assert_int_equal(us, cases[i].r == 0 ? cases[i].us : 4711);
	}
}

TEST(yes_and_no_have_their_usual_names)
{
	static const char *const yes[] = { "yes", "true", "on", "1", "Yes", "TRUE" };
	static const char *const no[] = { "no", "false", "off", "0", "Off" };
	static const char *const neither[] = { "", "2", "y", "yes ", "enabled" };
	bool b = false;

	for (size_t i = 0; i < ELEMENTSOF(yes); i++, b = false) {
		assert_int_equal(text_to_bool(yes[i], &b), 0);
		assert_true(b);
	}
	for (size_t i = 0; i < ELEMENTSOF(no); i++) {
		b = true;
		assert_int_equal(text_to_bool(no[i], &b), 0);
		assert_false(b);
	}
	for (size_t i = 0; i < ELEMENTSOF(neither); i++)
		assert_int_equal(text_to_bool(neither[i], &b), -EINVAL);
}

/* --- times --------------------------------------------------------------------------------- */

TEST(times_are_written_in_utc)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{ NOW_US + 123456, "2026-11-23T12:53:20.123456Z" },
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ -1, "1969-12-31T23:59:59.999999Z" },
		{ INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z" },
		{ INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
		{ INT64_C(253402300800000000), "@253402300800.000000" },
		{ -INT64_C(62135596800000000), "0001-01-01T00:00:00.000000Z" },
		{ -INT64_C(62135596800000001), "@-62135596801.999999" },
		{ INT64_MAX, "@9223372036854.775807" },
		{ INT64_MIN, "@-9223372036855.224192" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		char text[TEXT_TIME_MAX];

		assert_int_equal(text_time(cases[i].us, text), strlen(cases[i].text));
		assert_string_equal(text, cases[i].text);
	}
}

TEST(times_are_read_in_every_form_that_is_promised)
{
	static const struct {
		const char *text;
		int r;
		int64_t us;
	} cases[] = {
		{ "2026-11-23T12:53:20Z", 0, NOW_US },
		{ "2026-11-23t12:53:20z", 0, NOW_US },
		{ "2026-11-23T12:53:20.123456789Z", 0, NOW_US + 123456 },
		{ "2026-11-23T12:53:20.5Z", 0, NOW_US + 500000 },
		{ "2026-11-23T14:53:20+02:00", 0, NOW_US },
		{ "2026-11-23T07:23:20-05:30", 0, NOW_US },
		{ "2026-11-23 12:53:20", 0, NOW_US },
		{ "2026-11-23 12:53:20+00:00", 0, NOW_US },
		{ "2026-11-23 12:53", 0, NOW_US - 20000000 },
		{ "2026-11-23", 0, NOW_US - INT64_C(46400) * 1000000 },
		{ "@1795438400", 0, NOW_US },
		{ "@0", 0, 0 },
		{ "1d", 0, NOW_US - INT64_C(86400000000) },
		{ "-1d", 0, NOW_US - INT64_C(86400000000) },
		{ "1h 30min", 0, NOW_US - INT64_C(5400000000) },
		{ "0", 0, NOW_US },
		{ "1969-12-31T23:59:59Z", 0, -1000000 },
		{ "0001-01-01", 0, -INT64_C(62135596800000000) },
		{ "2024-02-29", 0, INT64_C(1709164800000000) },
		{ "2000-02-29", 0, INT64_C(951782400000000) },
		{ "2016-12-31T23:59:60Z", 0, INT64_C(1483228800000000) },
		{ "2026-02-29", -EINVAL, 0 },
		{ "1900-02-29", -EINVAL, 0 },
		{ "2026-04-31", -EINVAL, 0 },
		{ "2026-13-01", -EINVAL, 0 },
		{ "2026-00-01", -EINVAL, 0 },
		{ "2026-01-00", -EINVAL, 0 },
		{ "0000-01-01", -EINVAL, 0 },
		{ "2026-11-23T12:53:20", -EINVAL, 0 },
		{ "2026-11-23T12:53Z", -EINVAL, 0 },
		{ "2026-11-23T24:00:00Z", -EINVAL, 0 },
		{ "2026-11-23T12:60:00Z", -EINVAL, 0 },
		{ "2026-11-23T12:53:61Z", -EINVAL, 0 },
		{ "2026-11-23T12:53:20.Z", -EINVAL, 0 },
		{ "2026-11-23T12:53:20Zx", -EINVAL, 0 },
		{ "2026-11-23T12:53:20+0200", -EINVAL, 0 },
		{ "2026-11-23T12:53:20+24:00", -EINVAL, 0 },
		{ "2026-11-23 ", -EINVAL, 0 },
		{ "2026-11-23x", -EINVAL, 0 },
		{ "26-11-23", -EINVAL, 0 },
		{ "@", -EINVAL, 0 },
		{ "@-1", -EINVAL, 0 },
		{ "@1x", -EINVAL, 0 },
		{ "@9223372036855", -ERANGE, 0 },
		{ "@18446744073709551616", -ERANGE, 0 },
		{ "18446744073709551615us", -ERANGE, 0 },
		{ "--1d", -EINVAL, 0 },
		{ "yesterday", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		int64_t us = 4711;

		assert_int_equal(text_to_time(cases[i].text, NOW_US, &us), cases[i].r);
		assert_int_equal(us, cases[i].r == 0 ? cases[i].us : 4711);
	}
}

TEST(every_day_of_ten_thousand_years_is_its_own_reverse)
{
	struct civil c;
	int64_t day = -INT64_C(62135596800);

	for (; day <= INT64_C(253402214400); day += 86400) {
		assert_true(civil_from_seconds(day + 86399, &c));
		if (civil_to_seconds(c.year, c.month, c.day, c.hour, c.minute, c.second) != day + 86399)
			fail_msg("%lld", (long long)day);
	}
	assert_int_equal(c.year, 9999);
	assert_false(civil_from_seconds(day, &c));
	assert_false(civil_from_seconds(INT64_MIN, &c));
	assert_false(civil_from_seconds(INT64_MAX, &c));
}

TEST(dates_agree_with_the_c_library)
{
	for (int64_t t = -INT64_C(62135596800); t < INT64_C(253402300800); t += 86400 * 37 + 4711) {
		time_t seconds = (time_t)t;
		struct tm tm;
		struct civil c;

		assert_non_null(gmtime_r(&seconds, &tm));
		assert_true(civil_from_seconds(t, &c));
		assert_true(c.year == tm.tm_year + 1900 && c.month == tm.tm_mon + 1 && c.day == tm.tm_mday &&
			    c.hour == tm.tm_hour && c.minute == tm.tm_min && c.second == tm.tm_sec);
	}
}
