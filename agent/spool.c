/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "agent/recovery.h"

#define SEGMENT_MODE 0640 /* the forwarder's group reads them */
#define ACKED_MAX 32u
#define COMMITTED_MAX 64u /* three numbers of 20 digits, two blanks, a newline */

struct spool {
	int dir_fd, lock_fd, publish_fd; /* publish_fd: -1 where nothing is published */
	char *acked_path;
	uint64_t cap_bytes, segment_bytes;
	bool read_only;

	struct segment *segments; /* in ascending order; the one that is written is the last */
	size_t n_segments;
	uint64_t highest;         /* segment number that is or was in use */

	int fd;                   /* of the segment that is written; -1: the next append opens one */
	uint64_t end, size;       /* where the next frame goes, and how far it may reach */

	uint64_t sequence; /* of the newest valid frame; 0: none */
	struct spool_tip tip;
	int publish_error;
};

/* --- small files --------------------------------------------------------------------------------------- */

/* A file that others may have put there: never waits, follows no link, reads `max` bytes at most. */
static ssize_t read_foreign(int dir_fd, const char *path, char *data, size_t max)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;
	ssize_t n;

	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	n = pread_all(fd, data, max, 0);
	return n == (ssize_t)max ? -EMSGSIZE : n;
}

/* The forwarder's mark. One that is damaged, or beyond what was ever committed, says nothing. */
static uint64_t spool_acked(const struct spool *s)
{
	char text[ACKED_MAX + 1];
	uint64_t acked;
	ssize_t n;

	n = s->acked_path ? read_foreign(AT_FDCWD, s->acked_path, text, sizeof text) : -ENOENT;
	if (n <= 0)
		return 0;
	if (text[n - 1] == '\n')
		n--;
	if (bytes_to_u64(bytes_of(text, (size_t)n), &acked) < 0 || acked > s->sequence)
		return 0;
	return acked;
}

/* The next number of a committed line, which `separator` ends. */
static int parse_number(struct bytes *line, char separator, uint64_t *ret)
{
	const uint8_t *end = line->len ? memchr(line->data, separator, line->len) : NULL;
	int r;

	if (!end)
		return -EBADMSG;
	r = bytes_to_u64(bytes_of(line->data, (size_t)(end - line->data)), ret);
	*line = bytes_from(*line, (size_t)(end - line->data) + 1);
	return r < 0 ? -EBADMSG : 0;
}

int spool_read_committed(const char *directory, uint64_t *ret_segment, uint64_t *ret_offset, uint64_t *ret_sequence)
{
	_cleanup_(closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[COMMITTED_MAX + 1];
	uint64_t segment, offset, sequence;
	struct bytes line;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read_foreign(fd, "committed", text, sizeof text);
	if (n == -EMSGSIZE || n == -EINVAL)
		return -EBADMSG;
	if (n < 0)
		return (int)n;
	line = bytes_of(text, (size_t)n);
	if (parse_number(&line, ' ', &segment) < 0 || parse_number(&line, ' ', &offset) < 0 ||
	    parse_number(&line, '\n', &sequence) < 0 || line.len > 0)
		return -EBADMSG;
	/* all of them, or none; and an offset that a file can have */
	if ((segment == 0) != (sequence == 0) || (offset == 0) != (sequence == 0) || offset > INT64_MAX)
		return -EBADMSG;
	*ret_segment = segment;
	*ret_offset = offset;
	*ret_sequence = sequence;
	return 0;
}

static void spool_publish(struct spool *s)
{
	char text[COMMITTED_MAX + 1];
	int n;

	if (s->publish_fd < 0)
		return;
	n = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->tip.segment, s->tip.end, s->sequence);
	s->publish_error = replace_file_at(s->publish_fd, "committed", bytes_of(text, (size_t)n), 0644, false);
}

/* --- segments ------------------------------------------------------------------------------------------ */

/* Room on the disk up to `size`, so that a full disk is met here and not in the middle of a frame. Where the file
 * system has no fallocate(2) the frame meets it, and its segment is abandoned. */
static int preallocate(int fd, uint64_t size)
{
	int r;

	do
		r = fallocate(fd, 0, 0, (off_t)size) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		r = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
	return r;
}

/* Makes an empty segment durable, under a number that was never used. */
static int segment_create(const struct spool *s, uint64_t *ret_number)
{
	_cleanup_(closep) int fd = -1;
	char name[SEGMENT_NAME_SIZE];
	uint64_t number = s->highest;
	int r;

	do { /* what is no segment may have a segment's name */
		if (number == UINT64_MAX)
			return -EOVERFLOW;
		segment_name(++number, name);
		fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, SEGMENT_MODE);
	} while (fd < 0 && errno == EEXIST);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, SEGMENT_MODE) < 0 ? -errno : preallocate(fd, s->segment_bytes);
	if (r == 0 && (fsync(fd) < 0 || fsync(s->dir_fd) < 0))
		r = -errno;
	if (r < 0) {
		(void)unlinkat(s->dir_fd, name, 0);
		return r;
	}
	*ret_number = number;
	return TAKE_FD(fd);
}

