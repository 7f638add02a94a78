/* SPDX-License-Identifier: Apache-2.0 */
/* The language of redactions, how far secrets go, what the rules that are shipped take and leave, and what that
 * costs. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collectors/redact.h"

#define SHIPPED "packaging/templates"

static struct redactor *redactor_of(const char *rules)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct redactor *red = NULL;

	assert_int_equal(redactor_new(&red), 0);
	if (redactor_add(red, bytes_str(rules), "test", &why) < 0)
		fail_msg("%.*s", (int)why.len, (const char *)why.data);
	assert_int_equal(redactor_ready(red), 0);
	return red;
}

static struct redactor *shipped(void)
{
	static struct redactor *red;
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);

	if (red)
		return red;
	assert_int_equal(redactor_new(&red), 0);
	if (redactor_add_directory(red, SHIPPED, &why) <= 0)
		fail_msg("%.*s", (int)why.len, (const char *)why.data);
	assert_int_equal(redactor_ready(red), 0);
	return red;
}

__attribute__((destructor)) static void give_back(void)
{
	if (test_count > 0)
		redactor_free(shipped());
}

/* What becomes of a message that no template knows. Good until the next call. */
static struct bytes redacted(struct redactor *red, struct bytes text)
{
	struct bytes values[EVENT_FIELDS_MAX] = { text }, message = text;
	int r = redact(red, &wording_unknown, 1, 0, values, &message);

	assert_in_range(r, 0, 1);
	assert_true(bytes_eq(values[0], message));
	if (r == 0)
		assert_ptr_equal(message.data, text.data);
	return message;
}

#define assert_redacted(red_, text_, expected_)                                                     \
	do {                                                                                        \
		struct bytes _b = redacted(red_, bytes_str(text_));                                 \
		if (!bytes_eq(_b, bytes_str(expected_)))                                            \
			fail_msg("%s: became %.*s, not %s", text_, (int)_b.len, (const char *)_b.data, expected_); \
	} while (0)

#define assert_rule(rule_, text_, expected_)                           \
	do {                                                           \
		_cleanup_(redactor_freep) struct redactor *_red = NULL; \
		_red = redactor_of(rule_ "\n");                        \
		assert_redacted(_red, text_, expected_);               \
	} while (0)

/* --- the language ------------------------------------------------------------------------- */

TEST(words_are_found_whatever_the_case_of_their_letters)
{
	assert_rule("p | pw= | value", "PW=a Pw=b pW=c p=d", "PW=[redacted p] Pw=[redacted p] pW=[redacted p] p=d");
	assert_rule("p | PW= | value", "xpw=a", "xpw=[redacted p]");
}

TEST(a_caret_wants_the_words_at_the_beginning_of_a_word)
{
	assert_rule("p | ^pw= | value", "apw=1 -pw=2 _pw=3 9pw=4", "apw=1 -pw=2 _pw=3 9pw=4");
	assert_rule("p | ^pw= | value", "pw=1 .pw=2 'pw=3' (pw=4", "pw=[redacted p] .pw=[redacted p] 'pw=[redacted p]' (pw=[redacted p]");
}

#define BLANKS_16 "                "
#define BLANKS_64 BLANKS_16 BLANKS_16 BLANKS_16 BLANKS_16

TEST(separators_are_wanted_or_may_be_left_out)
{
	assert_rule("p | --pw[= ] | value", "--pw=a --pw b --pw= c --pwd e --pw", "--pw=[redacted p] --pw [redacted p] --pw= [redacted p] --pwd e --pw");
	assert_rule("p | pw:[ ]? | value", "pw:a pw: b pw:  ", "pw:[redacted p] pw: [redacted p] pw:  ");
	assert_rule("p | pw[ ] | value", "pw" BLANKS_64 "a", "pw" BLANKS_64 "[redacted p]");
	assert_rule("p | pw[ ] | value", "pw" BLANKS_64 " a", "pw" BLANKS_64 " a");
}

TEST(of_words_with_the_same_end_the_longest_that_find_something_count)
{
	assert_rule("a | bc= | value\nb | abc[=] | value", "abc=d bc=e", "abc=[redacted b] bc=[redacted a]");
	assert_rule("a | bc= | value\nb | ^abc[=] | value", "xabc=d", "xabc=[redacted a]");
	assert_rule("a | ab | value\nb | abc[=] | value", "abc=d", "ab[redacted a]");
	assert_rule("a | ab[=] | value\nb | ab[:] | value\nc | ab[=:] | value", "ab:c ab=c",
		    "ab:[redacted b] ab=[redacted a]");
}

