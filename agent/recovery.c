/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recovery.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "agent/scan.h"

/* Of what has a segment's name but is larger no more is read: it was not written by us. */
#define SEGMENT_READ_MAX (64u * 1024 * 1024)
#define NAME_DIGITS 20u

/* --- segments ------------------------------------------------------------------------------------------ */

bool spool_segment_from_name(const char *name, uint64_t *ret)
{
	return strlen(name) == SEGMENT_NAME_SIZE - 1 && strcmp(name + NAME_DIGITS, ".seg") == 0 &&
	       bytes_to_u64(bytes_of(name, NAME_DIGITS), ret) == 0;
}

void segment_name(uint64_t number, char ret[static SEGMENT_NAME_SIZE])
{
	(void)snprintf(ret, SEGMENT_NAME_SIZE, "%020" PRIu64 ".seg", number);
}

int segment_open(int dir_fd, uint64_t number, int flags, uint64_t *ret_size, uint64_t *ret_bytes)
{
	_cleanup_(closep) int fd = -1;
	char name[SEGMENT_NAME_SIZE];
	struct stat st;

	segment_name(number, name);
	fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_size = (uint64_t)st.st_size;
	/* a hole takes up nothing */
	*ret_bytes = MIN((uint64_t)st.st_size, (uint64_t)st.st_blocks * 512);
	return TAKE_FD(fd);
}

