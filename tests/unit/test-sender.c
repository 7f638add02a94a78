/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have written a line: the accounts of the host, and the judgement of messages by the rules that are shipped. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"
#include "collectors/sender.h"

#define SECOND INT64_C(1000000)

/* --- a passwd file of our own -------------------------------------------------------------- */

struct host {
	char directory[32], path[64];
	struct accounts *accounts;
};

static void host_write(struct host *h, const void *text, size_t len)
{
	_cleanup_(closep) int dir = open(h->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(replace_file_at(dir, "passwd", bytes_of(text, len), 0644, false), 0);
}

static struct host host_of(const char *passwd)
{
	struct host h = { .directory = "/tmp/test-sender.XXXXXX" };

	assert_non_null(mkdtemp(h.directory));
	(void)snprintf(h.path, sizeof h.path, "%s/passwd", h.directory);
	if (passwd)
		host_write(&h, passwd, strlen(passwd));
	assert_int_equal(accounts_new(h.path, &h.accounts), 0);
	return h;
}

/* As if more than a second had gone by. */
static void host_forget(struct host *h)
{
	accounts_free(h->accounts);
	assert_int_equal(accounts_new(h->path, &h->accounts), 0);
}

static void host_done(struct host *h)
{
	accounts_free(h->accounts);
	(void)unlink(h->path);
	(void)rmdir(h->directory);
}

/* When the accounts of a file that was just written count. */
static int64_t later(void)
{
	return clock_wall_us() + 10 * SECOND;
}

#define PASSWD                                      \
	"root:x:0:0:root:/root:/bin/bash\n"         \
	"toor:x:0:0:the same:/root:/bin/sh\n"       \
	"alice:x:1000:1000::/home/alice:/bin/sh\n"  \
	"bob:x:1001:1001::/home/bob:/bin/sh\n"      \
	"polkitd:x:996:996::/:/usr/sbin/nologin\n"  \
	"twice:x:1002:100::/:/bin/sh\n"             \
	"twice:x:1003:100::/:/bin/sh\n"

/* --- accounts ------------------------------------------------------------------------------ */

TEST(only_what_stands_in_the_file_is_contradicted)
{
	_cleanup_(host_done) struct host h = host_of(PASSWD);
	static const struct {
		const char *name;
		uint64_t uid;
		bool contradicted;
	} cases[] = {
		{ "alice", 1000, false },
		{ "alice", 1001, true }, /* both are known, and not of each other */
		{ "alice", 4711, true }, /* the name has another uid */
		{ "carol", 1000, true }, /* the uid has other names */
		{ "carol", 4711, false },
		{ "root", 0, false },
		{ "toor", 0, false },
		{ "root", 1000, true },
		{ "twice", 1002, false },
		{ "twice", 1003, false },
		{ "twice", 1000, true },
		{ "", 1000, true },
		{ "", 4711, false },
		{ "alic", 1000, true },
		{ "alice", UINT64_C(1000) + (UINT64_C(1) << 32), false }, /* no uid is as large */
		{ "alice", EVENT_NUMBER_NONE, false },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		if (accounts_contradict(h.accounts, bytes_str(cases[i].name), cases[i].uid, later()) !=
		    cases[i].contradicted)
			fail_msg("%s %llu", cases[i].name, (unsigned long long)cases[i].uid);
}

TEST(without_a_file_nothing_is_contradicted)
{
	_cleanup_(host_done) struct host h = host_of(NULL);

	assert_false(accounts_contradict(h.accounts, LIT("root"), 1000, later()));
	assert_int_equal(mkdir(h.path, 0755), 0);
	host_forget(&h);
	assert_false(accounts_contradict(h.accounts, LIT("root"), 1000, later()));
	assert_int_equal(rmdir(h.path), 0);
	assert_int_equal(mkfifo(h.path, 0644), 0);
	host_forget(&h);
	assert_false(accounts_contradict(h.accounts, LIT("root"), 1000, later()));
}

TEST(a_file_that_has_no_name_any_more_says_nothing)
{
	_cleanup_(host_done) struct host h = host_of(PASSWD);
	_cleanup_(closep) int fd = open(h.path, O_RDONLY | O_CLOEXEC);
	_cleanup_(accounts_freep) struct accounts *mounted = NULL;
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	assert_int_equal(accounts_new(path, &mounted), 0);
	assert_true(accounts_contradict(mounted, LIT("root"), 1000, later()));
	assert_int_equal(unlink(h.path), 0);
	assert_false(accounts_contradict(mounted, LIT("root"), 1000, later()));
}

TEST(what_is_older_than_the_accounts_is_not_contradicted)
{
	_cleanup_(host_done) struct host h = host_of(PASSWD);
	int64_t written = clock_wall_us();

	assert_true(accounts_contradict(h.accounts, LIT("bob"), 1000, written + 2 * SECOND));
	assert_false(accounts_contradict(h.accounts, LIT("bob"), 1000, written));
	assert_false(accounts_contradict(h.accounts, LIT("bob"), 1000, written - 3600 * SECOND));
}

TEST(a_change_is_seen_before_it_could_be_a_false_alarm)
{
	_cleanup_(host_done) struct host h = host_of(PASSWD);
	static const char renamed[] = "root:x:0:0::/:/bin/sh\ncarol:x:1000:1000::/:/bin/sh\n";

	assert_true(accounts_contradict(h.accounts, LIT("carol"), 1000, later()));
	host_write(&h, renamed, strlen(renamed));
	/* within the second in which it need not look again */
	assert_false(accounts_contradict(h.accounts, LIT("carol"), 1000, later()));
	assert_true(accounts_contradict(h.accounts, LIT("alice"), 1000, later()));
}

TEST(another_shell_in_the_file_hides_nothing_that_was_before)
{
	_cleanup_(host_done) struct host h = host_of(PASSWD);
	int64_t forged_us = clock_wall_us() + 2 * SECOND;
	static const char changed[] = PASSWD "+nis\n";

	assert_true(accounts_contradict(h.accounts, LIT("bob"), 1000, forged_us));
	host_write(&h, changed, strlen(changed));
	for (int i = 0; i < 2; i++) {
		struct timespec times[2] = { { .tv_sec = forged_us / SECOND + 1000 }, { .tv_sec = forged_us / SECOND + 1000 } };

		assert_int_equal(utimensat(AT_FDCWD, h.path, times, 0), 0);
		assert_true(accounts_contradict(h.accounts, LIT("bob"), 1000, forged_us));
		assert_true(accounts_contradict(h.accounts, LIT("bob"), 1000, later()));
	}
}

TEST(a_hostile_file_says_nothing_that_it_should_not)
{
	static const char hostile[] =
		"\n:\n::::\n:x:1000:\nalice\nalice:x\nalice:x:1000\nalice:x:-1:\nalice:x:1000x:\nalice:x: 1000:\n"
		"alice:x:4294967295:\nalice:x:4294967296:\nalice:x:99999999999999999999:\n+alice:x:1000:\n-bob:x:1000:\n"
		"nul\0name:x:7:\nok:x:1001:1\r\n\xff\xfe:x:8:\nlast:x:9:";
	_cleanup_(host_done) struct host h = host_of("");

	host_write(&h, hostile, sizeof hostile - 1);
	assert_false(accounts_contradict(h.accounts, LIT("bob"), 1000, later()));
	assert_false(accounts_contradict(h.accounts, LIT("alice"), 4711, later()));
	assert_false(accounts_contradict(h.accounts, LIT("x"), UINT32_MAX, later()));
	assert_true(accounts_contradict(h.accounts, LIT("nul"), 7, later()));
	assert_false(accounts_contradict(h.accounts, LIT("nul\0name"), 7, later()));
	assert_true(accounts_contradict(h.accounts, LIT("bob"), 1001, later()));
	assert_false(accounts_contradict(h.accounts, LIT("\xff\xfe"), 8, later()));
	assert_false(accounts_contradict(h.accounts, LIT("last"), 9, later()));
	assert_true(accounts_contradict(h.accounts, LIT("last"), 8, later()));
}

TEST(a_file_that_is_too_large_says_nothing_at_all)
{
	_cleanup_(host_done) struct host h = host_of(PASSWD);
	_cleanup_(buf_done) struct buf text = BUF_INIT(2 * ACCOUNTS_BYTES_MAX);

	assert_int_equal(buf_str(&text, PASSWD), 0);
	while (text.len <= ACCOUNTS_BYTES_MAX)
		assert_int_equal(buf_printf(&text, "u%zu:x:1:1:%0512d:/:\n", text.len, 0), 0);
	assert_true(accounts_contradict(h.accounts, LIT("bob"), 1000, later()));
	host_write(&h, text.data, text.len);
	assert_false(accounts_contradict(h.accounts, LIT("bob"), 1000, later()));
	text.len = 0;
	assert_int_equal(buf_str(&text, PASSWD), 0);
	for (size_t i = 0; i <= ACCOUNTS_MAX; i++)
		assert_int_equal(buf_byte(&text, '\n'), 0);
	host_write(&h, text.data, text.len);
	host_forget(&h);
	assert_false(accounts_contradict(h.accounts, LIT("bob"), 1000, later()));
	host_write(&h, PASSWD, strlen(PASSWD));
	host_forget(&h);
	assert_true(accounts_contradict(h.accounts, LIT("bob"), 1000, later()));
}

/* --- judgement ----------------------------------------------------------------------------- */

struct judged {
	struct template_set *set;
	struct host host;
};

static void judged_done(struct judged *j)
{
	template_set_free(j->set);
	host_done(&j->host);
}

/* With the templates of `text`, or, where that is NULL, those that are shipped. */
static struct judged judge_with(const char *text)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct judged j = { .host = host_of(PASSWD) };
	int r;

	assert_int_equal(template_set_new(&j.set), 0);
	r = text ? template_set_add(j.set, bytes_str(text), "t", &why) :
		   template_set_add_directory(j.set, "packaging/templates", &why);
	if (r <= 0)
		fail_msg("%.*s", (int)why.len, (const char *)why.data);
	assert_int_equal(template_set_ready(j.set), 0);
	return j;
}

#define UNPROVEN EVENT_NUMBER_NONE

static unsigned judge(struct judged *j, const char *program, uint64_t uid, const char *exe, const char *message)
{
	struct origin o = { .program = bytes_str(program), .has_provenance = true, .provenance = PROVENANCE_NONE };
	struct template_match m;

	o.provenance.uid = uid;
	o.provenance.own_machine = true;
	if (exe && exe[0] == '/')
		o.provenance.exe = bytes_str(exe);
	else if (exe)
		o.provenance.comm = bytes_str(exe);
	if (!template_match(j->set, o.program, bytes_str(message), &m))
		fail_msg("%s: unknown: %s", program, message);
	return sender_judge(j->host.accounts, &o, later(), &m);
}

enum { ROOT = VARIETY_NOT_ROOT, CALLER = VARIETY_NOT_CALLER, SUSPECT = VARIETY_SUSPECT };

struct judgement {
	const char *program;
	uint64_t uid;
	const char *exe; /* without a slash: only _COMM is there; NULL: neither */
	unsigned expected;
	const char *message;
};

static void judge_all(struct judged *j, const struct judgement *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct judgement *c = &cases[i];
		unsigned found = judge(j, c->program, c->uid, c->exe, c->message);

		if (found != c->expected)
			fail_msg("%s, uid %lld, %s: %u, not %u: %s", c->program, (long long)c->uid, c->exe ? c->exe : "-",
				 found, c->expected, c->message);
	}
}