TEST(a_value_goes_as_far_as_a_shell_would_take_it)
{
	static const char *const table[][2] = {
		{ "pw=a b", "pw=[redacted p] b" },
		{ "pw=a\tb pw=c\nd", "pw=[redacted p]\tb pw=[redacted p]\nd" },
		{ "pw=a\\ b c", "pw=[redacted p] c" },
		{ "pw=\"a b\" c", "pw=[redacted p] c" },
		{ "pw='a b' c", "pw=[redacted p] c" },
		{ "pw=\"a \\\" b\" c", "pw=[redacted p] c" },
		{ "pw=\"a \\\\\" b\"", "pw=[redacted p] b\"" },
		{ "pw='a'\\''b c' d", "pw=[redacted p] d" },
		{ "pw=\"a\"'b c' d", "pw=[redacted p] d" },
		{ "pw=\"a\"b d", "pw=[redacted p] d" },
		{ "pw='a b", "pw=[redacted p]" },
		{ "pw=a'b c", "pw=[redacted p] c" },
		/* sudo 1.9.13 and later: an argument that holds a blank */
		{ "'pw=a b' c", "'pw=[redacted p]' c" },
		{ "'pw=a \\' b' c", "'pw=[redacted p]' c" },
		{ "'x pw=a b' c", "'x pw=[redacted p] b' c" },
		{ "\"pw=a 'b\" c", "\"pw=[redacted p]\" c" },
		{ "'x'pw=a b'", "'x'pw=[redacted p] b'" },
		/* its quotes within quotes */
		{ "'mysql pw=\\'a b\\' c' d", "'mysql pw=[redacted p] c' d" },
		{ "'mysql \\'pw=a b\\' c' d", "'mysql \\'pw=[redacted p]' c' d" },
		{ "'pw=\"a b\" c' d", "'pw=[redacted p] c' d" },
		/* nothing there */
		{ "pw=", "pw=" },
		{ "pw= a", "pw= a" },
		{ "\"pw=\" a", "\"pw=\" a" },
		{ "'pw=' a", "'pw=' a" },
	};
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("p | pw= | value\n");

	for (size_t i = 0; i < ELEMENTSOF(table); i++)
		assert_redacted(red, table[i][0], table[i][1]);
	assert_rule("p | pw\":[ ]? | value", "{\"pw\": \"a b\",\"c\":\"d\"}", "{\"pw\": [redacted p],\"c\":\"d\"}");
}

TEST(a_value_that_may_be_an_option_is_taken_and_looked_into)
{
	_cleanup_(redactor_freep) struct redactor *red =
		redactor_of("p | --pw[= ] | value\nt | --token[= ] | value\n");

	assert_redacted(red, "x --token --pw hunter2 y", "x --token [redacted t] [redacted p] y");
	assert_redacted(red, "x --token --pw=hunter2 y", "x --token [redacted t] y");
	assert_redacted(red, "x --token --pw=\"a b\" y", "x --token [redacted t] y");
	assert_redacted(red, "x --token=--pw hunter2", "x --token=[redacted t] [redacted p]");
}

TEST(the_rest_goes_to_the_quote_that_closes_the_word_or_to_the_end)
{
	assert_rule("h | auth:[ ]? | rest", "-H Auth: Basic abc https://x/", "-H Auth: [redacted h]");
	assert_rule("h | auth:[ ]? | rest", "-H 'Auth: Basic abc' https://x/", "-H 'Auth: [redacted h]' https://x/");
	assert_rule("h | auth:[ ]? | rest", "-H \"Auth: a \\\" b\" c", "-H \"Auth: [redacted h]\" c");
	assert_rule("h | auth:[ ]? | rest", "Auth: ", "Auth: ");
}

TEST(a_url_loses_the_password_in_its_authority_and_nothing_else)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("u | :// | url\n");

	assert_redacted(red, "a https://bob:pw@h:1/p:q@r b", "a https://bob:[redacted u]@h:1/p:q@r b");
	assert_redacted(red, "redis://:pw@h", "redis://:[redacted u]@h");
	assert_redacted(red, "ftp://a:b@c:d@e/", "ftp://a:[redacted u]@e/");
	assert_redacted(red, "https://h:8080/@scope/x", "https://h:8080/@scope/x");
	assert_redacted(red, "ssh://git@h:22/x", "ssh://git@h:22/x");
	assert_redacted(red, "https://u:@h/", "https://u:@h/");
	assert_redacted(red, "https://h:1 @x", "https://h:1 @x");
	assert_redacted(red, "://", "://");
}

TEST(a_key_has_its_length_and_stands_alone)
{
	_cleanup_(redactor_freep) struct redactor *red =
		redactor_of("k | AK | key 4 A-Z0-9\nr | rk_ | key 2-3 a-c-\no | ok_ | key 3- ab\n");

	assert_redacted(red, "AK12AB (AK12AB)", "[redacted k] ([redacted k])");
	assert_redacted(red, "xAK12AB", "x[redacted k]");
	assert_redacted(red, "XAK12AB AK12ABC AK12A ak12ab AK12Ab AK", "XAK12AB AK12ABC AK12A ak12ab AK12Ab AK");
	assert_redacted(red, "rk_a rk_ab rk_ab- rk_abca", "rk_a [redacted r] [redacted r] rk_abca");
	assert_redacted(red, "ok_ab ok_aba ok_abababc", "ok_ab [redacted o] [redacted o]c");
}

