/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_proof.h"

#include <errno.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "collectors/journal_format.h"

#define VIEW_BYTES (64u * 1024)
#define BOOT_NAME LIT("_BOOT_ID=")
#define ITEMS_MAX 1024u /* journald takes no entry with more */
#define TIME_MAX (UINT64_C(1) << 55) /* libsystemd takes no time for one that is later */

/* A part of the file. Objects of one kind stand in their order there, so one view goes through it once. */
struct view {
	uint64_t from;
	size_t len;
	uint8_t data[VIEW_BYTES];
};

struct proof_file {
	int fd;
	bool compact;
	uint64_t end, n_entries, entry_array;
	struct view entries, arrays, others;
};

static void proof_file_free(struct proof_file **f)
{
	if (*f)
		closep(&(*f)->fd);
	free(*f);
}

/* `len` bytes at `offset`; NULL where they are not all there. They stay until the next use of the view. */
static const void *look(const struct proof_file *f, struct view *v, uint64_t offset, size_t len)
{
	if (offset < v->from || offset - v->from > v->len || v->len - (offset - v->from) < len) {
		ssize_t n = pread_all(f->fd, v->data, sizeof v->data, (off_t)offset);

		v->from = offset;
		v->len = (size_t)MAX(n, 0);
	}
	return v->len - (offset - v->from) < len ? NULL : v->data + (offset - v->from);
}

/* An object of that type with `len` bytes or more, all of them in the file, or NULL. */
static const void *look_object(const struct proof_file *f, struct view *v, uint64_t offset, uint8_t type, size_t len)
{
	const struct journal_object *o = offset == 0 || offset % 8 != 0 || offset > f->end ? NULL : look(f, v, offset, len);

	return o && o->type == type && le64toh(o->size) >= len && le64toh(o->size) <= f->end - offset ? o : NULL;
}

static uint64_t number_at(const uint8_t *p, bool compact)
{
	uint32_t small;
	uint64_t large;

	memcpy(&small, p, sizeof small);
	memcpy(&large, p, compact ? sizeof small : sizeof large);
	return compact ? le32toh(small) : le64toh(large);
}

/* The offset of the entry that the chain has come to, or 0. */
static uint64_t entry_in(struct proof_file *f, struct journal_chain *c)
{
	const struct journal_entry_array_object *a;
	size_t width = f->compact ? 4 : 8;
	const uint8_t *p;
	uint64_t n, next;

	while ((a = look_object(f, &f->arrays, c->array, JOURNAL_OBJECT_ENTRY_ARRAY, sizeof *a))) {
		n = (le64toh(a->object.size) - sizeof *a) / width;
		if (c->item < n) {
			p = look(f, &f->others, c->array + sizeof *a + c->item * width, width);
			return p ? number_at(p, f->compact) : 0;
		}
		next = le64toh(a->next);
		if (next <= c->array)
			return 0;
		*c = (struct journal_chain){ next, c->item - n };
	}
	return 0;
}

static const struct journal_entry_object *look_entry(struct proof_file *f, uint64_t offset)
{
	const struct journal_entry_object *e =
		look_object(f, &f->entries, offset, JOURNAL_OBJECT_ENTRY, sizeof(struct journal_entry_object));
	size_t width = f->compact ? 4 : 16;

	return e && le64toh(e->object.size) > sizeof *e && (le64toh(e->object.size) - sizeof *e) % width == 0 &&
			       le64toh(e->seqnum) > 0 && le64toh(e->realtime_us) - 1 < TIME_MAX - 1 &&
			       le64toh(e->monotonic_us) < TIME_MAX ?
		       e :
		       NULL;
}

/* Whether the data object at `offset` is the boot's id. */
static const struct journal_data_object *look_boot(struct proof_file *f, uint64_t offset, sd_id128_t boot)
{
	size_t head = sizeof(struct journal_data_object) + (f->compact ? 8 : 0);
	size_t size = head + BOOT_NAME.len + SD_ID128_STRING_MAX - 1;
	const struct journal_data_object *d = look_object(f, &f->others, offset, JOURNAL_OBJECT_DATA, size);
	struct bytes value = d ? bytes_of((const uint8_t *)d + head, size - head) : BYTES_NONE;
	char id[SD_ID128_STRING_MAX];

	(void)sd_id128_to_string(boot, id);
	return d && le64toh(d->object.size) == size && d->object.flags == 0 && bytes_starts(value, BOOT_NAME) &&
			       bytes_eq(bytes_from(value, BOOT_NAME.len), bytes_str(id)) ?
		       d :
		       NULL;
}

