/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/logfile_part.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>

#include "agent/base/clock.h"

/* A line that is longer than the record takes: its beginning, and the digest of all of it, which is
 * computed once however slowly the line grows. */
struct overlong {
	EVP_MD_CTX *md;
	struct edge edge; /* the bytes before the part's cursor */
	bool complete;
	struct long_line line;
	uint8_t first[EVENT_RAW_MAX];
};

static const struct {
	const char *reason, *detail;
} loss_texts[LOSS_MAX] = {
	[LOSS_TRUNCATED] = { "truncated",
			     "the file was truncated; lines written shortly before may be in no copy of it" },
	[LOSS_ROTATED_AWAY] = { "rotated_away", "what followed the position is in none of the rotated files" },
	[LOSS_UNREADABLE] = { "unreadable", "a rotated file cannot be opened, or is compressed in a way that is not read" },
	[LOSS_DAMAGED] = { "damaged", "a compressed file is damaged or cut short; what follows in it is lost" },
};

static struct overlong *overlong_free(struct overlong *o)
{
	if (o) {
		EVP_MD_CTX_free(o->md);
		free(o);
	}
	return NULL;
}
DEFINE_CLEANUP(struct overlong *, overlong_free)

static int overlong_feed(struct overlong *o, struct bytes b)
{
	o->line.length += b.len;
	return EVP_DigestUpdate(o->md, b.data, b.len) ? 0 : -EIO;
}

static int overlong_complete(struct overlong *o)
{
	if (!o->complete && !EVP_DigestFinal_ex(o->md, o->line.digest, NULL))
		return -EIO;
	o->complete = true;
	return 0;
}

/* `begin` is longer than EVENT_RAW_MAX. */
static int overlong_new(struct bytes begin, struct overlong **ret)
{
	_cleanup_(overlong_freep) struct overlong *o = malloc(sizeof *o);
	int r;

	if (!o)
		return -ENOMEM;
	o->line.length = 0;
	o->complete = false;
	o->edge.len = 0;
	o->md = EVP_MD_CTX_new();
	if (!o->md || !EVP_DigestInit_ex(o->md, EVP_sha256(), NULL))
		return -ENOMEM;
	memcpy(o->first, begin.data, EVENT_RAW_MAX);
	r = overlong_feed(o, begin);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

int part_new(struct opened *file, struct file_id id, struct part **ret)
{
	struct part *p = calloc(1, sizeof *p);
	int64_t age_us = clock_wall_us() - file->mtime_us;
	uint64_t now_us = clock_boot_us();

	if (!p)
		return -ENOMEM;
	p->state = PART_OPEN;
	p->file = *file;
	*file = (struct opened)OPENED_INIT;
	p->cursor = p->file.offset;
	p->id = p->hint = id;
	p->wd = -1;
	p->seen_us = clock_wall_us();
	/* it may have been quiet for long before we came */
	p->quiet_since_us = now_us - MIN((uint64_t)MAX(age_us, 0), now_us);
	p->whole = p->file.decoder != NULL;
	p->empty = !p->whole && p->file.size == 0;
	*ret = p;
	return 0;
}

int part_new_absent(enum part_state state, const struct fingerprint *was, struct file_id hint, unsigned losses,
		    struct part **ret)
{
	struct part *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	p->state = state;
	p->file = (struct opened)OPENED_INIT;
	p->was = *was;
	p->id = p->hint = hint;
	p->wd = -1;
	p->losses = losses;
	*ret = p;
	return 0;
}

struct part *part_free(struct part *p)
{
	if (p) {
		overlong_free(p->over);
		opened_done(&p->file);
		free(p);
	}
	return NULL;
}

static int hand_in(struct part *p, struct sink *s, struct bytes line)
{
	_uninitialized_ struct long_line longer;

	if (line.len == 0)
		return INTAKE_OK; /* says nothing: counted, and no event */
	if (line.len <= EVENT_RAW_MAX)
		return intake_line(s->in, s->source, line, NULL, p->since_us);
	longer.length = line.len;
	if (!EVP_Digest(line.data, line.len, longer.digest, NULL, EVP_sha256(), NULL))
		return -EIO;
	line.len = EVENT_RAW_MAX;
	return intake_line(s->in, s->source, line, &longer, p->since_us);
}

static int hand_in_overlong(struct part *p, struct sink *s)
{
	int r = intake_line(s->in, s->source, bytes_of(p->over->first, EVENT_RAW_MAX), &p->over->line, p->since_us);

	if (r != INTAKE_OK)
		return r;
	p->file.offset = p->cursor;
	p->file.tail = p->over->edge;
	p->over = overlong_free(p->over);
	return INTAKE_OK;
}

static struct edge *part_edge(struct part *p)
{
	return p->over ? &p->over->edge : &p->file.tail;
}

static bool begins_with_edge(const struct window *w, const struct edge *e)
{
	return w->len >= e->len && memcmp(w->data, e->bytes, e->len) == 0;
}

/* Reads from before the cursor on, so that one call both reads and tells whether the file still is what it
 * was: it may have been cut and have grown past the cursor since. */
static int window_read(struct part *p, struct sink *s, struct window *w)
{
	const struct edge *e = part_edge(p);
	uint64_t from = p->cursor - e->len;
	ssize_t n;

	do
		n = pread(p->file.fd, s->buffer, WINDOW_SIZE, (off_t)from);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		p->error = errno;
		return PART_FAILED;
	}
	*w = (struct window){ s->buffer, e->len, (size_t)n };
	if (p->empty && n > 0)
		return PART_CUT;
	if (!begins_with_edge(w, e) || (from == 0 && !begins_with_edge(w, &p->file.head)))
		return PART_CUT;
	if (from == 0 && p->file.head.len < EDGE_MAX)
		edge_set_head(&p->file.head, bytes_of(w->data, w->len));
	p->seen_us = clock_wall_us();
	if (p->file.size != (int64_t)(from + w->len)) {
		p->file.size = (int64_t)(from + w->len);
		p->quiet_since_us = clock_boot_us();
	}
	return w->len == WINDOW_SIZE;
}