#define ACCEPTED "Accepted password for root from 203.0.113.7 port 4711 ssh2"
#define SUDO "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/sh"
#define SUDO_BOB "     bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/sh"
#define SSHD "/usr/sbin/sshd"
#define LOGGER "/usr/bin/logger"

/* What an ordinary user (alice, 1000) can send, and would be worth a lie. */
TEST(what_an_ordinary_user_sends_in_the_name_of_others_is_forged)
{
	_cleanup_(judged_done) struct judged j = judge_with(NULL);
	static const struct judgement cases[] = {
		{ "sshd", 1000, LOGGER, ROOT | SUSPECT, ACCEPTED },
		{ "sshd", 1000, SSHD, ROOT, ACCEPTED }, /* a race that was won changes nothing */
		{ "sshd", 1000, NULL, ROOT, ACCEPTED },
		{ "sshd-session", 1000, NULL, ROOT, ACCEPTED },
		{ "sshd-auth", 1000, NULL, ROOT, ACCEPTED },
		{ "sshd", 1000, NULL, ROOT, "Failed password for invalid user x from 203.0.113.7 port 4711 ssh2" },
		{ "sshd", 1000, NULL, ROOT, "Invalid user x from 203.0.113.7 port 4711" },
		{ "sshd", 1000, NULL, ROOT, "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)" },
		{ "sshd", 1000, NULL, ROOT, "pam_unix(sshd:session): session opened for user root(uid=0) by alice(uid=1000)" },
		{ "sshd", 1000, NULL, ROOT, "pam_unix(sshd:session): session closed for user root" },
		{ "sshd", 1000, NULL, ROOT, "pam_unix(sshd:auth): authentication failure; logname= uid=1000 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root" },
		{ "sshd", 1000, NULL, ROOT, "pam_sss(sshd:auth): authentication success; logname= uid=1000 euid=0 tty=ssh ruser= rhost=203.0.113.7 user=root" },
		{ "sshd", 1000, NULL, ROOT, "pam_faillock(sshd:auth): Consecutive login failures for user bob account temporarily locked" },
		{ "sshd(pam_google_authenticator)", 1000, NULL, ROOT, "Accepted google_authenticator for root" },
		{ "sshd", 1000, NULL, CALLER, "Disconnected from user bob 203.0.113.7 port 4711" },
		{ "sshd", 1000, NULL, CALLER, "Starting session: shell on pts/0 for root from 203.0.113.7 port 4711 id 0" },
		{ "sudo", 1000, "/usr/bin/sudo", CALLER, SUDO_BOB },
		{ "sudo", 1000, LOGGER, CALLER, "    root : PWD=/ ; USER=root ; COMMAND=/bin/sh" },
		{ "sudo-rs", 1000, NULL, CALLER, "bob : PWD=/ ; USER=root ; COMMAND=/bin/sh" },
		{ "sudo", 1000, NULL, CALLER, "     bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh" },
		{ "sudo", 1000, NULL, CALLER, "pam_unix(sudo:session): session opened for user root(uid=0) by bob(uid=1001)" },
		{ "sudo", 1000, NULL, CALLER, "pam_unix(sudo:auth): authentication failure; logname=bob uid=1001 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob" },
		{ "anything", 1000, NULL, CALLER, "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)" },
		{ "login", 1000, NULL, ROOT, "ROOT LOGIN ON tty1" },
		{ "login", 1000, NULL, ROOT, "LOGIN ON tty1 BY bob" },
		{ "su", 1000, NULL, CALLER, "Successful su for root by bob" },
		{ "useradd", 1000, NULL, ROOT, "new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/sh, from=/dev/pts/0" },
		{ "usermod", 1000, NULL, ROOT, "add 'alice' to group 'sudo'" },
		{ "usermod", 1000, NULL, ROOT, "lock user 'bob' password" },
		{ "userdel", 1000, NULL, ROOT, "delete user 'bob'" },
		{ "groupadd", 1000, NULL, ROOT, "new group: name=eve, GID=0" },
		{ "gpasswd", 1000, NULL, CALLER, "user alice added by root to group sudo" },
		{ "passwd", 1000, NULL, CALLER, "password for 'root' changed by 'root'" },
		{ "passwd", 1000, NULL, CALLER, "pam_unix(passwd:chauthtok): password changed for root" },
		{ "anything", 1000, NULL, CALLER, "pam_unix(chpasswd:chauthtok): password changed for root" },
		{ "chage", 1000, NULL, ROOT, "changed password expiry for bob" },
		{ "chsh", 1000, NULL, CALLER, "changed user 'root' shell to '/bin/false'" },
		{ "systemd-logind", 1000, NULL, ROOT, "New session 7 of user root." },
		{ "polkitd", 1000, NULL, ROOT, "ALLOWING action org.x for unix-process:1:2 [a])" },
		{ "pkexec", 1000, NULL, CALLER, "bob: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=/bin/sh]" },
		{ "CRON", 1000, NULL, CALLER, "(root) CMD (/bin/sh)" },
		{ "CRON", 1000, NULL, ROOT, "pam_unix(cron:session): session closed for user root" },
		{ "doas", 1000, NULL, CALLER, "bob ran command /bin/sh as root from /" },
		{ "newgrp", 1000, NULL, CALLER, "user 'bob' (login 'bob' on pts/0) switched to group 'sudo'" },
		{ "unix_chkpwd", 1000, NULL, CALLER, "inappropriate use of Unix helper binary [UID=0]" },
	};

	judge_all(&j, cases, ELEMENTSOF(cases));
}

