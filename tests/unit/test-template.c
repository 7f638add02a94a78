/* SPDX-License-Identifier: Apache-2.0 */
/* The template language, the matcher, and what the templates that are shipped make of lines, hostile ones
 * above all. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/base/buf.h"
#include "collectors/field_type.h"
#include "collectors/template.h"

#define SHIPPED "packaging/templates"

static struct template_set *set_of(const char *text)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct template_set *set = NULL;
	int r;

	assert_int_equal(template_set_new(&set), 0);
	r = template_set_add(set, bytes_str(text), "test", &why);
	if (r < 0)
		fail_msg("%.*s", (int)why.len, (const char *)why.data);
	assert_int_equal(template_set_ready(set), 0);
	return set;
}

static struct template_set *shipped(void)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct template_set *set = NULL;

	assert_int_equal(template_set_new(&set), 0);
	if (template_set_add_directory(set, SHIPPED, &why) <= 0)
		fail_msg("%.*s", (int)why.len, (const char *)why.data);
	assert_int_equal(template_set_ready(set), 0);
	return set;
}

/* Appends "name=value," for each field, and checks that the wording and the values are the message. */
static void show_match(const struct template_match *m, struct bytes message, struct buf *out)
{
	_cleanup_(buf_done) struct buf again = BUF_INIT((size_t)4 << 20);

	for (size_t i = 0; i <= m->wording->n_fields; i++) {
		assert_int_equal(buf_append(&again, m->wording->literals[i]), 0);
		if (i == m->wording->n_fields)
			break;
		assert_int_equal(buf_append(&again, m->values[i]), 0);
		assert_int_equal(buf_printf(out, "%s=%.*s,", event_field_name(m->wording->field_ids[i]),
					    (int)m->values[i].len, (const char *)m->values[i].data),
				 0);
	}
	assert_int_equal(again.len, message.len);
	if (message.len > 0)
		assert_memory_equal(again.data, message.data, message.len);
}

/* "name=value,…", or "-" where no template knows the message. Good until the next call. */
static const char *fields_of(struct template_set *set, const char *program, const char *message)
{
	static char text[4096];
	_cleanup_(buf_done) struct buf out = BUF_INIT(sizeof text);
	struct template_match m;

	if (!template_match(set, bytes_str(program), bytes_str(message), &m))
		return "-";
	show_match(&m, bytes_str(message), &out);
	assert_int_equal(buf_byte(&out, '\0'), 0);
	memcpy(text, out.data, out.len);
	return text;
}

#define assert_fields(template_, message_, expected_)                           \
	do {                                                                    \
		_cleanup_(template_set_freep) struct template_set *_set = NULL; \
		_set = set_of("p | log | " template_ "\n");                     \
		assert_string_equal(fields_of(_set, "p", message_), expected_); \
	} while (0)

/* --- the language ------------------------------------------------------------------------- */

TEST(literals_and_fields_make_up_the_whole_message)
{
	assert_fields("Server listening.", "Server listening.", "");
	assert_fields("Server listening.", "Server listening. ", "-");
	assert_fields("Server listening.", "Server listening", "-");
	assert_fields("a {x} b", "a 1 2 b", "x=1 2,");
	assert_fields("{x}", "", "x=,");
	assert_fields("{{x}} {x}", "{x} y", "x=y,");
	assert_fields("a]}} [{x}]", "a]} [y]", "x=y,");
}

TEST(a_field_ends_at_the_first_or_the_last_place_where_the_rest_fits)
{
	assert_fields("{a} from {b}", "x from y from z", "a=x,b=y from z,");
	assert_fields("{a:last} from {b}", "x from y from z", "a=x from y,b=z,");
	assert_fields("{a:word:last}:{b}", "x:y:z w:v", "a=x:y,b=z w:v,");
	assert_fields("{a:word}:{b}", "x:y:z", "a=x,b=y:z,");
	assert_fields("{a:last} from {src_ip} end", "x from 1.2.3.4 end from 9 end", "-");
	assert_fields("{a:last} from {src_ip} end{b}", "x from 1.2.3.4 end from 9 end",
		      "a=x,src_ip=1.2.3.4,b= from 9 end,");
}

TEST(a_group_is_left_out_only_where_the_rest_does_not_fit_with_it)
{
	assert_fields("for {[invalid user ]}{user}", "for invalid user x", "user=x,");
	assert_fields("for {[invalid user ]}{user}", "for x", "user=x,");
	assert_fields("for {[invalid user ]}{user}.", "for invalid user", "-");
	assert_fields("a{[ b {x}]}{[ c {y}]}", "a", "");
	assert_fields("a{[ b {x}]}{[ c {y}]}", "a c 1", "y=1,");
	assert_fields("a{[ b {x}]}{[ c {y}]}", "a b 1 c 2", "x=1,y=2,");
	assert_fields("{r}{[ [preauth]]}", "x [y] [preauth]", "r=x [y],");
	assert_fields("{[error: ]}{[fatal: ]}x {n:int}", "fatal: x 1", "n=1,");
	assert_fields("{[error: ]}{[fatal: ]}x {n:int}", "error: fatal: x 1", "n=1,");
	assert_fields("{[error: ]}{[fatal: ]}x {n:int}", "fatal: error: x 1", "-");
}

TEST(a_type_says_what_a_field_may_hold)
{
	assert_fields("a {w:word} b", "a x b", "w=x,");
	assert_fields("a {w:word} b", "a  b", "w=,");
	assert_fields("a {w:word} b", "a x y b", "-");
	assert_fields("a {n:int} b", "a 18446744073709551615 b", "n=18446744073709551615,");
	assert_fields("a {n:int} b", "a 18446744073709551616 b", "-");
	assert_fields("a {n:int} b", "a  b", "-");
	assert_fields("a {n:int} b", "a -1 b", "-");
	assert_fields("a {src_port}", "a 65535", "src_port=65535,");
	assert_fields("a {src_port}", "a 65536", "-");
	assert_fields("a {src_port}", "a 0", "-");
	assert_fields("a {src_host}", "a fe80::1%eth0", "src_host=fe80::1%eth0,");
	assert_fields("a {src_host}", "a x_y-z.example.", "src_host=x_y-z.example.,");
	assert_fields("a {src_host}", "a x/y", "-");
	assert_fields("a {src_host}", "a ", "-");
	assert_fields("{:blanks}{user:word} : b", "   x : b", "blanks=   ,user=x,");
	assert_fields("{:blanks}{user:word} : b", "x : b", "blanks=,user=x,");
	assert_fields("{src_ip}: {n:int}", "::1: 3", "src_ip=::1,n=3,");
	assert_fields("{src_ip}:{src_port}", "::ffff:1.2.3.4:60495", "src_ip=::ffff:1.2.3.4,src_port=60495,");
	assert_fields("{src_ip}.", "1.2.3.4.", "src_ip=1.2.3.4,");
}

TEST(an_address_is_a_real_one)
{
	static const char *const good[] = { "1.2.3.4",
					    "192.030.0.6",
					    "0.0.0.0",
					    "255.255.255.255",
					    "::",
					    "::1",
					    "1::",
					    "2001:db8::1",
					    "1:2:3:4:5:6:7:8",
					    "1:2:3:4:5:6:7::",
					    "::ffff:1.2.3.4",
					    "1:2:3:4:5:6:1.2.3.4",
					    "fe80::1%eth0",
					    "FE80::A%br-0.1",
					    "64:ff9b::1.2.3.4" };
	static const char *const bad[] = { "",
					   "1",
					   "1.2.3",
					   "1.2.3.4.5",
					   "1.2.3.256",
					   "1.2.3.",
					   ".1.2.3",
					   "1..2.3",
					   "1.2.3.0004",
					   ":",
					   ":::",
					   "1:::2",
					   "1::2::3",
					   "1:2:3:4:5:6:7",
					   "1:2:3:4:5:6:7:8:9",
					   "12345::",
					   "g::1",
					   "1:2:3:4:5:6:7:1.2.3.4",
					   "::1.2.3",
					   "::1%",
					   "::1%a%b",
					   "::1%a:b",
					   "%eth0",
					   "1:",
					   ":1",
					   "1.2.3.4%eth0",
					   "1:2:3:4:5:6:7:8::" };

	for (size_t i = 0; i < ELEMENTSOF(good); i++) {
		if (!ip_valid(bytes_str(good[i])))
			fail_msg("%s", good[i]);
	}
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		if (ip_valid(bytes_str(bad[i])))
			fail_msg("%s", bad[i]);
	}
}

