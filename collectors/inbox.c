/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inbox: one directory for each submitter, which says who it is and what it may say. Submissions are taken in
 * the order of their names, each whole or not at all; what is refused is said, and goes like the rest. Before each
 * look the directories are opened anew: packages make them, and an administrator puts them right, while we run. That
 * of a submitter who is over the quota is let be.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "collectors/collector.h"
#include "collectors/inbox_taken.h"
#include "collectors/logfile_watch.h"

/*
 * What one submitter may put into the chain: so much at once, and then as much in an hour. One that has been taken
 * over cannot fill the spool and drive out what is not acknowledged yet. What is above it waits, and is not lost.
 */
#define QUOTA_BYTES (1024 * 1024)
#define BYTE_SPAN_US (UINT64_C(3600) * 1000000 / QUOTA_BYTES)
#define FILE_COST 1024 /* of each file and each event of ours, besides its bytes */

#define FIELD_NAMES_MAX 32u  /* that a submitter may bring, in the life of the process */
#define ENTRIES_MAX 4096u    /* of a directory that are looked at in one go */
#define NAMES_MAX 32u        /* of them that are taken next */
#define STALE_S 3600         /* a file that is still being written after so long is given up */

#define KIND(k) (1u << HALLMARK__V1__KIND__KIND_##k)

static const struct submitter {
	const char *directory, *program;
	unsigned kinds;
	struct event_constant mark;
} submitters[] = {
	{ "check", "hallmark-check", KIND(FINDING) | KIND(LIFECYCLE), { "drill", NULL } },
	{ "forward", "hallmark-forward", KIND(LIFECYCLE), { "drill", NULL } },
	{ "drill", "hallmark-drill", KIND(LOG) | KIND(LIFECYCLE), { "drill", "yes" } },
};
#define PLACES ELEMENTSOF(submitters)

enum place_state { PLACE_WELL, PLACE_UNREADABLE, PLACE_OVER_QUOTA, PLACE_STUCK };

static const struct {
	const char *now, *again; /* said when it becomes so, and when all is well again */
} state_words[] = {
	[PLACE_UNREADABLE] = { "unreadable", "readable" },
	[PLACE_OVER_QUOTA] = { "over_quota", "within_quota" },
	[PLACE_STUCK] = { "stuck", "emptied" },
};

struct place {
	struct submission_rights rights;
	int64_t allowance;   /* bytes that it may still bring; below 0 where the last ones were more */
	uint64_t counted_us; /* when that was so, CLOCK_BOOTTIME */
	bool waits;          /* it is used up: until half of the quota is there again */
	enum place_state state, said;
	char reason[128];
};

struct inbox {
	struct collector c;
	char *state_directory, *path;
	struct watch watch;
	int state_wd;
	bool look, tick; /* something may have come; the directories are due, come what may */
	struct place places[PLACES];
	struct taken_place dirs[PLACES];
	struct taken taken;
	struct buf content;
	char names[NAMES_MAX][NAME_MAX + 1];
	size_t n_names;
	char trouble[256];
};

static struct inbox *inbox_of(struct collector *c)
{
	return (struct inbox *)c; /* its first member */
}

/* --- the directories ------------------------------------------------------------------------------------ */

static void place_is(struct place *p, enum place_state state, const char *reason)
{
	p->state = state;
	(void)snprintf(p->reason, sizeof p->reason, "%s", reason);
}

