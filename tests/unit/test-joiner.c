/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/base/buf.h"
#include "collectors/joiner.h"

#define NOW_US 1000u
#define TIME_US INT64_C(1795410000000000)

/* --- what programs write ------------------------------------------------------------------------------- */

#define PARTS_MAX 64u

struct parts {
	struct buf text;
	struct bytes list[PARTS_MAX];
	size_t n;
};

#define PARTS_INIT { .text = BUF_INIT(1024 * 1024) }

static void parts_done(struct parts *p)
{
	buf_done(&p->text);
}

static void part_add(struct parts *p, const char *user, const char *mark, struct bytes text)
{
	size_t at = p->text.len;

	assert_true(p->n < PARTS_MAX);
	assert_int_equal(buf_reserve(&p->text, 1024 * 1024 - at - 1), 0); /* so that it does not move */
	if (user)
		assert_int_equal(buf_printf(&p->text, "%8s : ", user), 0);
	assert_int_equal(buf_str(&p->text, mark), 0);
	assert_int_equal(buf_append(&p->text, text), 0);
	p->list[p->n++] = bytes_of(p->text.data + at, p->text.len - at);
}

static size_t last_blank(struct bytes text, size_t within)
{
	const uint8_t *at = memrchr(text.data, ' ', within);

	return at ? (size_t)(at - text.data) : within;
}

/* do_syslog() of sudo 1.9, in its own order. */
static void sudo_writes(const char *user, struct bytes text, size_t limit, struct parts *ret)
{
	size_t most = limit - 3 - strlen(user);
	const char *mark = "";

	while (text.len > 0) {
		size_t cut = text.len > most ? last_blank(text, most) : text.len;

		part_add(ret, user, mark, bytes_of(text.data, cut));
		text = bytes_from(text, cut);
		while (text.len > 0 && text.data[0] == ' ')
			text = bytes_from(text, 1);
		mark = "(command continued) ";
		most = limit - 23 - strlen(user);
	}
}

/* SysLogWriter::write_str() of sudo-rs, for a message that is given as a whole. */
static void sudo_rs_writes(struct bytes text, struct parts *ret)
{
	const char *mark = "";

	for (;;) {
		_cleanup_(buf_done) struct buf part = BUF_INIT(2048);
		size_t most = 960 - strlen(mark), cut = text.len > most ? last_blank(text, most) : text.len;

		if (cut == 0)
			cut = most;
		assert_int_equal(buf_append(&part, bytes_of(text.data, cut)), 0);
		if (cut < text.len)
			assert_int_equal(buf_str(&part, " [...]"), 0);
		part_add(ret, NULL, mark, buf_bytes(&part));
		if (cut == text.len)
			return;
		text = bytes_from(text, cut);
		mark = "[...] ";
	}
}

/* --- through the joiner -------------------------------------------------------------------------------- */

struct through {
	struct joiner *joiner;
	struct buf out; /* what came out: each message, then "\n" */
	size_t n, n_joined;
};

static void setup(struct through *t)
{
	*t = (struct through){ .out = BUF_INIT(4 * 1024 * 1024) };
	assert_int_equal(joiner_new(&t->joiner), 0);
}

static void teardown(struct through *t)
{
	joiner_free(t->joiner);
	buf_done(&t->out);
}

static void come_out(struct through *t, const struct joiner_line *line)
{
	assert_int_equal(buf_append(&t->out, line->message), 0);
	assert_int_equal(buf_byte(&t->out, '\n'), 0);
	t->n++;
	t->n_joined += line->joined;
}

static int offer(struct through *t, const struct joiner_line *line)
{
	const struct joiner_line *held;
	int r;

	while ((r = joiner_look(t->joiner, line, true, &held)) == JOINER_OUT) {
		come_out(t, held);
		joiner_drop(t->joiner, held);
	}
	if (r == JOINER_FIRST)
		assert_int_equal(joiner_hold(t->joiner, line, NOW_US), 0);
	if (r == JOINER_OTHER)
		come_out(t, line);
	return r;
}

static void settle(struct through *t)
{
	const struct joiner_line *held;

	while ((held = joiner_oldest(t->joiner))) {
		come_out(t, held);
		joiner_drop(t->joiner, held);
	}
}

static struct joiner_line line_of(struct bytes message, uint32_t pid)
{
	return (struct joiner_line){ .origin = { .source = 1, .program = LIT("sudo"), .provenance = PROVENANCE_NONE },
				     .time_us = TIME_US,
				     .pid = pid,
				     .message = message };
}

static int say(struct through *t, const char *message, uint32_t pid)
{
	struct joiner_line line = line_of(bytes_str(message), pid);

	return offer(t, &line);
}

