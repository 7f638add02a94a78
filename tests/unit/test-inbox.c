/* SPDX-License-Identifier: Apache-2.0 */
/* The inbox: its directories and files, what is removed and when, the quota. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/base/io.h"
#include "collectors/collector.h"
#include "proto/event_reader.h"
#include "tests/unit/submission-sample.h"

/* --- a host --------------------------------------------------------------------------------------------- */

static struct interpreter *interpreter;
static struct intake *in;

static void intake_setup(void)
{
	assert_int_equal(interpreter_new(&interpreter), 0);
	assert_int_equal(interpreter_ready(interpreter), 0);
	assert_int_equal(intake_new(interpreter, &in), 0);
}

static void intake_teardown(void)
{
	in = intake_free(in);
	interpreter = interpreter_free(interpreter);
}

static char top[] = "/tmp/test-inbox.XXXXXX", inbox[64], place[64];
static struct collector *c;
static struct buf committed;

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static void host(void)
{
	strcpy(strrchr(top, '.'), ".XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(inbox, sizeof inbox, "%s/inbox", top);
	(void)snprintf(place, sizeof place, "%s/inbox/check", top);
	assert_int_equal(mkdir(inbox, 0755), 0);
	assert_int_equal(mkdir(place, 0755), 0);
	intake_setup();
	committed.max = 1u << 20;
	buf_clear(&committed);
}

static void start(void)
{
	struct collector_start from = { 0 };
	Hallmark__V1__Position *p = NULL;

	if (committed.len > 0)
		p = hallmark__v1__position__unpack(NULL, committed.len, committed.data);
	assert_int_equal(inbox_new(top, &c), 0);
	c->source = 1;
	assert_int_equal(c->ops->start(c, &from, p), 0);
	if (p)
		hallmark__v1__position__free_unpacked(p, NULL);
}

static void stop(void)
{
	c = c->ops->free(c);
}

static void teardown(void)
{
	char command[128];

	if (c)
		stop();
	intake_teardown();
	buf_done(&committed);
	(void)snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", top, top);
	run(command);
}

/* Whether the batch is durable is up to the caller. */
static size_t close_batch(void)
{
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;

	assert_int_equal(c->ops->position(c, &p), 0);
	p.source = (char *)(uintptr_t)"inbox";
	buf_clear(&committed);
	assert_int_equal(buf_reserve(&committed, 1u << 20), 0);
	committed.len = hallmark__v1__position__pack(&p, committed.data);
	return p.n_taken;
}

static size_t commit(void)
{
	size_t n = close_batch();

	event_writer_reset(intake_writer(in));
	c->ops->committed(c);
	return n;
}

static void put(const char *name, struct bytes content)
{
	_cleanup_(closep) int fd = open(place, O_RDONLY | O_DIRECTORY);

	assert_int_equal(replace_file_at(fd, name, content, 0644, false), 0);
}

static void put_sample(const char *name)
{
	struct sample *s = sample_new();

	put(name, sample_pack(s));
	sample_free(s);
}

static bool lies(const char *name)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/%s", place, name);
	return lstat(path, &st) == 0;
}

static void pump(bool tick)
{
	assert_int_equal(c->ops->wake(c, tick), 0);
	assert_int_equal(c->ops->read(c, in, 1u << 20), COLLECTOR_END);
}

/* Reads the open batch: how many events of the activity ("": any) there are; `ret_value`: the last one's field. */
static size_t count(const char *activity, const char *field, char ret_value[static 256])
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	struct event_reader *reader = NULL;
	struct event e;
	size_t n = 0;

	ret_value[0] = '\0';
	if (event_writer_count(intake_writer(in)) == 0)
		return 0;
	assert_int_equal(event_writer_finish(intake_writer(in), 1, &plain), 0);
	assert_int_equal(event_reader_new(buf_bytes(&plain), 1, &reader), 0);
	while (event_reader_next(reader, &e) == 1)
		if (activity[0] == '\0' || strcmp(e.meaning.activity, activity) == 0) {
			struct bytes v = event_get(&e, field);

			(void)snprintf(ret_value, 256, "%.*s", (int)v.len, v.data ? (const char *)v.data : "");
			n++;
		}
	event_reader_free(reader);
	return n;
}

static void assert_state(const char *expected)
{
	char found[256];

	assert_int_equal(count("source_state", "state", found), 1);
	assert_string_equal(found, expected);
}

