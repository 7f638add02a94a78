/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frames.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/scan.h"
#include "agent/spool.h"

/* The directory that is being read; names in the order in which they are read. */
struct listing {
	int fd;
	char **names;
	size_t n, allocated, next;
	size_t n_segments; /* of a spool; they come first */
};

struct frames {
	char *const *paths;
	size_t n_paths, next_path;
	uint64_t limit_segment, limit_offset;
	struct listing listing; /* fd -1: no directory */

	int fd;            /* the file that is being read; -1: none */
	struct buf path;   /* its name, with the NUL */
	struct scan scan;

	/* In a spool: what the segment that follows begins with, and what was read last. */
	struct frame_id follower, last;
	size_t follower_at; /* its place in the listing, or how far it was sought: those before it hold no frame */
	struct scan probe;
};

/* --- directories --------------------------------------------------------------------------------------- */

static void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
	closep(&l->fd);
	*l = (struct listing){ .fd = -1 };
}

static int listing_add(struct listing *l, const char *name)
{
	if (l->n == l->allocated) {
		size_t n = MAX(l->allocated * 2, (size_t)64);
		char **more = reallocarray(l->names, n, sizeof *more);

		if (!more)
			return -ENOMEM;
		l->names = more;
		l->allocated = n;
	}
	l->names[l->n] = strdup(name);
	if (!l->names[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_segment(const char *name)
{
	uint64_t number;

	return spool_segment_from_name(name, &number);
}

/* Segments first. */
static int compare_in_spool(const void *a, const void *b)
{
	int d = is_segment(*(char *const *)b) - is_segment(*(char *const *)a);

	return d != 0 ? d : compare_names(a, b);
}

/* A spool: its segments up to the limit, then whatever else lies there. That is read as well: one file with the name
 * of a segment, put among objects, shall not hide them. */
static void listing_sort_spool(struct listing *l, uint64_t limit_segment)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		uint64_t number;
		bool segment = spool_segment_from_name(l->names[i], &number);

		if (segment ? number <= limit_segment : strcmp(l->names[i], SPOOL_LOCK) != 0)
			l->names[kept++] = l->names[i];
		else
			free(l->names[i]);
	}
	l->n = kept;
	if (kept > 0)
		qsort(l->names, kept, sizeof *l->names, compare_in_spool);
	for (l->n_segments = 0; l->n_segments < kept && is_segment(l->names[l->n_segments]); l->n_segments++)
		;
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* Takes `fd` over. */
static int listing_open(struct listing *l, int fd, uint64_t limit_segment)
{
	_cleanup_(closedirp) DIR *d = NULL;
	bool spool = false;
	int copy, r = 0;

	*l = (struct listing){ .fd = fd };
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		r = -errno;
		closep(&copy);
		return r;
	}
	while (r == 0) {
		struct dirent *e;

		errno = 0;
		e = readdir(d);
		if (!e && errno)
			return -errno;
		if (!e)
			break;
		if (e->d_name[0] == '.')
			continue;
		spool = spool || is_segment(e->d_name);
		r = listing_add(l, e->d_name);
	}
	if (r == 0 && spool)
		listing_sort_spool(l, limit_segment);
	else if (r == 0 && l->n > 0)
		qsort(l->names, l->n, sizeof *l->names, compare_names);
	return r;
}

/* -ENOENT for what is no regular file, as if it were not there. */
static int listing_open_file(const struct listing *l, size_t i)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	fd = openat(l->fd, l->names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -ENOENT : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -ENOENT;
}

/* --- spools -------------------------------------------------------------------------------------------- */

static uint64_t frames_limit(const struct frames *f, size_t i)
{
	uint64_t number;

	if (!spool_segment_from_name(f->listing.names[i], &number))
		return UINT64_MAX;
	return number == f->limit_segment ? f->limit_offset : UINT64_MAX;
}

/* Finds what the next segment that holds a frame begins with. */
static int frames_find_follower(struct frames *f)
{
	int r = 0;

	/* still before it, or before the end where there is none: the segments between hold nothing */
	if (f->follower_at >= f->listing.next)
		return 0;
	f->follower = (struct frame_id){ 0 };
	for (size_t i = f->listing.next; i < f->listing.n_segments && !f->follower.exists && r >= 0; i++) {
		_cleanup_(closep) int fd = listing_open_file(&f->listing, i);

		f->follower_at = i;
		if (fd >= 0)
			r = scan_first(&f->probe, fd, frames_limit(f, i), &f->follower);
	}
	return r;
}

/* Abandoned: the frame that the next segment has in its place, and damage where nothing is missing between what was
 * read last and what the next segment begins with. */
static bool frames_is_void(struct frames *f, const struct frames_result *item)
{
	if (!f->follower.exists)
		return false;
	if (item->item == FRAMES_FRAME) {
		struct frame_id id = frame_id_of(&item->frame);

		return frame_id_same_key(&id, &f->follower) && id.sequence == f->follower.sequence;
	}
	if (item->item != FRAMES_DAMAGE)
		return false;
	if (!f->last.exists)
		return f->follower.sequence == 1;
	return frame_id_same_key(&f->last, &f->follower) && f->last.sequence + 1 == f->follower.sequence;
}

/* --- one file after another ---------------------------------------------------------------------------- */

static int frames_set_path(struct frames *f, const char *directory, const char *name)
{
	int r;

	buf_clear(&f->path);
	r = directory ? buf_printf(&f->path, "%s/%s", directory, name) : buf_str(&f->path, name);
	return r < 0 ? r : buf_byte(&f->path, '\0');
}

/* 1: the next file of the directory is open; 0: there is none. Negative: this one cannot be read. */
static int frames_next_in_directory(struct frames *f)
{
	while (f->listing.next < f->listing.n) {
		size_t i = f->listing.next++;
		int r = frames_set_path(f, f->paths[f->next_path - 1], f->listing.names[i]);

		if (r < 0)
			return r;
		f->fd = listing_open_file(&f->listing, i);
		if (f->fd == -ENOENT) /* deleted since the names were read; whether something is missing the chain tells */
			continue;
		if (f->fd < 0)
			return f->fd;
		r = i < f->listing.n_segments ? frames_find_follower(f) : 0;
		if (r >= 0)
			r = scan_start(&f->scan, f->fd, frames_limit(f, i));
		return r < 0 ? r : 1;
	}
	listing_done(&f->listing);
	return 0;
}

/* 1: a file is open, or a directory; 0: there are no more. Negative: this one cannot be read. */
static int frames_next_path(struct frames *f)
{
	const char *path;
	struct stat st;
	int r;

	if (f->next_path == f->n_paths)
		return 0;
	path = f->paths[f->next_path++];
	r = frames_set_path(f, NULL, path);
	if (r < 0)
		return r;
	f->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) :
					 open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		f->last = f->follower = (struct frame_id){ 0 };
		f->follower_at = 0;
		r = listing_open(&f->listing, TAKE_FD(f->fd), f->limit_segment);
		if (r < 0)
			listing_done(&f->listing);
		return r < 0 ? r : 1;
	}
	r = scan_start(&f->scan, f->fd, UINT64_MAX);
	return r < 0 ? r : 1;
}

