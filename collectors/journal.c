/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>

#include "agent/base/text.h"
#include "collectors/journal_entry.h"
#include "collectors/journal_files.h"
#include "collectors/journal_walk.h"

#define BIG_FIELD (1024u * 1024) /* libsystemd keeps a buffer of the largest field until the file is closed */
#define AUDIT_ENTRIES 8000u
#define ENTRY_COST 64u           /* of the budget: passing over an entry is work too */
#define LOSSES_MAX 4u

enum journal_state { JOURNAL_WELL, JOURNAL_MISSING, JOURNAL_UNREADABLE };

static const struct {
	const char *now, *again; /* said when it becomes so, and when all is well again */
} state_words[] = {
	[JOURNAL_MISSING] = { "missing", "found" },
	[JOURNAL_UNREADABLE] = { "unreadable", "readable" },
};

struct queued_loss {
	const char *reason;
	uint64_t amount;
	bool counted;
	char detail[512], before[96], after[96];
};

struct journal {
	struct collector c;
	char *directory; /* NULL: this host's */
	bool all;

	struct walk walk;
	int epoll_fd; /* stays, while the journal's own descriptor changes with each opening */
	bool stale;   /* files came or went: they are to be looked at, and opened anew */
	struct journal_record record;

	struct journal_files files;
	struct journal_audit audit;
	bool audited;

	enum journal_state state, said;
	char reason[384], failure[128], trouble[512];
	struct queued_loss losses[LOSSES_MAX];
	size_t n_losses;
	Hallmark__V1__JournalPosition position;
};

static struct journal *journal_of(struct collector *c)
{
	return (struct journal *)c; /* its first member */
}

/* --- what there is to say ------------------------------------------------------------------------------- */

/* The next in the queue, to be filled in. What is queued is said before anything more is read, so there is
 * always room. */
static struct queued_loss *queue_loss(struct journal *s, const char *reason, bool counted, uint64_t amount)
{
	struct queued_loss *l = &s->losses[MIN(s->n_losses, LOSSES_MAX - 1)];

	*l = (struct queued_loss){ .reason = reason, .counted = counted, .amount = amount };
	s->n_losses = MIN(s->n_losses + 1, LOSSES_MAX);
	return l;
}

static void describe_place(const struct journal_place *p, char *out, size_t size)
{
	(void)snprintf(out, size, "boot " SD_ID128_FORMAT_STR ", number %" PRIu64, SD_ID128_FORMAT_VAL(p->boot), p->seqnum);
}

/* Of which as many entries as cannot be reached are said to be lost already. */
static bool any_damage(const struct journal *s)
{
	for (size_t i = 0; i < s->files.n; i++)
		if (s->files.list[i].said > 0 || s->files.list[i].error == -EBADMSG)
			return true;
	return false;
}

static void queue_gap(struct journal *s)
{
	const struct walk_gap *g = &s->walk.gap;
	const struct journal_place *last = &s->walk.place;
	char from[TEXT_TIME_MAX], to[TEXT_TIME_MAX];
	struct queued_loss *l;

	if (s->walk.cut_short && !any_damage(s)) {
		l = queue_loss(s, "journal_gap", false, 0);
		(void)snprintf(l->detail, sizeof l->detail, "the journal ends before its last entry: there is no reading on");
	}
	if (s->walk.missing > 0 && s->state == JOURNAL_WELL && !any_damage(s)) {
		l = queue_loss(s, "journal_gap", true, s->walk.missing);
		(void)snprintf(l->detail, sizeof l->detail,
			       "the journal's numbers say that so many more entries were written than it holds");
	}
	s->walk.cut_short = false;
	s->walk.missing = 0;
	if (!g->there)
		return;
	l = queue_loss(s, "vacuumed", g->counted, g->missing);
	(void)text_time((int64_t)MIN(last->realtime_us, (uint64_t)INT64_MAX), from);
	(void)text_time((int64_t)MIN(g->first.realtime_us, (uint64_t)INT64_MAX), to);
	(void)snprintf(l->detail, sizeof l->detail,
		       "the journal no longer holds what was read last, of %s; what it has next is of %s%s", from, to,
		       g->counted ? "" : ": entries in between may be missing");
	describe_place(last, l->before, sizeof l->before);
	describe_place(&g->first, l->after, sizeof l->after);
	s->walk.gap = (struct walk_gap){ 0 };
}

static void queue_notice(struct journal *s)
{
	const struct journal_record *rec = &s->record;
	struct queued_loss *l = queue_loss(s, "journald_dropped", rec->n_lost > 0, rec->n_lost);
	_cleanup_(buf_done) struct buf text = BUF_INIT(1024);

	(void)text_escape(&text, bytes_of(rec->entry.message.data, MIN(rec->entry.message.len, 200u)));
	(void)snprintf(l->detail, sizeof l->detail, "journald did not take messages, and says: %.*s", (int)text.len,
		       (const char *)text.data);
}