TEST(what_is_wrong_with_a_template_is_said_with_its_place)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "sshd", "t:1: not \"programs | meaning | text\"" },
		{ "sshd | log", "t:1: not \"programs | meaning | text\"" },
		{ "# a\n\nsshd | log | ", "t:3: the text is empty" },
		{ " | log | x", "t:1: a program is missing before the first |" },
		{ "a,,b | log | x", "t:1: a program is missing before the first |" },
		{ "a b | log | x", "t:1: program \"a b\": programs are separated by commas" },
		{ "a*b | log | x", "t:1: program \"a*b\": * may only stand at the end" },
		{ "a | sucess | x",
		  "t:1: \"sucess\" is no kind, activity, outcome or severity that could stand here" },
		{ "a | low high | x",
		  "t:1: \"high\" is no kind, activity, outcome or severity that could stand here" },
		{ "a | log X=1 | x", "t:1: \"X\" is no name for a fact" },
		{ "a | log x=1 x=2 | x", "t:1: the fact x stands twice" },
		{ "a | log x=1 | x {x}", "t:1: x is both a fact and a field" },
		{ "a | log | {x", "t:1: { without }" },
		{ "a | log | x}", "t:1: } without {; a brace that is meant is written twice" },
		{ "a | log | {}", "t:1: \"{}\": \"\" is no name for a field" },
		{ "a | log | {X}", "t:1: \"{X}\": \"X\" is no name for a field" },
		{ "a | log | {x:txt}", "t:1: \"{x:txt}\": \"txt\" is no type" },
		{ "a | log | {x:last:int}", "t:1: \"{x:last:int}\": \"last\" is no type" },
		{ "a | log | {x:unknown:last}", "t:1: \"{x:unknown:last}\": \"unknown\" is no type" },
		{ "a | forged | x",
		  "t:1: \"forged\" is no kind, activity, outcome or severity that could stand here" },
		{ "a | log redacted=no | x", "t:1: the name redacted is reserved" },
		{ "a | log | {contradiction}", "t:1: the name contradiction is reserved" },
		{ "a | log sender={y} | {x}", "t:1: sender={y}: there is no such field" },
		{ "a | log sender={x | {x}", "t:1: sender={x: there is no such field" },
		{ "a | log sender={} | {x}", "t:1: sender={}: there is no such field" },
		{ "a | log sender= | {x}", "t:1: a name is missing in sender=" },
		{ "a | log sender=root, | {x}", "t:1: a name is missing in sender=" },
		{ "a | log sender=root sender=any | x", "t:1: sender= stands twice" },
		{ "a | log sender={a},{b},{c},{d},{e} | {a} {b} {c} {d} {e}", "t:1: sender= names more than 4 fields" },
		{ "a | log exe=x exe=y | x", "t:1: exe= stands twice" },
		{ "a | log exe=,x | x", "t:1: a name is missing in exe=" },
		{ "*, b | log exe=y | x", "t:1: no exe= can be for every program" },
		{ "* | sender=root", "t:1: no rule can be for every program" },
		{ "a | sender=root log", "t:1: not \"programs | meaning | text\"" },
		{ "a |", "t:1: not \"programs | meaning | text\"" },
		{ "a | log | {x} {x}", "t:1: the field x stands twice" },
		{ "a | log | {x}{y}", "t:1: the field y touches the field before it" },
		{ "a | log | {x}{[ z]}{y}", "t:1: the field y touches the field before it" },
		{ "a | log | {x}{[{y}]}", "t:1: the field y touches the field before it" },
		{ "a | log | {x}{:blanks}{y}", "t:1: the field y touches the field before it" },
		{ "a | log | {:blanks}{:blanks}", "t:1: the field blanks touches the field before it" },
		{ "a | log | {x:int}1",
		  "t:1: what follows the field x is always taken by it, so that nothing can match" },
		{ "a | log | {[a{[b]}]}", "t:1: optional groups do not nest" },
		{ "a | log | {[a", "t:1: an optional group is not closed by ]}" },
		{ "a | log | {[]}", "t:1: an optional group is empty" },
		{ "a | log | x{[ {a} {b} {c} {d} {e}]}", "t:1: an optional group has more than four fields" },
		{ "a | log | {[1]}{[2]}{[3]}{[4]}{[5]}{[6]}{[7]}{[8]}{[9]}",
		  "t:1: more than 8 optional groups" },
		{ "ok | log | x\nb | log | {", "t:2: { without }" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(template_set_freep) struct template_set *set = NULL;
		_cleanup_(buf_done) struct buf why = BUF_INIT(4096);

		assert_int_equal(template_set_new(&set), 0);
		assert_int_equal(template_set_add(set, LIT("p | log | kept {x}\n"), "t", NULL), 1);
		if (template_set_add(set, bytes_str(cases[i].text), "t", &why) != -EINVAL)
			fail_msg("accepted: %s", cases[i].text);
		assert_int_equal(buf_byte(&why, '\0'), 0);
		assert_string_equal((const char *)why.data, cases[i].why);
		/* what was there before is still there, and nothing of the wrong text */
		assert_int_equal(template_set_count(set), 1);
		assert_int_equal(template_set_ready(set), 0);
		assert_string_equal(fields_of(set, "p", "kept 1"), "x=1,");
		assert_string_equal(fields_of(set, "ok", "x"), "-");
	}
}

/* The fields of a match that no account bears. */
static const char *unknown_of(struct template_set *set, const char *program, const char *message)
{
	static char text[256];
	struct template_match m;

	text[0] = '\0';
	if (!template_match(set, bytes_str(program), bytes_str(message), &m))
		fail_msg("unknown: %s", message);
	for (size_t i = 0; i < m.wording->n_fields; i++)
		if (m.unknown & 1u << i)
			(void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s,",
				       event_field_name(m.wording->field_ids[i]));
	assert_false(m.unknown >> m.wording->n_fields);
	return text;
}

TEST(a_name_that_nobody_bears_is_told_by_the_group_right_before_it)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;

	set = set_of("p | log | a {[invalid ]}{user:last:unknown} {x}\n"
		     "p | log | b {[invalid ]}user {user:unknown}\n"
		     "p | log | c{[ {x:word};]}{[ no ]}{user:word:unknown}\n"
		     "p | log | d{[ of {user:word:last:unknown}]}\n"
		     "p | log | e {[f ]}{[g ]}{user:word:unknown}\n");
	assert_string_equal(unknown_of(set, "p", "a invalid x y"), "user,");
	assert_string_equal(unknown_of(set, "p", "a x y"), "");
	assert_string_equal(unknown_of(set, "p", "b user x"), "user,");
	assert_string_equal(unknown_of(set, "p", "b invalid user x"), "user,");
	assert_string_equal(unknown_of(set, "p", "c y;x"), "");
	assert_string_equal(unknown_of(set, "p", "c y; no x"), "user,");
	assert_string_equal(unknown_of(set, "p", "d of x"), "user,");
	assert_string_equal(unknown_of(set, "p", "d"), "");
	assert_string_equal(unknown_of(set, "p", "e f x"), "");
	assert_string_equal(unknown_of(set, "p", "e f g x"), "user,");
}

