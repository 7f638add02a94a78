/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/scan.h"

#include <errno.h>
#include <sys/stat.h>

#define PAGE 4096u
#define MAGIC_SIZE (sizeof FRAME_MAGIC - 1)
#define FIRST_READ (64u * 1024) /* whoever looks at the first frame only shall not read much more */

static const char cut_off[] = "cut off";

int scan_start(struct scan *s, int fd, uint64_t limit)
{
	uint8_t *buffer = s->buffer ? s->buffer : malloc(SCAN_BUFFER_SIZE);
	struct stat st;

	if (!buffer)
		return -ENOMEM;
	frame_release(&s->frame);
	*s = (struct scan){ .fd = fd, .buffer = buffer, .limit = limit, .chunk = FIRST_READ };
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		s->seekable = true;
		s->size = (uint64_t)st.st_size;
	}
	return 0;
}

void scan_done(struct scan *s)
{
	frame_release(&s->frame);
	free(s->buffer);
	*s = (struct scan){ .fd = -1 };
}

static struct bytes scan_window(const struct scan *s)
{
	return bytes_of(s->buffer + s->start, s->end - s->start);
}

/* A page that cannot be read is filled with what is no frame, so that those behind it are found. */
static size_t scan_read_error(struct scan *s, uint64_t at, size_t room, int error)
{
	size_t n = MIN((size_t)(PAGE - at % PAGE), room);

	if (!s->failed)
		s->error = error;
	s->failed = true;
	if (error != -EIO || !s->seekable || at + n > s->size)
		return 0;
	memset(s->buffer + s->end, 0xff, n);
	return n;
}