TEST(a_file_is_named_until_it_is_gone_and_then_no_more)
{
	char value[256];

	host();
	put_sample("a");
	start();
	pump(false);
	assert_int_equal(count("", "check", value), 2);
	assert_true(lies("a"));
	assert_int_equal(commit(), 1);
	assert_false(lies("a"));
	assert_int_equal(commit(), 0);
	assert_null(c->ops->trouble(c));
	teardown();
}

TEST(a_batch_that_is_not_durable_removes_nothing)
{
	host();
	put_sample("a");
	start();
	pump(false);
	assert_int_equal(close_batch(), 1);
	stop();
	assert_true(lies("a"));
	teardown();
}

TEST(only_what_the_durable_batch_names_is_removed)
{
	host();
	put_sample("a");
	start();
	pump(false);
	assert_int_equal(close_batch(), 1);
	put_sample("b");
	pump(false);
	c->ops->committed(c);
	assert_false(lies("a"));
	assert_true(lies("b"));
	assert_int_equal(commit(), 1);
	assert_false(lies("b"));
	teardown();
}

TEST(what_the_last_batch_names_is_removed_unread_on_start)
{
	host();
	put_sample("a");
	start();
	pump(false);
	assert_int_equal(close_batch(), 1);
	stop(); /* killed */
	event_writer_reset(intake_writer(in));
	put_sample("b");
	start();
	assert_false(lies("a"));
	assert_true(lies("b"));
	pump(false);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	assert_int_equal(commit(), 1);
	teardown();
}

TEST(another_content_under_that_name_is_another_submission)
{
	struct sample *s = sample_new();

	host();
	put_sample("a");
	start();
	pump(false);
	assert_int_equal(close_batch(), 1);
	stop();
	event_writer_reset(intake_writer(in));
	s->submission.time_us++;
	put("a", sample_pack(s));
	start();
	assert_true(lies("a"));
	pump(false);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	/* and the same while we run */
	s->submission.time_us++;
	put("a", sample_pack(s));
	assert_int_equal(commit(), 1);
	assert_true(lies("a"));
	pump(false);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	assert_int_equal(commit(), 1);
	assert_false(lies("a"));
	sample_free(s);
	teardown();
}

TEST(names_in_a_position_lead_nowhere_else)
{
	static const char *const names[] = { "check/../../victim", "check/..", "../victim", "check", "check/", "checkX/a",
					     "other/a", "", "check/sub/a" };
	Hallmark__V1__TakenSubmission taken[ELEMENTSOF(names)], *list[ELEMENTSOF(names)];
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;
	char victim[80], command[512];

	host();
	(void)snprintf(victim, sizeof victim, "%s/victim", top);
	(void)snprintf(command, sizeof command, "mkdir %s/sub && ln -s x %s && ln -s x %s/sub/a", place, victim, place);
	run(command);
	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		hallmark__v1__taken_submission__init(&taken[i]);
		taken[i].name = (ProtobufCBinaryData){ strlen(names[i]), (uint8_t *)(uintptr_t)names[i] };
		list[i] = &taken[i];
	}
	p.taken = list;
	p.n_taken = ELEMENTSOF(names);
	buf_clear(&committed);
	assert_int_equal(buf_reserve(&committed, 1u << 20), 0);
	committed.len = hallmark__v1__position__pack(&p, committed.data);
	start();
	assert_int_equal(access(inbox, F_OK) | access(place, F_OK), 0);
	assert_true(lies("../../victim") && lies("sub/a"));
	teardown();
}

static void assert_one_refused(const char *name, const char *reason)
{
	char value[256];

	assert_int_equal(count("submission_refused", "reason", value), 1);
	assert_string_equal(value, reason);
	assert_int_equal(count("submission_refused", "submission", value), 1);
	assert_int_equal(strncmp(value, "check/", 6), 0);
	assert_string_equal(value + 6, name);
	assert_int_equal(event_writer_count(intake_writer(in)), 1);
}

/* Makes it by a shell command in the directory. */
static void refuse_made_by(const char *command, const char *name, const char *reason)
{
	char line[512];

	host();
	put_sample("good.tmp");
	(void)snprintf(line, sizeof line, "cd %s && %s", place, command);
	run(line);
	start();
	pump(false);
	assert_one_refused(name, reason);
	assert_int_equal(commit(), 1);
	assert_false(lies(name));
	assert_int_equal(commit(), 0);
	teardown();
}