static uint64_t spool_bytes(const struct spool *s)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->n_segments; i++)
		bytes += s->segments[i].bytes;
	return bytes;
}

/* One segment is always allowed to follow the newest valid frame's: else a spool could get stuck. */
static bool spool_has_room(const struct spool *s)
{
	return s->n_segments <= 1 || spool_bytes(s) + s->segment_bytes <= s->cap_bytes;
}

/* Turns to a new segment. After a failure the one that was written stays as it is: its reserve may be needed. */
static int spool_turn(struct spool *s)
{
	struct segment *more = reallocarray(s->segments, s->n_segments + 1, sizeof *more);
	uint64_t number = 0;
	int fd;

	if (!more)
		return -ENOMEM;
	s->segments = more;
	fd = segment_create(s, &number);
	if (fd < 0)
		return fd == -EDQUOT ? -ENOSPC : fd;
	closep(&s->fd);
	s->fd = fd;
	s->end = 0;
	s->size = s->segment_bytes;
	s->highest = number;
	s->segments[s->n_segments++] = (struct segment){ .number = number, .bytes = s->segment_bytes, .used = 0 };
	return 0;
}

/* Takes away the segments at the end in which nothing ever became durable. Were one to come back after a power cut,
 * its frame would be void. */
static void spool_drop_useless(struct spool *s)
{
	while (s->n_segments > 0) {
		const struct segment *last = &s->segments[s->n_segments - 1];
		char name[SEGMENT_NAME_SIZE];

		segment_name(last->number, name);
		if (last->first > 0 || last->used > 0 || (unlinkat(s->dir_fd, name, 0) < 0 && errno != ENOENT))
			return;
		s->n_segments--;
	}
}

/* A write or an fsync failed: what the page cache shows of this segment need not be on the disk, now or ever. */
static void spool_abandon(struct spool *s)
{
	closep(&s->fd);
	s->fd = -1;
	spool_drop_useless(s);
}

/* Whether what was written is still there, for those who open the spool next. */
static bool spool_is_stale(const struct spool *s)
{
	struct stat st;

	return s->fd >= 0 && fstat(s->fd, &st) == 0 && (st.st_nlink == 0 || (uint64_t)st.st_size < s->end);
}

static int spool_write(struct spool *s, struct bytes frame)
{
	int r = pwrite_all(s->fd, frame, (off_t)s->end);

	if (r == 0 && fdatasync(s->fd) < 0)
		r = -errno;
	if (r < 0) {
		spool_abandon(s);
		return r;
	}
	s->end += frame.len;
	s->tip.segment = s->segments[s->n_segments - 1].number;
	s->tip.end = s->end;
	return 0;
}

int spool_append(struct spool *s, struct bytes frame, uint64_t sequence, bool reserve)
{
	uint64_t kept = reserve ? 0 : SPOOL_RESERVE;
	int r = 0;

	if (s->read_only)
		return -EROFS;
	if (sequence == 0 || sequence != s->sequence + 1 || frame.len == 0)
		return -EINVAL;
	if (frame.len > FRAME_MAX || frame.len > s->segment_bytes - SPOOL_RESERVE)
		return -EMSGSIZE;
	if (spool_is_stale(s))
		return -ESTALE;
	if (s->fd < 0)
		spool_drop_useless(s);
	if (s->fd < 0 || s->end + frame.len + kept > s->size)
		r = spool_has_room(s) ? spool_turn(s) : -ENOSPC;
	if (r == 0)
		r = spool_write(s, frame);
	if (r < 0)
		return r;
	if (s->segments[s->n_segments - 1].first == 0)
		s->segments[s->n_segments - 1].first = sequence;
	s->sequence = sequence;
	spool_publish(s);
	return 0;
}

/* --- opening ------------------------------------------------------------------------------------------- */

