/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal.h"

#include <errno.h>
#include <sys/epoll.h>

#include "collectors/collector.h"
#include "collectors/journal_internal.h"

/* libsystemd maps the files that it reads and keeps them: opened anew this often, a catch-up of a million
 * entries maps some 30 MB instead of 400. */
#define REOPEN_ENTRIES 8000u
#define LOSSES_MAX 4u

struct journal {
	struct collector base;
	char *directory; /* NULL: this host's */
	bool all;

	sd_journal *j;
	int epoll_fd; /* stays the same while the journal's own descriptor changes with each opening */
	struct entry_reader reader;

	struct journal_place place; /* of the last entry that is counted */
	bool has_place;
	bool moved;      /* entries were counted since the place was taken: it costs too much for each */
	bool held;       /* the journal stands on an entry that the batch had no room for */
	bool notice_said; /* … whose loss is counted already */
	struct boot_list earlier;
	uint64_t since_us;

	/* One journald numbers its entries one after another, over all its files, though each user's have a sequence
	 * id of their own: if fewer were read than the numbers say, then some are missing, whatever libsystemd says
	 * (it passes over a damaged file in silence). */
	struct journal_place counted_from;
	uint64_t read_since;
	bool counts;
	bool stale; /* files came or went: open anew before the next entry */

	uint64_t read_since_open, read_since_end;
	unsigned early_ends;
	struct loss losses[LOSSES_MAX]; /* to be said with the next read */
	size_t n_losses;
	char trouble[512];
	size_t unreadable;
	Hallmark__V1__JournalPosition position; /* as position() last told it */
};

static struct journal *journal_of(struct collector *c)
{
	return (struct journal *)c;
}

static void journal_lose(struct journal *s, const char *reason, const char *detail, const char *unit, uint64_t amount)
{
	/* the table is full only where one thing after another fails within one read: the first ones tell it */
	if (s->n_losses < LOSSES_MAX)
		s->losses[s->n_losses++] = (struct loss){ .reason = reason, .detail = detail, .unit = unit, .amount = amount };
}

/* --- opening and going to the place -------------------------------------------------------------------- */

static void journal_note_unreadable(struct journal *s)
{
	struct journal_facts facts = { 0 };

	journal_look_at_files(s->directory, &facts);
	s->unreadable = facts.unreadable;
	s->trouble[0] = '\0';
	if (facts.unreadable > 0)
		(void)snprintf(s->trouble, sizeof s->trouble,
			       "%zu of the journal's files may not be read by this user (group systemd-journal may): %s",
			       facts.unreadable, facts.example);
}

/* --- opening and going to the place -------------------------------------------------------------------- */

static void journal_shut(struct journal *s)
{
	sd_journal_close(s->j);
	s->j = NULL;
	s->held = false;
	s->moved = false;
	s->stale = false;
}

static void journal_count_from(struct journal *s, const struct journal_place *at)
{
	s->counts = at->has_seqnum && s->unreadable == 0;
	s->counted_from = *at;
	s->read_since = 0;
}

static int journal_seek_start(struct journal *s)
{
	int r;

	if (s->since_us == 0)
		return sd_journal_seek_head(s->j);
	if (s->since_us != UINT64_MAX)
		return sd_journal_seek_realtime_usec(s->j, s->since_us);
	/* seek_tail alone is before the last entry: it has to be stood on */
	r = sd_journal_seek_tail(s->j);
	if (r >= 0)
		r = sd_journal_previous(s->j);
	if (r == 0) {
		s->since_us = 0;
		return sd_journal_seek_head(s->j);
	}
	if (r > 0)
		r = journal_place_read(s->j, &s->place);
	if (r >= 0) {
		s->has_place = true;
		journal_count_from(s, &s->place);
	}
	return r;
}

static int journal_seek_place(struct journal *s)
{
	struct journal_place at;
	int r;

	free(s->earlier.boots);
	s->earlier = (struct boot_list){ 0 };
	r = journal_place_seek(s->j, &s->place, &s->earlier, &at);
	if (r < 0)
		return r;
	s->counts = false;
	if (r == SEEK_FOUND)
		journal_count_from(s, &at);
	else if (r == SEEK_AFTER)
		journal_lose(s, "vacuumed",
			     "the journal no longer holds what was read last; entries after it may be gone too",
			     "unknown", 0);
	return 0;
}

