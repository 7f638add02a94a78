/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"

#define SECOND_US INT64_C(1000000)

struct account {
	struct bytes name;
	uint32_t uid;
};

/* What one reading of the file gave; both orders, for both questions. */
struct table {
	struct buf text;
	struct account *by_name;
	struct account *by_uid;
	size_t n;
};

struct accounts {
	char *path;
	struct table table;
	struct stat seen;   /* of the file that the table is from */
	int64_t looked_us;
	int64_t changed_us; /* the table has been so since then */
};

static int bytes_compare(struct bytes a, struct bytes b)
{
	int r = a.len > 0 && b.len > 0 ? memcmp(a.data, b.data, MIN(a.len, b.len)) : 0;

	return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *x, const void *y)
{
	const struct account *a = x, *b = y;
	int r = bytes_compare(a->name, b->name);

	return r ? r : (a->uid > b->uid) - (a->uid < b->uid);
}

static int by_uid(const void *x, const void *y)
{
	const struct account *a = x, *b = y;

	return a->uid != b->uid ? (a->uid > b->uid) - (a->uid < b->uid) : bytes_compare(a->name, b->name);
}

static void table_done(struct table *t)
{
	buf_done(&t->text);
	free(t->by_name);
	free(t->by_uid);
	*t = (struct table){ 0 };
}

/* "name:password:uid:…", passwd(5). Lines of "+" and "-" are for the name service. */
static bool parse_account(struct bytes line, struct account *ret)
{
	struct bytes parts[3];
	uint64_t uid;

	for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
		const uint8_t *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;

		if (!colon)
			return false;
		parts[i] = bytes_of(line.data, (size_t)(colon - line.data));
		line = bytes_from(line, parts[i].len + 1);
	}
	if (parts[0].len == 0 || parts[0].data[0] == '+' || parts[0].data[0] == '-' ||
	    bytes_to_u64(parts[2], &uid) < 0 || uid >= UINT32_MAX)
		return false;
	*ret = (struct account){ parts[0], (uint32_t)uid };
	return true;
}

static int table_parse(struct table *t)
{
	struct bytes rest = buf_bytes(&t->text);
	size_t lines = 1;

	for (size_t i = 0; i < rest.len; i++)
		lines += rest.data[i] == '\n';
	if (lines > ACCOUNTS_MAX)
		return -E2BIG;
	t->by_name = calloc(lines, sizeof *t->by_name);
	t->by_uid = calloc(lines, sizeof *t->by_uid);
	if (!t->by_name || !t->by_uid)
		return -ENOMEM;
	while (rest.len > 0) {
		const uint8_t *newline = memchr(rest.data, '\n', rest.len);
		struct bytes line = { rest.data, newline ? (size_t)(newline - rest.data) : rest.len };

		rest = bytes_from(rest, line.len + 1);
		t->n += parse_account(line, &t->by_name[t->n]);
	}
	memcpy(t->by_uid, t->by_name, t->n * sizeof *t->by_name);
	qsort(t->by_name, t->n, sizeof *t->by_name, by_name);
	qsort(t->by_uid, t->n, sizeof *t->by_uid, by_uid);
	return 0;
}

static bool tables_equal(const struct table *a, const struct table *b)
{
	for (size_t i = 0; a->n == b->n && i < a->n; i++) {
		if (by_name(&a->by_name[i], &b->by_name[i]) != 0)
			return false;
	}
	return a->n == b->n;
}

/* An empty table where the file cannot be read, is too large, or is no file. */
static void table_read(const char *path, struct table *ret, struct stat *ret_stat)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t n = -1;

	*ret = (struct table){ .text = BUF_INIT(ACCOUNTS_BYTES_MAX) };
	*ret_stat = (struct stat){ 0 };
	/* the times before the text: what changes in between has another time at the next look */
	/* without a link: it is mounted here by itself, and was replaced where it comes from */
	if (fd < 0 || fstat(fd, ret_stat) < 0 || !S_ISREG(ret_stat->st_mode) || ret_stat->st_nlink == 0 ||
	    buf_reserve(&ret->text, (size_t)ret_stat->st_size) < 0)
		return;
	n = pread_all(fd, ret->text.data, (size_t)ret_stat->st_size, 0);
	if (n < 0)
		return;
	ret->text.len = (size_t)n;
	if (table_parse(ret) < 0)
		table_done(ret);
}

static int64_t time_of(const struct timespec *t)
{
	return t->tv_sec * SECOND_US + t->tv_nsec / 1000;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       time_of(&a->st_mtim) == time_of(&b->st_mtim) && time_of(&a->st_ctim) == time_of(&b->st_ctim);
}

/* Whoever may change his own shell or full name (chfn, chsh) changes the file, but no name and no uid: such a
 * change takes nothing from what is known of the time before it. */
static void look(struct accounts *a, int64_t now_us)
{
	struct stat now = { 0 };
	struct table table;

	a->looked_us = now_us;
	if (stat(a->path, &now) < 0)
		now = (struct stat){ 0 };
	if (same_file(&now, &a->seen))
		return;
	table_read(a->path, &table, &a->seen);
	if (!tables_equal(&table, &a->table))
		a->changed_us = MAX(time_of(&a->seen.st_mtim), time_of(&a->seen.st_ctim));
	table_done(&a->table);
	a->table = table;
}

int accounts_new(const char *path, struct accounts **ret)
{
	struct accounts *a = calloc(1, sizeof *a);

	if (!a)
		return -ENOMEM;
	a->path = strdup(path);
	if (!a->path) {
		free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

struct accounts *accounts_free(struct accounts *a)
{
	if (a) {
		table_done(&a->table);
		free(a->path);
		free(a);
	}
	return NULL;
}

static bool has_accounts_of_uid(const struct table *t, uint32_t uid)
{
	struct account least = { BYTES_NONE, uid };
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_uid(&t->by_uid[middle], &least) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->n && t->by_uid[low].uid == uid;
}

static bool has_name(const struct table *t, struct bytes name)
{
	struct account least = { name, 0 };
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_name(&t->by_name[middle], &least) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->n && bytes_eq(t->by_name[low].name, name);
}

static bool table_contradicts(const struct table *t, struct bytes name, uint64_t uid)
{
	struct account claimed = { name, (uint32_t)uid };

	if (t->n == 0 || uid >= UINT32_MAX ||
	    bsearch(&claimed, t->by_name, t->n, sizeof *t->by_name, by_name))
		return false;
	return has_accounts_of_uid(t, (uint32_t)uid) || has_name(t, name);
}

bool accounts_contradict(struct accounts *a, struct bytes name, uint64_t uid, int64_t time_us)
{
	int64_t now_us = clock_wall_us();

	/* the clock may be set back */
	if (a->looked_us == 0 || now_us - a->looked_us >= SECOND_US || now_us < a->looked_us)
		look(a, now_us);
	if (!table_contradicts(&a->table, name, uid))
		return false;
	if (time_us >= a->looked_us) {
		look(a, now_us);
		if (!table_contradicts(&a->table, name, uid))
			return false;
	}
	/* file times are those of the last tick; and whoever was renamed may have asked just before */
	return time_us >= a->changed_us + SECOND_US;
}