TEST(a_key_without_words_is_looked_for_near_another_find)
{
	_cleanup_(redactor_freep) struct redactor *red =
		redactor_of("id | AK | key 4 A-Z0-9\nkey | near id | key 6 a-z/\n");

	assert_redacted(red, "abc/ef AK12AB", "[redacted key] [redacted id]");
	assert_redacted(red, "AK12AB key=abcdef, abcdefg abcde", "[redacted id] key=[redacted key], abcdefg abcde");
	assert_redacted(red, "abcdef AK12A", "abcdef AK12A");
}

TEST(a_text_is_taken_with_what_ends_it)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("k | begin- | through -END-\n");

	assert_redacted(red, "BEGIN-a b-end-c -END- d", "BEGIN-[redacted k] d");
	assert_redacted(red, "BEGIN-a", "BEGIN-[redacted k]");
	assert_redacted(red, "BEGIN-", "BEGIN-");
}

TEST(what_is_wrong_is_told_with_its_place)
{
	static const char *const table[][2] = {
		{ "p", "not \"name | words before the secret | how far the secret goes\"" },
		{ "p | pw=", "not \"name | words before the secret | how far the secret goes\"" },
		{ "P | pw= | value", "\"P\" is no name: up to 32 small letters, digits and -" },
		{ " | pw= | value", "\"\" is no name: up to 32 small letters, digits and -" },
		{ "p | x | value", "the words before the secret have 2 to 64 bytes, not 1" },
		{ "p | ^[ ] | value", "the words before the secret have 2 to 64 bytes, not 0" },
		{ "p | pw[] | value", "no character stands between the brackets" },
		{ "p | pw= | values", "\"values\" is not value, rest, url, through TEXT or key N SET" },
		{ "p | pw= | through", "\"through\" is not value, rest, url, through TEXT or key N SET" },
		{ "p | pw= | key x a-z", "\"x\" is no length from 1 to 256" },
		{ "p | pw= | key 0 a-z", "\"0\" is no length from 1 to 256" },
		{ "p | pw= | key 257 a-z", "\"257\" is no length from 1 to 256" },
		{ "p | pw= | key 3-2 a-z", "\"3-2\" is no length from 1 to 256" },
		{ "p | pw= | key 3", "\"key\" wants a length and a set of characters, such as 16 A-Z0-9" },
		{ "p | pw= | key 3 z-a", "\"z-a\" is no range" },
		{ "p | pw[=] | key 3 a-z", "a key begins with its words: nothing stands between them" },
		{ "p | near q | key 3 a-z", "near \"q\": no rule before this one has that name" },
		{ "p | near p | value", "near \"p\": no rule before this one has that name" },
	};

	for (size_t i = 0; i < ELEMENTSOF(table); i++) {
		_cleanup_(redactor_freep) struct redactor *red = NULL;
		_cleanup_(buf_done) struct buf why = BUF_INIT(4096), text = BUF_INIT(4096), said = BUF_INIT(4096);

		assert_int_equal(redactor_new(&red), 0);
		assert_int_equal(buf_printf(&text, "\n# a comment\n%s\n", table[i][0]), 0);
		assert_int_equal(redactor_add(red, buf_bytes(&text), "here", &why), -EINVAL);
		assert_int_equal(buf_printf(&said, "here:3: %s", table[i][1]), 0);
		if (!bytes_eq(buf_bytes(&why), buf_bytes(&said)))
			fail_msg("%s: %.*s", table[i][0], (int)why.len, (const char *)why.data);
		assert_int_equal(redactor_count(red), 0);
	}
}

TEST(a_redactor_without_rules_changes_nothing)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("");

	assert_redacted(red, "--password=x", "--password=x");
	assert_redacted(red, "", "");
}

/* --- values and words ------------------------------------------------------------------------ */

static const struct bytes sudo_literals[] = { LIT(""), LIT(" : PWD="), LIT(" ; COMMAND="), LIT(" end") };
static const uint16_t sudo_ids[] = { 1, 2, 3 };
static struct wording sudo = { .n_fields = 3, .literals = sudo_literals, .field_ids = sudo_ids };

TEST(no_secret_reaches_beyond_its_value)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("p | --pw[= ] | value\nh | auth: | rest\n");
	struct bytes message = LIT("--pw : PWD=auth:'x ; COMMAND=--pw \"a end");
	struct bytes values[] = { LIT("--pw"), LIT("auth:'x"), LIT("--pw \"a") };

	assert_int_equal(redact(red, &sudo, 7, 0, values, &message), 1);
	assert_bytes_equal(message, "--pw : PWD=auth:[redacted h] ; COMMAND=--pw [redacted p] end");
	assert_bytes_equal(values[0], "--pw");
	assert_bytes_equal(values[1], "auth:[redacted h]");
	assert_bytes_equal(values[2], "--pw [redacted p]");
	assert_ptr_equal(values[0].data, message.data);
}

TEST(only_the_values_that_may_hold_text_are_looked_at)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("p | pw= | value\n");
	struct bytes message = LIT("pw=a : PWD=pw=b ; COMMAND=pw=c end");
	struct bytes values[] = { LIT("pw=a"), LIT("pw=b"), LIT("pw=c") };

	assert_int_equal(redact(red, &sudo, 2, 0, values, &message), 1);
	assert_bytes_equal(message, "pw=a : PWD=pw=[redacted p] ; COMMAND=pw=c end");
	assert_int_equal(redact(red, &sudo, 0, 0, values, &message), 0);
}