TEST(the_shipped_templates_know_whom_nobody_knows)
{
	_cleanup_(template_set_freep) struct template_set *set = shipped();
	static const struct {
		const char *program, *message, *unknown;
	} cases[] = {
		{ "sshd", "Failed password for invalid user x from 192.0.2.7 port 1 ssh2", "user," },
		{ "sshd", "Failed password for x from 192.0.2.7 port 1 ssh2", "" },
		{ "sshd", "Accepted password for x from 192.0.2.7 port 1 ssh2", "" },
		{ "sshd", "Failed none for invalid user x from 192.0.2.7 port 1 ssh2", "user," },
		{ "sshd", "Postponed keyboard-interactive for invalid user x from 192.0.2.7 port 1 ssh2 [preauth]", "user," },
		{ "sshd", "Invalid user x from 192.0.2.7 port 1", "user," },
		{ "sshd", "Invalid user x from UNKNOWN", "user," },
		{ "sshd", "input_userauth_request: invalid user x [preauth]", "user," },
		{ "sshd", "Connection closed by invalid user x 192.0.2.7 port 1 [preauth]", "user," },
		{ "sshd", "Connection closed by authenticating user x 192.0.2.7 port 1 [preauth]", "" },
		{ "sshd", "Connection reset by invalid user x 192.0.2.7 port 1 [preauth]", "user," },
		{ "sshd", "Disconnected from invalid user x 192.0.2.7 port 1 [preauth]", "user," },
		{ "sshd", "Disconnecting invalid user x 192.0.2.7 port 1: Too many authentication failures [preauth]", "user," },
		{ "sshd", "Timeout, client not responding from invalid user x 192.0.2.7 port 1", "user," },
		{ "sshd", "Timeout, client not responding from user x 192.0.2.7 port 1", "" },
		{ "sshd", "fatal: ssh_dispatch_run_fatal: Connection from invalid user x 192.0.2.7 port 1: Broken pipe [preauth]", "user," },
		{ "sshd", "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.7 port 1 ssh2 [preauth]", "user," },
		{ "sshd", "error: PAM: Authentication failure for illegal user x from 192.0.2.7", "user," },
		{ "sshd", "error: PAM: Authentication failure for x from 192.0.2.7", "" },
		{ "sshd", "User x from 192.0.2.7 not allowed because not listed in AllowUsers", "" },
		{ "sshd", "pam_unix(sshd:auth): check pass; user (x) unknown", "user," },
		{ "vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.7", "user," },
		{ "vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.7  user=x", "" },
		{ "sudo", "pam_unix(sudo:auth): could not identify user (from getpwnam(x))", "user," },
		{ "x", "pam_sss(x:auth): received for user x: 10 (User not known to the underlying authentication module)", "user," },
		{ "x", "pam_sss(x:auth): received for user x: 7 (Authentication failure)", "" },
		{ "x", "pam_faillock(x:auth): User unknown: x", "user," },
		{ "su", "No passwd entry for user 'x'", "target_user," },
		{ "login", "FAILED LOGIN 1 FROM tty1 FOR x, User not known to the underlying authentication module", "user," },
		{ "login", "FAILED LOGIN 1 FROM tty1 FOR x, Authentication failure", "" },
		{ "login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'x', User not known to the underlying authentication module", "user," },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const char *found = unknown_of(set, cases[i].program, cases[i].message);

		if (strcmp(found, cases[i].unknown) != 0)
			fail_msg("\"%s\", not \"%s\": %s", found, cases[i].unknown, cases[i].message);
	}
}

/* --- varieties ------------------------------------------------------------------------------ */

/* "kind activity outcome severity constants: text". */
static const char *shown(const struct wording *w)
{
	static char text[1024];
	_cleanup_(buf_done) struct buf out = BUF_INIT(sizeof text);
	const struct meaning *m = &w->meaning;

	assert_int_equal(buf_printf(&out, "%s %s %s %s", kind_name(m->kind), m->activity, outcome_name(m->outcome),
				    severity_name(m->severity)),
			 0);
	for (size_t i = 0; i < m->n_constants; i++)
		assert_int_equal(buf_printf(&out, " %s=%s", m->constants[i].name, m->constants[i].value), 0);
	assert_int_equal(buf_str(&out, ": "), 0);
	for (size_t i = 0; i <= w->n_fields; i++) {
		assert_int_equal(buf_append(&out, w->literals[i]), 0);
		if (i < w->n_fields)
			assert_int_equal(buf_printf(&out, "{%s}", event_field_name(w->field_ids[i])), 0);
	}
	assert_int_equal(buf_byte(&out, '\0'), 0);
	memcpy(text, out.data, out.len);
	return text;
}

TEST(a_wording_has_varieties)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	struct template_match m;
	static const struct {
		unsigned varieties;
		const char *shown;
	} cases[] = {
		{ 0, "authentication logon success info method=x: a {user} b{rest}" },
		{ VARIETY_REPEATED,
		  "authentication logon success info method=x: message repeated {repeat} times: [ a {user} b{rest}]" },
		{ VARIETY_REDACTED, "authentication logon success info method=x redacted=yes: a {user} b{rest}" },
		{ VARIETY_JOINED, "authentication logon success info method=x joined=yes: a {user} b{rest}" },
		{ VARIETY_SUSPECT,
		  "authentication logon success medium method=x suspicion=executable: a {user} b{rest}" },
		{ VARIETY_NOT_ROOT,
		  "forged   high method=x claimed_kind=authentication claimed_activity=logon claimed_outcome=success "
		  "contradiction=sender-is-not-root: a {user} b{rest}" },
		{ VARIETY_NOT_CALLER | VARIETY_SUSPECT | VARIETY_REPEATED,
		  "forged   high method=x suspicion=executable claimed_kind=authentication claimed_activity=logon "
		  "claimed_outcome=success contradiction=sender-is-not-the-caller: "
		  "message repeated {repeat} times: [ a {user} b{rest}]" },
	};

	set = set_of("p | authentication logon success method=x | a {user} b{rest}\n"
		     "p | log high | high\n"
		     "p | session failure | only words\n");
	assert_true(template_match(set, LIT("p"), LIT("a x b"), &m));
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
			struct wording *w = template_vary(set, m.wording, cases[i].varieties);

			assert_string_equal(shown(w), cases[i].shown);
			assert_ptr_equal(template_vary(set, m.wording, cases[i].varieties), w);
			assert_false(w->unknown);
		}
	}
	assert_ptr_equal(template_vary(set, m.wording, 0), m.wording);
	assert_true(template_match(set, LIT("p"), LIT("high"), &m));
	assert_string_equal(shown(template_vary(set, m.wording, VARIETY_SUSPECT)),
			    "log   high suspicion=executable: high");
	assert_string_equal(shown(template_vary(set, m.wording, VARIETY_NOT_ROOT)),
			    "forged   high claimed_kind=log contradiction=sender-is-not-root: high");
	assert_true(template_match(set, LIT("p"), LIT("only words"), &m));
	assert_string_equal(shown(template_vary(set, m.wording, VARIETY_REPEATED)),
			    "session  failure info: message repeated {repeat} times: [ only words]");
}

TEST(a_line_that_nobody_knows_stays_unknown_in_all_its_varieties)
{
	_cleanup_(template_set_freep) struct template_set *set = set_of("p | log | x\n");

	assert_string_equal(shown(template_vary(set, &wording_unknown, VARIETY_REPEATED | VARIETY_REDACTED)),
			    "log   info redacted=yes: message repeated {repeat} times: [ {message}]");
	for (unsigned v = 0; v < VARIETIES; v++)
		assert_true(template_vary(set, &wording_unknown, v)->unknown);
}

TEST(a_wording_without_room_for_one_field_more_is_not_repeated)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(4096), line = BUF_INIT(4096);
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	struct template_match m;

	assert_int_equal(buf_str(&text, "p | log | "), 0);
	for (unsigned i = 0; i < EVENT_FIELDS_MAX; i++) {
		assert_int_equal(buf_printf(&text, "{many%u},", i), 0);
		assert_int_equal(buf_str(&line, "x,"), 0);
	}
	assert_int_equal(buf_str(&text, "\n"), 0);
	assert_int_equal(buf_byte(&text, '\0'), 0);
	set = set_of((const char *)text.data);
	assert_true(template_match(set, LIT("p"), buf_bytes(&line), &m));
	assert_null(template_vary(set, m.wording, VARIETY_REPEATED));
	assert_non_null(template_vary(set, m.wording, VARIETY_JOINED));
}