#define assert_out(t, expected) assert_bytes_equal(buf_bytes(&(t)->out), expected)

/* --- what belongs together ----------------------------------------------------------------------------- */

TEST(the_parts_of_a_line_are_one_line)
{
	struct through t;

	setup(&t);
	assert_int_equal(say(&t, "   alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/x a", 7), JOINER_FIRST);
	assert_int_equal(say(&t, "   alice : (command continued) b", 7), JOINER_JOINED);
	assert_int_equal(say(&t, "   alice : (command continued) c", 7), JOINER_JOINED);
	assert_int_equal(t.n, 0);
	assert_int_equal(joiner_due_us(t.joiner), NOW_US + JOINER_WAIT_US);
	settle(&t);
	assert_out(&t, "   alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/x a b c\n");
	assert_int_equal(t.n_joined, 1);
	assert_int_equal(joiner_due_us(t.joiner), 0);
	teardown(&t);
}

TEST(the_next_line_of_the_process_ends_the_wait)
{
	struct through t;

	setup(&t);
	say(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x", 7);
	assert_int_equal(say(&t, "pam_unix(sudo:session): session opened for user root", 7), JOINER_OTHER);
	assert_out(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x\n"
		       "pam_unix(sudo:session): session opened for user root\n");
	assert_int_equal(t.n_joined, 0);
	teardown(&t);
}

TEST(a_continuation_by_another_is_a_line_of_its_own)
{
	struct joiner_line first = line_of(LIT("   alice : PWD=/ ; USER=root ; COMMAND=/bin/x a"), 7), other;
	struct bytes more = LIT("   alice : (command continued) b");

	for (int i = 0; i < 9; i++) {
		struct through t;

		setup(&t);
		first.origin.has_provenance = true;
		first.origin.provenance.uid = 1000;
		other = first;
		other.message = more;
		assert_int_equal(offer(&t, &first), JOINER_FIRST);
		switch (i) {
		case 0: other.pid = 8; break;
		case 1: other.origin.provenance.uid = 1001; break;
		case 2: other.origin.provenance.uid = EVENT_NUMBER_NONE; break;
		case 3: other.origin.has_provenance = false; break;
		case 4: other.origin.source = 2; break;
		case 5: other.origin.program = LIT("sudo-rs"); break;
		case 6: other.message = LIT("     bob : (command continued) b"); break;
		case 7: other.time_us += JOINER_APART_US + 1; break;
		case 8: other.time_us -= JOINER_APART_US + 1; break;
		}
		assert_int_equal(offer(&t, &other), JOINER_OTHER);
		settle(&t);
		assert_int_equal(t.n, 2);
		assert_int_equal(t.n_joined, 0);
		teardown(&t);
	}
}

TEST(processes_that_write_at_once_are_kept_apart)
{
	struct through t;

	setup(&t);
	say(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x a", 7);
	say(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/y a", 8);
	say(&t, "   alice : (command continued) 8", 8);
	say(&t, "   alice : (command continued) 7", 7);
	settle(&t);
	assert_out(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x a 7\n"
		       "   alice : PWD=/ ; USER=root ; COMMAND=/bin/y a 8\n");
	teardown(&t);
}

TEST(without_a_pid_only_the_very_next_line_continues)
{
	struct through t;

	setup(&t);
	say(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x a", 0);
	say(&t, "     bob : PWD=/ ; USER=root ; COMMAND=/bin/y a", 0);
	assert_int_equal(say(&t, "   alice : (command continued) b", 0), JOINER_OTHER);
	assert_int_equal(t.n, 3);
	teardown(&t);
}

TEST(only_what_may_be_continued_is_held)
{
	struct through t;
	struct joiner_line other = line_of(LIT("   alice : PWD=/ ; USER=root ; COMMAND=/bin/x"), 7);
	const struct joiner_line *out;

	setup(&t);
	assert_int_equal(say(&t, "pam_unix(sudo:auth): authentication failure; logname=a", 7), JOINER_OTHER);
	assert_int_equal(say(&t, "   alice : (command continued) b", 7), JOINER_OTHER);
	assert_int_equal(say(&t, "[...] b", 7), JOINER_OTHER);
	assert_int_equal(say(&t, "", 7), JOINER_OTHER);
	assert_int_equal(say(&t, "        ", 7), JOINER_OTHER);
	assert_int_equal(joiner_look(t.joiner, &other, false, &out), JOINER_OTHER); /* it was cut */
	other.origin.program = LIT("sshd");
	assert_false(joiner_concerns(t.joiner, other.origin.program));
	assert_int_equal(offer(&t, &other), JOINER_OTHER);
	assert_int_equal(joiner_count(t.joiner), 0);
	teardown(&t);
}

TEST(a_held_line_comes_out_when_its_time_is_past)
{
	struct joiner_line later = line_of(LIT("x"), 9);
	struct through t;

	setup(&t);
	say(&t, "   alice : PWD=/ ; USER=root ; COMMAND=/bin/x", 7);
	later.origin.program = LIT("sshd");
	later.time_us += JOINER_APART_US;
	offer(&t, &later);
	assert_out(&t, "x\n");
	later.time_us++;
	offer(&t, &later);
	assert_out(&t, "x\n   alice : PWD=/ ; USER=root ; COMMAND=/bin/x\nx\n");
	teardown(&t);
}

TEST(no_more_than_so_many_are_held_and_the_oldest_comes_out)
{
	struct through t;

	setup(&t);
	for (uint32_t pid = 1; pid <= JOINER_HELD_MAX + 1; pid++) {
		char text[64];

		(void)snprintf(text, sizeof text, "   alice : PWD=/ ; COMMAND=%u", pid);
		assert_int_equal(say(&t, text, pid), JOINER_FIRST);
	}
	assert_int_equal(joiner_count(t.joiner), JOINER_HELD_MAX);
	assert_out(&t, "   alice : PWD=/ ; COMMAND=1\n");
	teardown(&t);
}

TEST(together_they_are_no_longer_than_a_line_may_be)
{
	static char text[EVENT_RAW_MAX / 2 + 64];
	struct through t;

	setup(&t);
	memset(text, 'x', sizeof text - 1);
	memcpy(text, "   alice : PWD=/ ", 17);
	assert_int_equal(say(&t, text, 7), JOINER_FIRST);
	memcpy(text, "   alice : (command continued) ", 31);
	text[EVENT_RAW_MAX / 2] = '\0';
	assert_int_equal(say(&t, text, 7), JOINER_OTHER); /* a byte or so too many */
	assert_int_equal(t.n, 2);
	assert_int_equal(joiner_count(t.joiner), 0);
	teardown(&t);
}

TEST(what_is_held_is_a_copy_header_provenance_and_all)
{
	char text[] = "Nov  3 04:05:06 host sudo[7]:    alice : PWD=/ ; COMMAND=/x";
	struct joiner_line line = line_of(bytes_of(text + 30, sizeof text - 31), 7);
	struct header *h = &line.origin.header;
	char boot[] = "0123456789abcdef", exe[] = "/usr/bin/sudo";
	const struct joiner_line *held;
	struct through t;

	setup(&t);
	line.origin.has_header = line.origin.has_provenance = true;
	h->time = bytes_of(text, 15);
	h->between = bytes_of(text + 15, 11);
	h->pid_text = bytes_of(text + 26, 1);
	h->after = bytes_of(text + 27, 3);
	h->has_pid = true;
	line.origin.program = bytes_of(text + 21, 4);
	line.origin.host = bytes_of(text + 16, 4);
	line.origin.provenance.boot_id = bytes_of(boot, 16);
	line.origin.provenance.exe = bytes_of(exe, sizeof exe - 1);
	assert_int_equal(offer(&t, &line), JOINER_FIRST);
	memset(text, '#', sizeof text);
	memset(boot, '#', sizeof boot);
	memset(exe, '#', sizeof exe);
	held = joiner_oldest(t.joiner);
	assert_non_null(held);
	h = (struct header *)&held->origin.header;
	assert_bytes_equal(bytes_of(h->time.data, 30), "Nov  3 04:05:06 host sudo[7]: ");
	assert_ptr_equal(h->time.data + h->time.len, h->between.data);
	assert_ptr_equal(h->pid_text.data + h->pid_text.len, h->after.data);
	assert_bytes_equal(held->origin.program, "sudo");
	assert_bytes_equal(held->origin.host, "host");
	assert_bytes_equal(held->origin.provenance.boot_id, "0123456789abcdef");
	assert_bytes_equal(held->origin.provenance.exe, "/usr/bin/sudo");
	assert_bytes_equal(held->message, "   alice : PWD=/ ; COMMAND=/x");
	assert_true(joiner_bytes(t.joiner) >= 30 + 29 + 29 + 4 + 4);
	teardown(&t);
}

/* --- the programs' own way of splitting ---------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static size_t below(size_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % n);
}

/* Words of all lengths, now and then far longer than a line, now and then just as long. */
static void random_command(struct buf *out, size_t user_len)
{
	size_t words = 1 + below(60);

	assert_int_equal(buf_str(out, below(2) ? "TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo" :
					       "PWD=/ ; USER=root ; ENV=A=b ; COMMAND=/bin/echo"), 0);
	for (size_t i = 0; i < words; i++) {
		size_t kind = below(200), len = kind < 4 ? 900 + below(2200) :
			       kind == 4 ? (below(2) ? 960 : 980) - 23 - user_len - 1 + below(3) : 1 + below(30);

		assert_int_equal(buf_byte(out, ' '), 0);
		for (size_t k = 0; k < len; k++)
			assert_int_equal(buf_byte(out, (uint8_t)"abc=;:'\\[].\xc3"[below(12)]), 0);
	}
}

/* Where a word fills a part to its last byte, a blank behind it cannot be told from none. */
static bool can_be_told(const struct parts *p, const char *user, struct bytes text)
{
	const char *whole = (const char *)text.data;

	for (size_t i = 1; i + 1 < p->n; i++) {
		struct bytes part = bytes_from(p->list[i], MAX(strlen(user), 8u) + 3 + 20);
		size_t around = strlen(user) + 23;

		if (memchr(part.data, ' ', part.len))
			continue;
		if (part.len + around == 960 || part.len + around == 980) {
			const char *at = memmem(whole, text.len, part.data, part.len);

			/* cut at a blank, though as long as a word that is cut in its middle */
			if (!at || (at + part.len < whole + text.len && at[part.len] == ' '))
				return false;
		}
	}
	return true;
}

TEST(whatever_sudo_splits_is_put_together_to_the_letter)
{
	static const char *const users[] = { "a", "root", "alice", "postgres", "backup-operator", "x.y@corp.example.com" };
	size_t told = 0, several = 0;

	for (int round = 0; round < 3000; round++) {
		_cleanup_(buf_done) struct buf command = BUF_INIT(512 * 1024), wanted = BUF_INIT(512 * 1024);
		_cleanup_(parts_done) struct parts parts = PARTS_INIT;
		const char *user = users[below(ELEMENTSOF(users))];
		struct through t;

		setup(&t);
		random_command(&command, strlen(user));
		sudo_writes(user, buf_bytes(&command), below(2) ? 960 : 980, &parts);
		for (size_t i = 0; i < parts.n; i++) {
			struct joiner_line line = line_of(parts.list[i], 7);

			offer(&t, &line);
		}
		settle(&t);
		assert_int_equal(t.n, 1);
		several += parts.n > 2;
		if (can_be_told(&parts, user, buf_bytes(&command))) {
			assert_int_equal(buf_printf(&wanted, "%8s : ", user), 0);
			assert_int_equal(buf_append(&wanted, buf_bytes(&command)), 0);
			assert_int_equal(buf_byte(&wanted, '\n'), 0);
			assert_true(bytes_eq(buf_bytes(&t.out), buf_bytes(&wanted)));
			told++;
		}
		teardown(&t);
	}
	assert_true(told > 2500 && several > 1000);
}

TEST(whatever_sudo_rs_splits_is_put_together_to_the_letter)
{
	for (int round = 0; round < 1000; round++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT(512 * 1024);
		_cleanup_(parts_done) struct parts parts = PARTS_INIT;
		struct through t;

		setup(&t);
		assert_int_equal(buf_str(&text, "alice : TTY=/dev/pts/0 ; "), 0);
		random_command(&text, 5);
		sudo_rs_writes(buf_bytes(&text), &parts);
		for (size_t i = 0; i < parts.n; i++) {
			struct joiner_line line = line_of(parts.list[i], 7);

			offer(&t, &line);
		}
		settle(&t);
		assert_int_equal(t.n, 1);
		assert_int_equal(buf_byte(&text, '\n'), 0);
		assert_true(bytes_eq(buf_bytes(&t.out), buf_bytes(&text)));
		teardown(&t);
	}
}

TEST(a_directory_without_a_blank_is_cut_in_the_first_part)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(64 * 1024);
	_cleanup_(parts_done) struct parts parts = PARTS_INIT;
	struct through t;

	setup(&t);
	assert_int_equal(buf_str(&text, "PWD=/"), 0);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(buf_byte(&text, 'd'), 0);
	assert_int_equal(buf_str(&text, " ; USER=root ; COMMAND=/bin/x"), 0);
	sudo_writes("alice", buf_bytes(&text), 960, &parts);
	assert_int_equal(parts.n, 4);
	for (size_t i = 0; i < parts.n; i++) {
		struct joiner_line line = line_of(parts.list[i], 0);

		offer(&t, &line);
	}
	settle(&t);
	assert_int_equal(t.n, 1);
	assert_true(bytes_eq(bytes_of(t.out.data + 11, t.out.len - 12), buf_bytes(&text)));
	teardown(&t);
}
