/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/siblings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "agent/base/io.h"

#define SCANS_MAX 10

static const struct {
	const char *suffix;
	enum encoding encoding;
} suffixes[] = {
	{ ".gz", ENCODING_GZIP },
	{ ".zst", ENCODING_ZSTD },
	{ ".xz", ENCODING_FOREIGN },
	{ ".bz2", ENCODING_FOREIGN },
};

/* Takes the suffix of a compressed file off a name's length. */
static enum encoding encoding_of(const char *name, size_t *len)
{
	for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
		size_t n = strlen(suffixes[i].suffix);

		if (*len > n && memcmp(name + *len - n, suffixes[i].suffix, n) == 0) {
			*len -= n;
			return suffixes[i].encoding;
		}
	}
	return ENCODING_NONE;
}

static bool sibling_name(const char *name, const char *base, enum encoding *ret_encoding, unsigned *ret_number)
{
	size_t base_len = strlen(base), len = strlen(name), digits = 0;
	unsigned number = 0;

	if (len <= base_len || memcmp(name, base, base_len) != 0 || !strchr("-._", name[base_len]))
		return false;
	*ret_encoding = encoding_of(name, &len);
	for (size_t i = base_len + 1; i < len; i++) {
		if (name[i] >= '0' && name[i] <= '9') {
			number = number * 10 + (unsigned)(name[i] - '0');
			digits++;
		} else if (digits == 0 || !strchr("-._:T", name[i])) {
			return false;
		}
	}
	if (digits == 0)
		return false;
	/* savelog begins with .0 */
	*ret_number = name[base_len] == '.' && digits <= 5 && len == base_len + 1 + digits ? number + 1 : 0;
	return true;
}

static void sibling_set(struct sibling *one, const struct stat *st)
{
	one->id = file_id_of(st);
	one->size = st->st_size;
	one->mtime_us = stat_mtime_us(st);
}

static int siblings_add(struct siblings *s, size_t *cap, const struct sibling *one)
{
	if (s->n == *cap) {
		size_t more = MAX(*cap * 2, (size_t)16);
		struct sibling *list = reallocarray(s->list, more, sizeof *list);

		if (!list)
			return -ENOMEM;
		s->list = list;
		*cap = more;
	}
	s->list[s->n++] = *one;
	return 0;
}

static int siblings_list(struct siblings *s, DIR *directory, const char *base, const struct stat *own, size_t *cap)
{
	const struct dirent *e;
	int r = 0;

	while (r >= 0 && s->n < SIBLINGS_MAX && (e = readdir(directory))) {
		struct sibling one = { 0 };
		struct stat st;

		if (!sibling_name(e->d_name, base, &one.encoding, &one.number) ||
		    fstatat(dirfd(directory), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		    (own && file_id_eq(file_id_of(own), file_id_of(&st))))
			continue;
		sibling_set(&one, &st);
		one.name = strdup(e->d_name);
		if (!one.name)
			return -ENOMEM;
		r = siblings_add(s, cap, &one);
		if (r < 0)
			free(one.name);
	}
	return r;
}

/* While a sibling is being compressed both stand there, and the compressed one may be unfinished. */
static void siblings_drop_twins(struct siblings *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		size_t len = strlen(s->list[i].name);

		if (encoding_of(s->list[i].name, &len) != ENCODING_NONE)
			for (size_t j = 0; j < s->n && !s->list[i].twin; j++)
				s->list[i].twin = strlen(s->list[j].name) == len &&
						  memcmp(s->list[j].name, s->list[i].name, len) == 0;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->list[i].twin)
			free(s->list[i].name);
		else
			s->list[kept++] = s->list[i];
	}
	s->n = kept;
}