static int journal_connect(struct journal *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	int r, fd;

	r = journal_open(s->directory, &s->j);
	if (r < 0) {
		s->j = NULL;
		(void)snprintf(s->trouble, sizeof s->trouble, "the journal%s%s cannot be opened: %s",
			       s->directory ? " in " : "", s->directory ? s->directory : "", strerror(-r));
		return r;
	}
	(void)sd_journal_set_data_threshold(s->j, EVENT_RAW_MAX + 64);
	/* watched before anything is read: what is appended meanwhile is seen afterwards */
	fd = sd_journal_get_fd(s->j);
	if (fd >= 0 && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST)
		fd = -errno;
	if (fd < 0) {
		journal_shut(s);
		return fd;
	}
	journal_note_unreadable(s);
	s->read_since_open = 0;
	r = s->has_place ? journal_seek_place(s) : journal_seek_start(s);
	if (r < 0) {
		(void)snprintf(s->trouble, sizeof s->trouble, "the journal cannot be read: %s", strerror(-r));
		journal_shut(s);
	}
	return r;
}

/* --- reading -------------------------------------------------------------------------------------------- */

static bool boot_is_earlier(const struct journal *s, sd_id128_t boot)
{
	for (size_t i = 0; i < s->earlier.n; i++)
		if (sd_id128_equal(boot, s->earlier.boots[i]))
			return true;
	return false;
}

/* Whether the entry that the journal stands on is of a boot that was over by the place. */
static int journal_is_earlier(struct journal *s)
{
	sd_id128_t boot;
	uint64_t monotonic_us;
	int r;

	if (s->earlier.n == 0)
		return 0;
	r = sd_journal_get_monotonic_usec(s->j, &monotonic_us, &boot);
	return r < 0 ? r : boot_is_earlier(s, boot);
}

static int journal_say_losses(struct journal *s, struct intake *in)
{
	while (s->n_losses > 0) {
		int r = intake_loss(in, s->base.source, &s->losses[0]);

		if (r != INTAKE_OK)
			return r;
		memmove(s->losses, s->losses + 1, --s->n_losses * sizeof s->losses[0]);
	}
	return INTAKE_OK;
}

static int journal_say_notice(struct journal *s, struct intake *in)
{
	int r;

	if (!s->reader.is_notice || s->notice_said)
		return INTAKE_OK;
	r = intake_loss(in, s->base.source, &(struct loss){ .reason = "journald_dropped",
							    .detail = "journald says that it did not take messages; its own words follow",
							    .unit = "entries",
							    .amount = s->reader.dropped });
	s->notice_said = r == INTAKE_OK;
	return r;
}

/* The entry that the journal stands on, to the intake: an intake_result, or a negative errno. */
static int journal_take(struct journal *s, struct intake *in, size_t *ret_bytes)
{
	int r = journal_is_earlier(s);

	*ret_bytes = 64;
	if (r > 0)
		return INTAKE_OK;
	if (r == 0)
		r = entry_read(&s->reader, s->j, s->all);
	if (r == -EBADMSG || r == -EIO) {
		journal_lose(s, "journal_damaged", "an entry of the journal cannot be read", "entries", 1);
		return INTAKE_OK;
	}
	if (r <= 0)
		return r;
	*ret_bytes += s->reader.bytes.len;
	r = journal_say_notice(s, in);
	if (r == INTAKE_OK)
		r = intake_entry(in, s->base.source, &s->reader.entry);
	if (r == INTAKE_OK)
		s->notice_said = false;
	return r;
}

/* Whether as many entries were read since the base as the numbers say. Not judged where the numbers may be of two
 * counts: another boot under another id, or a flush meanwhile, which numbers what it copies once more. */
static void journal_judge_gap(struct journal *s, const struct journal_place *now, uint64_t read)
{
	bool same_id = sd_id128_equal(now->seqnum_id, s->counted_from.seqnum_id);

	if (!s->counts || !now->has_seqnum || now->seqnum <= s->counted_from.seqnum || now->seqnum - s->counted_from.seqnum <= read)
		return;
	if (!same_id && !sd_id128_equal(now->boot, s->counted_from.boot))
		return;
	if (!same_id && sd_journal_process(s->j) == SD_JOURNAL_INVALIDATE) {
		s->stale = true;
		return;
	}
	journal_lose(s, "journal_gap", "the journal's numbers say that there were more entries than could be read",
		     "entries", now->seqnum - s->counted_from.seqnum - read);
}

