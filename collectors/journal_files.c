/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/io.h"

#define PERSISTENT_DIRECTORY "/var/log/journal"
#define VOLATILE_DIRECTORY "/run/log/journal"

int journal_open(const char *directory, sd_journal **ret)
{
	return directory ? sd_journal_open_directory(ret, directory, 0) : sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);
}

void journal_files_done(struct journal_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i].path);
	free(f->list);
	*f = (struct journal_files){ 0 };
}

/* 1, or 0 for a file that has not been given a header yet. */
static int read_header(int dir_fd, const char *name, struct journal_file *file)
{
	_cleanup_(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct journal_header h;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	file->tail.realtime_us = (uint64_t)st.st_mtim.tv_sec * 1000000u;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	n = pread_all(fd, &h, sizeof h, 0);
	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof h || memcmp(h.signature, "LPKSHHRH", sizeof h.signature) != 0)
		return n == 0 ? 0 : -EBADMSG;
	file->id = h.file_id;
	file->state = h.state;
	file->n_entries = le64toh(h.n_entries);
	file->tail = (struct journal_place){
		.boot = h.tail_boot_id,
		.monotonic_us = le64toh(h.tail_monotonic_us),
		.realtime_us = le64toh(h.tail_realtime_us),
		.seqnum_id = h.seqnum_id,
		.seqnum = le64toh(h.tail_seqnum),
	};
	return 1;
}

static int add_file(struct journal_files *f, const struct journal_file *file, const char *directory, const char *name)
{
	struct journal_file *list = realloc(f->list, (f->n + 1) * sizeof *list);

	if (!list)
		return -ENOMEM;
	f->list = list;
	list[f->n] = *file;
	if (asprintf(&list[f->n].path, "%s%s%s", directory, name[0] ? "/" : "", name) < 0)
		return -ENOMEM;
	f->n++;
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n > s && strcmp(name + n - s, suffix) == 0;
}

static bool is_machine_id(const char *name)
{
	return strspn(name, "0123456789abcdef") == 32 && name[32] == '\0';
}

static int list_directory(struct journal_files *f, const char *path, bool descend);