TEST(limits_of_a_template_are_errors_and_no_overflow)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	_cleanup_(buf_done) struct buf text = BUF_INIT(65536), why = BUF_INIT(4096);

	assert_int_equal(template_set_new(&set), 0);
	assert_int_equal(buf_str(&text, "p | log | x"), 0);
	for (int i = 0; i < 33; i++)
		assert_int_equal(buf_printf(&text, "{many%d},", i), 0);
	assert_int_equal(template_set_add(set, buf_bytes(&text), "t", &why), -EINVAL);
	buf_clear(&text);
	assert_int_equal(buf_str(&text, "p | log | "), 0);
	while (text.len < 5000)
		assert_int_equal(buf_byte(&text, 'x'), 0);
	assert_int_equal(template_set_add(set, buf_bytes(&text), "t", &why), -EINVAL);
}

TEST(meaning_words_stand_in_any_order_and_privilege_is_a_kind_first)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	struct template_match m;

	set = set_of("p | high failure privilege privilege reason=x method=y z= | a\n"
		     "p | | b\n"
		     "p | session logoff success | c\n");
	assert_true(template_match(set, LIT("p"), LIT("a"), &m));
	assert_int_equal(m.wording->meaning.kind, HALLMARK__V1__KIND__KIND_PRIVILEGE);
	assert_string_equal(m.wording->meaning.activity, "privilege");
	assert_int_equal(m.wording->meaning.outcome, HALLMARK__V1__OUTCOME__OUTCOME_FAILURE);
	assert_int_equal(m.wording->meaning.severity, HALLMARK__V1__SEVERITY__SEVERITY_HIGH);
	assert_int_equal(m.wording->meaning.n_constants, 3);
	assert_string_equal(m.wording->meaning.constants[1].name, "method");
	assert_string_equal(m.wording->meaning.constants[1].value, "y");
	assert_string_equal(m.wording->meaning.constants[2].value, "");
	assert_true(template_match(set, LIT("p"), LIT("b"), &m));
	assert_int_equal(m.wording->meaning.kind, HALLMARK__V1__KIND__KIND_LOG);
	assert_string_equal(m.wording->meaning.activity, "");
	assert_int_equal(m.wording->meaning.severity, HALLMARK__V1__SEVERITY__SEVERITY_INFO);
	assert_true(template_match(set, LIT("p"), LIT("c"), &m));
	assert_int_equal(m.wording->meaning.outcome, HALLMARK__V1__OUTCOME__OUTCOME_SUCCESS);
}

TEST(programs_are_tags_prefixes_or_any)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;

	set = set_of("* | log | x {any}\n"
		     "foo* | log | x {foo_star}\n"
		     "foo-bar, baz | log | x {exact}\n"
		     "foo-b* | log | y {longer}\n"
		     "foo* | log | z {foo_star}\n");
	assert_string_equal(fields_of(set, "q", "x 1"), "any=1,");
	assert_string_equal(fields_of(set, "", "x 1"), "any=1,");
	assert_string_equal(fields_of(set, "baz", "x 1"), "exact=1,");
	assert_string_equal(fields_of(set, "bazz", "x 1"), "any=1,");
	assert_string_equal(fields_of(set, "foo", "x 1"), "foo_star=1,");
	assert_string_equal(fields_of(set, "foo-qux", "x 1"), "foo_star=1,");
	/* those of a prefix are a tag's own as much as those of the tag itself: the first stands first */
	assert_string_equal(fields_of(set, "foo-bar", "x 1"), "foo_star=1,");
	assert_string_equal(fields_of(set, "foo-bar", "y 1"), "longer=1,");
	assert_string_equal(fields_of(set, "foo-bar2", "y 1"), "longer=1,");
	assert_string_equal(fields_of(set, "foo-bar2", "z 1"), "foo_star=1,");
	assert_string_equal(fields_of(set, "foo", "y 1"), "-");
	/* and the same again, out of what is remembered of programs */
	assert_string_equal(fields_of(set, "baz", "x 1"), "exact=1,");
	assert_string_equal(fields_of(set, "foo", "x 1"), "foo_star=1,");
	/* of the same length, and alike at both ends */
	assert_string_equal(fields_of(set, "bxz", "x 1"), "any=1,");
	assert_string_equal(fields_of(set, "baz", "x 1"), "exact=1,");
}

TEST(the_longest_leading_literal_wins_then_the_order)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;

	set = set_of("p | log | {a}\n"
		     "p | log | Accepted {b} for\n"
		     "p | log | Accepted {c}\n"
		     "p | log | Accepted key {d:int}\n"
		     "p | log | {[Accepted ]}key {e}!\n"
		     "* | log | Accepted key {f}\n");
	assert_string_equal(fields_of(set, "p", "Accepted key 1"), "d=1,");
	assert_string_equal(fields_of(set, "p", "Accepted key x"), "c=key x,");
	assert_string_equal(fields_of(set, "p", "Accepted key x!"), "e=x,");
	assert_string_equal(fields_of(set, "p", "Accepted key for"), "b=key,");
	assert_string_equal(fields_of(set, "p", "other"), "a=other,");
	assert_string_equal(fields_of(set, "q", "Accepted key x"), "f=x,");
}

TEST(a_crowd_behind_one_leading_literal_keeps_its_order)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;

	set = set_of("p | log | a {b} one {c}\n"
		     "p | log | a {d} two\n"
		     "p | log | a {e:int}\n"
		     "p | log | a {f} three\n"
		     "p | log | a {g} four\n"
		     "p | log | a {h}\n"
		     "p | log | a {i} five\n"
		     /* a crowd behind a longer one, of which only the next word is looked at */
		     "p | log | a z {w:word}/1\n"
		     "p | log | a z {w:word}/2\n"
		     "p | log | a z {w:word}/3\n"
		     "p | log | a z {w:word}/4\n"
		     "p | log | a z {w:word}/5\n");
	assert_string_equal(fields_of(set, "p", "a x two"), "d=x,");
	assert_string_equal(fields_of(set, "p", "a 1"), "e=1,");
	assert_string_equal(fields_of(set, "p", "a x four"), "g=x,");
	assert_string_equal(fields_of(set, "p", "a x five"), "h=x five,");
	assert_string_equal(fields_of(set, "p", "a x one y two"), "b=x,c=y two,");
	assert_string_equal(fields_of(set, "p", "a z x/3"), "w=x,");
	assert_string_equal(fields_of(set, "p", "a z x/6 y two"), "d=z x/6 y,");
	assert_string_equal(fields_of(set, "p", "a z /3 two"), "d=z /3,");
}

TEST(each_combination_of_groups_is_a_wording_of_its_own)
{
	_cleanup_(template_set_freep) struct template_set *set = set_of("p | log | a{[ b]}{[ c {x}]} d\n");
	struct template_match one, two, again;

	assert_true(template_match(set, LIT("p"), LIT("a b d"), &one));
	assert_true(template_match(set, LIT("p"), LIT("a b c 1 d"), &two));
	assert_true(template_match(set, LIT("p"), LIT("a b d"), &again));
	assert_ptr_equal(one.wording, again.wording);
	assert_ptr_not_equal(one.wording, two.wording);
	assert_int_equal(one.wording->n_fields, 0);
	assert_bytes_equal(one.wording->literals[0], "a b d");
	assert_bytes_equal(two.wording->literals[0], "a b c ");
	assert_bytes_equal(two.wording->literals[1], " d");
}

