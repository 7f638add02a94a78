/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/joiner.h"

#include <errno.h>

#include "agent/base/buf.h"

#define USER_MAX 256u
#define KEPT_MEMORY 16384u /* of one held line, for the next */

/* sudo's plugins/sudoers/logging.c and lib/eventlog: "%8s : %s", then "%8s : (command continued) %s" */
#define SUDO_COLON LIT(" : ")
#define SUDO_CONTINUED LIT("(command continued) ")
/* sudo-rs's src/log/syslog.rs: each part but the last ends in the one, each but the first begins with the other */
#define RS_END LIT(" [...]")
#define RS_BEGIN LIT("[...] ")

static const size_t sudo_limits[] = { 960, 980 }; /* syslog_maxlen */

struct held {
	struct joiner_line line; /* points into words and text */
	struct buf words;        /* the origin's bytes: the header's parts one after another, then the others */
	struct buf text;         /* the message so far */
	size_t last;             /* where the last part's text begins in it */
	bool continued;          /* that part is not the first */
	uint64_t since_us;
};

struct joiner {
	struct held held[JOINER_HELD_MAX]; /* the first `n` are in use, the oldest first */
	size_t n;
};

int joiner_new(struct joiner **ret)
{
	struct joiner *j = calloc(1, sizeof *j);

	if (!j)
		return -ENOMEM;
	for (size_t i = 0; i < JOINER_HELD_MAX; i++) {
		j->held[i].words.max = 2 * EVENT_RAW_MAX;
		j->held[i].text.max = EVENT_RAW_MAX;
	}
	*ret = j;
	return 0;
}

struct joiner *joiner_free(struct joiner *j)
{
	for (size_t i = 0; j && i < JOINER_HELD_MAX; i++) {
		buf_done(&j->held[i].words);
		buf_done(&j->held[i].text);
	}
	free(j);
	return NULL;
}

/* --- what a part looks like ---------------------------------------------------------------------------- */

static bool splits_lines(struct bytes program)
{
	return bytes_eq(program, LIT("sudo")) || bytes_eq(program, LIT("sudo-rs"));
}

static bool ends_with(struct bytes b, struct bytes end)
{
	return b.len >= end.len && memcmp(b.data + b.len - end.len, end.data, end.len) == 0;
}

static size_t blanks(struct bytes b)
{
	size_t n = 0;

	while (n < b.len && b.data[n] == ' ')
		n++;
	return n;
}

/* The text of a line of sudo's stands behind "   alice : ", where the name holds no blank. 0: it is none. */
static size_t sudo_text(struct bytes message, size_t *ret_user_len)
{
	size_t at = blanks(message), len;
	struct bytes rest = bytes_from(message, at);
	const uint8_t *end = rest.len > 0 ? memchr(rest.data, ' ', MIN(rest.len, USER_MAX + 1)) : NULL;

	if (!end)
		return 0;
	len = (size_t)(end - rest.data);
	if (!bytes_starts(bytes_from(rest, len), SUDO_COLON))
		return 0;
	*ret_user_len = len;
	return at + len + SUDO_COLON.len;
}

static bool may_be_first(struct bytes message)
{
	size_t user_len, text = sudo_text(message, &user_len);

	if (text > 0 && !bytes_starts(bytes_from(message, text), SUDO_CONTINUED))
		return true;
	return ends_with(message, RS_END) && !bytes_starts(message, RS_BEGIN);
}

/* Whether sudo cut the last part of `h` in the middle of a word: there is no blank in it, and it is as long as a part
 * may be. */
static bool cut_in_word(const struct held *h, size_t user_len)
{
	size_t around = user_len + SUDO_COLON.len + (h->continued ? SUDO_CONTINUED.len : 0);
	struct bytes text = bytes_from(h->line.message, h->last);

	if (text.len == 0 || memchr(text.data, ' ', text.len))
		return false;
	for (size_t i = 0; i < ELEMENTSOF(sudo_limits); i++)
		if (text.len + around == sudo_limits[i])
			return true;
	return false;
}

/* --- joining ------------------------------------------------------------------------------------------- */

static int held_append(struct held *h, size_t keep, struct bytes between, struct bytes more)
{
	int r = buf_reserve(&h->text, between.len + more.len);

	if (r < 0)
		return r;
	h->text.len = keep;
	(void)buf_append(&h->text, between);
	h->last = h->text.len;
	(void)buf_append(&h->text, more);
	h->line.message = buf_bytes(&h->text);
	h->line.joined = h->continued = true;
	return 0;
}

/* Puts the message behind what is held, where it continues that: 1, 0 where it does not, or -ENOMEM. */
static int held_continue(struct held *h, struct bytes message)
{
	struct bytes so_far = h->line.message;
	size_t user_len, text = sudo_text(message, &user_len);
	int r;

	if (text > 0 && bytes_starts(bytes_from(message, text), SUDO_CONTINUED) &&
	    bytes_starts(so_far, bytes_of(message.data, text)))
		r = held_append(h, so_far.len, cut_in_word(h, user_len) ? BYTES_NONE : LIT(" "),
				bytes_from(message, text + SUDO_CONTINUED.len));
	else if (bytes_starts(message, RS_BEGIN) && ends_with(so_far, RS_END))
		r = held_append(h, so_far.len - RS_END.len, BYTES_NONE, bytes_from(message, RS_BEGIN.len));
	else
		return 0;
	/* longer than a line may be: what comes is one of its own */
	return r == -EMSGSIZE ? 0 : r < 0 ? r : 1;
}