static int list_entry(struct journal_files *f, int dir_fd, const char *path, const char *name, bool descend)
{
	struct journal_file file = { 0 };
	int r;

	if (has_suffix(name, ".journal") || has_suffix(name, ".journal~")) {
		r = read_header(dir_fd, name, &file);
		if (r == 0 || r == -ENOENT)
			return 0;
		file.error = MIN(r, 0);
		return add_file(f, &file, path, name);
	}
	if (descend && is_machine_id(name)) {
		_cleanup_(freep) char *below = NULL;

		if (asprintf(&below, "%s/%s", path, name) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		return list_directory(f, below, false);
	}
	return 0;
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int list_directory(struct journal_files *f, const char *path, bool descend)
{
	_cleanup_(closedirp) DIR *d = opendir(path);
	const struct dirent *e;
	int r = 0;

	if (!d) {
		const struct journal_file file = { .error = -errno };

		return errno == ENOENT || errno == ENOTDIR ? 0 : add_file(f, &file, path, "");
	}
	while (r >= 0 && (e = readdir(d)))
		r = list_entry(f, dirfd(d), path, e->d_name, descend);
	return r;
}

static int list_host(struct journal_files *f)
{
	static const char *const roots[] = { PERSISTENT_DIRECTORY, VOLATILE_DIRECTORY };
	sd_id128_t machine;
	int r;

	r = sd_id128_get_machine(&machine);
	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(roots); i++) {
		char path[sizeof PERSISTENT_DIRECTORY + 1 + SD_ID128_STRING_MAX];
		size_t n = strlen(roots[i]);

		memcpy(path, roots[i], n);
		path[n] = '/';
		(void)sd_id128_to_string(machine, path + n + 1);
		r = list_directory(f, path, false);
	}
	return r;
}

static const struct journal_file *find_file(const struct journal_files *f, const struct journal_file *file)
{
	for (size_t i = 0; i < f->n; i++)
		if (file->error < 0 ? strcmp(f->list[i].path, file->path) == 0 : sd_id128_equal(f->list[i].id, file->id))
			return &f->list[i];
	return NULL;
}

int journal_files_list(const char *directory, struct journal_files *f)
{
	_cleanup_(journal_files_done) struct journal_files found = { 0 };
	int r;

	r = directory ? list_directory(&found, directory, true) : list_host(&found);
	if (r < 0)
		return r;
	for (size_t i = 0; i < found.n; i++) {
		struct journal_file *file = &found.list[i];
		const struct journal_file *known = find_file(f, file);

		if (!known)
			continue;
		file->audited = known->audited;
		file->audited_state = known->audited_state;
		file->said = known->said;
	}
	journal_files_done(f);
	*f = found;
	found = (struct journal_files){ 0 };
	return 0;
}

/* --- the audit ------------------------------------------------------------------------------------------ */

void journal_audit_end(struct journal_audit *a)
{
	journal_boots_done(&a->boots);
	*a = (struct journal_audit){ 0 };
}

static bool holds_more(const struct journal_file *f, const struct journal_place *place, uint64_t from_us)
{
	if (!place)
		return f->tail.realtime_us >= from_us;
	if (sd_id128_equal(f->tail.boot, place->boot))
		return f->tail.monotonic_us > place->monotonic_us;
	if (journal_same_numbering(&f->tail, place))
		return f->tail.seqnum > place->seqnum;
	return f->tail.realtime_us > place->realtime_us;
}

/* What may not be read is no damage: it is said otherwise. */
static bool is_due(const struct journal_file *f)
{
	if (f->error < 0)
		return f->error == -EBADMSG && !f->audited;
	return !f->audited || (f->state == JOURNAL_FILE_ARCHIVED && f->audited_state != JOURNAL_FILE_ARCHIVED);
}

static struct journal_file *next_file(struct journal_files *f, const struct journal_place *place, uint64_t from_us)
{
	for (size_t i = 0; i < f->n; i++) {
		struct journal_file *file = &f->list[i];

		if (!is_due(file))
			continue;
		if (holds_more(file, file->audited ? NULL : place, file->audited ? 0 : from_us))
			return file;
		file->audited = true;
		file->audited_state = file->state;
	}
	return NULL;
}

/* Counts on through the file's boots, as they are read; returns 1 at its end, 0 if there is more. */
static int count_on(struct journal_audit *a, sd_journal *j, unsigned entries)
{
	int r = 0;

	while (r >= 0 && a->boot < a->boots.n) {
		sd_id128_t boot = a->boots.list[a->boot].first.boot;
		uint64_t time_us;

		r = a->within ? journal_find(j, &a->last) : journal_match_boot(j, boot);
		if (r >= 0 && !a->within)
			r = sd_journal_seek_head(j);
		while (r >= 0 && entries > 0 && (r = sd_journal_next(j)) > 0) {
			r = journal_read_time(j, boot, &time_us);
			a->reached += r > 0;
			/* it goes on later from one that is whole */
			entries -= entries > 1 || r > 0;
		}
		a->within = r > 0 && entries == 0;
		if (a->within) {
			r = journal_place_read(j, &a->last);
			return MIN(r, 0);
		}
		a->boot++;
	}
	return r < 0 ? r : 1;
}

static int audit_file(struct journal_audit *a, unsigned entries)
{
	const char *paths[] = { a->file->path, NULL };
	sd_journal *j;
	int r;

	if (a->file->error < 0)
		return 1;
	r = sd_journal_open_files(&j, paths, 0);
	if (r < 0)
		return r;
	/* opened anew each time: so no more of it is mapped than is read now */
	if (!a->unproven && a->proof.n_seen == 0)
		r = journal_boots_add(&a->boots, j);
	if (r >= 0 && !a->unproven) {
		r = journal_proof_step(&a->proof, a->file->path, a->file->id, &a->boots, entries);
		a->unproven = r < 0;
		a->reached = r > 0 ? a->proof.n_seen : 0;
		r = MAX(r, 0);
	} else if (r >= 0) {
		r = count_on(a, j, entries);
	}
	sd_journal_close(j);
	return r;
}

int journal_audit_step(struct journal_audit *a, struct journal_files *f, const struct journal_place *place,
		       uint64_t from_us, unsigned entries, struct journal_file **ret, uint64_t *ret_missing)
{
	struct journal_file *file;
	int r;

	if (!a->file)
		a->file = next_file(f, place, from_us);
	file = a->file;
	if (!file)
		return -ENOENT;
	r = audit_file(a, entries);
	if (r == 0)
		return 0;
	/* vacuumed meanwhile: whatever was in it is missed elsewhere */
	*ret_missing = r != -ENOENT && file->n_entries > a->reached ? file->n_entries - a->reached : 0;
	/* journald counts an entry before it has linked it: the last one may be on its way. Once the file is archived it
	 * is counted again. */
	if (*ret_missing == 1 && file->state == JOURNAL_FILE_ONLINE && has_suffix(file->path, ".journal"))
		*ret_missing = 0;
	*ret_missing -= MIN(*ret_missing, file->said);
	*ret = file;
	file->said += *ret_missing;
	file->audited = true;
	file->audited_state = file->state;
	journal_audit_end(a);
	return 1;
}
