/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/layout.h"

static struct event with(const struct event_field *fields, size_t n)
{
	struct event e = { .meaning = { .activity = "" }, .template_text = "" };

	for (size_t i = 0; i < n; i++)
		e.fields[i] = fields[i];
	e.n_fields = n;
	return e;
}

/* What a table makes of an event, and what it leaves; until the next call. */
static const char *laid_out(const struct event *e, const struct member *members, size_t string_max)
{
	static struct buf out = BUF_INIT(4096);
	struct line line = { .out = &out };
	struct layout t = LAYOUT(&line, e, NULL, string_max);

	buf_clear(&out);
	line_add(&line, LIT("{"));
	layout_walk(&t, members);
	layout_leftovers(&t, "rest");
	line_add(&line, LIT("}"));
	assert_int_equal(line.error, 0);
	assert_int_equal(buf_byte(&out, '\0'), 0);
	return (const char *)out.data;
}

#define FIELDS(...) with((const struct event_field[]){ __VA_ARGS__ }, \
			 ELEMENTSOF(((const struct event_field[]){ __VA_ARGS__ })))

static const struct member endpoint[] = {
	OPEN("source"), IP("ip", "src_ip"), HOST("hostname", "src_host"), TEXT("name", "src_host"),
	PORT_AFTER("port", "src_port"), CLOSE,
	END,
};

TEST(an_object_is_opened_by_its_first_member)
{
	const struct event all = FIELDS({ "src_port", LIT("22") }, { "src_ip", LIT("::1") }), none = FIELDS({ "x", LIT("y") });

	assert_string_equal(laid_out(&all, endpoint, SIZE_MAX), "{\"source\":{\"ip\":\"::1\",\"port\":22}}");
	assert_string_equal(laid_out(&none, endpoint, SIZE_MAX), "{\"rest\":{\"x\":\"y\"}}");
}

TEST(objects_within_objects_are_opened_and_closed_in_pairs)
{
	static const struct member members[] = {
		OPEN("a"), OPEN("b"), OPEN("c"), TEXT("d", "d"), CLOSE, CLOSE, OPEN("e"), CLOSE, TEXT("f", "f"), CLOSE,
		OPEN("g"), CLOSE,
		END,
	};
	const struct event inner = FIELDS({ "d", LIT("1") }), outer = FIELDS({ "f", LIT("2") });
	const struct event both = FIELDS({ "f", LIT("2") }, { "d", LIT("1") }), neither = FIELDS({ "blanks", LIT("  ") });

	assert_string_equal(laid_out(&inner, members, SIZE_MAX), "{\"a\":{\"b\":{\"c\":{\"d\":\"1\"}}}}");
	assert_string_equal(laid_out(&outer, members, SIZE_MAX), "{\"a\":{\"f\":\"2\"}}");
	assert_string_equal(laid_out(&both, members, SIZE_MAX), "{\"a\":{\"b\":{\"c\":{\"d\":\"1\"}},\"f\":\"2\"}}");
	assert_string_equal(laid_out(&neither, members, SIZE_MAX), "{}");
}

