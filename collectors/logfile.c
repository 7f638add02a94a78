/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "agent/base/clock.h"
#include "collectors/logfile_row.h"

#define QUIET_US (5 * 60 * 1000000ull)
#define QUIET_DELETED_US (60 * 1000000ull)

static const struct {
	const char *now, *again; /* said when it becomes so, and when all is well again */
} path_states[] = {
	[PATH_MISSING] = { "missing", "found" },
	[PATH_UNREADABLE] = { "unreadable", "readable" },
};

struct logfile {
	struct collector c;
	struct row row;
	uint8_t *buffer; /* only while there is something to read */
	enum path_state said;
	char trouble[512];

	struct fingerprint prints[PARTS_MAX];
	Hallmark__V1__FilePosition files[PARTS_MAX];
	Hallmark__V1__FilePosition *file_list[PARTS_MAX];
};

static struct logfile *logfile_of(struct collector *c)
{
	return (struct logfile *)c; /* its first member */
}

static int say_state(struct logfile *lf, struct intake *in)
{
	bool well = lf->row.state == PATH_WELL;
	int r;

	if (lf->row.state == lf->said)
		return COLLECTOR_END;
	const struct bytes values[] = {
		bytes_str(lf->row.path),
		bytes_str(well ? path_states[lf->said].again : path_states[lf->row.state].now),
		bytes_str(well ? "it can be read again" : lf->row.reason),
	};

	r = intake_own(in, lf->c.source, OWN_SOURCE_STATE, values);
	if (r != INTAKE_OK)
		return r < 0 ? r : COLLECTOR_FULL;
	lf->said = lf->row.state;
	return COLLECTOR_END;
}

static bool part_finished(const struct part *p, bool last)
{
	uint64_t quiet_us;
	struct stat st;

	if (p->state != PART_OPEN || p->whole)
		return p->state != PART_SOUGHT;
	if (last || !p->away)
		return false;
	quiet_us = clock_boot_us() - p->quiet_since_us;
	return p->closed || quiet_us >= QUIET_US ||
	       (quiet_us >= QUIET_DELETED_US && fstat(p->file.fd, &st) >= 0 && st.st_nlink == 0);
}

static bool part_is_known(const struct part *p)
{
	return p->state == PART_OPEN && p->file.head.len > 0;
}

/* Whether a part that is read still has to stand in the position, since what comes behind it cannot be found again
 * without it: a loss that is not said yet, or a file that is still empty. */
static bool part_is_anchor(const struct row *row, size_t i)
{
	const struct part *next = i + 1 < row->n ? row->parts[i + 1] : NULL;

	if (!next || row->n == PARTS_MAX)
		return !next;
	if (next->state == PART_GHOST)
		return next->losses != 0;
	return part_is_known(row->parts[i]) && !part_is_known(next);
}

static int read_parts(struct logfile *lf, struct sink *s)
{
	bool failed = false;

	for (size_t i = 0; i < lf->row.n;) {
		struct part *p = lf->row.parts[i];
		int r = COLLECTOR_END;

		if (p->state == PART_OPEN)
			r = part_read(p, s);
		if (r == PART_CUT) {
			r = row_cut(&lf->row, i);
			if (r < 0)
				return r;
			continue;
		}
		if (r == PART_FAILED) {
			row_state(&lf->row, PATH_UNREADABLE, strerror(p->error));
			failed = true;
			r = COLLECTOR_END;
		} else if (r == COLLECTOR_END && part_finished(p, i + 1 == lf->row.n)) {
			r = part_finish(p, s);
			if (r == COLLECTOR_END && !part_is_anchor(&lf->row, i)) {
				row_drop(&lf->row, i);
				continue;
			}
		}
		if (r != COLLECTOR_END)
			return r;
		i++;
	}
	if (lf->row.read_failed && !failed)
		lf->row.recheck = true;
	lf->row.read_failed = failed;
	return COLLECTOR_END;
}

static int logfile_read(struct collector *c, struct intake *in, size_t budget)
{
	struct logfile *lf = logfile_of(c);
	struct sink s = { .in = in, .source = c->source, .left = budget };
	int r;

	if (!lf->buffer)
		lf->buffer = malloc(WINDOW_SIZE);
	if (!lf->buffer)
		return -ENOMEM;
	s.buffer = lf->buffer;
	do {
		s.now = lf->row.now;
		r = say_state(lf, in);
		if (r == COLLECTOR_END)
			r = read_parts(lf, &s);
		if (r != COLLECTOR_END)
			return r;
		r = row_advance(&lf->row);
	} while (r > 0);
	if (r == 0)
		r = say_state(lf, in);
	if (r == COLLECTOR_END) {
		free(lf->buffer);
		lf->buffer = NULL;
	}
	return r;
}

static void take_event(void *context, const struct inotify_event *e)
{
	struct logfile *lf = context;
	struct stat st;

	lf->row.recheck |= watch_concerns(&lf->row.watch, e);
	for (size_t i = 0; i < lf->row.n; i++) {
		struct part *p = lf->row.parts[i];

		if (p->wd < 0 || p->wd != e->wd)
			continue;
		if (e->mask & IN_IGNORED)
			p->wd = -1;
		if (e->mask & (IN_MOVE_SELF | IN_ATTRIB))
			lf->row.recheck = true;
		/* whoever closes it after this, is done with it; whoever writes after that, is not */
		if (e->mask & IN_MOVE_SELF || (e->mask & IN_ATTRIB && fstat(p->file.fd, &st) >= 0 && st.st_nlink == 0))
			p->away = true;
		if (e->mask & IN_MODIFY)
			p->closed = false;
		if (e->mask & IN_CLOSE_WRITE)
			p->closed = p->away;
	}
}