TEST(a_directory_is_read_in_the_order_of_names)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	char directory[] = "/tmp/test-template-XXXXXX", path[128];
	static const char *const files[][2] = { { "b.templates", "p | log | x {second}\n" },
						{ "a.templates", "p | log | x {first}\n" },
						{ ".c.templates", "wrong" },
						{ "d.templates~", "wrong" },
						{ ".templates", "wrong" } };

	assert_non_null(mkdtemp(directory));
	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		FILE *f;

		(void)snprintf(path, sizeof path, "%s/%s", directory, files[i][0]);
		f = fopen(path, "we");
		assert_non_null(f);
		assert_true(fputs(files[i][1], f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
	assert_int_equal(template_set_new(&set), 0);
	assert_int_equal(template_set_add_directory(set, "/nonexistent/directory", &why), 0);
	assert_int_equal(template_set_add_directory(set, directory, &why), 2);
	assert_int_equal(why.len, 0);
	(void)snprintf(path, sizeof path, "%s/b.templates", directory);
	assert_int_equal(template_set_add_directory(set, path, &why), -ENOTDIR);
	assert_true(why.len > 0);
	assert_int_equal(template_set_ready(set), 0);
	assert_string_equal(fields_of(set, "p", "x 1"), "first=1,");
	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		(void)snprintf(path, sizeof path, "%s/%s", directory, files[i][0]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(directory), 0);
}

TEST(a_mistake_in_one_file_of_a_directory_leaves_the_others)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	char directory[] = "/tmp/test-template-XXXXXX", path[128];
	static const char *const files[][2] = { { "a.templates", "p | log | x {first}\n" },
						{ "b.templates", "p | wrong | x\n" },
						{ "c.templates", "p | log | y {second}\n" } };

	assert_non_null(mkdtemp(directory));
	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		FILE *f;

		(void)snprintf(path, sizeof path, "%s/%s", directory, files[i][0]);
		f = fopen(path, "we");
		assert_non_null(f);
		assert_true(fputs(files[i][1], f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
	assert_int_equal(template_set_new(&set), 0);
	assert_int_equal(template_set_add_directory(set, directory, &why), -EINVAL);
	assert_non_null(memmem(why.data, why.len, "b.templates:1:", 14));
	assert_int_equal(template_set_ready(set), 0);
	assert_string_equal(fields_of(set, "p", "x 1"), "first=1,");
	assert_string_equal(fields_of(set, "p", "y 2"), "second=2,");
	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		(void)snprintf(path, sizeof path, "%s/%s", directory, files[i][0]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(directory), 0);
}

TEST(an_empty_set_knows_nothing)
{
	_cleanup_(template_set_freep) struct template_set *set = set_of("");

	assert_string_equal(fields_of(set, "p", "x"), "-");
	assert_string_equal(fields_of(set, "", ""), "-");
}

/* --- against a matcher that does it the plain way ----------------------------------------- */

enum plain_kind { PLAIN_LITERAL, PLAIN_FIELD, PLAIN_GROUP, PLAIN_GROUP_END, PLAIN_END };

struct plain {
	enum plain_kind kind;
	enum field_type type;
	bool last;
	char text[4]; /* a literal; a field's name */
};

struct plain_attempt {
	const struct plain *tokens;
	const char *message;
	size_t len;
	unsigned tries;
	char found[1024]; /* as fields_of() shows it, back to front */
};

static bool plain_holds(enum field_type type, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((type == TYPE_WORD && s[i] == ' ') || (type == TYPE_INT && (s[i] < '0' || s[i] > '9')) ||
		    (type == TYPE_BLANKS && s[i] != ' ') || (type == TYPE_HOST && s[i] == ' '))
			return false;
	}
	return n > 0 || (type != TYPE_INT && type != TYPE_HOST);
}

static bool plain_fits(struct plain_attempt *a, size_t token, size_t at);

static bool plain_end_fits(struct plain_attempt *a, size_t token, size_t at, size_t end)
{
	const struct plain *t = &a->tokens[token];
	char rest[sizeof a->found];

	if (!plain_holds(t->type, a->message + at, end - at) || !plain_fits(a, token + 1, end))
		return false;
	memcpy(rest, a->found, sizeof rest);
	(void)snprintf(a->found, sizeof a->found, "%s=%.*s,%.900s", t->text, (int)(end - at), a->message + at,
		       rest);
	return true;
}

static bool plain_fits(struct plain_attempt *a, size_t token, size_t at)
{
	const struct plain *t = &a->tokens[token];
	size_t n = strlen(t->text), after = token;

	a->tries++;
	switch (t->kind) {
	case PLAIN_LITERAL:
		return a->len - at >= n && memcmp(a->message + at, t->text, n) == 0 &&
		       plain_fits(a, token + 1, at + n);
	case PLAIN_GROUP:
		while (a->tokens[after].kind != PLAIN_GROUP_END)
			after++;
		return plain_fits(a, token + 1, at) || plain_fits(a, after + 1, at);
	case PLAIN_GROUP_END:
		return plain_fits(a, token + 1, at);
	case PLAIN_END:
		a->found[0] = '\0';
		return at == a->len;
	default:
		break;
	}
	if (t->type == TYPE_INT || t->type == TYPE_BLANKS) {
		size_t end = at;

		while (end < a->len && plain_holds(t->type, a->message + end, 1))
			end++;
		return plain_end_fits(a, token, at, end);
	}
	for (size_t i = 0; i <= a->len - at; i++) {
		if (plain_end_fits(a, token, at, t->last ? a->len - i : at + i))
			return true;
	}
	return false;
}

static unsigned pick(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % n;
}

static size_t random_template(unsigned *seed, struct plain *out, struct buf *text)
{
	static const char *const literals[] = { " ", "a", " a", "a ", "1", ":", " 1", "a:" };
	static const enum field_type types[] = { TYPE_TEXT, TYPE_TEXT, TYPE_WORD,  TYPE_WORD,
						 TYPE_HOST, TYPE_INT,  TYPE_BLANKS };
	static const char *const names[] = { "text", "word", "host", "ip", "port", "int", "blanks" };
	size_t n = 0, fields = 0;
	bool group = false;
	unsigned parts = 2 + pick(seed, 9);

	assert_int_equal(buf_str(text, "p | log | "), 0);
	for (unsigned i = 0; i < parts || group; i++) {
		unsigned what = pick(seed, 10);
		struct plain *t = &out[n++];

		*t = (struct plain){ .kind = PLAIN_LITERAL };
		if (group && (what < 3 || i >= parts + 4)) {
			group = false;
			t->kind = PLAIN_GROUP_END;
			assert_int_equal(buf_str(text, "]}"), 0);
		} else if (!group && what < 2) {
			group = true;
			t->kind = PLAIN_GROUP;
			assert_int_equal(buf_str(text, "{["), 0);
		} else if (what < 6) {
			t->kind = PLAIN_FIELD;
			t->type = types[pick(seed, ELEMENTSOF(types))];
			t->last = pick(seed, 2);
			(void)snprintf(t->text, sizeof t->text, "f%c", (char)('a' + fields++));
			assert_int_equal(buf_printf(text, "{%s:%s%s}", t->text, names[t->type],
						    t->last ? ":last" : ""),
					 0);
		} else {
			strcpy(t->text, literals[pick(seed, ELEMENTSOF(literals))]);
			assert_int_equal(buf_str(text, t->text), 0);
		}
	}
	out[n] = (struct plain){ .kind = PLAIN_END };
	return n;
}

TEST(random_templates_match_as_the_plain_way_does)
{
	unsigned seed = 20261123, compared = 0, matched = 0;

	while (compared < 20000) {
		_cleanup_(template_set_freep) struct template_set *set = NULL;
		_cleanup_(buf_done) struct buf text = BUF_INIT(4096);
		struct plain tokens[40];

		(void)random_template(&seed, tokens, &text);
		assert_int_equal(template_set_new(&set), 0);
		/* many are refused: fields that touch, empty groups */
		if (template_set_add(set, buf_bytes(&text), "t", NULL) <= 0)
			continue;
		assert_int_equal(template_set_ready(set), 0);
		for (int i = 0; i < 20; i++, compared++) {
			char message[24] = "";
			size_t len = pick(&seed, 14);
			struct plain_attempt plain = { .tokens = tokens, .message = message, .len = len };
			const char *expected, *found;

			for (size_t k = 0; k < len; k++)
				message[k] = "a 1:aa"[pick(&seed, 6)];
			/* blanks that lead or end a template's line are not part of it */
			expected = plain_fits(&plain, 0, 0) ? plain.found : "-";
			found = fields_of(set, "p", message);
			if (text.data[text.len - 1] == ' ' || text.data[10] == ' ')
				continue;
			if (strcmp(expected, found) != 0)
				fail_msg("%.*s\non \"%s\": %s, not %s", (int)text.len,
					 (const char *)text.data, message, found, expected);
			matched += strcmp(expected, "-") != 0;
		}
	}
	assert_in_range(matched, compared / 20, compared);
}

/* --- what is shipped ---------------------------------------------------------------------- */

static const char *value_of(const struct template_match *m, const char *name)
{
	static char text[8][256];
	static unsigned next;
	char *out = text[next++ % 8];

	for (size_t i = 0; i < m->wording->meaning.n_constants; i++) {
		if (strcmp(m->wording->meaning.constants[i].name, name) == 0)
			return m->wording->meaning.constants[i].value;
	}
	for (size_t i = 0; i < m->wording->n_fields; i++) {
		if (strcmp(event_field_name(m->wording->field_ids[i]), name) == 0) {
			(void)snprintf(out, sizeof text[0], "%.*s", (int)m->values[i].len,
				       (const char *)m->values[i].data);
			return out;
		}
	}
	return NULL;
}

#define FAILURE HALLMARK__V1__OUTCOME__OUTCOME_FAILURE
#define SUCCESS HALLMARK__V1__OUTCOME__OUTCOME_SUCCESS
#define NEITHER HALLMARK__V1__OUTCOME__OUTCOME_NONE

TEST(result_lines_of_sshd_are_read_whatever_the_user_is_called)
{
	/* each as a user's name, or as what follows a name; the address and port behind it are the true ones
	 */
	static const char *const names[] = {
		"root",
		"",
		" ",
		"a b",
		"x from 10.0.0.1 port 1 ssh2",
		"x from 10.0.0.1 port 1 ssh2:",
		"x from 10.0.0.1 port 1 ssh2: RSA SHA256:abc",
		"x from 10.0.0.1 port 1 ssh2: RSA SHA256:abc, y",
		"x from 10.0.0.1 port 1 ssh2: RSA SHA256:abc ID z (serial 1) CA RSA SHA256:def",
		"x from 10.0.0.1 port 1 ssh2: RSA SHA256:abc, client user \"z\", client host \"h\"",
		"x from 10.0.0.1 port 1",
		"x from 10.0.0.1 port 1 ssh2 [preauth]",
		"x from 10.0.0.1",
		"x from ::1 port 1 ssh1: ruser",
		"invalid user y",
		"user y from 10.0.0.1",
		" from ",
		"from",
		"port 1 ssh2",
		"x 10.0.0.1 port 1 [preauth]",
		"x 10.0.0.1 port 1: Too many authentication failures [preauth]",
		"{user} {src_ip}",
		"\\303\\251\\n",
	};
	static const struct {
		const char *before, *after;
		Hallmark__V1__Outcome outcome;
	} forms[] = {
		{ "Failed password for ", " from 192.0.2.7 port 4711 ssh2", FAILURE },
		{ "Failed password for ", " from 192.0.2.7 port 4711 ssh2 [preauth]", FAILURE },
		{ "Failed password for invalid user ", " from 192.0.2.7 port 4711 ssh2", FAILURE },
		{ "Failed none for invalid user ", " from 192.0.2.7 port 4711 ssh2", FAILURE },
		{ "Failed keyboard-interactive/pam for ", " from 192.0.2.7 port 4711 ssh2", FAILURE },
		{ "Failed publickey for ", " from 192.0.2.7 port 4711 ssh2: RSA SHA256:v3dpapGleDaUKf",
		  FAILURE },
		{ "Failed publickey for invalid user ",
		  " from 192.0.2.7 port 4711 ssh2: RSA SHA256:v3dpapGleDaUKf", FAILURE },
		{ "Failed publickey for ",
		  " from 192.0.2.7 port 4711 ssh2: RSA-CERT SHA256:v3 ID k 1 (serial 7) CA RSA SHA256:w4",
		  FAILURE },
		{ "Failed hostbased for ",
		  " from 192.0.2.7 port 4711 ssh2: RSA SHA256:v3, client user \"u\", client host \"h\"",
		  FAILURE },
		{ "Accepted password for ", " from 192.0.2.7 port 4711 ssh2", SUCCESS },
		{ "Accepted publickey for ", " from 192.0.2.7 port 4711 ssh2: ED25519 SHA256:v3dpapGleDaUKf",
		  SUCCESS },
		{ "Accepted keyboard-interactive/pam for ", " from 192.0.2.7 port 4711 ssh2", SUCCESS },
		{ "Postponed publickey for ", " from 192.0.2.7 port 4711 ssh2 [preauth]", NEITHER },
		{ "Partial password for ", " from 192.0.2.7 port 4711 ssh2", NEITHER },
		{ "Invalid user ", " from 192.0.2.7 port 4711", FAILURE },
		{ "error: maximum authentication attempts exceeded for invalid user ",
		  " from 192.0.2.7 port 4711 ssh2 [preauth]", FAILURE },
		{ "Connection closed by authenticating user ", " 192.0.2.7 port 4711 [preauth]", NEITHER },
		{ "Connection closed by invalid user ", " 192.0.2.7 port 4711 [preauth]", NEITHER },
		{ "Connection reset by authenticating user ", " 192.0.2.7 port 4711 [preauth]", NEITHER },
		{ "Disconnected from authenticating user ", " 192.0.2.7 port 4711 [preauth]", NEITHER },
		{ "Disconnected from user ", " 192.0.2.7 port 4711", SUCCESS },
		{ "Disconnecting authenticating user ",
		  " 192.0.2.7 port 4711: Too many authentication failures [preauth]", NEITHER },
		{ "error: PAM: Authentication failure for illegal user ", " from 192.0.2.7", FAILURE },
	};
	_cleanup_(template_set_freep) struct template_set *set = shipped();

	for (size_t f = 0; f < ELEMENTSOF(forms); f++) {
		for (size_t i = 0; i < ELEMENTSOF(names); i++) {
			struct template_match m;
			const char *port;
			char line[512];
			int n = snprintf(line, sizeof line, "%s%s%s", forms[f].before, names[i],
					 forms[f].after);

			if (!template_match(set, LIT("sshd-session"), bytes_of(line, (size_t)n), &m))
				fail_msg("unknown: %s", line);
			port = value_of(&m, "src_port");
			if (!value_of(&m, "src_ip") || strcmp(value_of(&m, "src_ip"), "192.0.2.7") != 0 ||
			    (port && strcmp(port, "4711") != 0) ||
			    m.wording->meaning.outcome != forms[f].outcome)
				fail_msg("%s: from %s port %s", line, value_of(&m, "src_ip"), port);
			/* "invalid user " in a name cannot be told from the format's own */
			if (strncmp(names[i], "invalid user ", 13) != 0 &&
			    strcmp(value_of(&m, "user"), names[i]) != 0)
				fail_msg("%s: user \"%s\"", line, value_of(&m, "user"));
		}
	}
}

/* A refused user is not let in by what the name says; the address is the server's word. */
TEST(refused_users_of_sshd_stay_refused)
{
	_cleanup_(template_set_freep) struct template_set *set = shipped();
	struct template_match m;

	assert_true(
		template_match(set, LIT("sshd"),
			       LIT("User x from 10.0.0.1 not allowed because y from 192.0.2.7 not allowed "
				   "because not listed in AllowUsers"),
			       &m));
	assert_string_equal(value_of(&m, "src_ip"), "192.0.2.7");
	assert_int_equal(m.wording->meaning.outcome, FAILURE);
	assert_true(
		template_match(set, LIT("sshd"),
			       LIT("Invalid user Accepted password for root from 10.0.0.1 port 1 ssh2 from "
				   "192.0.2.7 port 4711"),
			       &m));
	assert_int_equal(m.wording->meaning.outcome, FAILURE);
	assert_string_equal(value_of(&m, "src_ip"), "192.0.2.7");
	assert_true(template_match(set, LIT("sshd"),
				   LIT("Bad protocol version identification 'x' from 10.0.0.1 port 1' from "
				       "192.0.2.7 port 4711"),
				   &m));
	assert_string_equal(value_of(&m, "src_ip"), "192.0.2.7");
	assert_true(template_match(
		set, LIT("sshd"),
		LIT("Received disconnect from 192.0.2.7 port 4711:11: from 10.0.0.1 port 1:11: x "
		    "[preauth]"),
		&m));
	assert_string_equal(value_of(&m, "src_ip"), "192.0.2.7");
	assert_string_equal(value_of(&m, "reason"), "from 10.0.0.1 port 1:11: x");
	/* a key that is known is no login */
	assert_true(template_match(set, LIT("sshd"),
				   LIT("Accepted key RSA SHA256:abc found at /root/.ssh/authorized_keys:1"),
				   &m));
	assert_int_equal(m.wording->meaning.outcome, NEITHER);
	assert_true(template_match(
		set, LIT("sshd"),
		LIT("Accepted publickey for a from 192.0.2.7 port 1 ssh2: RSA-CERT SHA256:x ID y from "
		    "10.0.0.1 port 2 (serial 3) CA RSA SHA256:z"),
		&m));
	assert_string_equal(value_of(&m, "src_ip"), "192.0.2.7");
	/* no port */
	assert_false(template_match(set, LIT("sshd"),
				    LIT("Failed password for x from 192.0.2.7 port 65536 ssh2"), &m));
	assert_false(template_match(set, LIT("sshd"),
				    LIT("Failed password for x from 192.0.2.700 port 1 ssh2 "), &m));
}

TEST(sudo_is_read_by_the_order_of_its_fields)
{
	static const struct {
		const char *line, *user, *target, *command;
		Hallmark__V1__Outcome outcome;
	} cases[] = {
		{ "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls -l", "alice", "root",
		  "/bin/ls -l", SUCCESS },
		{ "alice : PWD=/ ; USER=root ; COMMAND=/bin/ls", "alice", "root", "/bin/ls", SUCCESS },
		{ "alice :  PWD=/ ; USER=root ; COMMAND=/bin/ls", "alice", "root", "/bin/ls", SUCCESS },
		{ "   alice : HOST=h ; TTY=pts/0 ; CHROOT=/c ; PWD=/ ; USER=bob ; GROUP=g ; TSID=00/01 ; "
		  "ENV=A=1 B=2 ; COMMAND=list",
		  "alice", "bob", "list", SUCCESS },
		/* as whom, and what, nobody can say; but never whether it was allowed */
		{ "   alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh -c x ; USER=bob ; COMMAND=y",
		  "alice", NULL, NULL, SUCCESS },
		{ "   alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo bob : command not allowed ; "
		  "TTY=pts/1 ; PWD=/ ; USER=root ; "
		  "COMMAND=id",
		  "alice", NULL, NULL, SUCCESS },
		{ "   alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/true ; EXIT=1", "alice", "root",
		  "/bin/true", SUCCESS },
		{ "     bob : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/x alice : "
		  "TTY=pts/0 ; PWD=/ ; USER=root ; "
		  "COMMAND=id",
		  "bob", NULL, NULL, FAILURE },
		{ "     bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls", "bob",
		  "root", "/bin/ls", FAILURE },
		{ "     bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; "
		  "COMMAND=/bin/ls",
		  "bob", "root", "/bin/ls", FAILURE },
		{ "     bob : 1 incorrect password attempt ; PWD=/ ; USER=root ; COMMAND=/bin/ls", "bob",
		  "root", "/bin/ls", FAILURE },
		{ "     bob : a password is required ; PWD=/ ; USER=root ; COMMAND=/bin/ls", "bob", "root",
		  "/bin/ls", FAILURE },
	};
	_cleanup_(template_set_freep) struct template_set *set = shipped();

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct template_match m;

		if (!template_match(set, LIT("sudo"), bytes_str(cases[i].line), &m))
			fail_msg("unknown: %s", cases[i].line);
		assert_string_equal(value_of(&m, "user"), cases[i].user);
		if (cases[i].target) {
			assert_string_equal(value_of(&m, "target_user"), cases[i].target);
			assert_string_equal(value_of(&m, "command"), cases[i].command);
		} else {
			assert_null(value_of(&m, "target_user"));
			assert_null(value_of(&m, "command"));
		}
		assert_int_equal(m.wording->meaning.outcome, cases[i].outcome);
		assert_string_equal(m.wording->meaning.activity, "privilege");
	}
}