/* 1: there may be more behind this window; 0: there is not; or PART_CUT, PART_FAILED. */
static int part_window(struct part *p, struct sink *s, struct window *plain, struct window **ret)
{
	int r;

	if (!p->file.decoder) {
		*ret = plain;
		return window_read(p, s, plain);
	}
	*ret = decoder_window(p->file.decoder);
	r = decoder_fill(p->file.decoder);
	if (r < 0)
		p->losses |= 1u << LOSS_DAMAGED;
	return r > 0;
}

static void spend(struct sink *s, size_t n)
{
	s->left -= MIN(n, s->left);
}

/* The lines of a window. `*at` is moved past what was read, `*counted` past what was counted. */
static int window_lines(struct part *p, struct sink *s, struct bytes window, size_t *at, size_t *counted)
{
	int r = COLLECTOR_END;

	while (*at < window.len) {
		struct bytes rest = bytes_from(window, *at);
		const uint8_t *newline;

		if (s->left == 0)
			return COLLECTOR_MORE;
		newline = memchr(rest.data, '\n', rest.len);
		if (!newline) {
			if (rest.len <= EVENT_RAW_MAX)
				return COLLECTOR_END;
			r = overlong_new(rest, &p->over);
			if (r < 0)
				return r;
			spend(s, rest.len);
			*at = window.len;
			return COLLECTOR_END;
		}
		rest.len = (size_t)(newline - rest.data);
		r = hand_in(p, s, rest);
		if (r != INTAKE_OK)
			return r < 0 ? r : COLLECTOR_FULL;
		spend(s, rest.len + 1);
		*counted = *at += rest.len + 1;
	}
	return r;
}

static int window_overlong(struct part *p, struct sink *s, struct bytes window, size_t *at)
{
	struct bytes rest = bytes_from(window, *at);
	const uint8_t *newline = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
	int r;

	if (newline)
		rest.len = (size_t)(newline - rest.data);
	r = overlong_feed(p->over, rest);
	if (r >= 0 && newline)
		r = overlong_complete(p->over);
	if (r < 0)
		return r;
	spend(s, rest.len);
	*at += rest.len + (newline ? 1 : 0);
	return s->left > 0 || newline ? COLLECTOR_END : COLLECTOR_MORE;
}