/* Reads on until `need` bytes can be looked at, or the file ends. */
static void scan_fill(struct scan *s, size_t need)
{
	while (s->end - s->start < need && !s->eof) {
		uint64_t at = s->offset + (s->end - s->start);
		size_t room;
		ssize_t n;

		if (SCAN_BUFFER_SIZE - s->start < need) {
			memmove(s->buffer, s->buffer + s->start, s->end - s->start);
			s->end -= s->start;
			s->start = 0;
		}
		room = (size_t)MIN((uint64_t)(SCAN_BUFFER_SIZE - s->end), s->limit - MIN(at, s->limit));
		room = MIN(room, MAX(s->chunk, need));
		s->chunk = MIN(s->chunk * 2, SCAN_BUFFER_SIZE);
		if (s->seekable)
			n = pread(s->fd, s->buffer + s->end, room, (off_t)at);
		else
			n = read(s->fd, s->buffer + s->end, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			n = (ssize_t)scan_read_error(s, at, room, -errno);
		s->end += (size_t)n;
		s->eof = n == 0;
	}
}

/* Passes over `n` bytes of the window; within damage the last one that is not zero is remembered. */
static void scan_pass(struct scan *s, size_t n)
{
	if (s->damaged)
		for (size_t i = n; i > 0; i--)
			if (s->buffer[s->start + i - 1]) {
				s->damage_end = s->offset + i;
				break;
			}
	s->start += n;
	s->offset += n;
}

/* Goes on to the next place where a frame may begin, at least `least` bytes on. */
static void scan_resync(struct scan *s, size_t least, const char *why)
{
	struct bytes b = scan_window(s);
	size_t n = frame_find(b, MIN(least, b.len));

	if (!s->damaged) {
		s->damaged = true;
		s->damage_start = s->damage_end = s->offset;
		s->why = why;
	}
	/* the magic may begin in the last bytes and go on in what was not yet read */
	if (n == b.len && !s->eof && b.len > MAGIC_SIZE)
		n = MAX(MIN(least, b.len), b.len - (MAGIC_SIZE - 1));
	scan_pass(s, n);
}

/* The end of a run of damage, at a frame or at the end of the file. */
static bool scan_tell_damage(struct scan *s, bool at_frame, struct frames_result *ret)
{
	bool only_zeros = s->damage_end == s->damage_start;
	uint64_t end = at_frame ? s->offset : s->damage_end;

	if (!s->damaged)
		return false;
	s->damaged = false;
	if (end == s->damage_start)
		return false;
	if (at_frame && s->why == cut_off)
		s->why = "a length that is not true";
	*ret = (struct frames_result){ .item = FRAMES_DAMAGE,
				       .offset = s->damage_start,
				       .damage_bytes = end - s->damage_start,
				       .why = only_zeros ? "zeros between frames" : s->why };
	return true;
}

/* What the window begins with has the form of a frame. 1 if `ret` was filled, 0 if not. Where it could not be taken
 * apart for want of memory, it is no damage: a negative errno. */
static int scan_frame(struct scan *s, size_t len, struct frames_result *ret)
{
	const char *why = NULL;
	int r = frame_open(bytes_of(s->buffer + s->start, len), &s->frame, &why);

	if (r < 0 && r != -EBADMSG)
		return r;
	if (r < 0) {
		/* Within what only looks like a frame a true one may begin: look again from the next byte on. But a
		 * file made of such lengths would have each byte taken apart 900,000 times. */
		bool again = s->vain <= SCAN_VAIN_FACTOR * (s->offset + FRAME_MAX);

		s->vain += len;
		scan_resync(s, again ? 1 : len, why);
		return 0;
	}
	/* the damage before it first; then the frame is opened once more */
	if (scan_tell_damage(s, true, ret)) {
		frame_release(&s->frame);
		return 1;
	}
	*ret = (struct frames_result){ .item = FRAMES_FRAME, .frame = s->frame, .offset = s->offset };
	scan_pass(s, len);
	return 1;
}

/* Looks at what the window begins with, which is not at its end. 1 if `ret` was filled, 0 if not; a negative errno. */
static int scan_step(struct scan *s, struct frames_result *ret)
{
	enum frame_status status;
	size_t len = 0;

	/* no magic: not even a look, zeros are many */
	if (s->buffer[s->start] != (uint8_t)FRAME_MAGIC[0]) {
		scan_resync(s, 1, "no frame");
		return 0;
	}
	status = frame_peek(scan_window(s), &len);
	if (status == FRAME_PARTIAL && !s->eof) {
		scan_fill(s, len);
		status = frame_peek(scan_window(s), &len);
	}
	if (status == FRAME_OK)
		return scan_frame(s, len, ret);
	/* what we cannot check shall hide nothing that we could: no frame may begin within it */
	if (status == FRAME_NEWER && frame_find(bytes_of(s->buffer + s->start, len), 1) == len) {
		if (scan_tell_damage(s, true, ret))
			return 1;
		*ret = (struct frames_result){ .item = FRAMES_NEWER, .offset = s->offset, .damage_bytes = len };
		scan_pass(s, len);
		return 1;
	}
	scan_resync(s, 1, status == FRAME_PARTIAL ? cut_off : "no frame");
	return 0;
}

int scan_next(struct scan *s, struct frames_result *ret)
{
	int r;

	frame_release(&s->frame);
	for (;;) {
		scan_fill(s, FRAME_HEADER_SIZE);
		if (s->error < 0) {
			*ret = (struct frames_result){ .item = FRAMES_FILE_ERROR, .offset = s->offset, .error = s->error };
			s->error = 0;
			return 0;
		}
		if (s->start == s->end) {
			if (!scan_tell_damage(s, false, ret))
				*ret = (struct frames_result){ .item = FRAMES_END, .offset = s->offset };
			return 0;
		}
		r = scan_step(s, ret);
		if (r != 0)
			return MIN(r, 0);
	}
}

struct frame scan_take(struct scan *s)
{
	struct frame f = s->frame;

	s->frame = (struct frame){ 0 };
	return f;
}

struct frame_id frame_id_of(const struct frame *f)
{
	struct frame_id id = { .exists = true, .sequence = f->batch->sequence };

	memcpy(id.key, f->batch->key.data, MIN(f->batch->key.len, sizeof id.key));
	return id;
}

bool frame_id_same_key(const struct frame_id *a, const struct frame_id *b)
{
	return a->exists && b->exists && memcmp(a->key, b->key, sizeof a->key) == 0;
}

int scan_first(struct scan *s, int fd, uint64_t limit, struct frame_id *ret)
{
	struct frames_result item;
	int r = scan_start(s, fd, limit);

	while (r >= 0) {
		r = scan_next(s, &item);
		if (r < 0 || item.item == FRAMES_END)
			break;
		if (item.item != FRAMES_FRAME)
			continue;
		r = frame_verify(&item.frame);
		if (r > 0) {
			*ret = frame_id_of(&item.frame);
			return 0;
		}
	}
	if (r >= 0)
		*ret = (struct frame_id){ 0 };
	return r < 0 ? r : 0;
}
