/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/inbox_taken.h"

#include <errno.h>
#include <fcntl.h>

bool taken_is_full(const struct taken *t, size_t place)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->files[i].place == place;
	return n >= TAKEN_PLACE_MAX || t->n == TAKEN_MAX;
}

bool taken_is_waiting(const struct taken *t, size_t place)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->files[i].place == place && !t->files[i].durable)
			return true;
	return false;
}

bool taken_has(const struct taken *t, size_t place, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->files[i].place == place && strcmp(t->files[i].name, name) == 0)
			return true;
	return false;
}

void taken_add(struct taken *t, size_t place, const char *name, bool has_digest, const struct inbox_file *file)
{
	struct taken_file *f = &t->files[t->n++];

	*f = (struct taken_file){ .place = place, .has_digest = has_digest, .file = *file };
	(void)snprintf(f->name, sizeof f->name, "%s", name);
}

int taken_error(const struct taken *t, size_t place)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->files[i].place == place && t->files[i].error)
			return t->files[i].error;
	return 0;
}

/* --- the position --------------------------------------------------------------------------------------- */

static void taken_from_message(struct taken *t, const struct taken_place *places, size_t n_places,
			       const Hallmark__V1__TakenSubmission *m)
{
	struct bytes name = bytes_of(m->name.data, m->name.len);
	struct taken_file f = { .read_before = true, .durable = true, .has_digest = m->digest.len == INBOX_DIGEST };

	if (f.has_digest)
		memcpy(f.file.digest, m->digest.data, INBOX_DIGEST);
	for (f.place = 0; f.place < n_places; f.place++) {
		struct bytes place = bytes_str(places[f.place].name), base = bytes_from(name, place.len + 1);

		if (!bytes_starts(name, place) || name.len == place.len || name.data[place.len] != '/')
			continue;
		/* it is opened by that name: nothing but what a directory entry may be */
		if (base.len == 0 || base.len >= sizeof f.name || memchr(base.data, '/', base.len) ||
		    memchr(base.data, '\0', base.len))
			return;
		memcpy(f.name, base.data, base.len);
		t->files[t->n++] = f;
		return;
	}
}

void taken_from_position(struct taken *t, const struct taken_place *places, size_t n_places,
			 const Hallmark__V1__Position *position)
{
	for (size_t i = 0; i < position->n_taken && t->n < TAKEN_MAX; i++)
		taken_from_message(t, places, n_places, position->taken[i]);
}

void taken_to_position(struct taken *t, const struct taken_place *places, Hallmark__V1__Position *ret)
{
	for (size_t i = 0; i < t->n; i++) {
		struct taken_file *f = &t->files[i];
		Hallmark__V1__TakenSubmission *m = &t->messages[i];
		int len = snprintf(t->names[i], sizeof t->names[i], "%s/%s", places[f->place].name, f->name);

		*m = (Hallmark__V1__TakenSubmission)HALLMARK__V1__TAKEN_SUBMISSION__INIT;
		m->name = (ProtobufCBinaryData){ (size_t)len, (uint8_t *)t->names[i] };
		if (f->has_digest)
			m->digest = (ProtobufCBinaryData){ INBOX_DIGEST, f->file.digest };
		t->list[i] = m;
		f->named = true;
	}
	ret->taken = t->list;
	ret->n_taken = t->n;
}

void taken_committed(struct taken *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->files[i].durable |= t->files[i].named;
}

/* --- removal -------------------------------------------------------------------------------------------- */

enum found { FOUND_GONE, FOUND_SAME, FOUND_OTHER };

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What lies there under the name of a file that was taken: an enum found, or a negative errno. */
static int taken_look(const struct taken_file *f, const struct taken_place *p, struct buf *content)
{
	struct inbox_file now;
	const char *why;
	int r;

	if (p->fd < 0)
		return p->missing ? FOUND_GONE : -EACCES;
	if (!f->read_before) {
		if (fstatat(p->fd, f->name, &now.st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? FOUND_GONE : -errno;
		return same_file(&now.st, &f->file.st) ? FOUND_SAME : FOUND_OTHER;
	}
	r = inbox_file_read(p->fd, f->name, p->owner, content, &now, &why);
	if (r == -ENOENT)
		return FOUND_GONE;
	if (r == -EBADMSG) /* it could not be read then, and it cannot now */
		return f->has_digest ? FOUND_OTHER : FOUND_SAME;
	if (r < 0)
		return r;
	return f->has_digest && memcmp(now.digest, f->file.digest, INBOX_DIGEST) == 0 ? FOUND_SAME : FOUND_OTHER;
}

static int remove_entry(int dir_fd, const char *name)
{
	int error;

	if (unlinkat(dir_fd, name, 0) == 0)
		return 0;
	error = errno;
	/* a directory: goes if it is empty */
	if ((error == EISDIR || error == EPERM) && unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return 0;
	return error == ENOENT ? 0 : -error;
}

/* Keeps those that are gone, but might be there again after a power cut, once no position names them any more. */
static void sync_place(struct taken *t, const struct taken_place *place, size_t number, bool *gone)
{
	bool any = false;
	int error = 0;

	for (size_t i = 0; i < t->n; i++)
		any |= gone[i] && t->files[i].place == number;
	if (any && place->fd >= 0 && fsync(place->fd) < 0)
		error = -errno;
	for (size_t i = 0; error < 0 && i < t->n; i++)
		if (gone[i] && t->files[i].place == number) {
			gone[i] = false;
			t->files[i].error = error;
		}
}

bool taken_remove(struct taken *t, const struct taken_place *places, size_t n_places, struct buf *content, bool again)
{
	bool gone[TAKEN_MAX] = { false }, other = false;
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct taken_file *f = &t->files[i];
		int r;

		if (!f->durable || (f->error && !again))
			continue;
		r = taken_look(f, &places[f->place], content);
		other |= r == FOUND_OTHER;
		if (r == FOUND_SAME)
			r = remove_entry(places[f->place].fd, f->name);
		gone[i] = r >= 0;
		f->error = MIN(r, 0);
	}
	for (size_t p = 0; p < n_places; p++)
		sync_place(t, &places[p], p, gone);
	for (size_t i = 0; i < t->n; i++)
		if (!gone[i])
			t->files[kept++] = t->files[i];
	t->n = kept;
	return other;
}
