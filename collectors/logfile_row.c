/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/logfile_row.h"

#include <errno.h>
#include <fcntl.h>

#define SEARCHES_MAX 4
#define COARSE_US 10000 /* file systems stamp with a clock that is up to a tick behind */

int row_init(struct row *row, const char *path)
{
	*row = (struct row){ .watch = WATCH_INIT };
	row->path = strdup(path);
	return row->path ? watch_init(&row->watch, path) : -ENOMEM;
}

void row_done(struct row *row)
{
	while (row->n > 0)
		row_drop(row, row->n - 1);
	watch_done(&row->watch);
	free(row->path);
}

void row_state(struct row *row, enum path_state state, const char *reason)
{
	row->state = state;
	(void)snprintf(row->reason, sizeof row->reason, "%s", reason);
}

void row_drop(struct row *row, size_t i)
{
	watch_drop(&row->watch, row->parts[i]->wd);
	part_free(row->parts[i]);
	row->n--;
	memmove(row->parts + i, row->parts + i + 1, (row->n - i) * sizeof row->parts[0]);
}

static void part_replace(struct row *row, size_t i, struct part *p)
{
	watch_drop(&row->watch, row->parts[i]->wd);
	part_free(row->parts[i]);
	row->parts[i] = p;
}

static bool part_listed(const struct row *row, struct file_id id)
{
	for (size_t i = 0; i < row->n; i++)
		if (row->parts[i]->state != PART_SOUGHT && file_id_eq(row->parts[i]->id, id))
			return true;
	return false;
}

/* ---- what stands at the path ------------------------------------------------------------------------ */

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode) ? "it is a directory" : S_ISFIFO(mode) ? "it is a FIFO" :
	       S_ISSOCK(mode)			    ? "it is a socket" :
						      "it is no regular file";
}

static void look_at_path(struct row *row)
{
	struct stat st;

	row->now = (struct file_id){ 0 };
	if (stat(row->path, &st) >= 0) {
		if (S_ISREG(st.st_mode))
			row->now = file_id_of(&st);
		else
			row_state(row, PATH_UNREADABLE, kind_of(st.st_mode));
	} else if (errno != ENOENT && errno != ENOTDIR) {
		row_state(row, PATH_UNREADABLE, strerror(errno));
	} else {
		/* between a rotation's rename and the new file nothing is missing */
		if (row->tick)
			row_state(row, PATH_MISSING, strerror(errno));
		row->from_end = false;
	}
	row->tick = false;
	for (size_t i = 0; i < row->n; i++)
		row->parts[i]->away = !file_id_eq(row->parts[i]->id, row->now);
}

/* ---- finding the files of the row ------------------------------------------------------------------- */

struct find {
	struct siblings siblings;
	const struct sibling *one; /* what was found */
	struct opened file;
	int own_error;             /* the file at the path could not be looked into */
	bool unreadable;           /* a sibling could not */
	bool stale;                /* one was renamed away meanwhile */
	bool shorter;              /* what was found has only a part of what was read */
};

#define FIND_INIT { .siblings = SIBLINGS_INIT, .file = OPENED_INIT }

static void find_done(struct find *f)
{
	opened_done(&f->file);
	siblings_done(&f->siblings);
}

/* What is looked for. */
struct sought {
	const struct fingerprint *fp;
	const struct edge *head; /* as for fingerprint_begins() */
	struct file_id hint, except;
	int64_t seen_us;
};

enum find_pass { BY_HINT, BY_CONTENT, SHORTER, PASS_MAX };

/* An empty file has no content to be known by: its number has to do, if it cannot have been used again. */
static int find_empty(struct find *f, const struct sibling *one, const struct sought *sought)
{
	int r;

	if (!file_id_eq(one->id, sought->hint) || (one->size > 0 && one->mtime_us < sought->seen_us - COARSE_US))
		return 0;
	r = sibling_open(&f->siblings, one, 0, &f->file);
	return r < 0 ? r : 1;
}