TEST(what_the_programs_themselves_say_is_not_forged)
{
	_cleanup_(judged_done) struct judged j = judge_with(NULL);
	static const struct judgement cases[] = {
		{ "sshd", 0, SSHD, 0, ACCEPTED },
		{ "sshd", 0, "/usr/sbin/sshd (deleted)", 0, ACCEPTED },
		{ "sshd-session", 0, "/usr/lib/openssh/sshd-session", 0, ACCEPTED },
		{ "sshd", 0, "sshd", 0, ACCEPTED },
		{ "sshd", 0, NULL, 0, ACCEPTED },
		/* the child that has become the user */
		{ "sshd", 1000, SSHD, 0, "Received disconnect from 203.0.113.7 port 4711:11: disconnected by user" },
		{ "sshd", 1000, SSHD, 0, "Disconnected from user alice 203.0.113.7 port 4711" },
		{ "sshd", 1000, SSHD, 0, "Starting session: command for alice from 203.0.113.7 port 4711 id 0" },
		{ "sshd", 1000, SSHD, 0, "subsystem request for sftp by user alice" },
		{ "sshd", 1000, SSHD, 0, "subsystem request for nothing by user alice failed, subsystem not found" },
		{ "sshd", 1000, SSHD, 0, "Unable to negotiate with user alice 203.0.113.7 port 4711: no matching cipher found. Their offer: x" },
		{ "sshd", 1000, SSHD, 0, "fatal: ssh_dispatch_run_fatal: Connection from user alice 203.0.113.7 port 4711: error in libcrypto" },
		{ "sshd", 1000, SSHD, 0, "error: connect_to localhost port 1: failed." },
		{ "sshd", 1000, SSHD, 0, "Disconnecting user alice 203.0.113.7 port 4711: Too many authentication failures" },
		{ "sshd", 1000, SSHD, 0, "Disconnecting user odd" },
		/* an account that is no local one */
		{ "sshd", 4711, SSHD, 0, "Disconnected from user dora 203.0.113.7 port 4711" },
		/* a setuid program has its caller's uid, and becomes what it is asked for */
		{ "sudo", 1000, "/usr/bin/sudo", 0, SUDO },
		{ "sudo", 1000, "/bin/dash", 0, SUDO },
		{ "sudo", 0, "/usr/bin/sudo", 0, "    root : PWD=/ ; USER=alice ; COMMAND=/bin/sh" },
		{ "sudo", 0, "/usr/bin/sudo", 0, "    toor : PWD=/ ; USER=alice ; COMMAND=/bin/sh" },
		{ "sudo", 4711, "/usr/bin/sudo", 0, "    dora : PWD=/ ; USER=root ; COMMAND=/bin/sh" },
		{ "sudo", 1000, "/usr/bin/sudo", 0, "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)" },
		{ "sudo", 1000, "/usr/bin/sudo", 0, "pam_unix(sudo:session): session closed for user root" },
		{ "sudo", 1000, "/usr/bin/sudo", 0, "pam_unix(sudo:auth): authentication failure; logname=alice uid=1000 euid=0 tty=/dev/pts/0 ruser=alice rhost=  user=alice" },
		{ "su", 1000, "/usr/bin/su", 0, "(to root) alice on pts/0" },
		/* util-linux names the terminal's user */
		{ "su", 1000, "/usr/bin/su", 0, "(to root) bob on pts/0" },
		{ "su", 1000, "/usr/bin/su", 0, "pam_unix(su:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=alice rhost=  user=root" },
		{ "su", 1000, "/usr/bin/su", 0, "pam_unix(su:chauthtok): password changed for bob" },
		{ "passwd", 1000, "/usr/bin/passwd", 0, "pam_unix(passwd:chauthtok): password changed for alice" },
		{ "passwd", 0, "/usr/bin/passwd", 0, "pam_unix(passwd:chauthtok): password changed for alice" },
		{ "passwd", 0, "/usr/bin/passwd", 0, "password for 'alice' changed by 'alice'" },
		{ "useradd", 0, "/usr/sbin/useradd", 0, "new user: name=eve, UID=1009, GID=1009, home=/home/eve, shell=/bin/sh, from=none" },
		{ "useradd", 1000, "/usr/sbin/useradd", 0, "failed adding user 'eve', exit code: 1" },
		{ "gpasswd", 1000, "/usr/bin/gpasswd", 0, "user bob added by alice to group staff" },
		{ "newgrp", 1000, "/usr/bin/bash", 0, "user 'alice' (login 'alice' on pts/0) switched to group 'sudo'" },
		{ "systemd", 1000, "/usr/lib/systemd/systemd", 0, "pam_unix(systemd-user:session): session closed for user alice" },
		{ "(systemd)", 0, "/usr/lib/systemd/systemd", 0, "pam_unix(systemd-user:session): session opened for user alice(uid=1000) by (uid=0)" },
		{ "systemd-logind", 0, "/usr/lib/systemd/systemd-logind", 0, "New session 7 of user root." },
		{ "polkitd", 996, "/usr/lib/polkit-1/polkitd", 0, "Registered Authentication Agent for unix-session:2 (system bus name :1.9 [x], object path /o, locale C)" },
		{ "polkitd", 0, "/usr/lib/polkit-1/polkitd", 0, "ALLOWING action org.x for unix-process:1:2 [a])" },
		{ "polkit-agent-helper-1", 1000, "/usr/lib/polkit-1/polkit-agent-helper-1", 0, "pam_unix(polkit-1:auth): authentication failure; logname= uid=1000 euid=0 tty= ruser=alice rhost=  user=bob" },
		{ "pkexec", 0, "/bin/dash", 0, "alice: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=/bin/sh]" },
		{ "CRON", 0, "/usr/bin/dash", 0, "(alice) CMD (/bin/sh)" },
		{ "CRON", 1000, "/usr/bin/dash", 0, "(alice) CMD (/bin/sh)" },
		{ "CRON", 0, "/usr/sbin/cron", 0, "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)" },
		{ "crontab", 1000, "/usr/bin/crontab", 0, "(alice) REPLACE (alice)" },
		{ "cron", 0, "/usr/sbin/cron", 0, "(CRON) INFO (Running @reboot jobs)" },
		{ "login", 0, "/usr/bin/login", 0, "ROOT LOGIN ON tty1" },
		{ "doas", 1001, "/bin/dash", 0, "alice ran command /bin/sh as bob from /" },
		{ "unix_chkpwd", 1000, "/usr/sbin/unix_chkpwd", 0, "password check failed for user (bob)" },
		/* whatever is missing is unproven */
		{ "sshd", UNPROVEN, NULL, 0, ACCEPTED },
		{ "sudo", UNPROVEN, NULL, 0, SUDO_BOB },
		/* under no name that anything is known of, and about oneself */
		{ "anything", 1000, LOGGER, 0, "pam_unix(x:session): session opened for user root(uid=0) by alice(uid=1000)" },
	};

	judge_all(&j, cases, ELEMENTSOF(cases));
}