/* The queue, and the journal's state where it changed: an intake_result. */
static int say(struct journal *s, struct intake *in)
{
	bool well = s->state == JOURNAL_WELL;
	int r;

	while (s->n_losses > 0) {
		const struct queued_loss *l = &s->losses[0];

		r = intake_loss(in, s->c.source, &(struct loss){ .reason = l->reason,
								 .detail = l->detail,
								 .unit = l->counted ? "entries" : "unknown",
								 .amount = l->amount,
								 .before = bytes_str(l->before),
								 .after = bytes_str(l->after) });
		if (r != INTAKE_OK)
			return r;
		memmove(s->losses, s->losses + 1, --s->n_losses * sizeof s->losses[0]);
	}
	if (s->state == s->said)
		return INTAKE_OK;
	const struct bytes values[] = {
		bytes_str(s->c.name),
		bytes_str(well ? state_words[s->said].again : state_words[s->state].now),
		bytes_str(well ? "it can be read again" : s->reason),
	};

	r = intake_own(in, s->c.source, OWN_SOURCE_STATE, values);
	if (r == INTAKE_OK)
		s->said = s->state;
	return r;
}

/* --- the files ------------------------------------------------------------------------------------------ */

static void judge_files(struct journal *s)
{
	const struct journal_file *example = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->files.n; i++)
		if (s->files.list[i].error < 0 && s->files.list[i].error != -EBADMSG && n++ == 0)
			example = &s->files.list[i];
	s->state = s->files.n == 0 ? JOURNAL_MISSING : n > 0 ? JOURNAL_UNREADABLE : JOURNAL_WELL;
	if (s->state == JOURNAL_MISSING)
		(void)snprintf(s->reason, sizeof s->reason, "there is no journal file in %s",
			       s->directory ? s->directory : "/var/log/journal or /run/log/journal");
	if (example)
		(void)snprintf(s->reason, sizeof s->reason, "%zu of its %zu files cannot be read, such as %s: %s", n,
			       s->files.n, example->path, strerror(-example->error));
}

/* Files came or went: whatever libsystemd makes of that, the way goes on from the place with what is there now. */
static int refresh(struct journal *s)
{
	int r;

	r = walk_close(&s->walk);
	if (r < 0)
		return r;
	s->walk.boots_listed = false;
	journal_audit_end(&s->audit);
	r = journal_files_list(s->directory, &s->files);
	if (r < 0)
		return r;
	judge_files(s);
	s->audited = false;
	s->stale = false;
	return 0;
}