static int logfile_wake(struct collector *c, bool tick)
{
	struct logfile *lf = logfile_of(c);

	if (tick)
		lf->row.recheck = lf->row.tick = true;
	return watch_read(&lf->row.watch, take_event, lf);
}

static int logfile_fd(struct collector *c)
{
	return logfile_of(c)->row.watch.fd;
}

static int seek_position(struct logfile *lf, const Hallmark__V1__FilePosition *file, int64_t stopped_us)
{
	struct fingerprint was;
	struct part *p;
	bool sane = fingerprint_from(file, &was) >= 0;
	int r = part_new_absent(sane ? PART_SOUGHT : PART_GHOST, &was, (struct file_id){ file->device, file->inode },
				sane ? 0 : 1u << LOSS_ROTATED_AWAY, &p);

	if (r < 0)
		return r;
	p->seen_us = stopped_us;
	lf->row.parts[lf->row.n++] = p;
	return 0;
}

static int logfile_start(struct collector *c, const struct collector_start *start,
			 const Hallmark__V1__Position *position)
{
	struct logfile *lf = logfile_of(c);
	int r = 0;

	if (position) {
		lf->row.anchor_us = start->stopped_us;
		for (size_t i = 0; i < position->n_files && lf->row.n < PARTS_MAX - 1 && r >= 0; i++)
			r = seek_position(lf, position->files[i], start->stopped_us);
	} else {
		lf->row.anchor_us = start->since_us;
		lf->row.from_end = start->since_us == INT64_MAX;
		lf->row.since_us = lf->row.from_end ? 0 : start->since_us;
	}
	if (r < 0)
		return r;
	lf->row.recheck = lf->row.tick = true;
	/* the position is to name the first file before the first line is read */
	r = row_advance(&lf->row);
	lf->row.recheck = true;
	return r < 0 ? r : 0;
}

static int logfile_position(struct collector *c, Hallmark__V1__Position *ret)
{
	struct logfile *lf = logfile_of(c);

	ret->source = (char *)c->name;
	ret->files = lf->file_list;
	ret->n_files = 0;
	for (size_t i = 0; i < lf->row.n; i++) {
		struct part *p = lf->row.parts[i];
		Hallmark__V1__FilePosition *file = &lf->files[ret->n_files];
		int r;

		if (p->state == PART_GHOST && (p->losses == 0 || p->was.head_size == 0))
			continue; /* said, or met again by whoever starts from here */
		part_peek(p);
		r = part_fingerprint(p, &lf->prints[i]);
		if (r < 0)
			return r;
		*file = (Hallmark__V1__FilePosition)HALLMARK__V1__FILE_POSITION__INIT;
		fingerprint_to(&lf->prints[i], file);
		file->device = p->hint.device;
		file->inode = p->hint.inode;
		lf->file_list[ret->n_files++] = file;
	}
	return 0;
}

static const char *logfile_trouble(struct collector *c)
{
	struct logfile *lf = logfile_of(c);

	if (lf->row.state == PATH_WELL)
		return NULL;
	(void)snprintf(lf->trouble, sizeof lf->trouble, "%s %s: %s", lf->row.path,
		       lf->row.state == PATH_MISSING ? "is missing" : "cannot be read", lf->row.reason);
	return lf->trouble;
}

static void logfile_lag(struct collector *c, struct collector_lag *ret)
{
	struct logfile *lf = logfile_of(c);
	uint64_t behind = 0;
	bool known = lf->row.state == PATH_WELL;
	struct stat st;

	for (size_t i = 0; i < lf->row.n; i++) {
		const struct part *p = lf->row.parts[i];

		if (p->state == PART_GHOST)
			continue;
		/* how much a compressed one will be is not known before its end */
		if (p->state == PART_SOUGHT || p->file.decoder || fstat(p->file.fd, &st) < 0)
			known = false;
		else if (st.st_size > 0 && (uint64_t)st.st_size > p->file.offset)
			behind += (uint64_t)st.st_size - p->file.offset;
	}
	*ret = (struct collector_lag){ .behind_bytes = known ? behind : UINT64_MAX };
}

static struct collector *logfile_free(struct collector *c)
{
	struct logfile *lf = c ? logfile_of(c) : NULL;

	if (lf) {
		row_done(&lf->row);
		free(lf->buffer);
		free(lf);
	}
	return NULL;
}

static const struct collector_ops logfile_ops = {
	.start = logfile_start,
	.fd = logfile_fd,
	.wake = logfile_wake,
	.read = logfile_read,
	.position = logfile_position,
	.trouble = logfile_trouble,
	.lag = logfile_lag,
	.free = logfile_free,
};

int logfile_new(const char *path, struct collector **ret)
{
	struct logfile *lf = calloc(1, sizeof *lf);
	int r;

	if (!lf)
		return -ENOMEM;
	r = row_init(&lf->row, path);
	if (r < 0) {
		logfile_free(&lf->c);
		return r;
	}
	lf->c.ops = &logfile_ops;
	lf->c.name = lf->row.path;
	*ret = &lf->c;
	return 0;
}