/* Whoever adds one has to think of the child that has become the user: its lines are no forgeries. */
TEST(every_template_of_sshd_that_is_a_mere_log_record_says_who_may_write_it)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)1 << 20);
	size_t n = 0;

	assert_int_equal(read_file_at(AT_FDCWD, "packaging/templates/openssh.templates", false, &text), 0);
	assert_int_equal(buf_byte(&text, '\0'), 0);
	for (char *line = strtok((char *)text.data, "\n"); line; line = strtok(NULL, "\n")) {
		const char *meaning = strchr(line, '|'), *rest = meaning ? strchr(meaning + 1, '|') : NULL;

		if (line[0] == '#' || !rest || strncmp(meaning, "| log ", 6) != 0)
			continue;
		if (!memmem(meaning, (size_t)(rest - meaning), "sender=", 7))
			fail_msg("no sender=: %s", line);
		n++;
	}
	assert_in_range(n, 30, SIZE_MAX);
}

TEST(an_executable_of_another_name_is_suspect)
{
	_cleanup_(judged_done) struct judged j = judge_with(
		"myd, my-* | authentication | hello\n"
		"* | authentication | hello all\n"
		"tool | log exe=perl,python3* | hello\n"
		"long-name-of-a-daemon | log | hello\n"
		"moody | log exe=* | hello\n"
		"tool | exe=busybox\n");
	static const struct judgement cases[] = {
		{ "myd", 0, "/usr/sbin/myd", 0, "hello" },
		{ "myd", 0, "/my-other", 0, "hello" },
		{ "myd", 0, "/usr/bin/logger", SUSPECT, "hello" },
		{ "myd", 0, "/usr/sbin/myd/logger", SUSPECT, "hello" },
		{ "myd", 0, "/usr/sbin/", 0, "hello" }, /* no name */
		{ "myd", 0, "/myd (deleted)", 0, "hello" },
		{ "myd", 0, "/logger (deleted)", SUSPECT, "hello" },
		{ "myd", 0, "logger", SUSPECT, "hello" },
		{ "myd", 0, NULL, 0, "hello" },
		{ "myd", UNPROVEN, "logger", SUSPECT, "hello" },
		{ "myd", 0, "/logger", 0, "hello all" },
		{ "tool", 0, "/usr/bin/perl", 0, "hello" },
		{ "tool", 0, "/usr/bin/python3.11", 0, "hello" },
		{ "tool", 0, "/usr/bin/python2", SUSPECT, "hello" },
		{ "tool", 0, "/bin/busybox", 0, "hello" },
		{ "long-name-of-a-daemon", 0, "long-name-of-a-", 0, "hello" },
		{ "long-name-of-a-daemon", 0, "/long-name-of-a-", SUSPECT, "hello" },
		{ "moody", 0, "/whatever", 0, "hello" },
	};

	judge_all(&j, cases, ELEMENTSOF(cases));
}