/* The place of the last counted entry, and with it how many there should have been since the last time. */
static int journal_update_place(struct journal *s)
{
	struct journal_place place;
	uint64_t read = s->read_since - s->held;
	int r = 1;

	if (!s->moved)
		return 0;
	if (s->held)
		r = sd_journal_previous(s->j);
	if (r > 0)
		r = journal_place_read(s->j, &place);
	if (s->held && sd_journal_next(s->j) <= 0)
		return -EIO;
	if (r < 0)
		return r;
	journal_judge_gap(s, &place, read);
	s->place = place;
	s->has_place = true;
	s->moved = false;
	journal_count_from(s, &place);
	s->read_since = s->held;
	return 0;
}

/* The end is believed only where the tail was reached: under memory pressure libsystemd says "end" too early. */
static bool journal_reached_tail(struct journal *s)
{
	struct journal_place ours, tail;
	sd_journal *j;
	int r;

	if (journal_place_read(s->j, &ours) < 0 || journal_open(s->directory, &j) < 0)
		return true;
	r = sd_journal_seek_tail(j);
	if (r >= 0)
		r = sd_journal_previous(j);
	if (r > 0)
		r = journal_place_read(j, &tail) < 0 ? 0 : 1;
	sd_journal_close(j);
	return r <= 0 || tail.realtime_us <= ours.realtime_us ||
	       (sd_id128_equal(tail.boot, ours.boot) && tail.monotonic_us <= ours.monotonic_us);
}

static int journal_reopen(struct journal *s)
{
	int r = journal_update_place(s);

	journal_shut(s);
	return r < 0 ? r : journal_connect(s);
}

/* Nothing was new enough to be read: what is there now is behind us all the same. */
static void journal_pass_over(struct journal *s)
{
	if (sd_journal_seek_tail(s->j) < 0 || sd_journal_previous(s->j) <= 0 ||
	    journal_place_read(s->j, &s->place) < 0)
		return;
	s->has_place = true;
	journal_count_from(s, &s->place);
}

/* libsystemd has no further entry. COLLECTOR_END, or COLLECTOR_MORE where it has to be asked again. */
static int journal_at_end(struct journal *s)
{
	if (s->read_since_end < REOPEN_ENTRIES / 2 || journal_reached_tail(s)) {
		s->read_since_end = 0;
		s->early_ends = 0;
		if (!s->has_place && !s->moved)
			journal_pass_over(s);
		/* takes the count too: what is missing is to be said in the batch of what was read */
		(void)journal_update_place(s);
		return s->n_losses > 0 ? COLLECTOR_MORE : COLLECTOR_END;
	}
	if (++s->early_ends < 3)
		return journal_reopen(s) < 0 ? COLLECTOR_END : COLLECTOR_MORE;
	s->read_since_end = 0;
	s->early_ends = 0;
	journal_lose(s, "journal_cut_short", "the journal cannot be read to its end", "unknown", 0);
	return COLLECTOR_MORE;
}

/* Goes to the next entry, unless the last one was held. 1: stands on one, 0: there is none, negative errno. */
static int journal_step(struct journal *s)
{
	struct journal_place first;
	int r;

	if (s->held)
		return 1;
	if (s->read_since_open >= REOPEN_ENTRIES || s->stale) {
		r = journal_reopen(s);
		if (r < 0)
			return r;
	}
	r = sd_journal_next(s->j);
	if (r <= 0)
		return r;
	s->read_since_open++;
	s->read_since++;
	s->read_since_end++;
	if (!s->counts && s->unreadable == 0 && journal_place_read(s->j, &first) >= 0)
		journal_count_from(s, &first);
	return 1;
}