/* libsystemd passes over what seems to come before where it stands. If not, it is the last one now. */
static bool comes_next(struct journal_proof *p, uint64_t offset, const struct journal_entry_object *e)
{
	uint64_t seqnum = le64toh(e->seqnum), us = le64toh(e->monotonic_us);
	bool next = offset >= p->last_end && seqnum > p->last_seqnum && us >= p->last_us;

	p->last_end = offset + le64toh(e->object.size);
	p->last_seqnum = seqnum;
	p->last_us = us;
	return next;
}

static void pass(struct journal_proof *p)
{
	p->of_all.item++;
	p->n_seen++;
}

/* Goes to the boot of the first entry that is in none so far. */
static int enter_boot(struct proof_file *f, struct journal_proof *p, const struct journal_boots *boots)
{
	uint64_t offset = entry_in(f, &p->of_all), at = offset + sizeof(struct journal_entry_object);
	const struct journal_entry_object *first = look_entry(f, offset);
	const struct journal_data_object *d = NULL;
	size_t width = f->compact ? 4 : 16;

	/* one boot after the other: so none is met twice */
	p->last_us = 0;
	if (!first || !journal_boots_find(boots, first->boot) || !comes_next(p, offset, first))
		return -EBADMSG;
	p->boot = first->boot;
	for (size_t n = MIN((le64toh(first->object.size) - sizeof *first) / width, ITEMS_MAX); n > 0 && !d; n--, at += width) {
		const uint8_t *link = look(f, &f->entries, at, width);

		if (!link)
			return -EBADMSG;
		d = look_boot(f, number_at(link, f->compact), p->boot);
	}
	if (!d || le64toh(d->entry) != offset || d->n_entries == 0)
		return -EBADMSG;
	p->left = le64toh(d->n_entries) - 1;
	p->of_boot = (struct journal_chain){ le64toh(d->entry_array), 0 };
	p->n_boots++;
	pass(p);
	return 0;
}

static int pass_entry(struct proof_file *f, struct journal_proof *p)
{
	uint64_t offset = entry_in(f, &p->of_boot);
	const struct journal_entry_object *e = look_entry(f, offset);

	if (!e || !sd_id128_equal(e->boot, p->boot) || !comes_next(p, offset, e))
		return -EBADMSG;
	p->of_boot.item++;
	p->left--;
	pass(p);
	return 0;
}

static int open_file(struct proof_file *f, const char *path, sd_id128_t id)
{
	struct journal_header h;
	struct stat st;
	ssize_t n;

	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return -errno;
	n = pread_all(f->fd, &h, sizeof h, 0);
	/* one that is being written to changes under the hand */
	if (n < (ssize_t)sizeof h || !sd_id128_equal(h.file_id, id) || h.state == JOURNAL_FILE_ONLINE ||
	    (le32toh(h.incompatible_flags) & ~JOURNAL_FLAGS_KNOWN) != 0)
		return n < 0 ? (int)n : -EBADMSG;
	f->end = (uint64_t)st.st_size;
	f->compact = le32toh(h.incompatible_flags) & JOURNAL_FLAG_COMPACT;
	f->n_entries = le64toh(h.n_entries);
	f->entry_array = le64toh(h.entry_array);
	return 0;
}

int journal_proof_step(struct journal_proof *p, const char *path, sd_id128_t id, const struct journal_boots *boots,
		       unsigned entries)
{
	_cleanup_(proof_file_free) struct proof_file *f = malloc(sizeof *f);
	int r;

	if (!f)
		return -ENOMEM;
	f->fd = -1;
	f->entries.len = f->arrays.len = f->others.len = 0;
	f->entries.from = f->arrays.from = f->others.from = 0;
	r = open_file(f, path, id);
	if (r >= 0 && p->n_seen == 0)
		p->of_all = (struct journal_chain){ f->entry_array, 0 };
	for (; r >= 0 && entries > 0 && p->n_seen < f->n_entries; entries--)
		r = p->left > 0 ? pass_entry(f, p) : enter_boot(f, p, boots);
	if (r < 0)
		return r;
	if (p->n_seen < f->n_entries)
		return 0;
	return p->n_seen == f->n_entries && p->left == 0 && p->n_boots == boots->n ? 1 : -EBADMSG;
}