static int three_way(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int by_number(const void *a, const void *b)
{
	const struct sibling *x = a, *y = b;

	return three_way(y->number, x->number);
}

static int by_time(const void *a, const void *b)
{
	const struct sibling *x = a, *y = b;
	int r = three_way(x->mtime_us / 1000000, y->mtime_us / 1000000);

	if (r == 0)
		r = by_number(a, b);
	if (r == 0)
		r = strcmp(x->name, y->name);
	return r;
}

static void siblings_sort(struct siblings *s)
{
	bool numbered = true;

	for (size_t i = 0; i < s->n; i++)
		numbered &= s->list[i].number > 0;
	if (s->n > 1)
		qsort(s->list, s->n, sizeof s->list[0], numbered ? by_number : by_time);
}

void siblings_done(struct siblings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->list[i].name);
	free(s->list);
	closep(&s->directory);
	*s = (struct siblings)SIBLINGS_INIT;
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* Opens the directory twice: for listing, and to be kept for opening what was found. */
static DIR *siblings_directory(struct siblings *s)
{
	const char *slash = strrchr(s->path, '/');
	_cleanup_(freep) char *name = slash ? strndup(s->path, MAX((size_t)(slash - s->path), (size_t)1)) : strdup(".");
	DIR *d = name ? opendir(name) : NULL;

	s->directory = d ? fcntl(dirfd(d), F_DUPFD_CLOEXEC, 0) : -1;
	return d;
}

static int siblings_scan_once(const char *path, struct siblings *ret)
{
	_cleanup_(siblings_done) struct siblings s = SIBLINGS_INIT;
	_cleanup_(closedirp) DIR *directory = NULL;
	const char *slash = strrchr(path, '/');
	struct stat own;
	bool there = stat(path, &own) == 0 && S_ISREG(own.st_mode);
	size_t cap = 0;
	int r = 0;

	s.path = path;
	directory = siblings_directory(&s);
	if (directory)
		r = siblings_list(&s, directory, slash ? slash + 1 : path, there ? &own : NULL, &cap);
	if (r < 0)
		return r;
	siblings_drop_twins(&s);
	siblings_sort(&s);
	if (there) {
		struct sibling one = { 0 };

		sibling_set(&one, &own);
		r = siblings_add(&s, &cap, &one);
		if (r < 0)
			return r;
	}
	*ret = s;
	s = (struct siblings)SIBLINGS_INIT;
	return 0;
}

static bool siblings_same(const struct siblings *a, const struct siblings *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = file_id_eq(a->list[i].id, b->list[i].id) &&
		       strcmp(a->list[i].name ?: "", b->list[i].name ?: "") == 0;
	return same;
}

int siblings_scan(const char *path, struct siblings *ret)
{
	_cleanup_(siblings_done) struct siblings s = SIBLINGS_INIT;
	bool same = false;
	int r;

	/* a file that is renamed while a directory is listed may appear twice or not at all (readdir(3)): what
	 * two listings agree on is so */
	r = siblings_scan_once(path, &s);
	for (int i = 0; i < SCANS_MAX && r >= 0 && !same; i++) {
		struct siblings again = SIBLINGS_INIT;

		r = siblings_scan_once(path, &again);
		if (r < 0)
			break;
		same = siblings_same(&s, &again);
		siblings_done(&s);
		s = again;
	}
	if (r < 0)
		return r;
	*ret = s;
	s = (struct siblings)SIBLINGS_INIT;
	return same ? 0 : 1;
}

void opened_done(struct opened *o)
{
	decoder_freep(&o->decoder);
	closep(&o->fd);
	*o = (struct opened)OPENED_INIT;
}

/* Where a file is to be opened, and what it has to begin with. */
struct wanted {
	uint64_t at;
	const struct fingerprint *fp; /* NULL: with anything */
	const struct edge *head;
	bool shorter; /* it may end before `at` */
};

static const struct edge edge_none;

static int open_plain(struct opened *o, uint64_t at)
{
	uint32_t before = (uint32_t)MIN(at, (uint64_t)EDGE_MAX);
	ssize_t n;

	n = pread_all(o->fd, o->head.bytes, EDGE_MAX, 0);
	if (n < 0)
		return (int)n;
	o->head.len = (uint32_t)n;
	n = pread_all(o->fd, o->tail.bytes, before, (off_t)(at - before));
	if (n < 0)
		return (int)n;
	o->tail.len = (uint32_t)n;
	o->offset = at;
	return n < (ssize_t)before ? -ENODATA : 0;
}

/* Expands up to `at`, or to the end, keeping no more than the window. */
static int open_encoded(struct opened *o, enum encoding encoding, const struct wanted *wanted)
{
	struct window *w;
	int r;

	r = decoder_new(o->fd, encoding, &o->decoder);
	if (r < 0)
		return r;
	w = decoder_window(o->decoder);
	r = decoder_fill(o->decoder);
	if (r < 0)
		return r;
	edge_set_head(&o->head, bytes_of(w->data, w->len));
	/* another file begins otherwise: no need to expand it */
	if (wanted->fp && !fingerprint_begins(wanted->fp, wanted->head, &o->head))
		return -ENODATA;
	for (o->offset = 0;;) {
		size_t n = (size_t)MIN(wanted->at - o->offset, (uint64_t)(w->len - w->at));

		w->at += n;
		o->offset += n;
		if (o->offset == wanted->at)
			break;
		r = decoder_fill(o->decoder);
		if (r == 0 && wanted->shorter)
			break;
		if (r <= 0)
			return r < 0 ? r : -ENODATA;
	}
	edge_set_tail(&o->tail, bytes_of(w->data, w->at));
	return 0;
}

static int sibling_open_at(const struct siblings *s, const struct sibling *one, const struct wanted *wanted,
			   struct opened *ret)
{
	_cleanup_(opened_done) struct opened o = OPENED_INIT;
	struct stat st;
	int r;

	/* what was no regular file when it was looked at is not here; what becomes one now, does not block */
	o.fd = one->name ? openat(s->directory, one->name,
				  O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW) :
			   open(s->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (o.fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO ? -ESTALE : -errno;
	if (fstat(o.fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !file_id_eq(file_id_of(&st), one->id))
		return -ESTALE;
	o.mtime_us = stat_mtime_us(&st);
	o.size = st.st_size;
	r = one->encoding == ENCODING_NONE ? open_plain(&o, wanted->at) : open_encoded(&o, one->encoding, wanted);
	if (r < 0)
		return r;
	*ret = o;
	o = (struct opened)OPENED_INIT;
	return 0;
}

int sibling_open(const struct siblings *s, const struct sibling *one, uint64_t at, struct opened *ret)
{
	return sibling_open_at(s, one, &(struct wanted){ .at = at }, ret);
}

/* What is damaged, or too short, before the position cannot be continued at it. */
static bool no_match(int r)
{
	return r == -ENODATA || r == -EBADMSG || r == -EFBIG || r == -ENOTSUP;
}

int sibling_match(const struct siblings *s, const struct sibling *one, const struct fingerprint *fp,
		  struct opened *ret)
{
	_cleanup_(opened_done) struct opened o = OPENED_INIT;
	int r;

	if (one->encoding == ENCODING_NONE && one->size < (int64_t)MAX(fp->offset, (uint64_t)fp->head_size))
		return 0;
	r = sibling_open_at(s, one, &(struct wanted){ .at = fp->offset, .fp = fp, .head = &edge_none }, &o);
	if (no_match(r))
		return 0;
	if (r >= 0)
		r = fingerprint_fits(fp, &o.head, &o.tail);
	if (r <= 0)
		return r;
	*ret = o;
	o = (struct opened)OPENED_INIT;
	return 1;
}

int sibling_match_shorter(const struct siblings *s, const struct sibling *one, const struct fingerprint *fp,
			  const struct edge *head, struct opened *ret)
{
	_cleanup_(opened_done) struct opened o = OPENED_INIT;
	struct wanted wanted = { .at = fp->offset, .fp = fp, .head = head, .shorter = true };
	int r;

	if (one->size == 0 || (one->encoding == ENCODING_NONE && (uint64_t)one->size >= fp->offset))
		return 0;
	if (one->encoding == ENCODING_NONE)
		wanted.at = (uint64_t)one->size;
	r = sibling_open_at(s, one, &wanted, &o);
	if (r < 0)
		return no_match(r) ? 0 : r;
	if (o.offset == 0 || o.offset >= fp->offset || !fingerprint_begins(fp, head, &o.head))
		return 0;
	*ret = o;
	o = (struct opened)OPENED_INIT;
	return 1;
}