TEST(what_is_no_file_of_a_submitter_is_refused_and_removed)
{
	refuse_made_by("ln -s good.tmp s", "s", "it is a symbolic link");
	refuse_made_by("ln -s nowhere s", "s", "it is a symbolic link");
	refuse_made_by("mkfifo p", "p", "it is no regular file");
	refuse_made_by("mkdir d", "d", "it is no regular file");
	refuse_made_by("ln good.tmp h", "h", "it has another name besides");
	refuse_made_by("truncate -s 262145 l", "l", "it is larger than 256 KiB");
	refuse_made_by("mv good.tmp 'a b'", "a b",
		       "its name has other than letters, digits, \"_\", \"-\" and \".\", or is longer than 64 bytes");
	refuse_made_by(": >e", "e", "it is of another version");
	refuse_made_by("truncate -s 262144 z", "z",
		       "it is no submission, or not encoded in the one way that is taken");
	if (geteuid() == 0)
		refuse_made_by("mv good.tmp o && chown 1 o", "o", "it does not belong to the owner of its directory");
}

TEST(a_socket_is_refused_and_removed)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	host();
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", place);
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
	start();
	pump(false);
	assert_one_refused("s", "it is no regular file");
	assert_int_equal(commit(), 1);
	assert_false(lies("s"));
	(void)close(s);
	teardown();
}

TEST(what_was_refused_unread_is_not_refused_twice)
{
	char line[256];

	host();
	(void)snprintf(line, sizeof line, "ln -s x %s/s; mkdir -p %s/d/full", place, place);
	run(line);
	start();
	pump(false);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	assert_int_equal(close_batch(), 2);
	stop();
	event_writer_reset(intake_writer(in));
	start();
	assert_false(lies("s"));
	assert_true(lies("d"));
	pump(false);
	assert_state("stuck");
	assert_int_equal(event_writer_count(intake_writer(in)), 1);
	assert_int_equal(commit(), 1);
	(void)snprintf(line, sizeof line, "rmdir %s/d/full", place);
	run(line);
	pump(true);
	assert_state("emptied");
	assert_int_equal(commit(), 0);
	assert_false(lies("d"));
	teardown();
}

TEST(an_activity_of_our_own_is_refused)
{
	struct sample *s = sample_new();

	host();
	s->templates[1].activity = (char *)(uintptr_t)"submission_refused";
	put("a", sample_pack(s));
	sample_free(s);
	start();
	pump(false);
	assert_one_refused("a", "it claims an activity that is hallmarkd's own");
	teardown();
}

TEST(a_directory_that_others_may_write_to_is_not_read_until_it_is_put_right)
{
	static const struct {
		mode_t mode;
		bool above;
		gid_t gid;
	} wrong[] = { { 0777, false, 0 }, { 0757, true, 0 }, { 0775, true, 0 }, { 0775, false, 1 } };

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		const char *path;

		if (wrong[i].gid && geteuid() != 0)
			continue;
		host();
		path = wrong[i].above ? inbox : place;
		put_sample("a");
		if (wrong[i].gid)
			assert_int_equal(chown(path, geteuid(), wrong[i].gid), 0);
		assert_int_equal(chmod(path, wrong[i].mode), 0);
		start();
		pump(false);
		pump(true);
		assert_true(lies("a"));
		if (wrong[i].above)
			assert_int_equal(event_writer_count(intake_writer(in)), 3); /* each of the three */
		else
			assert_state("unreadable");
		assert_non_null(c->ops->trouble(c));
		(void)commit();
		assert_int_equal(chmod(path, 0755), 0);
		pump(true);
		assert_int_equal(event_writer_count(intake_writer(in)), wrong[i].above ? 5 : 3);
		assert_null(c->ops->trouble(c));
		assert_int_equal(commit(), 1);
		assert_false(lies("a"));
		teardown();
	}
}

TEST(a_group_that_is_ours_may_write_to_a_directory)
{
	host();
	assert_int_equal(chown(place, geteuid(), getegid()), 0);
	assert_int_equal(chmod(place, 0770), 0);
	put_sample("a");
	start();
	pump(false);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	teardown();
}

