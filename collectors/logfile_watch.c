/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/logfile_watch.h"

#include <errno.h>

#define DIRECTORY_MASK \
	(IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define FILE_MASK (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF)
#define READS_MAX 16

int watch_init(struct watch *w, const char *path)
{
	const char *slash, *before;

	w->path = strdup(path);
	if (!w->path)
		return -ENOMEM;
	slash = strrchr(w->path, '/');
	w->base = bytes_str(slash ? slash + 1 : w->path);
	if (slash) {
		before = memrchr(w->path, '/', (size_t)(slash - w->path));
		before = before ? before + 1 : w->path;
		w->directory = bytes_of(before, (size_t)(slash - before));
	}
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

void watch_done(struct watch *w)
{
	closep(&w->fd);
	free(w->path);
	*w = (struct watch)WATCH_INIT;
}

/* The directory above: "a/b" of "a/b/c", "/" of "/a", "." of "a"; NULL above those. */
static char *directory_above(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strcmp(path, ".") == 0 ? NULL : strdup(".");
	if (slash == path)
		return path[1] == '\0' ? NULL : strdup("/");
	return strndup(path, (size_t)(slash - path));
}

static int watch_deepest(struct watch *w, bool *ret_is_parent, int *ret_above)
{
	_cleanup_(freep) char *directory = directory_above(w->path);
	bool is_parent = true;
	int error = -ENOMEM;

	while (directory) {
		int wd = inotify_add_watch(w->fd, directory, DIRECTORY_MASK);
		char *above;

		error = -errno;
		/* anything but these would be the same above */
		if (wd < 0 && error != -ENOENT && error != -ENOTDIR && error != -EACCES)
			break;
		above = directory_above(directory);
		if (wd >= 0) {
			*ret_is_parent = is_parent;
			*ret_above = is_parent && above ? inotify_add_watch(w->fd, above, DIRECTORY_MASK) : -1;
			free(above);
			return wd;
		}
		free(directory);
		directory = above;
		is_parent = false;
	}
	return error;
}

int watch_directory(struct watch *w)
{
	int before[] = { w->directory_wd, w->above_wd }, wd = -1, above = -1;
	bool is_parent = false;

	/* what is made below while we walk up is seen by walking again once something is watched */
	for (int again = 0; again < 2 && !is_parent; again++) {
		int next = watch_deepest(w, &is_parent, &above);

		if (wd >= 0 && wd != next && wd != above)
			watch_drop(w, wd);
		wd = next;
	}
	for (size_t i = 0; i < ELEMENTSOF(before); i++)
		if (before[i] != wd && before[i] != above)
			watch_drop(w, before[i]);
	w->directory_wd = wd < 0 ? -1 : wd;
	w->above_wd = above;
	w->is_parent = is_parent;
	return wd < 0 ? wd : 0;
}

int watch_file(struct watch *w, int fd)
{
	char name[40];

	/* by descriptor: the name may mean another file by now */
	(void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return inotify_add_watch(w->fd, name, FILE_MASK);
}

void watch_drop(struct watch *w, int wd)
{
	if (wd >= 0)
		(void)inotify_rm_watch(w->fd, wd);
}

int watch_read(struct watch *w, void (*take)(void *context, const struct inotify_event *e), void *context)
{
	_Alignas(struct inotify_event) uint8_t events[8192];

	for (int reads = 0; reads < READS_MAX; reads++) {
		ssize_t n = read(w->fd, events, sizeof events);

		if (n <= 0)
			return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(events + at);

			take(context, e);
			at += (ssize_t)(sizeof *e + e->len);
		}
	}
	return 0;
}

bool watch_concerns(struct watch *w, const struct inotify_event *e)
{
	if (e->mask & (IN_Q_OVERFLOW | IN_UNMOUNT))
		return true;
	if (e->wd == w->above_wd) {
		if (e->mask & IN_IGNORED)
			w->above_wd = -1;
		return e->len == 0 || bytes_eq(bytes_str(e->name), w->directory);
	}
	if (e->wd != w->directory_wd)
		return false;
	if (e->mask & IN_IGNORED)
		w->directory_wd = -1;
	return !w->is_parent || e->len == 0 || bytes_starts(bytes_str(e->name), w->base);
}