static bool find_try(struct find *f, const struct sibling *one, const struct sought *sought, enum find_pass pass)
{
	int r = 0;

	if (pass == SHORTER)
		r = one->name ? sibling_match_shorter(&f->siblings, one, sought->fp, sought->head, &f->file) : 0;
	else if (file_id_eq(one->id, sought->hint) == (pass == BY_HINT))
		r = sought->fp->head_size > 0 ? sibling_match(&f->siblings, one, sought->fp, &f->file) :
						find_empty(f, one, sought);
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE || (r < 0 && r != -ESTALE && !one->name))
		f->own_error = r;
	else if (r < 0)
		*(r == -ESTALE ? &f->stale : &f->unreadable) = true;
	if (r > 0) {
		f->one = one;
		f->shorter = pass == SHORTER;
	}
	return r > 0;
}

/* The file that continues what is sought: the one that the hint names, else the newest that fits; else one that
 * has only a part of what was read, which then is a copy that was made before a truncation. */
static int find_once(struct row *row, struct find *f, const struct sought *sought)
{
	int r = siblings_scan(row->path, &f->siblings);

	f->stale = r > 0;
	for (enum find_pass pass = 0; pass < PASS_MAX && r >= 0; pass++)
		for (size_t i = f->siblings.n; i-- > 0;) {
			const struct sibling *one = &f->siblings.list[i];

			if (!file_id_eq(one->id, sought->except) && !part_listed(row, one->id) &&
			    find_try(f, one, sought, pass))
				return 1;
		}
	return MIN(r, 0);
}

static int find(struct row *row, struct find *f, const struct sought *sought)
{
	int r = 0;

	for (int i = 0; i < SEARCHES_MAX; i++) {
		find_done(f);
		*f = (struct find)FIND_INIT;
		r = find_once(row, f, sought);
		if (r != 0 || !f->stale)
			break;
	}
	return r;
}

/* An empty file has content now, and there is nothing to tell by whether it is the first that it ever had: if
 * a sibling has appeared since it was last seen empty, that may be a copy of what was written meanwhile. */
static int empty_part_filled(struct row *row, struct part *p)
{
	_cleanup_(siblings_done) struct siblings s = SIBLINGS_INIT;
	bool newer = false;
	int r = siblings_scan(row->path, &s);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s.n && !p->away; i++)
		newer |= s.list[i].name && s.list[i].mtime_us > p->seen_us && !part_listed(row, s.list[i].id);
	p->empty = false;
	if (!newer)
		return 0;
	row->cut = p->id;
	row->recheck = true;
	watch_drop(&row->watch, p->wd);
	p->wd = -1;
	p->id = (struct file_id){ 0 };
	return part_give_up(p, 0);
}

/* The file was truncated, maybe after it was copied: what is missing from it is read from the copy. */
int row_cut(struct row *row, size_t i)
{
	_cleanup_(find_done) struct find f = FIND_INIT;
	struct part *old = row->parts[i], *p;
	struct fingerprint fp;
	int r;

	if (old->empty)
		return empty_part_filled(row, old);
	r = part_fingerprint(old, &fp);
	if (r >= 0)
		r = find(row, &f, &(struct sought){ &fp, &old->file.head, old->id, old->id, old->seen_us });
	if (r < 0)
		return r;
	if (!old->away)
		row->cut = old->id;
	row->recheck = true;
	if (r == 0) {
		watch_drop(&row->watch, old->wd);
		old->wd = -1;
		old->id = (struct file_id){ 0 };
		return part_give_up(old, 1u << LOSS_TRUNCATED);
	}
	r = part_new(&f.file, f.one->id, &p);
	if (r < 0)
		return r;
	p->whole = p->away = true;
	p->hint = old->id;
	p->since_us = old->since_us;
	p->losses = old->losses | 1u << LOSS_TRUNCATED;
	part_replace(row, i, p);
	return 0;
}