static int journal_read(struct collector *c, struct intake *in, size_t budget)
{
	struct journal *s = journal_of(c);
	size_t done = 0;
	int r = 0;

	if (!s->j && journal_connect(s) < 0)
		return COLLECTOR_END;
	while (done < budget) {
		size_t bytes = 0;

		r = journal_say_losses(s, in);
		if (r == INTAKE_OK) {
			r = journal_step(s);
			if (r == 0)
				return journal_at_end(s);
			if (r < 0) {
				/* what libsystemd cannot go past is tried anew from the place */
				journal_lose(s, "journal_damaged", "the journal cannot be read on", "unknown", 0);
				journal_shut(s);
				return COLLECTOR_END;
			}
			r = journal_take(s, in, &bytes);
			s->held = r == INTAKE_FULL;
			s->moved |= r == INTAKE_OK;
		}
		if (r == INTAKE_FULL)
			return COLLECTOR_FULL;
		if (r < 0)
			return r;
		done += bytes;
	}
	return COLLECTOR_MORE;
}

/* --- the collector ------------------------------------------------------------------------------------- */

static int journal_start(struct collector *c, const struct collector_start *start,
			 const Hallmark__V1__Position *position)
{
	struct journal *s = journal_of(c);
	const Hallmark__V1__JournalPosition *p = position ? position->journal : NULL;

	s->since_us = start->since_us == INT64_MAX ? UINT64_MAX : (uint64_t)MAX(start->since_us, 0);
	/* known, and empty so far: whatever it holds now has come since */
	if (position && !p)
		s->since_us = 0;
	if (p && p->boot_id.len == sizeof s->place.boot.bytes) {
		s->place = (struct journal_place){
			.monotonic_us = p->monotonic_us,
			.realtime_us = (uint64_t)MAX(p->realtime_us, 0),
			.hash = p->entry_hash,
			.has_hash = true,
			.seqnum = p->seqnum,
			.has_seqnum = p->seqnum_id.len == sizeof s->place.seqnum_id.bytes,
		};
		memcpy(s->place.boot.bytes, p->boot_id.data, sizeof s->place.boot.bytes);
		if (s->place.has_seqnum)
			memcpy(s->place.seqnum_id.bytes, p->seqnum_id.data, sizeof s->place.seqnum_id.bytes);
		s->has_place = true;
	}
	(void)journal_connect(s); /* where it fails, trouble() says so, and read() tries again */
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

	if (!s->j)
		return 0;
	r = sd_journal_process(s->j);
	/* files came or went (rotation, vacuum, flush): begin anew from the place rather than trust what is open */
	if (r == SD_JOURNAL_INVALIDATE || r < 0)
		(void)journal_reopen(s);
	return 0;
}

static int journal_position(struct collector *c, Hallmark__V1__Position *ret)
{
	struct journal *s = journal_of(c);
	Hallmark__V1__JournalPosition *p = &s->position;
	int r = s->j ? journal_update_place(s) : 0;

	if (r < 0)
		return r;
	if (!s->has_place)
		return 0;
	hallmark__v1__journal_position__init(p);
	p->boot_id = (ProtobufCBinaryData){ .data = s->place.boot.bytes, .len = sizeof s->place.boot.bytes };
	p->monotonic_us = s->place.monotonic_us;
	p->realtime_us = (int64_t)s->place.realtime_us;
	p->entry_hash = s->place.hash;
	if (s->place.has_seqnum) {
		p->seqnum_id = (ProtobufCBinaryData){ .data = s->place.seqnum_id.bytes, .len = sizeof s->place.seqnum_id.bytes };
		p->seqnum = s->place.seqnum;
	}
	ret->journal = p;
	return 0;
}

static const char *journal_trouble(struct collector *c)
{
	struct journal *s = journal_of(c);

	return s->trouble[0] ? s->trouble : NULL;
}

static struct collector *journal_free(struct collector *c)
{
	struct journal *s = journal_of(c);

	sd_journal_close(s->j);
	if (s->epoll_fd >= 0)
		(void)close(s->epoll_fd);
	entry_reader_done(&s->reader);
	free(s->earlier.boots);
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
	.free = journal_free,
};

int journal_new(const char *directory, bool all, struct collector **ret)
{
	struct journal *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	s->base = (struct collector){ .ops = &journal_ops, .name = "journal" };
	s->all = all;
	entry_reader_init(&s->reader);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->directory = directory ? strdup(directory) : NULL;
	if (s->epoll_fd < 0 || (directory && !s->directory)) {
		int r = s->epoll_fd < 0 ? -errno : -ENOMEM;

		journal_free(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}