static void frames_close_file(struct frames *f)
{
	closep(&f->fd);
	f->fd = -1;
}

/* The next item of the file that is open. 1: `ret` is filled; 0: the file is at its end. */
static int frames_next_item(struct frames *f, struct frames_result *ret)
{
	bool spool = f->listing.fd >= 0 && f->listing.next <= f->listing.n_segments;

	for (;;) {
		int r = scan_next(&f->scan, ret);

		if (r < 0)
			return r;
		if (ret->item == FRAMES_END) {
			frames_close_file(f);
			return 0;
		}
		if (spool && frames_is_void(f, ret))
			continue;
		if (spool && ret->item == FRAMES_FRAME)
			f->last = frame_id_of(&ret->frame);
		ret->path = (const char *)f->path.data;
		return 1;
	}
}

int frames_next(struct frames *f, struct frames_result *ret)
{
	for (;;) {
		int r;

		if (f->fd >= 0) {
			r = frames_next_item(f, ret);
			if (r != 0)
				return MIN(r, 0);
		}
		r = f->listing.fd >= 0 ? frames_next_in_directory(f) : 0;
		if (r == 0)
			r = frames_next_path(f);
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			frames_close_file(f);
			*ret = (struct frames_result){ .item = FRAMES_FILE_ERROR,
						       .path = (const char *)f->path.data,
						       .error = r };
			return 0;
		}
		if (r == 0) {
			*ret = (struct frames_result){ .item = FRAMES_END };
			return 0;
		}
	}
}

int frames_open(char *const *paths, size_t n_paths, uint64_t limit_segment, uint64_t limit_offset,
		struct frames **ret)
{
	struct frames *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	*f = (struct frames){
		.paths = paths,
		.n_paths = n_paths,
		.limit_segment = limit_segment,
		.limit_offset = limit_offset,
		.listing.fd = -1,
		.fd = -1,
		.path = BUF_INIT(2 * 65536),
		.scan.fd = -1,
		.probe.fd = -1,
	};
	*ret = f;
	return 0;
}

struct frames *frames_close(struct frames *f)
{
	if (!f)
		return NULL;
	frames_close_file(f);
	listing_done(&f->listing);
	scan_done(&f->scan);
	scan_done(&f->probe);
	buf_done(&f->path);
	free(f);
	return NULL;
}