static bool far_apart(const struct joiner_line *a, const struct joiner_line *b)
{
	int64_t apart;

	return __builtin_sub_overflow(a->time_us, b->time_us, &apart) || apart > JOINER_APART_US ||
	       apart < -JOINER_APART_US;
}

static bool same_writer(const struct joiner_line *a, const struct joiner_line *b)
{
	return a->origin.source == b->origin.source && a->pid == b->pid &&
	       bytes_eq(a->origin.program, b->origin.program) &&
	       a->origin.has_provenance == b->origin.has_provenance &&
	       (!a->origin.has_provenance || a->origin.provenance.uid == b->origin.provenance.uid);
}

static struct held *held_of(struct joiner *j, const struct joiner_line *line)
{
	for (size_t i = 0; i < j->n; i++)
		if (same_writer(&j->held[i].line, line))
			return &j->held[i];
	return NULL;
}

/* What was held when its source's lines were of a time that is past, is complete. */
static struct held *held_past(struct joiner *j, const struct joiner_line *line)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->held[i].line.origin.source == line->origin.source && far_apart(&j->held[i].line, line))
			return &j->held[i];
	return NULL;
}

bool joiner_concerns(const struct joiner *j, struct bytes program)
{
	return j->n > 0 || splits_lines(program);
}

int joiner_look(struct joiner *j, const struct joiner_line *line, bool whole, const struct joiner_line **ret_out)
{
	bool splits = splits_lines(line->origin.program), may_wait = splits && whole && may_be_first(line->message);
	struct held *h = held_past(j, line);

	if (!h && splits) {
		h = held_of(j, line);
		if (h && whole) {
			int r = held_continue(h, line->message);

			if (r != 0)
				return r < 0 ? r : JOINER_JOINED;
		}
	}
	if (!h && may_wait && j->n == JOINER_HELD_MAX)
		h = &j->held[0];
	if (h) {
		*ret_out = &h->line;
		return JOINER_OUT;
	}
	return may_wait ? JOINER_FIRST : JOINER_OTHER;
}

/* --- holding ------------------------------------------------------------------------------------------- */

static size_t header_size(const struct origin *o)
{
	const struct header *h = &o->header;

	return o->has_header ? h->before.len + h->time.len + h->between.len + h->pid_text.len + h->after.len : 0;
}

static size_t origin_size(const struct origin *o)
{
	const struct provenance *p = &o->provenance;
	size_t size = o->program.len + o->host.len + header_size(o);

	if (o->has_provenance)
		size += p->transport.len + p->boot_id.len + p->exe.len + p->comm.len + p->unit.len + p->message_id.len;
	return size;
}

size_t joiner_line_size(const struct joiner_line *line)
{
	return line->message.len + header_size(&line->origin) + origin_size(&line->origin);
}

static void keep(struct buf *words, struct bytes *b)
{
	const uint8_t *at = words->data + words->len;

	(void)buf_append(words, *b);
	b->data = at;
}

/* Points what the line borrows to copies of it. */
static int held_words(struct held *h)
{
	struct origin *o = &h->line.origin;
	struct header *d = &o->header;
	struct provenance *p = &o->provenance;
	struct bytes *const header[] = { &d->before, &d->time, &d->between, &d->pid_text, &d->after };
	struct bytes *const texts[] = { &p->transport, &p->boot_id, &p->exe, &p->comm, &p->unit, &p->message_id };
	int r;

	buf_clear(&h->words);
	/* one byte more, so that there is memory to point to in any case */
	r = buf_reserve(&h->words, origin_size(o) + 1);
	if (r < 0)
		return r;
	/* the parts of a header follow one another in memory: the event writer relies on it */
	for (size_t i = 0; o->has_header && i < ELEMENTSOF(header); i++)
		keep(&h->words, header[i]);
	for (size_t i = 0; o->has_provenance && i < ELEMENTSOF(texts); i++)
		keep(&h->words, texts[i]);
	keep(&h->words, &o->program);
	keep(&h->words, &o->host);
	return 0;
}

int joiner_hold(struct joiner *j, const struct joiner_line *line, uint64_t now_us)
{
	struct held *h = &j->held[j->n];
	size_t user_len;
	int r;

	h->line = *line;
	r = held_words(h);
	buf_clear(&h->text);
	if (r >= 0)
		r = buf_append(&h->text, line->message);
	if (r < 0)
		return r;
	h->line.message = buf_bytes(&h->text);
	h->last = sudo_text(h->line.message, &user_len);
	h->continued = false;
	h->since_us = now_us;
	j->n++;
	return 0;
}

size_t joiner_count(const struct joiner *j)
{
	return j->n;
}

size_t joiner_bytes(const struct joiner *j)
{
	size_t sum = 0;

	for (size_t i = 0; i < j->n; i++)
		sum += joiner_line_size(&j->held[i].line);
	return sum;
}

uint64_t joiner_due_us(const struct joiner *j)
{
	return j->n > 0 ? j->held[0].since_us + JOINER_WAIT_US : 0;
}

const struct joiner_line *joiner_oldest(const struct joiner *j)
{
	return j->n > 0 ? &j->held[0].line : NULL;
}

void joiner_drop(struct joiner *j, const struct joiner_line *held)
{
	size_t i = (size_t)((const struct held *)held - j->held); /* its first member */
	struct held gone = j->held[i];

	if (gone.words.cap + gone.text.cap > KEPT_MEMORY) {
		buf_done(&gone.words);
		buf_done(&gone.text);
	}
	memmove(&j->held[i], &j->held[i + 1], (--j->n - i) * sizeof gone);
	j->held[j->n] = gone;
}