TEST(what_a_type_does_not_admit_is_left_over)
{
	static const struct {
		const char *port, *json;
	} cases[] = {
		{ "1", "\"port\":1}}" },
		{ "65535", "\"port\":65535}}" },
		{ "0", "\"},\"rest\":{\"src_port\":\"0\"}}" },
		{ "65536", "\"},\"rest\":{\"src_port\":\"65536\"}}" },
		{ "022", "\"},\"rest\":{\"src_port\":\"022\"}}" },
		{ "18446744073709551617", "\"},\"rest\":{\"src_port\":\"18446744073709551617\"}}" },
		{ "-1", "\"},\"rest\":{\"src_port\":\"-1\"}}" },
		{ "", "\"},\"rest\":{\"src_port\":\"\"}}" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const struct event e = FIELDS({ "src_ip", LIT("192.0.2.1") }, { "src_port", bytes_str(cases[i].port) });

		assert_non_null(strstr(laid_out(&e, endpoint, SIZE_MAX), cases[i].json));
	}
}

TEST(a_number_of_more_than_31_bits_is_left_over)
{
	static const struct member members[] = { NUMBER("count", "repeat"), END };
	const struct event good = FIELDS({ "repeat", LIT("2147483647") }), bad = FIELDS({ "repeat", LIT("2147483648") });

	assert_string_equal(laid_out(&good, members, SIZE_MAX), "{\"count\":2147483647}");
	assert_string_equal(laid_out(&bad, members, SIZE_MAX), "{\"rest\":{\"repeat\":\"2147483648\"}}");
}

TEST(a_member_that_follows_needs_one_before_it)
{
	const struct event e = FIELDS({ "src_ip", LIT("UNKNOWN") }, { "src_port", LIT("22") });

	assert_string_equal(laid_out(&e, endpoint, SIZE_MAX), "{\"rest\":{\"src_ip\":\"UNKNOWN\",\"src_port\":\"22\"}}");
}

TEST(each_fact_has_one_place)
{
	static const struct member members[] = { TEXT("whom", "target", "user"), TEXT("who", "user"), TEXT("again", "user"), END };
	const struct event one = FIELDS({ "user", LIT("a") }), two = FIELDS({ "user", LIT("a") }, { "target", LIT("b") });
	const struct event twice = FIELDS({ "user", LIT("a") }, { "user", LIT("b") }, { "user", LIT("c") }, { "user", LIT("d") });

	assert_string_equal(laid_out(&one, members, SIZE_MAX), "{\"whom\":\"a\"}");
	assert_string_equal(laid_out(&two, members, SIZE_MAX), "{\"whom\":\"b\",\"who\":\"a\"}");
	assert_string_equal(laid_out(&twice, members, SIZE_MAX),
			    "{\"whom\":\"a\",\"who\":\"b\",\"again\":\"c\",\"rest\":{\"field_3_user\":\"d\"}}");
}

TEST(an_empty_name_counts_and_an_empty_text_does_not)
{
	static const struct member members[] = { NAME("name", "user"), TEXT("tty", "tty"), END };
	const struct event e = FIELDS({ "user", BYTES_NONE }, { "tty", BYTES_NONE });

	assert_string_equal(laid_out(&e, members, SIZE_MAX), "{\"name\":\"\",\"rest\":{\"tty\":\"\"}}");
}

TEST(a_value_past_the_schemas_length_is_left_over)
{
	static const struct member members[] = { NAME("name", "user"), END };
	const struct event fits = FIELDS({ "user", LIT("12345678") }), long_one = FIELDS({ "user", LIT("123456789") });

	assert_string_equal(laid_out(&fits, members, 8), "{\"name\":\"12345678\"}");
	assert_string_equal(laid_out(&long_one, members, 8), "{\"rest\":{\"user\":\"123456789\"}}");
}

TEST(a_member_is_left_out_beside_the_fact_that_forbids_it)
{
	static const struct member members[] = {
		{ .kind = MEMBER_TEXT, .name = "uid", .facts = { "uid" }, .unless = "euid", .text = "\"sure\":true" },
		END,
	};
	const struct event e = FIELDS({ "uid", LIT("0") }, { "euid", LIT("0") }), sure = FIELDS({ "uid", LIT("0") });

	assert_string_equal(laid_out(&e, members, SIZE_MAX), "{\"rest\":{\"uid\":\"0\",\"euid\":\"0\"}}");
	assert_string_equal(laid_out(&sure, members, SIZE_MAX), "{\"uid\":\"0\",\"sure\":true}");
}

TEST(left_over_names_are_paths_of_no_object)
{
	const struct event e = FIELDS({ "a.b", LIT("1") }, { "a_b", LIT("2") }, { "field_0_a_b", LIT("3") }, { "time", LIT("4") });

	assert_string_equal(laid_out(&e, (const struct member[]){ END }, SIZE_MAX),
			    "{\"rest\":{\"field_0_a_b\":\"1\",\"a_b\":\"2\",\"field_field_0_a_b\":\"3\",\"time\":\"4\"}}");
}

TEST(addresses)
{
	static const char *const good[] = { "0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1" };
	static const char *const bad[] = { "", "1.2.3", "1.2.3.256", "1.2.3.4.5", " 1.2.3.4", "fe80::1%eth0", "[::1]", "a:b",
					   "0000:0000:0000:0000:0000:ffff:192.168.100.228" };

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_true(layout_is_ip(bytes_str(good[i])));
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_false(layout_is_ip(bytes_str(bad[i])));
	assert_false(layout_is_ip(LIT("1.2.3.4\0")));
}

TEST(host_names)
{
	static const char *const good[] = { "a", "a.b", "web-1.example", "192.0.2.1", "A9--z.0", "UNKNOWN" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a", "a-", "a-.b", "a.-b", "a b", "a_b", "a\xc3\xa4z", "::1" };
	char name[254];

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_true(layout_is_host(bytes_str(good[i])));
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_false(layout_is_host(bytes_str(bad[i])));
	(void)memset(name, 'a', sizeof name);
	assert_true(layout_is_host(bytes_of(name, 253)));
	assert_false(layout_is_host(bytes_of(name, 254)));
}