TEST(pam_lines_are_read_whatever_the_service)
{
	static const char frame[] =
		"pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ";
	static const struct {
		const char *rest, *user, *ip, *host;
	} cases[] = {
		{ "ruser= rhost=192.0.2.7 ", NULL, "192.0.2.7", NULL },
		{ "ruser= rhost=192.0.2.7  user=root", "root", "192.0.2.7", NULL },
		{ "ruser= rhost=192.0.2.7  user=root [preauth]", "root", "192.0.2.7", NULL },
		{ "ruser= rhost=h.example  user=root", "root", NULL, "h.example" },
		{ "ruser= rhost=  user=root", "root", NULL, NULL },
		{ "ruser= rhost= ", NULL, NULL, NULL },
		{ "ruser=bob rhost=192.0.2.7", "bob", "192.0.2.7", NULL },
		{ "ruser=bob rhost=192.0.2.7  user=alice", "alice", "192.0.2.7", NULL },
		{ "ruser= rhost=192.0.2.7 user=x rhost=10.0.0.1", " rhost=192.0.2.7 user=x", "10.0.0.1", NULL },
		{ "ruser=x rhost=10.0.0.1 rhost=192.0.2.7", "x rhost=10.0.0.1", "192.0.2.7", NULL },
		{ "ruser=x rhost=10.0.0.1 user=y rhost=192.0.2.7  user=z", "z", "192.0.2.7", NULL },
		{ "ruser=x uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.1  user=y rhost=192.0.2.7  user=z", "z",
		  "192.0.2.7", NULL },
	};
	_cleanup_(template_set_freep) struct template_set *set = shipped();
	struct template_match m;

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const struct {
			const char *name, *value;
		} expected[] = { { "user", cases[i].user },
				 { "src_ip", cases[i].ip },
				 { "src_host", cases[i].host } };
		char line[512];

		(void)snprintf(line, sizeof line, "%s%s", frame, cases[i].rest);
		if (!template_match(set, LIT("anything"), bytes_str(line), &m))
			fail_msg("unknown: %s", line);
		assert_int_equal(m.wording->meaning.outcome, FAILURE);
		for (size_t k = 0; k < ELEMENTSOF(expected); k++) {
			const char *value = value_of(&m, expected[k].name);

			if (!value != !expected[k].value || (value && strcmp(value, expected[k].value) != 0))
				fail_msg("%s: %s is \"%s\"", line, expected[k].name, value);
		}
	}
	assert_true(template_match(
		set, LIT("su"),
		LIT("pam_unix(su:session): session opened for user root(uid=0) by alice(uid=1000)"), &m));
	assert_string_equal(value_of(&m, "user"), "root");
	assert_string_equal(value_of(&m, "by_user"), "alice");
	assert_string_equal(value_of(&m, "by_uid"), "1000");
	assert_true(template_match(set, LIT("sshd"),
				   LIT("pam_unix(sshd:session): session opened for user bob by (uid=0)"),
				   &m));
	assert_string_equal(value_of(&m, "user"), "bob");
	assert_true(template_match(set, LIT("cron"),
				   LIT("pam_unix(cron:session): session closed for user root"), &m));
	assert_string_equal(m.wording->meaning.activity, "session_close");
}