TEST(the_rule_that_counts_is_the_templates_own_or_else_the_tags)
{
	_cleanup_(judged_done) struct judged j = judge_with(
		"d | log | bare\n"
		"d | log sender=any | free\n"
		"d | log sender=polkitd | owned\n"
		"d | log sender={uid} | as {uid}\n"
		"d | log sender={user},{target_user} | of {user}{[ for {target_user}]}\n"
		"d, d-* | exe=x sender=alice\n"
		"d, d-* | sender=root exe=*\n" /* the later one */
		"e | log | by {user}\n"
		"e | log | nobody\n"
		"e | sender=root,{user} exe=*\n"
		"* | log | plain\n"
		"* | log sender={uid} | uid {uid}\n"
		"* | log | by {user} too\n");
	static const struct judgement cases[] = {
		{ "d", 1000, NULL, ROOT, "bare" },
		{ "d", 0, NULL, 0, "bare" },
		{ "d", 1000, NULL, 0, "free" },
		{ "d", 1000, NULL, CALLER, "owned" },
		{ "d", 0, NULL, CALLER, "owned" },
		{ "d", 996, NULL, 0, "owned" },
		{ "d", 1000, NULL, 0, "as 1000" },
		{ "d", 1001, NULL, CALLER, "as 1000" },
		{ "d", 1000, NULL, 0, "of alice for bob" },
		{ "d", 1001, NULL, 0, "of alice for bob" },
		{ "d", 996, NULL, CALLER, "of alice for bob" },
		{ "d", 996, NULL, 0, "of alice" }, /* the other is not named */
		/* a template of all programs: its own rule, and the tag's */
		{ "d", 1000, NULL, ROOT, "plain" },
		{ "d-x", 1000, NULL, ROOT, "plain" },
		{ "dx", 1000, NULL, 0, "plain" },
		{ "d", 1000, NULL, ROOT, "uid 1000" },
		{ "d", 0, NULL, CALLER, "uid 1000" },
		{ "d", 0, NULL, 0, "uid 0" },
		{ "z", 1000, NULL, CALLER, "uid 0" },
		/* a tag's rule that names a field is for the templates of the tag that have it */
		{ "e", 1000, NULL, CALLER, "by bob" },
		{ "e", 1000, NULL, 0, "by alice" },
		{ "e", 0, NULL, 0, "by bob" },
		{ "e", 1000, NULL, 0, "nobody" },
		{ "e", 1000, NULL, 0, "plain" },
	};

	judge_all(&j, cases, ELEMENTSOF(cases));
}

TEST(names_in_another_machines_journal_are_unproven)
{
	_cleanup_(judged_done) struct judged j = judge_with(NULL);
	struct origin o = { .program = LIT("sudo"), .has_provenance = true, .provenance = PROVENANCE_NONE };
	struct template_match m;

	o.provenance.uid = 1000;
	assert_true(template_match(j.set, o.program, bytes_str(SUDO_BOB), &m));
	assert_int_equal(sender_judge(j.host.accounts, &o, later(), &m), 0);
	o.provenance.own_machine = true;
	assert_int_equal(sender_judge(j.host.accounts, &o, later(), &m), CALLER);
	o.has_provenance = false;
	assert_int_equal(sender_judge(j.host.accounts, &o, later(), &m), 0);
	/* but root is root everywhere, and a number a number */
	o = (struct origin){ .program = LIT("sshd"), .has_provenance = true, .provenance = PROVENANCE_NONE };
	o.provenance.uid = 1000;
	assert_true(template_match(j.set, o.program, bytes_str(ACCEPTED), &m));
	assert_int_equal(sender_judge(j.host.accounts, &o, later(), &m), ROOT);
}