/* Whether the file at the path is the very one that the last position named; its number alone could have
 * been used again, so it must be as old as that, as far as the file system tells. */
static bool still_at_path(const struct row *row, const struct part *p)
{
	struct statx st;

	if (p->hint.inode == 0 || !file_id_eq(p->hint, row->now))
		return false;
	if (statx(AT_FDCWD, row->path, 0, STATX_BTIME, &st) < 0 || !(st.stx_mask & STATX_BTIME))
		return true;
	return st.stx_btime.tv_sec * 1000000 + st.stx_btime.tv_nsec / 1000 <= p->seen_us;
}

/* What the last position named and is in none of the files. */
static void sought_lost(struct row *row, size_t i, const struct find *f)
{
	struct part *p = row->parts[i];
	bool cut = still_at_path(row, p);

	p->state = PART_GHOST;
	p->id = (struct file_id){ 0 };
	if (p->was.head_size > 0)
		p->losses |= 1u << (cut ? LOSS_TRUNCATED : f->unreadable ? LOSS_UNREADABLE : LOSS_ROTATED_AWAY);
	else if (i > 0)
		row_drop(row, i); /* it was empty when we stopped: it is what stands behind the part before it */
	if (cut)
		row->cut = row->now;
}

static int sought_found(struct row *row, size_t i, struct find *f)
{
	struct part *old = row->parts[i], *p;
	int r = part_new(&f->file, f->one->id, &p);

	if (r < 0)
		return r;
	p->away = f->one->name;
	if (old->was.head_size == 0) {
		p->empty = !p->whole && !p->away;
		p->file.head.len = 0;
		p->seen_us = old->seen_us;
	}
	/* at its old place there is something else, in the same file: this is a copy */
	if (p->away && still_at_path(row, old)) {
		p->whole = true;
		p->hint = row->cut = row->now;
	}
	if (f->shorter || file_id_eq(p->hint, row->cut))
		p->losses = 1u << LOSS_TRUNCATED;
	p->losses |= old->losses;
	if (!p->whole)
		p->wd = watch_file(&row->watch, p->file.fd);
	part_replace(row, i, p);
	return 0;
}