/* --- cost --------------------------------------------------------------------------------- */

static double steps_of(struct template_set *set, const char *program, struct bytes message)
{
	uint64_t before = template_set_steps(set);
	struct template_match m;

	(void)template_match(set, bytes_str(program), message, &m);
	return (double)(template_set_steps(set) - before);
}

/* `n` templates of a kind; {n} in `form` is a number. */
static struct template_set *many(unsigned n, const char *before, const char *after)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)1 << 20);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(buf_printf(&text, "p | log | %s%u%s\n", before, i, after), 0);
	assert_int_equal(buf_byte(&text, '\0'), 0);
	return set_of((const char *)text.data);
}

TEST(a_line_costs_the_same_with_ten_templates_and_with_a_thousand)
{
	static const struct {
		const char *before, *after, *message, *unknown;
	} kinds[] = {
		{ "event ", " of {user} from {src_ip}", "event 7 of x from 1.2.3.4",
		  "event x of x from 1.2.3.4" },
		{ "{user} did thing ", " on {src_host}", "somebody or other did thing 7 on h.example",
		  "somebody or other did thing x on h" },
		{ "{user:word} : reason ", " ; PWD={cwd} ; COMMAND={command}",
		  "alice : reason 7 ; PWD=/ ; COMMAND=/bin/ls",
		  "alice : reason x ; PWD=/ ; COMMAND=/bin/ls" },
		{ "same {user} did thing ", " on {src_host}",
		  "same somebody or other did thing 7 on h.example", "same did thing x on h" },
		{ "{user:word}: did thing to ", " of {a}", "bob: did thing to 7 of x",
		  "bob: did thing to x of x" },
		{ "{user:word}: {a} number ", " of {b}", "bob: thing number 7 of x",
		  "bob: thing number x of x" },
		{ "{user} a {b} number ", " of {c}", "x a y number 7 of z", "x a y number x of z" },
		{ "{user} has ", " and {[some ]}{a} more{[ things]}", "x y has 7 and some b more",
		  "x y has x and some b more" },
	};

	for (size_t k = 0; k < ELEMENTSOF(kinds); k++) {
		_cleanup_(template_set_freep) struct template_set *ten =
			many(10, kinds[k].before, kinds[k].after);
		_cleanup_(template_set_freep) struct template_set *thousand =
			many(1000, kinds[k].before, kinds[k].after);
		const char *const messages[] = { kinds[k].message, kinds[k].unknown };

		for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
			/* more than ten may have to be told apart by a look at all of the message, once */
			double allowed = 1.2 * steps_of(ten, "p", bytes_str(messages[i])) +
					 (double)strlen(messages[i]) + 4;
			double found = steps_of(thousand, "p", bytes_str(messages[i]));

			assert_int_equal(strcmp(fields_of(ten, "p", messages[i]), "-") == 0, i == 1);
			assert_int_equal(strcmp(fields_of(thousand, "p", messages[i]), "-") == 0, i == 1);
			if (found > allowed)
				fail_msg("\"%s\" with %s…: %.0f steps with 1000 templates, not %.0f",
					 messages[i], kinds[k].before, found, allowed);
		}
	}
}

