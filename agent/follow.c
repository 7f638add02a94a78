/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/follow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <inotifytools/inotify.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "agent/scan.h"
#include "agent/spool.h"

#define SEGMENT_MAX (256u * 1024 * 1024)

struct follow {
	char *spool, *run;
	int notify_fd, run_watch; /* run_watch -1: the run directory is not there; its parent is watched */

	/* the committed end; as long as nothing was published, the end of the last segment */
	uint64_t end_segment, end_offset;
	bool published;

	/* the segment that is read, and what of it is loaded */
	bool started, rest; /* rest: it is loaded to its own end, since others follow it */
	uint64_t segment;
	uint64_t offset; /* behind the last frame: damage is looked at again, it may be written over */
	uint64_t void_sequence; /* the next segment begins with it, and this key; 0: none does */
	uint8_t void_key[PUBLIC_KEY_SIZE];
	dev_t device;
	ino_t inode;
	struct buf data;
	uint64_t data_offset, loaded_end;
	uint64_t vain; /* bytes of the data that were taken apart in vain */

	struct frame frame;
	uint64_t sequence; /* of the last frame that was returned; 0: none yet */
	uint8_t key[PUBLIC_KEY_SIZE];
};

int follow_open(const char *spool_directory, const char *run_directory, struct follow **ret)
{
	_cleanup_(follow_closep) struct follow *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	f->notify_fd = f->run_watch = -1;
	f->data.max = SEGMENT_MAX;
	f->spool = strdup(spool_directory);
	f->run = strdup(run_directory);
	if (!f->spool || !f->run)
		return -ENOMEM;
	if (access(f->spool, R_OK | X_OK) < 0)
		return -errno;
	*ret = TAKE_PTR(f);
	return 0;
}

struct follow *follow_close(struct follow *f)
{
	if (!f)
		return NULL;
	closep(&f->notify_fd);
	free(f->spool);
	free(f->run);
	buf_done(&f->data);
	frame_release(&f->frame);
	free(f);
	return NULL;
}

/* --- segments ------------------------------------------------------------------------------------ */

/* The lowest segment from `from` on, and the highest of all. -ENOENT where there is none. */
static int find_segments(const struct follow *f, uint64_t from, uint64_t *ret_lowest, uint64_t *ret_highest)
{
	uint64_t n, lowest = UINT64_MAX, highest = 0;
	bool found = false;
	DIR *directory;

	directory = opendir(f->spool);
	if (!directory)
		return -errno;
	for (const struct dirent *e; (e = readdir(directory));) {
		if (!spool_segment_from_name(e->d_name, &n) || n < from)
			continue;
		found = true;
		lowest = MIN(lowest, n);
		highest = MAX(highest, n);
	}
	(void)closedir(directory);
	if (!found)
		return -ENOENT;
	*ret_lowest = lowest;
	*ret_highest = highest;
	return 0;
}

/* Sets the end; 0 where there is nothing to read. */
static int find_end(struct follow *f)
{
	uint64_t lowest, sequence;
	int r;

	r = spool_read_committed(f->run, &f->end_segment, &f->end_offset, &sequence);
	if (r == 0) {
		f->published = true;
		return sequence > 0;
	}
	if (f->published) /* the agent stops or starts, and will say so anew */
		return 0;
	f->end_offset = UINT64_MAX;
	r = find_segments(f, 0, &lowest, &f->end_segment);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int open_segment(const struct follow *f, uint64_t segment, struct stat *ret)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof path, "%s/%020" PRIu64 ".seg", f->spool, segment) >= (int)sizeof path)
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, ret) < 0) {
		int r = -errno;

		closep(&fd);
		return r;
	}
	return fd;
}

/* Replaces the data by what a segment holds from `offset` on, up to the committed end if that is in it. */
static int load(struct follow *f, int fd, uint64_t segment, uint64_t offset, uint64_t size)
{
	uint64_t end = segment == f->end_segment ? MIN(size, f->end_offset) : size;
	ssize_t n;
	int r;

	buf_clear(&f->data);
	f->data_offset = offset;
	f->vain = 0;
	if (end <= offset)
		return 0;
	r = buf_reserve(&f->data, end - offset);
	if (r < 0)
		return r;
	n = pread_all(fd, f->data.data, end - offset, (off_t)offset);
	if (n < 0)
		return (int)n;
	f->data.len = (size_t)n;
	return 0;
}

/* --- frames -------------------------------------------------------------------------------------- */

/* The next frame of the data whose signature holds, at or after `*offset` of the segment; that is then behind
 * the frame. False at the end of the data. */
static bool find_frame(struct follow *f, uint64_t *offset, struct frame *ret)
{
	struct bytes all = buf_bytes(&f->data);
	size_t i = *offset - f->data_offset, len = 0;
	const char *why;

	while ((i = frame_find(all, i)) < all.len) {
		if (frame_peek(bytes_from(all, i), &len) != FRAME_OK) {
			i++;
			continue;
		}
		if (frame_open(bytes_of(all.data + i, len), ret, &why) == 0) {
			if (frame_verify(ret) == 1) {
				*offset = f->data_offset + i + len;
				return true;
			}
			frame_release(ret);
		}
		/* a true one may begin within what only looks like a frame; but see scan.c */
		f->vain += len;
		i += f->vain <= SCAN_VAIN_FACTOR * (i + FRAME_MAX) ? 1 : len;
	}
	return false;
}

/* What a failed write left at the end of a segment comes again at the beginning of the next one, under the
 * same sequence. */
