/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

int pwrite_all(int fd, struct bytes b, off_t offset)
{
	while (b.len > 0) {
		ssize_t n = pwrite(fd, b.data, b.len, offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		b = bytes_from(b, (size_t)n);
		offset += n;
	}
	return 0;
}

int write_all(int fd, struct bytes b)
{
	while (b.len > 0) {
		ssize_t n = write(fd, b.data, b.len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		b = bytes_from(b, (size_t)n);
	}
	return 0;
}

ssize_t pread_all(int fd, void *data, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, offset + (off_t)done);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int read_file_at(int dir_fd, const char *path, bool nofollow, struct buf *ret)
{
	_cleanup_(closep) int fd = -1;
	size_t before = ret->len;

	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (nofollow ? O_NOFOLLOW : 0));
	if (fd < 0)
		return -errno;
	for (;;) {
		uint8_t chunk[16384];
		ssize_t n = read(fd, chunk, sizeof chunk);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : buf_append(ret, bytes_of(chunk, (size_t)n));
		if (r < 0) {
			ret->len = before;
			return r;
		}
		if (n == 0)
			return 0;
	}
}

int replace_file_at(int dir_fd, const char *name, struct bytes b, mode_t mode, bool durable)
{
	_cleanup_(closep) int fd = -1;
	char temporary[NAME_MAX + 1];
	int r;

	r = snprintf(temporary, sizeof temporary, ".%s.tmp", name);
	if (r < 0 || (size_t)r >= sizeof temporary)
		return -ENAMETOOLONG;
	(void)unlinkat(dir_fd, temporary, 0);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	/* the umask does not decide who may read the status or the key */
	r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, b);
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return r;
	}
	if (durable && fsync(dir_fd) < 0)
		return -errno;
	return 0;
}

int open_directory(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof part)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST && (path[i] == '\0' || errno != EROFS))
			return -errno;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