static int compare_segments(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int recovery_add(struct recovery *r, size_t *allocated, uint64_t number)
{
	_cleanup_(closep) int fd = -1;
	struct segment segment = { .number = number, .used = UINT64_MAX };

	/* what cannot be opened, or is no regular file, is none of ours */
	fd = segment_open(r->dir_fd, number, O_RDONLY, &(uint64_t){ 0 }, &segment.bytes);
	if (fd == -EINVAL || fd == -ELOOP || fd == -ENXIO || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (r->n_segments == *allocated) {
		size_t n = MAX(*allocated * 2, (size_t)64);
		struct segment *more = reallocarray(r->segments, n, sizeof *more);

		if (!more)
			return -ENOMEM;
		r->segments = more;
		*allocated = n;
	}
	r->segments[r->n_segments++] = segment;
	return 0;
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int recovery_list(struct recovery *r)
{
	_cleanup_(closedirp) DIR *d = NULL;
	_cleanup_(closep) int fd = openat(r->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t allocated = 0;
	int k = 0;

	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return -errno;
	TAKE_FD(fd);
	while (k >= 0) {
		struct dirent *e;
		uint64_t number;

		errno = 0;
		e = readdir(d);
		if (!e && errno)
			return -errno;
		if (!e)
			break;
		if (spool_segment_from_name(e->d_name, &number))
			k = recovery_add(r, &allocated, number);
	}
	if (r->n_segments > 0)
		qsort(r->segments, r->n_segments, sizeof *r->segments, compare_segments);
	return k;
}

/* --- damage -------------------------------------------------------------------------------------------- */

static void damage_merge(struct spool_damage *d, const struct spool_damage *other)
{
	if (other->places == 0)
		return;
	if (d->places == 0 || other->first_segment < d->first_segment ||
	    (other->first_segment == d->first_segment && other->first_offset < d->first_offset)) {
		d->first_segment = other->first_segment;
		d->first_offset = other->first_offset;
	}
	d->bytes += other->bytes;
	d->places += other->places;
}

static void damage_add(struct spool_damage *d, uint64_t segment, uint64_t offset, uint64_t bytes)
{
	damage_merge(d, &(struct spool_damage){
				.bytes = bytes, .places = 1, .first_segment = segment, .first_offset = offset });
}

/* --- one segment --------------------------------------------------------------------------------------- */

struct reading {
	const struct recovery *recovery;
	uint64_t number;
	bool each;                                     /* check each signature */
	uint64_t first, last, offset, size;            /* sequences (0: none); where the last is */
	uint8_t digest[DIGEST_SIZE];                   /* of the last */
	struct frame held;                             /* the last, which vouches for those before it */
	struct spool_damage damage, tail;              /* before the last and behind it */
	uint64_t tail_end, used;
	bool newer;                                    /* behind the last */
};

static void reading_done(struct reading *rd)
{
	frame_release(&rd->held);
}

static void reading_refuse(struct reading *rd, uint64_t offset, uint64_t bytes)
{
	if (rd->tail.places > 0 && offset == rd->tail_end)
		rd->tail.bytes += bytes;
	else
		damage_add(&rd->tail, rd->number, offset, bytes);
	rd->tail_end = offset + bytes;
}

/* 1: the frame is the new last one; 0: it is none of the chain. -EKEYREJECTED: the signature at the end of a run of
 * chained frames does not hold, so that each of them has to be checked by itself. */
static int reading_frame(struct reading *rd, struct scan *scan, const struct frames_result *item)
{
	const Hallmark__V1__Batch *b = item->frame.batch;
	bool linked;
	int r;

	if (!bytes_eq(bytes_of(b->key.data, b->key.len), bytes_of(rd->recovery->key, PUBLIC_KEY_SIZE)))
		return 0;
	if (b->sequence <= rd->last)
		return 0;
	linked = rd->last > 0 && b->sequence == rd->last + 1 &&
		 bytes_eq(bytes_of(b->previous.data, b->previous.len), bytes_of(rd->digest, DIGEST_SIZE));
	if (rd->each) {
		r = frame_verify(&item->frame);
		if (r <= 0)
			return r;
	} else if (!linked && rd->last > 0) {
		r = frame_verify(&rd->held);
		if (r <= 0)
			return r < 0 ? r : -EKEYREJECTED;
	}
	if (rd->last == 0)
		rd->first = b->sequence;
	else if (!linked && rd->tail.places == 0)
		damage_add(&rd->damage, rd->number, item->offset, 0);
	damage_merge(&rd->damage, &rd->tail);
	rd->tail = (struct spool_damage){ 0 };
	rd->newer = false;
	rd->last = b->sequence;
	rd->offset = item->offset;
	rd->size = item->frame.size;
	memcpy(rd->digest, item->frame.digest, sizeof rd->digest);
	frame_release(&rd->held);
	rd->held = scan_take(scan);
	return 1;
}

static int reading_items(struct reading *rd, struct scan *scan)
{
	for (;;) {
		struct frames_result item;
		int r = scan_next(scan, &item);

		if (r < 0)
			return r;
		switch (item.item) {
		case FRAMES_END:
			return 0;
		case FRAMES_FILE_ERROR: /* what it hides is told as damage */
			break;
		case FRAMES_NEWER:
			rd->newer = true;
			__attribute__((fallthrough));
		case FRAMES_DAMAGE:
			rd->used += item.damage_bytes;
			reading_refuse(rd, item.offset, item.damage_bytes);
			break;
		case FRAMES_FRAME: {
			size_t size = item.frame.size;

			r = reading_frame(rd, scan, &item);
			if (r < 0)
				return r;
			rd->used += size;
			if (r == 0)
				reading_refuse(rd, item.offset, size);
			break;
		}
		}
	}
}

static int reading_try(struct reading *rd, struct scan *scan, int fd)
{
	int r = scan_start(scan, fd, SEGMENT_READ_MAX);

	if (r >= 0)
		r = reading_items(rd, scan);
	if (r < 0 || rd->each || rd->last == 0)
		return r;
	r = frame_verify(&rd->held);
	return r == 0 ? -EKEYREJECTED : MIN(r, 0);
}

static int reading_run(struct reading *rd, struct scan *scan)
{
	_cleanup_(closep) int fd = -1;
	int r;

	fd = segment_open(rd->recovery->dir_fd, rd->number, O_RDONLY, &(uint64_t){ 0 }, &(uint64_t){ 0 });
	if (fd < 0) /* deleted since: whoever only reads takes no lock */
		return fd == -ENOENT ? 0 : fd;
	r = reading_try(rd, scan, fd);
	if (r != -EKEYREJECTED)
		return r;
	reading_done(rd);
	*rd = (struct reading){ .recovery = rd->recovery, .number = rd->number, .each = true };
	return reading_try(rd, scan, fd);
}

/* --- all of them --------------------------------------------------------------------------------------- */

struct walk {
	uint64_t next_first; /* the sequence that the segment behind begins with */
	bool settled;        /* its forerunner was found, or it has none */
	uint64_t behind;     /* bytes in the segments that were read */
	struct spool_damage pending; /* in segments that hold nothing of the chain */
};

static void walk_tip(struct walk *w, struct recovery *r, size_t i, const struct reading *rd)
{
	r->found = true;
	r->tip = i;
	r->tip_offset = rd->offset;
	r->tip_size = rd->size;
	r->tip_sequence = rd->last;
	memcpy(r->tip_digest, rd->digest, sizeof r->tip_digest);
	r->newer = r->newer || rd->newer;
	r->damage = rd->damage;
	r->damage.cut_bytes = w->behind + rd->tail.bytes;
	w->pending = (struct spool_damage){ 0 };
	w->next_first = rd->first;
	w->settled = rd->first == 1;
}

/* An older segment than the tip's: what an abandoned one has behind its last durable frame is no damage, since
 * nothing is missing. */
static void walk_forerunner(struct walk *w, struct recovery *r, const struct reading *rd)
{
	bool joined = rd->last + 1 == w->next_first || rd->last == w->next_first;

	if (!joined) {
		damage_merge(&w->pending, &rd->tail);
		if (w->pending.places == 0)
			damage_add(&w->pending, rd->number, rd->offset + rd->size, 0);
		damage_merge(&r->damage, &w->pending);
	}
	damage_merge(&r->damage, &rd->damage);
	w->settled = true;
}

static void walk_segment(struct walk *w, struct recovery *r, size_t i, const struct reading *rd)
{
	r->segments[i].first = rd->first;
	r->segments[i].used = rd->used;
	if (rd->last > r->tip_sequence) {
		walk_tip(w, r, i, rd);
	} else if (rd->last > 0 && rd->first < w->next_first) {
		walk_forerunner(w, r, rd);
	} else {
		/* nothing of the chain, or nothing that is not void */
		r->newer = r->newer || (rd->newer && !r->found);
		damage_merge(&w->pending, &rd->damage);
		damage_merge(&w->pending, &rd->tail);
	}
	w->behind += rd->used;
}

static int walk_probe(struct recovery *r, size_t i, struct scan *scan)
{
	_cleanup_(closep) int fd = -1;
	struct frame_id id;
	int k;

	fd = segment_open(r->dir_fd, r->segments[i].number, O_RDONLY, &(uint64_t){ 0 }, &(uint64_t){ 0 });
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	k = scan_first(scan, fd, SEGMENT_READ_MAX, &id);
	if (k >= 0 && id.exists && memcmp(id.key, r->key, sizeof r->key) == 0)
		r->segments[i].first = id.sequence;
	return k;
}

/* The key of the newest valid frame. */
static int recovery_find_key(struct recovery *r, struct scan *scan)
{
	for (size_t i = r->n_segments; i-- > 0 && !r->has_key;) {
		_cleanup_(closep) int fd = -1;
		struct frames_result item;
		int k;

		fd = segment_open(r->dir_fd, r->segments[i].number, O_RDONLY, &(uint64_t){ 0 }, &(uint64_t){ 0 });
		if (fd == -ENOENT)
			continue;
		k = fd < 0 ? fd : scan_start(scan, fd, SEGMENT_READ_MAX);
		while (k >= 0) {
			k = scan_next(scan, &item);
			if (k < 0 || item.item == FRAMES_END)
				break;
			if (item.item != FRAMES_FRAME ||
			    (r->has_key && memcmp(r->key, item.frame.batch->key.data, sizeof r->key) == 0))
				continue;
			k = frame_verify(&item.frame);
			if (k > 0) {
				r->has_key = true;
				memcpy(r->key, item.frame.batch->key.data, sizeof r->key);
			}
		}
		if (k < 0)
			return k;
	}
	return 0;
}

int recovery_run(struct recovery *r)
{
	_cleanup_(scan_done) struct scan scan = { .fd = -1 };
	struct walk w = { .next_first = UINT64_MAX };
	int k = recovery_list(r);

	if (k >= 0 && !r->has_key)
		k = recovery_find_key(r, &scan);
	for (size_t i = r->n_segments; k >= 0 && i-- > 0;) {
		_cleanup_(reading_done) struct reading rd = { .recovery = r, .number = r->segments[i].number };

		if (w.settled) {
			k = walk_probe(r, i, &scan);
			if (k < 0 || r->segments[i].first <= r->tip_sequence)
				continue;
		}
		k = reading_run(&rd, &scan);
		if (k >= 0)
			walk_segment(&w, r, i, &rd);
	}
	if (k >= 0 && !r->found)
		r->damage = w.pending;
	return MIN(k, 0);
}