static struct bytes redacted_user(struct redactor *red, const char *name)
{
	static const struct bytes literals[] = { LIT("Invalid user "), LIT(" from "), LIT("") };
	static const uint16_t ids[] = { 1, 2 };
	static const struct wording invalid = { .n_fields = 2, .literals = literals, .field_ids = ids };
	static char text[256];
	struct bytes values[] = { bytes_str(name), LIT("192.0.2.7") }, message = bytes_of(text, 0);

	message.len = (size_t)snprintf(text, sizeof text, "Invalid user %s from 192.0.2.7", name);
	(void)redact(red, &invalid, 1, 1, values, &message);
	assert_bytes_equal(values[1], "192.0.2.7");
	return message;
}

TEST(unknown_users_are_kept_dropped_or_hashed_under_the_key)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("p | pw= | value\n"), *other = redactor_of("");
	static const uint8_t key[REDACT_KEY_SIZE] = { 1, 2, 3 };

	assert_bytes_equal(redacted_user(red, "hunter2"), "Invalid user hunter2 from 192.0.2.7");
	assert_bytes_equal(redacted_user(red, "pw=hunter2"), "Invalid user pw=[redacted p] from 192.0.2.7");
	redactor_set_unknown_users(red, UNKNOWN_USERS_DROP);
	assert_bytes_equal(redacted_user(red, "pw=hunter2"), "Invalid user [redacted unknown-user] from 192.0.2.7");
	assert_bytes_equal(redacted_user(red, ""), "Invalid user  from 192.0.2.7");
	redactor_set_unknown_users(red, UNKNOWN_USERS_HASH);
	redactor_set_unknown_users(other, UNKNOWN_USERS_HASH);
	redactor_set_key(red, key);
	/* printf hunter2 | openssl mac -digest SHA256 -macopt hexkey:010203000… HMAC */
	assert_bytes_equal(redacted_user(red, "hunter2"), "Invalid user [redacted unknown-user 2234cc66227cf6ce] from 192.0.2.7");
	assert_false(bytes_eq(redacted_user(red, "hunter2"), redacted_user(other, "hunter2")));
}

/* --- bounds ------------------------------------------------------------------------------- */

TEST(what_has_no_room_ends_in_a_mark_that_says_so)
{
	_cleanup_(redactor_freep) struct redactor *red = redactor_of("p | pw= | value\n");
	_cleanup_(freep) char *text = malloc(EVENT_RAW_MAX + 1);
	struct bytes b;

	assert_non_null(text);
	for (size_t i = 0; i < EVENT_RAW_MAX; i++)
		text[i] = "pw=S "[i % 5];
	for (size_t len = EVENT_RAW_MAX - 40; len <= EVENT_RAW_MAX; len++) {
		b = redacted(red, bytes_of(text, len));
		assert_in_range(b.len, EVENT_RAW_MAX - 64, EVENT_RAW_MAX);
		assert_null(memchr(b.data, 'S', b.len));
		assert_memory_equal(b.data + b.len - 19, "[redacted too-long]", 19);
	}
	/* a small value before a large one gets no more room than that leaves */
	struct bytes values[] = { LIT("pw=S"), bytes_of(text, 0), bytes_of(text, EVENT_RAW_MAX - 4 - 7 - 11 - 4) };
	memset(text, 'x', EVENT_RAW_MAX);
	memcpy(text, "pw=S : PWD= ; COMMAND=", 22);
	memcpy(text + EVENT_RAW_MAX - 4, " end", 4);
	values[2].data = (uint8_t *)text + 22;
	b = bytes_of(text, EVENT_RAW_MAX);
	assert_int_equal(redact(red, &sudo, 7, 0, values, &b), 1);
	assert_int_equal(b.len, EVENT_RAW_MAX);
	assert_bytes_equal(values[0], "[red");
	assert_memory_equal(b.data + b.len - 7, "xxx end", 7);
}

/* What it costs to look through `n` bytes of a pattern that is repeated, in steps. */
static uint64_t cost(struct redactor *red, const char *pattern, size_t n)
{
	_cleanup_(freep) char *text = malloc(n + 1);
	uint64_t before = redactor_steps(red);
	size_t len = strlen(pattern);

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		text[i] = pattern[i % len];
	(void)redacted(red, bytes_of(text, n));
	return redactor_steps(red) - before;
}

