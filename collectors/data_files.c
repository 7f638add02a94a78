/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/data_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "agent/base/io.h"

#define FILE_MAX (4u * 1024 * 1024)

static int is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name), end = strlen(suffix);

	return len > end && strcmp(name + len - end, suffix) == 0;
}

static int add_file(int dir_fd, const char *directory, const char *name, data_file_add add, void *to,
		    struct buf *ret_why)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
	_cleanup_(freep) char *origin = NULL;
	int r;

	if (asprintf(&origin, "%s/%s", directory, name) < 0) {
		origin = NULL;
		return -ENOMEM;
	}
	r = read_file_at(dir_fd, name, false, &text);
	if (r < 0) {
		if (ret_why)
			(void)buf_printf(ret_why, "%s: cannot be read: %s", origin, strerror(-r));
		return r;
	}
	return add(to, buf_bytes(&text), origin, ret_why);
}

int data_files_add(const char *path, const char *suffix, data_file_add add, void *to, struct buf *ret_why)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int n, added = 0, failed = 0;

	if (fd < 0) {
		int r = -errno;

		if (r != -ENOENT && ret_why)
			(void)buf_printf(ret_why, "%s: cannot be read: %s", path, strerror(-r));
		return r == -ENOENT ? 0 : r;
	}
	n = scandirat(fd, ".", &names, is_visible, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		int r = 0;

		/* a mistake in one file is no reason to do without the others; the first is told */
		if (ends_in(names[i]->d_name, suffix))
			r = add_file(fd, path, names[i]->d_name, add, to, failed < 0 ? NULL : ret_why);
		if (r >= 0)
			added += r;
		else if (failed == 0)
			failed = r;
		free(names[i]);
	}
	free(names);
	return failed < 0 ? failed : added;
}