static int spool_remove(struct spool *s, size_t i)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(s->segments[i].number, name);
	if (unlinkat(s->dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	memmove(s->segments + i, s->segments + i + 1, (--s->n_segments - i) * sizeof *s->segments);
	return 0;
}

/* Reads the tip once more, whole: the file may have changed since. */
static int spool_load_tip(struct spool *s, const struct recovery *rec, struct buf *bytes)
{
	_cleanup_(closep) int fd = -1;
	const char *why;
	int r;

	s->tip.segment = s->segments[rec->tip].number;
	s->tip.end = rec->tip_offset + rec->tip_size;
	fd = segment_open(s->dir_fd, s->tip.segment, O_RDONLY, &(uint64_t){ 0 }, &(uint64_t){ 0 });
	if (fd < 0)
		return fd;
	r = buf_reserve(bytes, rec->tip_size);
	if (r < 0)
		return r;
	if (pread_all(fd, bytes->data, rec->tip_size, (off_t)rec->tip_offset) != (ssize_t)rec->tip_size)
		return -EIO;
	bytes->len = rec->tip_size;
	r = frame_open(buf_bytes(bytes), &s->tip.frame, &why);
	if (r < 0)
		return r == -EBADMSG ? -EIO : r;
	s->tip.exists = true;
	s->sequence = rec->tip_sequence;
	return memcmp(s->tip.frame.digest, rec->tip_digest, DIGEST_SIZE) == 0 ? 0 : -EIO;
}

/* Cuts the tip's segment behind the tip, and writes the tip once more: after a failed fsync of a former run the page
 * cache may show a frame that the disk never got, and that no fsync will write any more. */
static int spool_settle_tip(struct spool *s, struct bytes tip, bool cut)
{
	struct segment *segment = &s->segments[s->n_segments - 1];
	uint64_t size;
	int r = 0;

	s->fd = segment_open(s->dir_fd, segment->number, O_RDWR, &size, &segment->bytes);
	if (s->fd < 0)
		return s->fd;
	s->end = s->tip.end;
	if (cut) {
		r = ftruncate(s->fd, (off_t)s->end) < 0 ? -errno : 0;
		size = s->end;
	}
	if (r == 0 && size < s->segment_bytes)
		/* where there is no room for it the segment is full, no more */
		size = preallocate(s->fd, s->segment_bytes) < 0 ? s->end : s->segment_bytes;
	s->size = MIN(size, s->segment_bytes);
	segment->bytes = size;
	if (r == 0)
		r = pwrite_all(s->fd, tip, (off_t)(s->end - tip.len));
	if (r == 0 && (fsync(s->fd) < 0 || fsync(s->dir_fd) < 0))
		r = -errno;
	return r;
}

/* Makes what recovery found the state on the disk. */
static int spool_settle(struct spool *s, const struct recovery *rec, struct bytes tip)
{
	int r = 0;

	for (size_t i = s->n_segments; i-- > 0 && r == 0;)
		if (rec->found ? i > rec->tip : s->segments[i].used == 0)
			r = spool_remove(s, i);
	s->highest = s->n_segments ? s->segments[s->n_segments - 1].number : 0;
	if (r < 0 || !rec->found)
		return r;
	r = spool_settle_tip(s, tip, rec->damage.cut_bytes > 0);
	if (r == 0)
		return 0;
	/* It cannot be had there: the tip goes once more, identical, into a new segment, which makes void what is
	 * left in this one. */
	closep(&s->fd);
	s->fd = -1;
	r = spool_turn(s);
	if (r == 0)
		r = spool_write(s, tip);
	if (r == 0)
		s->segments[s->n_segments - 1].first = s->sequence;
	return r;
}

/* A power cut shall not take the directory itself. */
static int sync_parent(int dir_fd)
{
	_cleanup_(closep) int fd = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* who may not open it did not make the directory either */
	return fd >= 0 && fsync(fd) < 0 ? -errno : 0;
}

static int spool_open_files(struct spool *s, const struct spool_options *o)
{
	s->dir_fd = o->read_only ? open(o->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
				 : open_directory(o->directory, 0750);
	if (s->dir_fd < 0)
		return o->read_only ? -errno : s->dir_fd;
	if (o->read_only)
		return 0;
	s->lock_fd = openat(s->dir_fd, SPOOL_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (s->lock_fd < 0)
		return -errno;
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (o->publish_directory) {
		s->publish_fd = open_directory(o->publish_directory, 0755);
		if (s->publish_fd < 0)
			return s->publish_fd;
	}
	return sync_parent(s->dir_fd);
}

static int spool_recover(struct spool *s, const struct spool_options *o, struct spool_damage *ret_damage)
{
	_cleanup_(buf_done) struct buf tip = BUF_INIT(FRAME_MAX);
	struct recovery rec = { .dir_fd = s->dir_fd };
	uint64_t committed;
	int r;

	if (o->public_key) {
		rec.has_key = true;
		memcpy(rec.key, o->public_key, sizeof rec.key);
	}
	r = recovery_run(&rec);
	s->segments = rec.segments;
	s->n_segments = rec.n_segments;
	if (r < 0)
		return r;
	if (rec.newer)
		return -EPROTONOSUPPORT;
	if (rec.found)
		r = spool_load_tip(s, &rec, &tip);
	if (r == 0 && o->publish_directory &&
	    spool_read_committed(o->publish_directory, &(uint64_t){ 0 }, &(uint64_t){ 0 }, &committed) == 0 &&
	    committed > s->sequence)
		rec.damage.published_sequence = committed;
	if (r == 0 && !s->read_only) {
		r = spool_settle(s, &rec, buf_bytes(&tip));
		if (r == 0)
			spool_publish(s);
	}
	if (r == 0 && ret_damage)
		*ret_damage = rec.damage;
	return r;
}

int spool_open(const struct spool_options *options, struct spool **ret, struct spool_damage *ret_damage)
{
	_cleanup_(spool_closep) struct spool *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct spool){
		.dir_fd = -1,
		.lock_fd = -1,
		.publish_fd = -1,
		.fd = -1,
		.cap_bytes = options->cap_bytes,
		.segment_bytes = options->segment_bytes ? options->segment_bytes : SPOOL_SEGMENT_SIZE,
		.read_only = options->read_only,
	};
	if (s->segment_bytes < 2 * SPOOL_RESERVE || (!s->read_only && s->cap_bytes / 2 < s->segment_bytes))
		return -EINVAL;
	if (options->acked_path) {
		s->acked_path = strdup(options->acked_path);
		if (!s->acked_path)
			return -ENOMEM;
	}
	r = spool_open_files(s, options);
	if (r == 0)
		r = spool_recover(s, options, ret_damage);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

struct spool *spool_close(struct spool *s)
{
	if (!s)
		return NULL;
	closep(&s->fd);
	closep(&s->publish_fd);
	closep(&s->lock_fd);
	closep(&s->dir_fd);
	if (s->tip.exists)
		frame_release(&s->tip.frame);
	free(s->acked_path);
	free(s->segments);
	free(s);
	return NULL;
}

const struct spool_tip *spool_tip(const struct spool *s)
{
	return &s->tip;
}

/* --- room ---------------------------------------------------------------------------------------------- */

/* The last sequence that a segment holds and that counts: the forerunner of what the next one begins with. */
static uint64_t segment_last(const struct spool *s, size_t i)
{
	for (size_t k = i + 1; k < s->n_segments; k++)
		if (s->segments[k].first > 0)
			return s->segments[k].first - 1;
	return s->sequence;
}

static bool segment_acknowledged(const struct spool *s, size_t i, uint64_t acked)
{
	/* one that holds nothing of the chain may hold something else, which nobody can have acknowledged */
	return s->segments[i].first > 0 && segment_last(s, i) <= acked;
}

static void lost_add(struct spool_lost *lost, const struct spool *s, size_t i)
{
	lost->segments++;
	lost->bytes += s->segments[i].bytes;
	if (s->segments[i].first == 0)
		return;
	if (lost->first_sequence == 0)
		lost->first_sequence = s->segments[i].first;
	lost->last_sequence = MAX(lost->last_sequence, segment_last(s, i));
}

/* One pass over the segments before the newest valid frame's, oldest first: either those that are acknowledged, or
 * the others. `bytes` is what there would be: with `keep` they are counted, and stay. */
static int spool_drop(struct spool *s, uint64_t acked, bool acknowledged, bool keep, uint64_t *bytes,
		      struct spool_lost *lost)
{
	size_t i = 0;

	while (i + 1 < s->n_segments && *bytes + s->segment_bytes > s->cap_bytes) {
		if (s->tip.segment > 0 && s->segments[i].number >= s->tip.segment)
			break;
		if (segment_acknowledged(s, i, acked) != acknowledged) {
			i++;
			continue;
		}
		*bytes -= s->segments[i].bytes;
		if (!acknowledged)
			lost_add(lost, s, i);
		if (keep) {
			i++;
		} else {
			int r = spool_remove(s, i);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int spool_make_room(struct spool *s, bool allow_loss, struct spool_lost *ret_lost)
{
	struct spool_lost lost = { 0 };
	uint64_t acked, bytes;
	int r;

	if (s->read_only)
		return -EROFS;
	*ret_lost = lost;
	if (spool_has_room(s))
		return 0;
	acked = spool_acked(s);
	bytes = spool_bytes(s);
	r = spool_drop(s, acked, true, false, &bytes, &lost);
	if (r == 0)
		r = spool_drop(s, acked, false, !allow_loss, &bytes, &lost);
	*ret_lost = lost;
	if (r < 0)
		return r;
	return lost.segments > 0 && !allow_loss ? -ENOSPC : 0;
}

void spool_usage(const struct spool *s, struct spool_usage *ret)
{
	uint64_t acked = spool_acked(s);

	*ret = (struct spool_usage){ .bytes = spool_bytes(s),
				     .segments = s->n_segments,
				     .publish_error = s->publish_error };
	for (size_t i = 0; i < s->n_segments; i++)
		if (!segment_acknowledged(s, i, acked))
			ret->unacknowledged_bytes += s->segments[i].bytes;
}