static int watch_fd(struct inbox *ib, int fd, uint32_t mask)
{
	char name[40];

	(void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return inotify_add_watch(ib->watch.fd, name, mask | IN_ONLYDIR);
}

/* The directory is the authority, so nobody else may write to it: NULL, or what is wrong. */
static const char *directory_wrong(const struct stat *st, bool submitters_own)
{
	if (st->st_mode & S_IWOTH)
		return "anybody may write to it";
	if (!submitters_own && st->st_uid != 0 && st->st_uid != geteuid())
		return "it does not belong to hallmarkd or root";
	if ((st->st_mode & S_IWGRP) && (!submitters_own || st->st_gid != getegid()))
		return "a group may write to it that is not hallmarkd's own";
	return NULL;
}

/* Opens one directory; -1 with *ret_why NULL: it is not there, which is well. */
static int directory_open(int dir_fd, const char *path, bool submitters_own, uid_t *ret_owner, const char **ret_why)
{
	_cleanup_(closep) int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	*ret_why = NULL;
	if (fd < 0 || fstat(fd, &st) < 0) {
		*ret_why = errno == ENOENT ? NULL : strerror(errno);
		return -1;
	}
	*ret_why = directory_wrong(&st, submitters_own);
	if (*ret_why)
		return -1;
	*ret_owner = st.st_uid;
	return TAKE_FD(fd);
}

/* Looks anew which directories there are. What is handed in after that wakes us; what was before is found. */
static void inbox_open(struct inbox *ib)
{
	_cleanup_(closep) int fd = -1;
	const char *why;

	ib->state_wd = inotify_add_watch(ib->watch.fd, ib->state_directory, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
	fd = directory_open(AT_FDCWD, ib->path, false, &(uid_t){ 0 }, &why);
	if (fd >= 0)
		(void)watch_fd(ib, fd, IN_CREATE | IN_MOVED_TO);
	for (size_t i = 0; i < PLACES; i++) {
		struct taken_place *dir = &ib->dirs[i];
		const char *wrong = why;

		closep(&dir->fd);
		dir->fd = fd < 0 ? -1 : directory_open(fd, dir->name, true, &dir->owner, &wrong);
		dir->missing = dir->fd < 0 && !wrong;
		if (dir->fd >= 0)
			(void)watch_fd(ib, dir->fd, IN_CLOSE_WRITE | IN_MOVED_TO);
		place_is(&ib->places[i], wrong ? PLACE_UNREADABLE : PLACE_WELL, wrong ? wrong : "");
	}
}

/* --- what lies there ------------------------------------------------------------------------------------ */

static void remove_stale(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec < clock_wall_us() / 1000000 - STALE_S)
		(void)unlinkat(dir_fd, name, 0);
}

/* Keeps the first of all names; true where one has to stand back. */
static bool names_add(struct inbox *ib, const char *name)
{
	size_t last = 0;

	if (ib->n_names < NAMES_MAX) {
		(void)snprintf(ib->names[ib->n_names++], sizeof *ib->names, "%s", name);
		return false;
	}
	for (size_t i = 1; i < NAMES_MAX; i++)
		if (strcmp(ib->names[i], ib->names[last]) > 0)
			last = i;
	if (strcmp(name, ib->names[last]) < 0)
		(void)snprintf(ib->names[last], sizeof *ib->names, "%s", name);
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* Fills `names` with what is next; 1: there is more besides, 0: there is not. */
static int place_list(struct inbox *ib, size_t i)
{
	_cleanup_(closep) int fd = openat(ib->dirs[i].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool more = false;
	struct dirent *e;
	unsigned n = 0;

	ib->n_names = 0;
	if (!d)
		return -errno;
	TAKE_FD(fd);
	for (errno = 0; n < ENTRIES_MAX && (e = readdir(d)); n++, errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!inbox_name_is_temporary(e->d_name) && !taken_has(&ib->taken, i, e->d_name))
			more |= names_add(ib, e->d_name);
		else if (ib->tick && inbox_name_is_temporary(e->d_name))
			remove_stale(ib->dirs[i].fd, e->d_name);
	}
	if (n < ENTRIES_MAX && errno)
		return -errno;
	qsort(ib->names, ib->n_names, sizeof *ib->names, compare_names);
	return more || n == ENTRIES_MAX;
}

/* --- taking --------------------------------------------------------------------------------------------- */

static void place_refill(struct place *p)
{
	uint64_t span = clock_boot_us() - p->counted_us;
	uint64_t bytes = span / BYTE_SPAN_US;

	/* no part of a byte is forgotten, however often we look */
	p->counted_us += bytes * BYTE_SPAN_US;
	p->allowance = MIN(p->allowance + (int64_t)MIN(bytes, (uint64_t)2 * QUOTA_BYTES), QUOTA_BYTES);
	if (p->allowance >= QUOTA_BYTES / 2)
		p->waits = false;
}

static void place_charge(struct place *p, size_t size)
{
	p->allowance -= (int64_t)size + FILE_COST;
	p->waits |= p->allowance <= 0;
}

static const char *activity_wrong(const struct submission *s)
{
	for (size_t i = 0; i < s->n_wordings; i++)
		if (intake_owns_activity(s->wordings[i].meaning.activity))
			return "it claims an activity that is hallmarkd's own";
	return NULL;
}

static int refuse(struct inbox *ib, size_t i, struct intake *in, const char *name, const struct inbox_file *file,
		  const char *why)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(TAKEN_PLACE_NAME + NAME_MAX + 2), hex = BUF_INIT(2 * INBOX_DIGEST);
	int r = buf_printf(&path, "%s/%s", ib->dirs[i].name, name);

	if (r >= 0)
		r = file ? text_hex(&hex, bytes_of(file->digest, INBOX_DIGEST)) : buf_str(&hex, "unknown");
	return r < 0 ? r : intake_own(in, ib->c.source, OWN_SUBMISSION_REFUSED,
				      (struct bytes[]){ buf_bytes(&path), bytes_str(why), buf_bytes(&hex) });
}

/* Hands in what was read: an intake_result. */
static int hand_in(struct inbox *ib, size_t i, struct intake *in, const char *name, const struct inbox_file *file)
{
	_cleanup_(submission_freep) struct submission *s = NULL;
	const char *why = NULL;
	int r = submission_read(buf_bytes(&ib->content), &ib->places[i].rights, &s, &why);

	if (r < 0 && r != -EBADMSG)
		return r;
	if (r >= 0)
		why = activity_wrong(s);
	return why ? refuse(ib, i, in, name, file, why) :
		     intake_submission(in, ib->c.source, bytes_str(submitters[i].program), s);
}

/* A collector_result; END also where the file cannot be taken now. */
static int place_take(struct inbox *ib, size_t i, struct intake *in, const char *name)
{
	struct place *p = &ib->places[i];
	struct inbox_file file = { 0 };
	const char *why = NULL;
	int r = inbox_file_read(ib->dirs[i].fd, name, ib->dirs[i].owner, &ib->content, &file, &why);
	bool has_digest = r >= 0;

	if (r < 0 && r != -EBADMSG) {
		if (r != -ENOENT)
			place_is(p, PLACE_UNREADABLE, strerror(-r));
		return r == -ENOMEM ? r : COLLECTOR_END;
	}
	r = has_digest ? hand_in(ib, i, in, name, &file) : refuse(ib, i, in, name, NULL, why);
	if (r != INTAKE_OK)
		return r < 0 ? r : COLLECTOR_FULL;
	place_charge(p, has_digest ? ib->content.len : 0);
	taken_add(&ib->taken, i, name, has_digest, &file);
	return COLLECTOR_END;
}

/* Takes those of `names`; *ret_again: it may go on with others. */
static int place_take_names(struct inbox *ib, size_t i, struct intake *in, size_t *budget, bool *ret_again)
{
	size_t before = ib->taken.n;

	for (size_t k = 0; k < ib->n_names && !ib->places[i].waits; k++) {
		int r;

		if (taken_is_full(&ib->taken, i))
			return taken_is_waiting(&ib->taken, i) ? COLLECTOR_FULL : COLLECTOR_END;
		if (!intake_has_room_for_submission(in))
			return COLLECTOR_FULL;
		if (*budget == 0)
			return COLLECTOR_MORE;
		r = place_take(ib, i, in, ib->names[k]);
		if (r != COLLECTOR_END)
			return r;
		*budget -= MIN(*budget, ib->content.len + FILE_COST);
	}
	*ret_again = ib->taken.n > before && !ib->places[i].waits;
	return COLLECTOR_END;
}

static int place_say(struct inbox *ib, size_t i, struct intake *in)
{
	struct place *p = &ib->places[i];
	bool well = p->state == PLACE_WELL;
	char name[TAKEN_PLACE_NAME + sizeof "inbox/"];
	int r;

	if (p->state == p->said)
		return COLLECTOR_END;
	(void)snprintf(name, sizeof name, "inbox/%s", ib->dirs[i].name);
	r = intake_own(in, ib->c.source, OWN_SOURCE_STATE,
		       (struct bytes[]){ bytes_str(name),
					 bytes_str(well ? state_words[p->said].again : state_words[p->state].now),
					 well ? LIT("all is well again") : bytes_str(p->reason) });
	if (r != INTAKE_OK)
		return r < 0 ? r : COLLECTOR_FULL;
	p->said = p->state;
	place_charge(p, 0);
	return COLLECTOR_END;
}

static int place_read(struct inbox *ib, size_t i, struct intake *in, size_t *budget)
{
	struct place *p = &ib->places[i];
	bool again = ib->dirs[i].fd >= 0;
	int r = COLLECTOR_END, more = 1;

	place_refill(p);
	while (again && !p->waits && more > 0 && r == COLLECTOR_END) {
		again = false;
		more = place_list(ib, i);
		if (more < 0)
			place_is(p, PLACE_UNREADABLE, strerror(-more));
		else
			r = place_take_names(ib, i, in, budget, &again);
	}
	if (r != COLLECTOR_END)
		return r;
	if (taken_error(&ib->taken, i))
		place_is(p, PLACE_STUCK, strerror(-taken_error(&ib->taken, i)));
	/* whatever else there is: nothing more is said of one that is over its quota, nor is it looked at */
	if (p->waits)
		place_is(p, PLACE_OVER_QUOTA, "it has used up its 1 MiB for an hour, and what comes now waits");
	return place_say(ib, i, in);
}

/* --- the collector -------------------------------------------------------------------------------------- */

static int inbox_read(struct collector *c, struct intake *in, size_t budget)
{
	struct inbox *ib = inbox_of(c);

	if (!ib->look)
		return COLLECTOR_END;
	inbox_open(ib);
	if (ib->tick)
		(void)taken_remove(&ib->taken, ib->dirs, PLACES, &ib->content, true);
	for (size_t i = 0; i < PLACES; i++) {
		int r = place_read(ib, i, in, &budget);

		if (r != COLLECTOR_END)
			return r;
	}
	ib->look = ib->tick = false;
	buf_done(&ib->content);
	return COLLECTOR_END;
}

static void take_event(void *context, const struct inotify_event *e)
{
	struct inbox *ib = context;
	const char *name = e->len > 0 ? e->name : "";

	if (e->wd == ib->state_wd ? strcmp(name, "inbox") == 0 : !inbox_name_is_temporary(name))
		ib->look = true;
}

static int inbox_wake(struct collector *c, bool tick)
{
	struct inbox *ib = inbox_of(c);

	ib->tick |= tick;
	ib->look |= tick;
	return ib->watch.fd < 0 ? 0 : watch_read(&ib->watch, take_event, ib);
}

static int inbox_fd(struct collector *c)
{
	return inbox_of(c)->watch.fd;
}

static int inbox_start(struct collector *c, const struct collector_start *start, const Hallmark__V1__Position *position)
{
	struct inbox *ib = inbox_of(c);

	inbox_open(ib);
	if (position) {
		taken_from_position(&ib->taken, ib->dirs, PLACES, position);
		(void)taken_remove(&ib->taken, ib->dirs, PLACES, &ib->content, true);
	}
	ib->look = true;
	return 0;
}

static int inbox_position(struct collector *c, Hallmark__V1__Position *ret)
{
	struct inbox *ib = inbox_of(c);

	taken_to_position(&ib->taken, ib->dirs, ret);
	return 0;
}

static void inbox_committed(struct collector *c)
{
	struct inbox *ib = inbox_of(c);

	taken_committed(&ib->taken);
	ib->look |= taken_remove(&ib->taken, ib->dirs, PLACES, &ib->content, false);
}

static const char *inbox_trouble(struct collector *c)
{
	struct inbox *ib = inbox_of(c);

	for (size_t i = 0; i < PLACES; i++)
		if (ib->places[i].state != PLACE_WELL) {
			(void)snprintf(ib->trouble, sizeof ib->trouble, "%s/%s is %s: %s", ib->path, ib->dirs[i].name,
				       state_words[ib->places[i].state].now, ib->places[i].reason);
			return ib->trouble;
		}
	return NULL;
}

static struct collector *inbox_free(struct collector *c)
{
	struct inbox *ib = c ? inbox_of(c) : NULL;

	if (ib) {
		for (size_t i = 0; i < PLACES; i++)
			closep(&ib->dirs[i].fd);
		closep(&ib->watch.fd);
		buf_done(&ib->content);
		free(ib->state_directory);
		free(ib->path);
		free(ib);
	}
	return NULL;
}

static const struct collector_ops inbox_ops = {
	.start = inbox_start,
	.fd = inbox_fd,
	.wake = inbox_wake,
	.read = inbox_read,
	.position = inbox_position,
	.committed = inbox_committed,
	.trouble = inbox_trouble,
	.free = inbox_free,
};

int inbox_new(const char *state_directory, struct collector **ret)
{
	struct inbox *ib = calloc(1, sizeof *ib);

	if (!ib)
		return -ENOMEM;
	ib->c = (struct collector){ .ops = &inbox_ops, .name = "inbox" };
	ib->content = (struct buf)BUF_INIT(SUBMISSION_SIZE_MAX + 1);
	/* without one it is looked at with each checkpoint */
	ib->watch = (struct watch)WATCH_INIT;
	ib->watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	for (size_t i = 0; i < PLACES; i++) {
		ib->dirs[i] = (struct taken_place){ .name = submitters[i].directory, .fd = -1 };
		ib->places[i] = (struct place){
			.rights = { submitters[i].kinds, submitters[i].mark, FIELD_NAMES_MAX },
			.allowance = QUOTA_BYTES,
			.counted_us = clock_boot_us(),
		};
	}
	ib->state_directory = strdup(state_directory);
	if (!ib->state_directory || asprintf(&ib->path, "%s/inbox", state_directory) < 0) {
		ib->path = NULL;
		inbox_free(&ib->c);
		return -ENOMEM;
	}
	*ret = &ib->c;
	return 0;
}