static struct bytes repeated(struct buf *out, const char *begin, const char *unit, const char *end,
			     size_t len)
{
	buf_clear(out);
	assert_int_equal(buf_str(out, begin), 0);
	while (out->len + strlen(end) < len)
		assert_int_equal(buf_str(out, unit), 0);
	assert_int_equal(buf_str(out, end), 0);
	return buf_bytes(out);
}

TEST(a_byte_costs_the_same_in_lines_of_a_hundred_bytes_and_of_a_megabyte)
{
	static const struct {
		const char *program, *begin, *unit, *end;
	} lines[] = {
		{ "sshd", "Failed password for ", "x", " from 192.0.2.7 port 4711 ssh2" },
		{ "sshd", "Failed password for invalid user ", " from ", "" },
		{ "sshd", "Failed password for ", " from 1.1.1.1 port 1 ssh2", "" },
		{ "sshd", "Failed password for ", " from 1.1.1.1 port 1 ssh2", "x" },
		{ "sshd", "Failed publickey for ", " from 1.1.1.1 port 1 ssh2: RSA SHA256:a", "x, " },
		{ "sshd", "Failed publickey for ", " from 1.1.1.1 port 1 ssh2: RSA a ID b (serial 1) CA c d",
		  "x y" },
		{ "sshd", "Accepted certificate ID \"", "\" (serial 1) signed by a CA b via ", "" },
		{ "sshd", "User ", " from a not allowed because", "" },
		{ "sshd", "Starting session: ", " on x for y from 1.1.1.1 port 1 id 1", " " },
		{ "sshd", "Unable to negotiate with ", "x 1.1.1.1 port 1: y. Their offer:", "" },
		{ "sshd", "error: Refusing certificate ID \"", "\" serial=1 signed by a CA b: ", "" },
		{ "sshd", "Failed ", "a", "" },
		{ "sshd", "Failed ", " for", "" },
		{ "sshd", "", "1", "" },
		{ "sshd", "", ":", "" },
		{ "sshd", "", " [preauth]", "" },
		{ "sudo", "", " ", "" },
		{ "sudo", "", "a : PWD=", "" },
		{ "sudo", "a : PWD=", " ; USER=root", "" },
		{ "sudo",
		  "a : PWD=", " ; USER=root ; GROUP=g ; TSID=t ; ENV=e ; COMMAND=c ; SIGNAL=s ; EXIT=", "" },
		{ "sudo", "a : command not allowed ; PWD=", " ; USER=a ; GROUP=b ; ENV=c", "" },
		{ "sudo", "a : TTY=b ; PWD=c ; USER=d ; COMMAND=", " ; EXIT=1", " " },
		{ "x", "pam_unix(",
		  "a:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=", "" },
		{ "x", "pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty= ruser=",
		  " rhost=1.1.1.1", " user=x y" },
		{ "x", "pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty= ruser=",
		  " rhost=a  user=b", " c " },
		{ "x", "pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=",
		  " ", " c d" },
		{ "x", "pam_unix(x:session): session opened for user ", "(uid=1) by ", "" },
		{ "x", "pam_unix(x:session): session opened for user ", " by (uid=1)", " " },
		{ "su", "(to ", ") ", " on" },
		{ "login", "LOGIN ON a BY ", " FROM b", " c" },
	};
	_cleanup_(template_set_freep) struct template_set *set = shipped();
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)2 << 20);

	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		double small, large, unit;
		struct bytes line;

		line = repeated(&text, lines[i].begin, lines[i].unit, lines[i].end, 1000);
		small = steps_of(set, lines[i].program, line) / (double)line.len;
		line = repeated(&text, lines[i].begin, lines[i].unit, lines[i].end, (size_t)1 << 20);
		large = steps_of(set, lines[i].program, line) / (double)line.len;
		line = repeated(&text, lines[i].begin, lines[i].unit, lines[i].end, 100);
		unit = steps_of(set, lines[i].program, line) / (double)line.len;
		if (large > 1.1 * small + 1 || large > 1.1 * unit + 16 || large > 48)
			fail_msg("%s%s…%s: %.1f steps for a byte of 100, %.1f of 1000, %.1f of a megabyte",
				 lines[i].begin, lines[i].unit, lines[i].end, unit, small, large);
	}
}

TEST(a_template_that_has_many_ways_to_fail_costs_no_more_for_it)
{
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)2 << 20);
	double small, large;

	set = set_of("p | log | {a} {b} {c} {d} {e} {f} {g} {h}!\n"
		     "q | log | {a:last} {b:last} {c:last} {d:last} {e:last}!\n"
		     "r | log | {a}{[ x]}{[ x]}{[ x]}{[ x]}{[ x]}{[ x]}{[ x]} {b:word}{[x {c:word}]} "
		     "{d:word:last}!\n"
		     "s | log | {a} {:blanks}{b:word} {:blanks}{c:word} {d:word}x{e:word}!\n"
		     "t | log | {a:word}{[x{b:word}]}x{c:word}x{d:word}x{e:host}x{f:word:last}!\n");
	for (const char *p = "pqrst"; *p; p++) {
		const char program[2] = { *p, '\0' };
		static const char *const units[] = { " ", " x", "x", "x ", " x  " };

		for (size_t i = 0; i < ELEMENTSOF(units); i++) {
			small = steps_of(set, program, repeated(&text, "", units[i], "", 1000)) / 1000;
			large = steps_of(set, program, repeated(&text, "", units[i], "", 100000)) / 100000;
			if (large > 1.1 * small + 1 || large > 80)
				fail_msg("%s on \"%s\": %.1f steps for a byte of 1000, %.1f of 100000",
					 program, units[i], small, large);
		}
	}
}

TEST(a_line_of_a_megabyte_is_understood)
{
	_cleanup_(template_set_freep) struct template_set *set = shipped();
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)2 << 20), shown = BUF_INIT((size_t)2 << 20);
	struct bytes line = repeated(&text, "Failed password for ", "x from 1.1.1.1 port 1 ssh2 ",
				     " from 192.0.2.7 port 4711 ssh2", (size_t)1 << 20);
	struct template_match m;

	assert_true(template_match(set, LIT("sshd"), line, &m));
	assert_string_equal(value_of(&m, "src_ip"), "192.0.2.7");
	show_match(&m, line, &shown);
}