static int find_void(struct follow *f)
{
	_cleanup_(closep) int fd = -1;
	uint64_t next, highest, offset = 0;
	struct frame first;
	struct stat st;
	int r;

	r = find_segments(f, f->segment + 1, &next, &highest);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	fd = open_segment(f, next, &st);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = load(f, fd, next, 0, (uint64_t)st.st_size);
	if (r == 0 && find_frame(f, &offset, &first)) {
		f->void_sequence = first.batch->sequence;
		memcpy(f->void_key, first.batch->key.data, PUBLIC_KEY_SIZE);
		frame_release(&first);
	}
	return r;
}

/* Begins with the lowest segment from `from` on that the end covers. 0 where there is none. */
static int begin_segment(struct follow *f, uint64_t from)
{
	uint64_t next = 0, highest;
	int r;

	r = find_segments(f, from, &next, &highest);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (next > f->end_segment)
		return 0;
	f->segment = next;
	f->offset = f->loaded_end = f->data_offset = f->inode = 0;
	f->started = true;
	f->rest = false;
	buf_clear(&f->data);
	return 1;
}

/* Loads what there is behind the last frame. 1: look again; 0: there is nothing new. */
static int load_more(struct follow *f)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;
	int r;

	f->rest = f->segment < f->end_segment;
	f->void_sequence = 0;
	r = f->rest ? find_void(f) : 0;
	if (r < 0)
		return r;
	buf_clear(&f->data);
	f->data_offset = f->offset;
	fd = open_segment(f, f->segment, &st);
	if (fd == -ENOENT) { /* deleted, to make room for others; or the spool is gone */
		f->started = f->rest;
		return f->rest;
	}
	if (fd < 0)
		return fd;
	if (f->inode != 0 && (f->inode != st.st_ino || f->device != st.st_dev)) {
		f->started = false;
		return 1;
	}
	f->inode = st.st_ino;
	f->device = st.st_dev;
	r = load(f, fd, f->segment, f->offset, (uint64_t)st.st_size);
	if (r < 0 || (!f->rest && f->offset + f->data.len == f->loaded_end))
		return r;
	f->loaded_end = f->offset + f->data.len;
	return 1;
}

/* Makes more data available: 1, or 0 where there is none for now. */
static int advance(struct follow *f)
{
	/* an end that lies before us: the spool was set up anew */
	bool anew;
	int r;

	r = find_end(f);
	if (r <= 0)
		return r;
	anew = !f->started || f->segment > f->end_segment ||
	       (f->segment == f->end_segment && f->offset > f->end_offset);
	r = anew ? begin_segment(f, 0) : f->rest ? begin_segment(f, f->segment + 1) : 1;
	return r > 0 ? load_more(f) : r;
}

static bool has_key(const struct frame *frame, const uint8_t *key)
{
	return memcmp(frame->batch->key.data, key, PUBLIC_KEY_SIZE) == 0;
}

int follow_next(struct follow *f, struct frame *ret, uint64_t *ret_missed)
{
	int r = 1;

	frame_release(&f->frame);
	while (r > 0) {
		while (find_frame(f, &f->offset, &f->frame)) {
			uint64_t sequence = f->frame.batch->sequence;
			bool again = f->sequence > 0 && has_key(&f->frame, f->key);

			if ((again && sequence <= f->sequence) ||
			    (sequence == f->void_sequence && has_key(&f->frame, f->void_key))) {
				frame_release(&f->frame);
				continue;
			}
			*ret_missed = again ? sequence - f->sequence - 1 : 0;
			f->sequence = sequence;
			memcpy(f->key, f->frame.batch->key.data, PUBLIC_KEY_SIZE);
			*ret = f->frame;
			return 1;
		}
		r = advance(f);
	}
	return r;
}

/* --- waiting ------------------------------------------------------------------------------------- */

/* Watches the run directory; while it is not there (it goes when the service stops), its parent. */
static int watch(struct follow *f)
{
	char parent[PATH_MAX];
	char *slash;

	if (f->run_watch >= 0)
		return 0;
	f->run_watch = inotify_add_watch(f->notify_fd, f->run,
					 IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR);
	if (f->run_watch >= 0 || errno != ENOENT)
		return f->run_watch < 0 ? -errno : 0;
	if (snprintf(parent, sizeof parent, "%s", f->run) >= (int)sizeof parent)
		return -ENAMETOOLONG;
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	else
		(void)strcpy(parent, ".");
	return inotify_add_watch(f->notify_fd, parent, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0 ? -errno : 0;
}

/* Takes all that was told; what it was is of no interest, but for the end of a watch. */
static int drain(struct follow *f)
{
	_Alignas(struct inotify_event) char events[4096];
	ssize_t n;

	while ((n = read(f->notify_fd, events, sizeof events)) > 0)
		for (ssize_t i = 0; i < n;) {
			const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + i);

			if (e->wd == f->run_watch && (e->mask & (IN_IGNORED | IN_MOVE_SELF | IN_DELETE_SELF))) {
				(void)inotify_rm_watch(f->notify_fd, f->run_watch);
				f->run_watch = -1;
			}
			i += (ssize_t)(sizeof *e + e->len);
		}
	return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
}

int follow_wait(struct follow *f)
{
	bool watched = f->run_watch >= 0;
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = STDOUT_FILENO } };
	int r;

	if (f->notify_fd < 0)
		f->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->notify_fd < 0)
		return -errno;
	r = watch(f);
	/* what was published before the watch was set is seen by looking once more */
	if (r < 0 || (!watched && f->run_watch >= 0))
		return r;
	fds[0].fd = f->notify_fd;
	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL))
		return -EPIPE;
	return drain(f);
}