TEST(looking_is_linear_whatever_a_message_holds)
{
	static const char *const patterns[] = {
		"x", "password=", "password= ", "--password ", "--password -", "--token --password ", "'--password ",
		"\"password=", "'--password \"", "\\'--password ", "'--token - \\'", "password='", "password=\"\\", "\\",
		"'\\\\\\\\'password=", "authorization:", "authorization: ", "'authorization: \"", "://", "://a:", "://a:b@",
		"AKIA", "AKIA0123456789ABCDEF ", "AKIA0123456789ABCDEF/", "akia", "private key-----",
		"PRIVATE KEY-----x", "cookie:'", "$6$", "$6$aaaaaaaaaaaaaaaaaaaaa", "eyJ", "glpat-", "--pass ", "pa", "--",
		"aws_secret  ", "aws_secret                    ", "sshpass -p", "token\":\"", "--password -'--password -\"",
		"--token --token=", "-\\\\'--token ", "'''''\"\"\"\"--password x",
	};
	struct redactor *red = shipped();

	for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
		uint64_t quarter = cost(red, patterns[i], EVENT_RAW_MAX / 4), whole = cost(red, patterns[i], EVENT_RAW_MAX);

		if (whole > 60u * EVENT_RAW_MAX || whole > 5 * quarter)
			fail_msg("%s: %llu steps for 16 KiB, %llu for 64", patterns[i], (unsigned long long)quarter,
				 (unsigned long long)whole);
	}
}

TEST(words_that_are_none_cost_little_more_than_a_look)
{
	static const char text[] = "maria.rodriguez alexandra ssh sebastian.day patricia backup-user nagios oracle ";

	assert_in_range(cost(shipped(), text, EVENT_RAW_MAX), EVENT_RAW_MAX / 2, 3 * EVENT_RAW_MAX / 2);
}

/* Each word begins with a quote behind more backslashes than the one before, which that could not close. */
TEST(quotes_within_quotes_within_quotes_cost_no_more)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct redactor *red = shipped();
	uint64_t before;

	for (unsigned n = 1; text.len < EVENT_RAW_MAX - 1024; n++) {
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(buf_byte(&text, '\\'), 0);
		assert_int_equal(buf_str(&text, "'--token -x "), 0);
	}
	before = redactor_steps(red);
	(void)redacted(red, buf_bytes(&text));
	assert_in_range(redactor_steps(red) - before, text.len, 60 * text.len);
}

TEST(more_rules_cost_no_more)
{
	_cleanup_(buf_done) struct buf rules = BUF_INIT(1 << 20);
	_cleanup_(redactor_freep) struct redactor *few = redactor_of("p | --password[= ] | value\n"), *many = NULL;
	uint64_t one, thousand;

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(buf_printf(&rules, "p | --pa%u[= ] | value\n", i), 0);
	assert_int_equal(buf_str(&rules, "p | --password[= ] | value\n"), 0);
	assert_int_equal(buf_byte(&rules, '\0'), 0);
	many = redactor_of((const char *)rules.data);
	one = cost(few, "ls -l --pager x --password y ", EVENT_RAW_MAX);
	thousand = cost(many, "ls -l --pager x --password y ", EVENT_RAW_MAX);
	assert_in_range(thousand, one / 2, 2 * one);
}

/* --- the rules that are shipped --------------------------------------------------------------- */

#define PEM_BODY "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
#define AWS_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