static int part_consume(struct part *p, struct sink *s, struct window *w)
{
	struct bytes window = bytes_of(w->data, w->len);
	size_t at = w->at, counted = w->at;
	int r;

	r = p->over ? window_overlong(p, s, window, &at) : window_lines(p, s, window, &at, &counted);
	if (counted > w->at) {
		p->file.offset += counted - w->at;
		edge_set_tail(&p->file.tail, bytes_of(w->data, counted));
	}
	if (p->over)
		edge_set_tail(&p->over->edge, bytes_of(w->data, at));
	p->cursor += at - w->at;
	w->at = at;
	return r;
}

int part_read(struct part *p, struct sink *s)
{
	for (;;) {
		struct window plain, *w;
		int more, r;

		if (p->over && p->over->complete) {
			r = hand_in_overlong(p, s);
			if (r != INTAKE_OK)
				return r < 0 ? r : COLLECTOR_FULL;
		}
		more = part_window(p, s, &plain, &w);
		if (more == PART_CUT || more == PART_FAILED)
			return more;
		r = part_consume(p, s, w);
		if (r != COLLECTOR_END)
			return r;
		if (!more && !(p->over && p->over->complete))
			return COLLECTOR_END;
	}
}

/* The last line of a file that nobody writes to any more. */
static int part_rest(struct part *p, struct sink *s)
{
	struct window plain, *w;
	int r;

	if (p->over) {
		r = overlong_complete(p->over);
		return r < 0 ? r : hand_in_overlong(p, s);
	}
	r = part_window(p, s, &plain, &w);
	if (r == PART_CUT || r == PART_FAILED || w->at == w->len)
		return INTAKE_OK;
	r = hand_in(p, s, bytes_of(w->data + w->at, w->len - w->at));
	if (r == INTAKE_OK) {
		edge_set_tail(&p->file.tail, bytes_of(w->data, w->len));
		p->file.offset += w->len - w->at;
		p->cursor = p->file.offset;
		w->at = w->len;
	}
	return r;
}

static int id_text(struct buf *b, struct file_id id)
{
	return id.inode == 0 ? 0 : buf_printf(b, "device %" PRIu64 " inode %" PRIu64, id.device, id.inode);
}

static int part_loss(struct part *p, struct sink *s, enum part_loss which)
{
	_cleanup_(buf_done) struct buf before = BUF_INIT(256), after = BUF_INIT(256);
	int r;

	r = id_text(&before, p->hint);
	if (r >= 0)
		r = buf_printf(&before, "%sread up to byte %" PRIu64, before.len > 0 ? ", " : "",
			       p->state == PART_OPEN ? p->file.offset : p->was.offset);
	if (r >= 0)
		r = id_text(&after, s->now);
	if (r < 0)
		return r;
	return intake_loss(s->in, s->source, &(struct loss){ .reason = loss_texts[which].reason,
							     .detail = loss_texts[which].detail,
							     .unit = "unknown",
							     .before = buf_bytes(&before),
							     .after = buf_bytes(&after) });
}

int part_finish(struct part *p, struct sink *s)
{
	int r = p->state == PART_OPEN ? part_rest(p, s) : INTAKE_OK;

	for (unsigned i = 0; i < LOSS_MAX && r == INTAKE_OK; i++) {
		if (!(p->losses & 1u << i))
			continue;
		r = part_loss(p, s, i);
		if (r == INTAKE_OK)
			p->losses &= ~(1u << i);
	}
	if (r != INTAKE_OK)
		return r < 0 ? r : COLLECTOR_FULL;
	/* the truncation is said: whoever starts from here has not to say it again */
	p->hint = p->id;
	return COLLECTOR_END;
}

void part_peek(struct part *p)
{
	ssize_t n;

	if (p->state != PART_OPEN || p->file.decoder || p->file.head.len > 0)
		return;
	n = pread(p->file.fd, p->file.head.bytes, EDGE_MAX, 0);
	p->file.head.len = n > 0 ? (uint32_t)n : 0;
}

int part_fingerprint(const struct part *p, struct fingerprint *ret)
{
	if (p->state == PART_OPEN)
		return fingerprint_make(p->file.offset, &p->file.head, &p->file.tail, ret);
	*ret = p->was;
	return 0;
}

int part_give_up(struct part *p, unsigned losses)
{
	struct edge head;
	int r = part_fingerprint(p, &p->was);

	if (r < 0)
		return r;
	p->over = overlong_free(p->over);
	head = p->file.head;
	opened_done(&p->file);
	p->file.head = head; /* tells whether the file was only made shorter */
	p->state = PART_GHOST;
	p->losses |= losses;
	return 0;
}