TEST(without_an_inbox_there_is_nothing_to_say)
{
	char command[128];

	host();
	(void)snprintf(command, sizeof command, "rm -r %s", inbox);
	run(command);
	start();
	pump(false);
	pump(true);
	assert_int_equal(event_writer_count(intake_writer(in)), 0);
	assert_null(c->ops->trouble(c));
	(void)snprintf(command, sizeof command, "mkdir -p %s", place);
	run(command);
	put_sample("a");
	pump(false);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	teardown();
}

TEST(a_quota_lets_through_so_much_and_says_so_once)
{
	struct sample *s = sample_new();
	char *value = calloc(1, 60000), name[16];
	size_t lying = 0, said = 0;

	host();
	memset(value, 'x', 59999);
	s->values[1] = value;
	put("00", sample_pack(s));
	for (unsigned i = 1; i < 40; i++) {
		(void)snprintf(name, sizeof name, "%02u", i);
		put(name, sample_pack(s));
	}
	start();
	for (unsigned i = 0; i < 50; i++) {
		int r;

		assert_int_equal(c->ops->wake(c, true), 0);
		r = c->ops->read(c, in, 1u << 20);
		assert_in_range(r, COLLECTOR_END, COLLECTOR_FULL);
		said += count("source_state", "state", (char[256]){ 0 });
		(void)commit();
	}
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "%02u", i);
		assert_int_equal(lies(name), i >= 18); /* 1 MiB: 17 of 61 KiB, and the one in which it ends */
		lying += lies(name);
	}
	assert_int_equal(said, 1);
	assert_in_range(lying, 1, 39);
	free(value);
	sample_free(s);
	teardown();
}

TEST(whoever_changes_his_directory_again_and_again_is_soon_not_heard_any_more)
{
	size_t said = 0;

	host();
	start();
	for (unsigned i = 0; i < 2500; i++) {
		assert_int_equal(chmod(place, i % 2 ? 0755 : 0777), 0);
		pump(true);
		said += event_writer_count(intake_writer(in));
		(void)commit();
	}
	assert_in_range(said, 1000, 1100);
	teardown();
}

TEST(twenty_at_most_are_in_one_batch_and_the_budget_is_kept_to)
{
	char name[16];

	host();
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof name, "%02u", i);
		put_sample(name);
	}
	start();
	assert_int_equal(c->ops->read(c, in, 1), COLLECTOR_MORE);
	assert_int_equal(event_writer_count(intake_writer(in)), 2);
	assert_int_equal(c->ops->read(c, in, 1u << 20), COLLECTOR_FULL);
	assert_int_equal(event_writer_count(intake_writer(in)), 40);
	assert_int_equal(commit(), 20);
	assert_int_equal(c->ops->read(c, in, 1u << 20), COLLECTOR_FULL);
	assert_int_equal(commit(), 20);
	assert_int_equal(c->ops->read(c, in, 1u << 20), COLLECTOR_END);
	assert_int_equal(commit(), 10);
	assert_int_equal(commit(), 0);
	teardown();
}

TEST(a_full_batch_takes_nothing)
{
	host();
	put_sample("a");
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(intake_line(in, 2, LIT("a line"), NULL, 0), INTAKE_OK);
	start();
	assert_int_equal(c->ops->read(c, in, 1u << 20), COLLECTOR_FULL);
	assert_int_equal(event_writer_count(intake_writer(in)), 300);
	assert_int_equal(commit(), 0);
	assert_true(lies("a"));
	assert_int_equal(c->ops->read(c, in, 1u << 20), COLLECTOR_END);
	assert_int_equal(commit(), 1);
	assert_false(lies("a"));
	teardown();
}

TEST(what_is_still_being_written_is_left_alone_and_removed_when_stale)
{
	char line[256];

	host();
	(void)snprintf(line, sizeof line, "cd %s && touch .a b.tmp && touch -d '2 hours ago' .c d.tmp && ln -s x e.tmp && "
		       "touch -h -d '2 hours ago' e.tmp", place);
	run(line);
	start();
	pump(false);
	assert_true(lies(".c") && lies("d.tmp"));
	pump(true);
	assert_true(lies(".a") && lies("b.tmp"));
	assert_false(lies(".c") || lies("d.tmp") || lies("e.tmp"));
	assert_int_equal(event_writer_count(intake_writer(in)), 0);
	teardown();
}