TEST(every_shipped_rule_takes_its_secret)
{
	static const char *const table[][2] = {
		{ "/usr/bin/mysql --password=hunter2 -u root", "/usr/bin/mysql --password=[redacted password] -u root" },
		{ "/usr/bin/mysql --password hunter2 -u root", "/usr/bin/mysql --password [redacted password] -u root" },
		{ "/usr/bin/mysql '--password=hun ter2' -u root", "/usr/bin/mysql '--password=[redacted password]' -u root" },
		{ "sh -c 'mysql --password=\\'hun ter2\\' -u x'", "sh -c 'mysql --password=[redacted password] -u x'" },
		{ "x --passwd hunter2", "x --passwd [redacted password]" },
		{ "x --pass=hunter2", "x --pass=[redacted password]" },
		{ "x --passphrase hunter2", "x --passphrase [redacted password]" },
		{ "wget --http-password hunter2 u", "wget --http-password [redacted password] u" },
		{ "wget --ftp-password=hunter2 u", "wget --ftp-password=[redacted password] u" },
		{ "wget --proxy-password hunter2 u", "wget --proxy-password [redacted password] u" },
		{ "java -Dserver.password=hunter2 x", "java -Dserver.password=[redacted password] x" },
		{ "keytool -storepass hunter2 -keypass hunter3", "keytool -storepass [redacted password] -keypass [redacted password]" },
		{ "x -password hunter2", "x -password [redacted password]" },
		{ "PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted password] psql" },
		{ "env DB_PASSWORD='hunter 2' psql", "env DB_PASSWORD=[redacted password] psql" },
		{ "PASSWD=hunter2", "PASSWD=[redacted password]" },
		{ "MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=[redacted password] mysql" },
		{ "PASS=hunter2 DB_PASS=hunter2", "PASS=[redacted password] DB_PASS=[redacted password]" },
		{ "PASSPHRASE=hunter2", "PASSPHRASE=[redacted password]" },
		{ "mount -o user=a,password=hunter2 //h/s", "mount -o user=a,password=[redacted password] //h/s" },
		{ "curl -d {\"user\":\"a\",\"password\":\"hun ter2\",\"x\":1}",
		  "curl -d {\"user\":\"a\",\"password\":[redacted password],\"x\":1}" },
		{ "{\"passwd\": \"hunter2\"}", "{\"passwd\": [redacted password]}" },
		{ "openssl rsa -passin pass:hunter2 -in k", "openssl rsa -passin pass:[redacted password] -in k" },
		{ "sshpass -p hunter2 ssh h", "sshpass -p [redacted password] ssh h" },
		{ "/usr/bin/sshpass -phunter2 ssh h", "/usr/bin/sshpass -p[redacted password] ssh h" },
		{ "mysql -e \"create user a identified by 'hunter2'\"", "mysql -e \"create user a identified by [redacted password]" },
		{ "mysql -e 'create user a identified by \\'hunter2\\''", "mysql -e 'create user a identified by [redacted password]'" },
		{ "git clone https://bob:hunter2@example.com/x", "git clone https://bob:[redacted url-password]@example.com/x" },
		{ "usermod -p $6$Zm9v$" PEM_BODY PEM_BODY PEM_BODY " bob", "usermod -p [redacted password-hash] bob" },
		{ "usermod -p $y$j9T$Zm9v$" PEM_BODY PEM_BODY " bob", "usermod -p [redacted password-hash] bob" },
		{ "usermod -p $5$Zm9v$" PEM_BODY PEM_BODY " bob", "usermod -p [redacted password-hash] bob" },
		{ "usermod -p $1$Zm9v$" PEM_BODY " bob", "usermod -p [redacted password-hash] bob" },
		{ "htpasswd $2y$05$" PEM_BODY PEM_BODY, "htpasswd [redacted password-hash]" },
		{ "htpasswd $2b$05$" PEM_BODY PEM_BODY, "htpasswd [redacted password-hash]" },
		{ "htpasswd $2a$05$" PEM_BODY PEM_BODY, "htpasswd [redacted password-hash]" },
		{ "kubeadm join --token abc.def 192.0.2.1:6443", "kubeadm join --token [redacted token] 192.0.2.1:6443" },
		{ "x --auth-token=a --access-token b", "x --auth-token=[redacted token] --access-token [redacted token]" },
		{ "x --api-key a --apikey=b", "x --api-key [redacted token] --apikey=[redacted token]" },
		{ "GITHUB_TOKEN=abc API_KEY=def apikey=ghi", "GITHUB_TOKEN=[redacted token] API_KEY=[redacted token] apikey=[redacted token]" },
		{ "curl https://h/?api-key=abc", "curl https://h/?api-key=[redacted token]" },
		{ "{\"token\":\"a\",\"api_key\": \"b\",\"apiKey\":\"c\"}",
		  "{\"token\":[redacted token],\"api_key\": [redacted token],\"apiKey\":[redacted token]}" },
		{ "curl -H X-Api-Key: abc u", "curl -H X-Api-Key: [redacted token] u" },
		{ "curl -H 'X-Auth-Token: abc' u", "curl -H 'X-Auth-Token: [redacted token]' u" },
		{ "curl -H 'PRIVATE-TOKEN: abc' u", "curl -H 'PRIVATE-TOKEN: [redacted token]' u" },
		{ "x ghp_" PEM_BODY "abcd", "x [redacted token]" },
		{ "x gho_" PEM_BODY "abcd", "x [redacted token]" },
		{ "x ghs_" PEM_BODY "abcd", "x [redacted token]" },
		{ "x github_pat_" PEM_BODY PEM_BODY "abcdefghijklmnop_r", "x [redacted token]" },
		{ "x glpat-" PEM_BODY, "x [redacted token]" },
		{ "x xoxb-" PEM_BODY " xoxp-" PEM_BODY, "x [redacted token] [redacted token]" },
		{ "x eyJ" PEM_BODY ".eyJ" PEM_BODY, "x [redacted token]" },
		{ "x --secret a --client-secret=b --secret-key c", "x --secret [redacted secret] --client-secret=[redacted secret] --secret-key [redacted secret]" },
		{ "CLIENT_SECRET=a SECRET_KEY=b secret-key=c secretKey=d",
		  "CLIENT_SECRET=[redacted secret] SECRET_KEY=[redacted secret] secret-key=[redacted secret] secretKey=[redacted secret]" },
		{ "{\"clientSecret\":\"a\"}", "{\"clientSecret\":[redacted secret]}" },
		{ "curl -H Authorization: Bearer abc https://h/", "curl -H Authorization: [redacted authorization]" },
		{ "curl -H 'Authorization: Basic abc' https://h/", "curl -H 'Authorization: [redacted authorization]' https://h/" },
		{ "curl '-HProxy-Authorization: Basic abc' https://h/", "curl '-HProxy-Authorization: [redacted authorization]' https://h/" },
		{ "{\"Authorization\": \"Bearer abc\"}", "{\"Authorization\": [redacted authorization]}" },
		{ "curl -H 'Cookie: a=b' h", "curl -H 'Cookie: [redacted authorization]' h" },
		{ "aws configure set aws_access_key_id AKIAIOSFODNN7EXAMPLE", "aws configure set aws_access_key_id [redacted aws-access-key]" },
		{ "x ASIAIOSFODNN7EXAMPLE " AWS_SECRET " y", "x [redacted aws-access-key] [redacted aws-secret-key] y" },
		{ "x " AWS_SECRET " AKIAIOSFODNN7EXAMPLE", "x [redacted aws-secret-key] [redacted aws-access-key]" },
		{ "aws_secret_access_key = " AWS_SECRET, "aws_secret_access_key = [redacted aws-secret-key]" },
		{ "AWS_SECRET_ACCESS_KEY=" AWS_SECRET " aws", "AWS_SECRET_ACCESS_KEY=[redacted aws-secret-key] aws" },
		{ "{\"aws_secret_access_key\":\"a\",\"SecretAccessKey\": \"b\"}",
		  "{\"aws_secret_access_key\":[redacted aws-secret-key],\"SecretAccessKey\": [redacted aws-secret-key]}" },
		{ "put aws_secret a, " AWS_SECRET, "put aws_secret [redacted aws-secret-key] [redacted aws-secret-key]" },
		{ "AWS_SESSION_TOKEN=abc x", "AWS_SESSION_TOKEN=[redacted aws-session-token] x" },
		{ "{\"aws_session_token\":\"a\",\"SessionToken\":\"b\"}",
		  "{\"aws_session_token\":[redacted aws-session-token],\"SessionToken\":[redacted aws-session-token]}" },
		{ "GET /?X-Amz-Security-Token=abc%2F x", "GET /?X-Amz-Security-Token=[redacted aws-session-token] x" },
		{ "-H x-amz-security-token: abc", "-H x-amz-security-token: [redacted aws-session-token]" },
		{ "echo -----BEGIN RSA PRIVATE KEY-----#012" PEM_BODY "#012-----END RSA PRIVATE KEY----- x",
		  "echo -----BEGIN RSA PRIVATE KEY-----[redacted private-key] x" },
		{ "-----BEGIN OPENSSH PRIVATE KEY-----\n" PEM_BODY, "-----BEGIN OPENSSH PRIVATE KEY-----[redacted private-key]" },
		{ "-----BEGIN PGP PRIVATE KEY BLOCK-----" PEM_BODY "-----END PGP PRIVATE KEY BLOCK-----",
		  "-----BEGIN PGP PRIVATE KEY BLOCK-----[redacted private-key]" },
	};

	for (size_t i = 0; i < ELEMENTSOF(table); i++)
		assert_redacted(shipped(), table[i][0], table[i][1]);
}

