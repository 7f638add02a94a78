/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "agent/base/io.h"
#include "collectors/journal_files.h"

/* libsystemd keeps what it has mapped: 400 MB after a million entries. So the files are opened anew once so much more is
 * there than when they were opened, or, where the kernel does not say, after so many entries. */
#define MAPPED_MORE_MAX (40u * 1024 * 1024)
#define MAPPED_CHECK_ENTRIES 1000u
#define UNCHECKED_ENTRIES_MAX 8000u
/* After that many entries the end is not believed unless it is the tail. */
#define TAIL_CHECK_ENTRIES 1000u
#define SHORT_ENDS_MAX 3u
/* Entries of one microsecond in different files need not come in the order of their numbers. */
#define COUNT_TOLERANCE 16u

static void forget_files(struct walk *w)
{
	sd_journal_close(w->j);
	w->j = NULL;
	w->within = w->watching = w->reopen = false;
	w->taken = w->read_since_open = 0;
}

/* libsystemd stumbled over damage, and with the file, or behind it, the entry that was taken last is gone: goes from
 * the place to it again. */
static int walk_again(struct walk *w)
{
	unsigned n = w->taken;
	int r = 1;

	forget_files(w);
	for (unsigned i = 0; r > 0 && i < n; i++)
		r = walk_next(w);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int walk_note(struct walk *w)
{
	struct journal_place place;
	int r;

	if (w->taken == 0)
		return 0;
	r = journal_place_read(w->j, &place);
	if (r < 0 || !sd_id128_equal(place.boot, w->boot)) {
		r = walk_again(w);
		if (r >= 0)
			r = journal_place_read(w->j, &place);
	}
	if (r < 0)
		return r;
	w->place = place;
	w->has_place = true;
	w->gap_seen = false;
	w->ahead = SD_ID128_NULL;
	w->taken = 0;
	return 0;
}

int walk_close(struct walk *w)
{
	int r = walk_note(w);

	forget_files(w);
	return r;
}

void walk_done(struct walk *w)
{
	sd_journal_close(w->j);
	w->j = NULL;
	journal_boots_done(&w->boots);
}

void walk_reopen_soon(struct walk *w)
{
	w->reopen = true;
}

/* Bytes of files that are in this process's memory (proc_pid_statm(5)), or 0. */
static uint64_t mapped_bytes(void)
{
	_cleanup_(closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	unsigned long pages;
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread_all(fd, text, sizeof text - 1, 0);

	text[MAX(n, 0)] = '\0';
	return sscanf(text, "%*u %*u %lu", &pages) == 1 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void check_mapped(struct walk *w)
{
	uint64_t now = mapped_bytes();

	if (w->read_since_open == 1)
		w->mapped_at_first = now;
	w->reopen |= now > 0 ? now > w->mapped_at_first + MAPPED_MORE_MAX : w->read_since_open > UNCHECKED_ENTRIES_MAX;
}

void walk_taken(struct walk *w)
{
	w->taken++;
	w->counted++;
}

int walk_back(struct walk *w)
{
	int r = sd_journal_previous(w->j);

	/* it was the first of its boot: that is entered anew */
	if (r == 0)
		w->within = false;
	return MIN(r, 0);
}

static int list_boots(struct walk *w)
{
	_cleanup_(journal_files_done) struct journal_files files = { 0 };
	_cleanup_(journal_boots_done) struct journal_boots found = { 0 };
	int r;

	if (w->boots_listed)
		return 0;
	r = journal_files_list(w->directory, &files);
	for (size_t i = 0; r >= 0 && i < files.n; i++) {
		const char *paths[] = { files.list[i].path, NULL };
		sd_journal *j;

		if (files.list[i].error < 0 || sd_journal_open_files(&j, paths, 0) < 0)
			continue;
		r = journal_boots_add(&found, j);
		sd_journal_close(j);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < found.n; i++) {
		const struct journal_boot *known = journal_boots_find(&w->boots, found.list[i].first.boot);

		found.list[i].done = known && known->done;
	}
	journal_boots_done(&w->boots);
	w->boots = found;
	found = (struct journal_boots){ 0 };
	w->boots_listed = true;
	return 0;
}

static int open_journal(struct walk *w)
{
	const struct journal_boot *newest;
	int r;

	r = journal_open(w->directory, &w->j);
	if (r < 0) {
		w->j = NULL;
		return r;
	}
	/* of a long message too, the length and the digest are wanted */
	r = sd_journal_set_data_threshold(w->j, 0);
	if (r < 0 || w->has_place || w->since_us != UINT64_MAX)
		return r;
	r = list_boots(w);
	if (r < 0)
		return r;
	newest = journal_boots_newest(&w->boots);
	if (newest)
		w->place = newest->last;
	w->has_place = newest;
	w->since_us = 0;
	return 0;
}

static int enter_boot(struct walk *w, const struct journal_boot *boot)
{
	int r;

	r = journal_match_boot(w->j, boot->first.boot);
	if (r >= 0)
		r = !w->has_place && boot->first.realtime_us < w->since_us ?
			    sd_journal_seek_realtime_usec(w->j, w->since_us) :
			    sd_journal_seek_head(w->j);
	if (r < 0)
		return r;
	w->boot = boot->first.boot;
	w->passed_us = 0;
	w->counts = false;
	return 1;
}

/* The first entry of the place's boot that is past the place, which is not there itself: 1, or 0: there is none. */
static int first_past(struct walk *w, struct journal_place *ret)
{
	int r;

	r = journal_find(w->j, &w->place);
	while (r >= 0 && (r = sd_journal_next(w->j)) > 0) {
		r = journal_place_read(w->j, ret);
		if (r >= 0 && sd_id128_equal(ret->boot, w->place.boot) && ret->monotonic_us >= w->place.monotonic_us)
			return 1;
	}
	return r;
}

static void judge_gap(struct walk *w, const struct journal_place *first)
{
	struct walk_gap gap = { .there = true, .first = *first };

	if (journal_same_numbering(first, &w->place) && first->seqnum > w->place.seqnum) {
		gap.missing = first->seqnum - w->place.seqnum - 1;
		gap.counted = true;
		gap.there = gap.missing > 0;
	} else if (journal_same_numbering(first, &w->place)) {
		gap.there = !journal_boots_adjoin(&w->boots, first);
	}
	w->gap = gap;
	w->gap_seen = true;
}

/*
 * One journald numbers its entries one after another over all its files, though up to systemd 252 each file has an id
 * of its own. A file of one user's that was vacuumed, while others are there from before, shows in nothing else. Where
 * numbers are given anew (a flush), counting begins anew; in a directory of files from elsewhere, it proves nothing.
 */
static void count_from(struct walk *w, const struct journal_place *at)
{
	if (w->counts && journal_same_numbering(at, &w->place) && at->seqnum == w->place.seqnum)
		return;
	w->counted_from = *at;
	w->counted = 0;
	w->counts = !w->directory;
}

static void count_to_here(struct walk *w)
{
	uint64_t from = w->counted_from.seqnum, to = w->place.seqnum;

	if (!w->counts)
		return;
	if (sd_id128_equal(w->counted_from.boot, w->place.boot) && to > from && to - from > w->counted + COUNT_TOLERANCE)
		w->missing = to - from - w->counted;
	w->counted_from = w->place;
	w->counted = 0;
}

/* What comes after a gap is counted as well: other files may end later. */
static void count_behind_gap(struct walk *w, const struct journal_place *first)
{
	struct journal_place at = *first;

	at.seqnum--; /* the first itself is yet to be taken */
	count_from(w, &at);
}

/*
 * The place is not in the journal any more. Three things may have happened:
 *  - the power went before it was on the disk: then nothing of its boot is past it, but something before it, or what
 *    comes next goes on with the numbers where an older boot ends. It counts with us; nothing is missing.
 *  - it was vacuumed, with nothing after it: then what comes next has the next number.
 *  - it was vacuumed, with what came after it: the numbers say how much, unless they were begun anew.
 */
static int look_for_gap(struct walk *w)
{
	const struct journal_boot *next;
	struct journal_place place;
	int r;

	if (w->gap_seen)
		return 0;
	r = list_boots(w);
	if (r >= 0)
		r = first_past(w, &place);
	if (r > 0) {
		judge_gap(w, &place);
		count_behind_gap(w, &place);
	}
	if (r != 0)
		return MIN(r, 0);
	r = journal_last_before(w->j, &w->place, &place);
	next = r == 0 ? journal_boots_after(&w->boots, &w->place) : NULL;
	if (next)
		judge_gap(w, &next->first);
	return MIN(r, 0);
}

/* 1, or 0 where there is nothing to be read. */
static int enter(struct walk *w)
{
	const struct journal_boot *boot = journal_boots_find(&w->boots, w->ahead);
	struct journal_place at;
	int r = 0;

	if (!boot && !w->has_place) {
		/* a file that was empty has its first boot without any file that came or went */
		w->boots_listed &= w->boots.n > 0;
		r = list_boots(w);
		boot = r < 0 ? NULL : journal_boots_since(&w->boots, w->since_us);
	}
	if (boot || !w->has_place)
		return boot ? enter_boot(w, boot) : MIN(r, 0);

	r = journal_find(w->j, &w->place);
	if (r == 0 && !w->sought_again) {
		/* a file that is being rotated may be met under neither of its names while the directory is read */
		w->sought_again = true;
		forget_files(w);
		r = open_journal(w);
		if (r >= 0)
			r = journal_find(w->j, &w->place);
	}
	w->passed_us = w->place.monotonic_us;
	w->sought_again &= r <= 0;
	if (r == 0) {
		r = look_for_gap(w);
		if (r >= 0)
			r = journal_find(w->j, &w->place);
	} else if (r > 0 && journal_place_read(w->j, &at) >= 0)
		count_from(w, &at);
	w->boot = w->place.boot;
	return r < 0 ? r : 1;
}

/* Under memory pressure libsystemd says "end" where it is none. Whether the boot's last entry, as a journal that
 * was just opened sees it, is past the place. */
static int is_short(const struct walk *w)
{
	struct journal_place tail;
	sd_journal *j;
	int r;

	r = journal_open(w->directory, &j);
	if (r < 0)
		return r;
	r = journal_match_boot(j, w->boot);
	if (r >= 0)
		r = sd_journal_seek_tail(j);
	if (r >= 0)
		r = sd_journal_previous(j);
	if (r > 0)
		r = journal_place_read(j, &tail) < 0 ? 0 : 1;
	sd_journal_close(j);
	return r > 0 && sd_id128_equal(tail.boot, w->place.boot) && tail.monotonic_us > w->place.monotonic_us;
}

/* No further entry in this boot. 1: there may be in the next one, or here after all; 0: it is the end. */
static int leave_boot(struct walk *w)
{
	const struct journal_boot *next;
	struct journal_boot *here;
	int r;

	r = walk_note(w);
	if (r >= 0)
		count_to_here(w);
	if (r >= 0 && w->read_since_tail >= TAIL_CHECK_ENTRIES) {
		r = is_short(w);
		if (r > 0 && ++w->short_ends < SHORT_ENDS_MAX)
			return walk_close(w) < 0 ? -EIO : 1;
		w->cut_short |= r > 0;
		w->read_since_tail = w->short_ends = 0;
	}
	if (r < 0)
		return r;
	r = list_boots(w);
	if (r < 0)
		return r;
	here = journal_boots_find(&w->boots, w->boot);
	if (!w->has_place && here)
		here->done = true;
	next = w->has_place ? journal_boots_after(&w->boots, &w->place) : journal_boots_since(&w->boots, w->since_us);
	if (!next)
		return 0;
	if (here)
		here->done = true;
	/* for each boot the files are opened anew: a damaged one may be gone from those that are open (journal_boots.h) */
	w->ahead = next->first.boot;
	r = walk_close(w);
	return r < 0 ? r : 1;
}

/* Whether the entry that `j` stands on is one to be given out. */
static int is_due(struct walk *w)
{
	uint64_t time_us;
	int r;

	r = journal_read_time(w->j, w->boot, &time_us);
	if (r <= 0)
		return r;
	/* also behind entries that are past the place: where a file ends before the place, libsystemd may begin it anew
	 * once the others have moved on */
	return time_us >= w->passed_us;
}

int walk_next(struct walk *w)
{
	int r;

	do {
		r = w->reopen ? walk_close(w) : 0;
		if (r >= 0 && !w->j)
			r = open_journal(w);
		if (r >= 0 && !w->within) {
			r = enter(w);
			w->within = r > 0;
			if (r == 0)
				return 0;
		}
		if (r >= 0)
			r = sd_journal_next(w->j);
		if (r == 0) {
			r = leave_boot(w);
			if (r <= 0)
				return r;
			r = 0;
		} else if (r > 0) {
			r = is_due(w);
		}
	} while (r == 0);
	if (r < 0)
		return r;
	if (w->read_since_open++ % MAPPED_CHECK_ENTRIES == 0)
		check_mapped(w);
	w->read_since_tail++;
	w->short_ends = 0;
	return 1;
}

int walk_watch(struct walk *w, int epoll_fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int r, fd;

	if (w->watching || !w->j)
		return 0;
	/* what a catch-up has mapped is given back before the long wait */
	if (w->read_since_open >= TAIL_CHECK_ENTRIES) {
		r = walk_close(w);
		return r < 0 ? r : 1;
	}
	/* libsystemd looks through the directories once more when it begins to watch them */
	fd = sd_journal_get_fd(w->j);
	if (fd < 0)
		return fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	w->watching = true;
	w->boots_listed = false;
	return 1;
}