/* Finds what the last position names. 1: not possible now, to be tried again. */
static int seek_all(struct row *row)
{
	/* from the newest down: one that is dropped then moves none that is still sought */
	for (size_t i = row->n; i-- > 0;) {
		_cleanup_(find_done) struct find f = FIND_INIT;
		struct part *p = row->parts[i];
		int r;

		if (p->state != PART_SOUGHT)
			continue;
		r = find(row, &f, &(struct sought){ &p->was, &p->file.head, p->hint, { 0 }, p->seen_us });
		if (r == 0 && f.own_error < 0) {
			row_state(row, PATH_UNREADABLE, strerror(-f.own_error));
			return 1;
		}
		if (r > 0)
			r = sought_found(row, i, &f);
		else if (r == 0)
			sought_lost(row, i, &f);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the next file of the row ----------------------------------------------------------------------- */

/* The first sibling that is newer than all parts: the one behind the last part. Where that is no longer
 * in the directory, the first that was changed after it was: `known` is false. */
static size_t newer_than_parts(struct row *row, const struct siblings *s, bool *ret_known)
{
	const struct part *last = row->n > 0 ? row->parts[row->n - 1] : NULL;
	int64_t then_us = (last ? last->seen_us : row->anchor_us) - COARSE_US;
	struct fingerprint begins;
	struct stat st;
	size_t i;

	*ret_known = true;
	for (i = 0; last && i < s->n; i++)
		if (file_id_eq(s->list[i].id, last->id))
			return i + 1;
	if (last && last->state == PART_OPEN) {
		/* compressed since: it still begins as it did */
		if (last->file.head.len > 0 && fingerprint_make(0, &last->file.head, &(struct edge){ 0 }, &begins) >= 0)
			for (i = s->n; i-- > 0;) {
				_cleanup_(opened_done) struct opened o = OPENED_INIT;

				if (s->list[i].encoding != ENCODING_NONE &&
				    sibling_match(s, &s->list[i], &begins, &o) > 0)
					return i + 1;
			}
		if (fstat(last->file.fd, &st) >= 0)
			then_us = stat_mtime_us(&st);
	}
	*ret_known = false;
	for (i = 0; i < s->n; i++) {
		const struct sibling *one = &s->list[i];
		/* gzip(1) keeps whole seconds: it may have been any time within that second */
		int64_t fraction_us = one->encoding != ENCODING_NONE && one->mtime_us % 1000000 == 0 ? 999999 : 0;

		if (!one->name || one->mtime_us + fraction_us > then_us)
			break;
	}
	return i;
}

/* Whether the file is still what the ghost's was, only shorter: then what it holds is counted already. */
static bool only_shorter(const struct part *ghost, const struct opened *o)
{
	return o->size > 0 && (uint64_t)o->size < ghost->was.offset &&
	       fingerprint_begins(&ghost->was, &ghost->file.head, &o->head);
}

/* Where the last line begins that is not complete yet; the end, where that line is very long. */
static int last_line(const struct opened *o, uint64_t *ret)
{
	_cleanup_(freep) uint8_t *end = malloc(EVENT_RAW_MAX);
	size_t len = MIN((size_t)o->size, (size_t)EVENT_RAW_MAX);
	const uint8_t *newline;
	ssize_t n;

	if (!end)
		return -ENOMEM;
	do
		n = pread(o->fd, end, len, (off_t)((size_t)o->size - len));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	newline = memrchr(end, '\n', (size_t)n);
	if (newline)
		*ret = (uint64_t)o->size - len + (uint64_t)(newline - end) + 1;
	else
		*ret = len == (size_t)o->size ? 0 : (uint64_t)o->size;
	return 0;
}

/* copytruncate copies before it truncates: where the file at the path goes on from what was read last, that was no
 * older file but a copy of it. (That it may lack lines has been said at its end: nobody could know yet.) 1: opened
 * there. */
static int open_copied(struct part *last, const struct siblings *s, const struct sibling *one, struct opened *ret)
{
	struct fingerprint fp;
	int r;

	if (!last || last->state != PART_OPEN || !last->away)
		return 0;
	r = part_fingerprint(last, &fp);
	if (r < 0 || fp.offset == 0)
		return r;
	r = sibling_match(s, one, &fp, ret);
	if (r > 0)
		last->whole = true;
	return r;
}

/* Opens one of the siblings where its reading is to begin. */
static int open_newer(struct row *row, const struct siblings *s, const struct sibling *one, struct opened *ret)
{
	struct part *last = row->n > 0 ? row->parts[row->n - 1] : NULL;
	uint64_t at = 0;
	int r = one->name ? 0 : open_copied(last, s, one, ret);

	if (r != 0)
		return MIN(r, 0);
	r = sibling_open(s, one, 0, ret);
	if (r < 0 || one->name)
		return r;
	if (row->from_end)
		r = last_line(ret, &at);
	else if (last && last->state == PART_GHOST && file_id_eq(row->cut, one->id) && only_shorter(last, ret))
		at = (uint64_t)ret->size;
	if (r < 0 || at == 0)
		return r;
	opened_done(ret);
	return sibling_open(s, one, at, ret);
}

/* A sibling that cannot be read is stepped over, and declared. */
static int step_over(struct row *row, const struct sibling *one, enum part_loss loss)
{
	struct part *p;
	int r = part_new_absent(PART_GHOST, &(struct fingerprint){ 0 }, one->id, 1u << loss, &p);

	if (r < 0)
		return r;
	p->id = one->id;
	row->parts[row->n++] = p;
	return 1;
}

static int open_failed(struct row *row, const struct sibling *one, int error)
{
	if (error == -ESTALE) {
		row->recheck = true; /* the directory's watch will tell of what changed it */
		return 0;
	}
	if (error == -ENOMEM || error == -EMFILE || error == -ENFILE || !one->name) {
		row_state(row, PATH_UNREADABLE, strerror(-error));
		return 0;
	}
	return step_over(row, one,
			 error == -EBADMSG || error == -ENODATA || error == -EFBIG ? LOSS_DAMAGED : LOSS_UNREADABLE);
}

static int part_append(struct row *row, const struct sibling *one, struct opened *file)
{
	struct part *p;
	int r = part_new(file, one->id, &p);

	if (r < 0)
		return r;
	p->since_us = row->since_us;
	p->away = one->name;
	if (!one->name) {
		row->cut = (struct file_id){ 0 };
		row->since_us = 0;
		row->from_end = false;
	} else if (row->cut.inode != 0) {
		/* between two truncations in place there are only copies */
		p->whole = true;
		p->hint = row->cut;
		p->losses = 1u << LOSS_TRUNCATED;
	}
	if (!p->whole)
		p->wd = watch_file(&row->watch, p->file.fd);
	row->parts[row->n++] = p;
	return 1;
}

/* The last part was rotated away so often that it was deleted, and an older file than the one at the path comes next:
 * those that stood between them may have been deleted too. */
static void next_is_not_known(struct part *last)
{
	struct stat st;

	if (last->state != PART_OPEN || fstat(last->file.fd, &st) < 0 || st.st_nlink > 0)
		return;
	last->losses |= 1u << LOSS_ROTATED_AWAY;
	last->whole = true; /* so it is said before what comes next is read */
}

/* Adds the next file to the row. 1: done, there may be more; 0: there is none, or not now. */
static int append_newer(struct row *row)
{
	_cleanup_(siblings_done) struct siblings s = SIBLINGS_INIT;
	_cleanup_(opened_done) struct opened file = OPENED_INIT;
	bool known;
	size_t i;
	int r;

	r = siblings_scan(row->path, &s);
	if (r != 0) {
		row->recheck |= r > 0;
		return r < 0 ? r : 0;
	}
	for (i = newer_than_parts(row, &s, &known); i < s.n && part_listed(row, s.list[i].id); i++)
		;
	if (i >= s.n)
		return 0;
	r = open_newer(row, &s, &s.list[i], &file);
	if (r >= 0 && !known && s.list[i].name && row->n > 0)
		next_is_not_known(row->parts[row->n - 1]);
	return r < 0 ? open_failed(row, &s.list[i], r) : part_append(row, &s.list[i], &file);
}

static bool row_is_complete(struct row *row)
{
	const struct part *last = row->n > 0 ? row->parts[row->n - 1] : NULL;

	for (size_t i = 0; i < row->n; i++)
		if (row->parts[i]->state == PART_SOUGHT)
			return false;
	return last && last->state == PART_OPEN && !last->whole && file_id_eq(last->id, row->now);
}

/* To be called when all parts are read to their end. 1: there is more to read. */
int row_advance(struct row *row)
{
	int r;

	if (!row->recheck)
		return 0;
	row->recheck = false;
	(void)watch_directory(&row->watch); /* the tick does without */
	look_at_path(row);
	if (!row_is_complete(row)) {
		r = seek_all(row);
		if (r != 0)
			return r < 0 ? r : 0;
		if (row->n == PARTS_MAX) {
			/* so many at once: nobody writes to the oldest */
			row->parts[0]->whole = row->recheck = true;
			return 1;
		}
		r = row_is_complete(row) ? 1 : append_newer(row);
		row->recheck |= r > 0;
		if (r != 0)
			return r;
	}
	if (row_is_complete(row) && !row->read_failed)
		row_state(row, PATH_WELL, "");
	return 0;
}