TEST(ordinary_commands_stay_whole)
{
	static const char *const commands[] = {
		"/usr/bin/passwd alice", "/usr/bin/cat /etc/passwd", "grep password= /etc/app.conf",
		"grep -r \"password=\" /etc", "grep 'token=' x", "mkdir -p /srv/pass", "vi /etc/pam.d/common-password",
		"adduser --disabled-password --gecos x bob", "docker login --password-stdin -u bob registry",
		"rsync --password-file=/etc/rsync.pw h::x /", "apt-get install libpam-passwdqc", "chpasswd --help",
		"vault token lookup", "systemctl restart token.service", "kubectl get secret db",
		"aws secretsmanager get-secret-value --secret-id prod/db", "openssl rsa -in key.pem",
		"ssh-keygen -t ed25519 -f /root/.ssh/id_ed25519", "curl https://example.com:8443/a/@b",
		"git clone ssh://git@example.com:22/x", "curl -o /dev/null https://example.com/?q=1",
		"cat /proc/self/environ", "useradd -m -p ! bob", "awk '{print $1$2, $6$7}' x", "bypass=1 make",
		"compass=3 x", "sed -n /PRIVATE/p key", "id -u", "find / -name *.key", "psql --no-password -c select",
		"createuser --pwprompt bob", "echo AKIA", "echo cookiecutter:x", "ls fortune-cookie:x",
		"-----BEGIN CERTIFICATE-----" PEM_BODY, "-----BEGIN PUBLIC KEY-----" PEM_BODY,
		"sha1sum 0123456789abcdef0123456789abcdef01234567", "basename eyJx", "x " AWS_SECRET " y",
		"Failed password for root from 192.0.2.7 port 22 ssh2", "pam_unix(sshd:auth): check pass; user unknown",
		"password changed for bob", "Password: ", "",
	};

	for (size_t i = 0; i < ELEMENTSOF(commands); i++)
		assert_redacted(shipped(), commands[i], commands[i]);
}

TEST(what_is_redacted_stays_as_it_is_when_it_is_redacted_again)
{
	assert_redacted(shipped(), "x [redacted password] [redacted aws-secret-key]", "x [redacted password] [redacted aws-secret-key]");
}

/* --- planted secrets -------------------------------------------------------------------------- */

/* ~S: a secret of characters that a shell takes as they are; ~Q: one that may hold blanks and quotes of the other
 * kind; ~K: 16 capitals and digits; ~B: 40 of base64; ~N: letters. */