static int audit_some(struct journal *s)
{
	struct journal_file *file;
	uint64_t missing;
	struct queued_loss *l;
	int r;

	r = journal_audit_step(&s->audit, &s->files, s->walk.has_place ? &s->walk.place : NULL, s->walk.since_us,
			       AUDIT_ENTRIES, &file, &missing);
	s->audited = r < 0;
	if (r <= 0)
		return r == -ENOENT ? 0 : r;
	if (file->error == -EBADMSG) {
		l = queue_loss(s, "journal_gap", false, 0);
		(void)snprintf(l->detail, sizeof l->detail, "a file of the journal is damaged, and cannot be read: %s", file->path);
	} else if (missing > 0) {
		l = queue_loss(s, "journal_gap", true, missing);
		(void)snprintf(l->detail, sizeof l->detail,
			       "a file of the journal is damaged: so many of the %" PRIu64 " entries in it cannot be reached: %s",
			       file->n_entries, file->path);
	}
	return 0;
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* The entry that the walk has come to: an intake_result, or a negative errno. */
static int take(struct journal *s, struct intake *in, size_t *used)
{
	struct journal_record *rec = &s->record;
	struct queued_loss *l;
	int r;

	*used += ENTRY_COST;
	r = journal_record_read(s->walk.j, rec);
	if (r < 0) {
		l = queue_loss(s, "journal_gap", true, 1);
		(void)snprintf(l->detail, sizeof l->detail, "an entry of the journal cannot be read: %s", strerror(-r));
		return INTAKE_OK;
	}
	if (rec->largest >= BIG_FIELD)
		walk_reopen_soon(&s->walk);
	if (!s->all && (!rec->has_message || !journal_record_is_auth(rec)))
		return INTAKE_OK;
	*used += rec->entry.message.len;
	r = intake_entry(in, s->c.source, &rec->entry);
	if (r == INTAKE_OK && rec->notice)
		queue_notice(s);
	return r;
}

static void fail(struct journal *s, int r)
{
	(void)snprintf(s->failure, sizeof s->failure, "%s", strerror(-r));
	(void)walk_close(&s->walk);
}

/* One entry, or what has to be done before it; a collector_result, or a negative errno. */
static int step(struct journal *s, struct intake *in, size_t *used)
{
	int r;

	r = say(s, in);
	if (r == INTAKE_OK && !s->audited) {
		*used += AUDIT_ENTRIES;
		r = audit_some(s);
		return r < 0 ? r : COLLECTOR_MORE;
	}
	if (r != INTAKE_OK)
		return r < 0 ? r : COLLECTOR_FULL;
	r = walk_next(&s->walk);
	queue_gap(s);
	if (r == 0) {
		r = s->n_losses > 0 ? 1 : walk_watch(&s->walk, s->epoll_fd);
		return r < 0 ? r : r > 0 ? COLLECTOR_MORE : COLLECTOR_END;
	}
	if (r < 0) {
		fail(s, r);
		return COLLECTOR_END;
	}
	/* a gap is said before the place moves past it */
	r = s->n_losses > 0 ? say(s, in) : INTAKE_OK;
	if (r == INTAKE_OK)
		r = take(s, in, used);
	if (r == INTAKE_OK) {
		walk_taken(&s->walk);
		return COLLECTOR_MORE;
	}
	if (r < 0)
		return r;
	r = walk_back(&s->walk);
	return r < 0 ? r : COLLECTOR_FULL;
}

static int journal_read(struct collector *c, struct intake *in, size_t budget)
{
	struct journal *s = journal_of(c);
	size_t used = 0;
	int r = COLLECTOR_MORE;

	s->failure[0] = '\0';
	if (s->stale && (r = refresh(s)) < 0) {
		fail(s, r);
		return COLLECTOR_END;
	}
	do
		r = step(s, in, &used);
	while (r == COLLECTOR_MORE && used < budget);
	return r;
}

/* --- the collector -------------------------------------------------------------------------------------- */

static int journal_start(struct collector *c, const struct collector_start *start,
			 const Hallmark__V1__Position *position)
{
	struct journal *s = journal_of(c);
	/* a position without an entry: the journal was empty so far, and whatever it holds has come since */
	int64_t since_us = position ? 0 : start->since_us;

	if (position && position->journal && journal_place_from_position(position->journal, &s->walk.place) >= 0)
		s->walk.has_place = true;
	s->walk.since_us = since_us == INT64_MAX ? UINT64_MAX : (uint64_t)MAX(since_us, 0);
	s->walk.directory = s->directory;
	s->stale = true;
	return 0;
}

static int journal_fd(struct collector *c)
{
	return journal_of(c)->epoll_fd;
}

static int journal_wake(struct collector *c, bool tick)
{
	struct journal *s = journal_of(c);
	int r;

	r = s->walk.watching ? sd_journal_process(s->walk.j) : SD_JOURNAL_NOP;
	s->stale |= r < 0 || r == SD_JOURNAL_INVALIDATE || (tick && (!s->walk.j || s->state != JOURNAL_WELL));
	return 0;
}

static int journal_position(struct collector *c, Hallmark__V1__Position *ret)
{
	struct journal *s = journal_of(c);
	int r;

	r = walk_note(&s->walk);
	if (r < 0 || !s->walk.has_place)
		return r;
	journal_place_to_position(&s->walk.place, &s->position);
	ret->journal = &s->position;
	return 0;
}

static const char *journal_trouble(struct collector *c)
{
	struct journal *s = journal_of(c);

	if (s->state == JOURNAL_WELL && !s->failure[0])
		return NULL;
	(void)snprintf(s->trouble, sizeof s->trouble, "the journal cannot be read: %s",
		       s->failure[0] ? s->failure : s->reason);
	return s->trouble;
}

static void journal_lag(struct collector *c, struct collector_lag *ret)
{
	const struct walk *w = &journal_of(c)->walk;

	*ret = (struct collector_lag){ .behind_bytes = UINT64_MAX, .read_to_us = w->has_place ? w->place.realtime_us : 0 };
}

static struct collector *journal_free(struct collector *c)
{
	struct journal *s = journal_of(c);

	walk_done(&s->walk);
	journal_audit_end(&s->audit);
	journal_files_done(&s->files);
	journal_record_done(&s->record);
	closep(&s->epoll_fd);
	free(s->directory);
	free(s);
	return NULL;
}

static const struct collector_ops journal_ops = {
	.start = journal_start,
	.fd = journal_fd,
	.wake = journal_wake,
	.read = journal_read,
	.position = journal_position,
	.trouble = journal_trouble,
	.lag = journal_lag,
	.free = journal_free,
};

int journal_new(const char *directory, bool all, struct collector **ret)
{
	struct journal *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	s->c = (struct collector){ .ops = &journal_ops, .name = "journal" };
	s->all = all;
	journal_record_init(&s->record);
	s->directory = directory ? strdup(directory) : NULL;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0 || (directory && !s->directory)) {
		int r = s->epoll_fd < 0 ? -errno : -ENOMEM;

		journal_free(&s->c);
		return r;
	}
	*ret = &s->c;
	return 0;
}