static const char *const plants[] = {
	"--password=~S", "--password ~S", "--password '~Q'", "--password=\"~Q\"", "'--password=~Q'", "PGPASSWORD=~S",
	"DB_PASSWORD='~Q'", "'ENV_PASSWD=~Q'", "--token ~S", "--token=~S", "GITHUB_TOKEN=~S", "--secret ~S",
	"CLIENT_SECRET=~S", "-H 'Authorization: Bearer ~Q'", "-H \"authorization: Basic ~Q\"", "'-HX-Auth-Token: ~Q'",
	"AKIA~K", "ASIA~K ~B", "~B AKIA~K", "AWS_SECRET_ACCESS_KEY=~B", "aws_session_token=~S", "sshpass -p ~S",
	"sshpass -p '~Q'", "pass:~S", "x://bob:~N@h/", "{\"user\":\"x\",\"password\":\"~Q\"}",
	"-----BEGIN PRIVATE KEY-----#012~B#012-----END PRIVATE KEY-----", "identified by '~Q'", "eyJ~K~K~K.~K",
	"ghp_~K~KAAAA", "--pass ~S", "-storepass ~S", "MYSQL_PWD=~S", "api_key=~S", "--token --password ~S",
};

static const char *const words[] = {
	"/usr/bin/mysql", "-u", "root", "-l", "--verbose", "a=b", "x.c", "/etc/passwd", "h:22", "'a b'", "\"c d\"", "&&",
	"--user=bob", "https://example.com/p?q=r", "caf\xc3\xa9", "[x]", "{y}", "#012", "$HOME", "-", "=", "it",
};

static uint64_t random_state = 20261123;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % n);
}

static void put_random(struct buf *out, const char *alphabet, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_byte(out, (uint8_t)alphabet[random_below((unsigned)strlen(alphabet))]), 0);
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Appends a secret, and to `secrets`, one a line, as well. */
static void put_secret(struct buf *out, char kind, struct buf *secrets)
{
	size_t begin = out->len;

	if (kind == 'K')
		put_random(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 16);
	else if (kind == 'B')
		put_random(out, LETTERS "0123456789/+", 40);
	else
		put_random(out, LETTERS, 7);
	if (kind == 'S')
		put_random(out, "abcXYZ019-+/=.,:;!?@#%^&*()[]{}<>|~$_'\"", random_below(30));
	if (kind == 'Q') {
		put_random(out, "abcXYZ019 -=.,:;{}@/", random_below(30));
		put_random(out, LETTERS, 7);
	}
	assert_int_equal(buf_append(secrets, bytes_of(out->data + begin, out->len - begin)), 0);
	assert_int_equal(buf_byte(secrets, '\n'), 0);
}

static void put_words(struct buf *out, unsigned n)
{
	while (n-- > 0) {
		assert_int_equal(buf_str(out, words[random_below(ELEMENTSOF(words))]), 0);
		assert_int_equal(buf_byte(out, ' '), 0);
	}
}

/* A command with a secret in it, the secrets, and where words stand before and behind. */
struct planted {
	struct buf text, secrets;
	size_t begin, end;
};

static void plant(struct planted *p, const char *pattern)
{
	buf_clear(&p->text);
	buf_clear(&p->secrets);
	put_words(&p->text, random_below(6));
	p->begin = p->text.len;
	for (const char *c = pattern; *c; c++) {
		if (*c == '~')
			put_secret(&p->text, *++c, &p->secrets);
		else
			assert_int_equal(buf_byte(&p->text, (uint8_t)*c), 0);
	}
	p->end = p->text.len;
	assert_int_equal(buf_byte(&p->text, ' '), 0);
	put_words(&p->text, random_below(6));
}

/* No line of `secrets` stands in it. */
static bool holds_none(struct bytes text, struct bytes secrets)
{
	while (secrets.len > 0) {
		size_t len = (size_t)((const uint8_t *)memchr(secrets.data, '\n', secrets.len) - secrets.data);

		if (text.len > 0 && memmem(text.data, text.len, secrets.data, len))
			return false;
		secrets = bytes_from(secrets, len + 1);
	}
	return true;
}

TEST(a_planted_secret_is_gone_and_all_around_it_is_there)
{
	struct planted p = { .text = BUF_INIT(1 << 16), .secrets = BUF_INIT(1 << 16) };

	for (unsigned i = 0; i < 50000; i++) {
		struct bytes before, behind, b;

		plant(&p, plants[i % ELEMENTSOF(plants)]);
		before = bytes_of(p.text.data, p.begin);
		behind = bytes_from(buf_bytes(&p.text), p.end);
		b = redacted(shipped(), buf_bytes(&p.text));
		if (!holds_none(b, buf_bytes(&p.secrets)) || !bytes_starts(b, before) || b.len < p.begin + behind.len ||
		    !bytes_eq(bytes_from(b, b.len - behind.len), behind) || !memmem(b.data, b.len, "[redacted ", 10))
			fail_msg("%.*s\nbecame %.*s", (int)p.text.len, (char *)p.text.data, (int)b.len, (char *)b.data);
	}
	buf_done(&p.text);
	buf_done(&p.secrets);
}
