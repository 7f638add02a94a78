/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part of faults.c: what a program does to the files of one file system, in the order in which it does it, for
 * tests/lib/disk.py to say what a power cut may leave of it. HALLMARK_DISK_LOG names the file that it goes to, and
 * HALLMARK_DISK_TOP a directory on the file system that is meant. A record is
 *
 *     char operation; uint8_t 0; uint16_t name_size, other_size, 0; uint32_t data_size, 0;
 *     uint64_t file, directory, offset;
 *     name, other name, data
 *
 * (little-endian, as the machines are that we test on), and means
 *
 *     w  `data` was written at `offset`          t  the size was set to `offset`     a  it was allotted up to `offset`
 *     s  a file or directory was synced          f  that failed: nobody knows what the disk has, and what it will get
 *     c  `file` was made as `name` in `directory`            d  the same of a directory
 *     u  `name` was taken out of `directory`
 *     r  `name` in `file`, a directory, became `other` in `directory`
 */
#ifndef HALLMARK_TESTS_LIB_DISK_LOG_H
#define HALLMARK_TESTS_LIB_DISK_LOG_H

#include <stdint.h>
#include <sys/uio.h>

struct disk_record {
	char operation;
	uint8_t zero;
	uint16_t name_size, other_size, zero2;
	uint32_t data_size, zero4;
	uint64_t file, directory, offset;
};

static int disk_fd = -1;
static dev_t disk_device;

__attribute__((constructor)) static void disk_open(void)
{
	const char *log = getenv("HALLMARK_DISK_LOG"), *top = getenv("HALLMARK_DISK_TOP");
	struct stat st;

	if (!log || !top || stat(top, &st) < 0)
		return;
	disk_device = st.st_dev;
	/* out of the way of the descriptors that the program closes */
	disk_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void disk_write_record(struct disk_record r, const char *name, const char *other, const void *data)
{
	struct iovec parts[] = { { &r, sizeof r },
				 { (void *)(uintptr_t)name, r.name_size = (uint16_t)(name ? strlen(name) : 0) },
				 { (void *)(uintptr_t)other, r.other_size = (uint16_t)(other ? strlen(other) : 0) },
				 { (void *)(uintptr_t)data, r.data_size } };
	int saved = errno;

	if (syscall(SYS_writev, disk_fd, parts, 4) < 0)
		abort();
	errno = saved;
}

/* The file behind a descriptor; 0 where it is none of those that are meant. */
static uint64_t disk_file(int fd)
{
	struct stat st;

	return disk_fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == disk_device ? st.st_ino : 0;
}

/* The directory that a path's last part is in, and that part. */
static uint64_t disk_place(int fd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX] = ".";
	struct stat st;

	*ret_name = slash ? slash + 1 : path;
	if (slash) {
		size_t len = slash == path ? 1 : (size_t)(slash - path);

		memcpy(directory, path, len);
		directory[len] = '\0';
	}
	return fstatat(fd, directory, &st, 0) == 0 && st.st_dev == disk_device ? st.st_ino : 0;
}

static void disk_change(char operation, int fd, const void *data, long len, off_t offset)
{
	uint64_t file = disk_file(fd);

	if (file > 0)
		disk_write_record((struct disk_record){ .operation = operation, .file = file, .offset = (uint64_t)offset,
							.data_size = (uint32_t)len }, NULL, NULL, data);
}

/* Where write(2) has come to. */
static void disk_append(int fd, const void *data, long len)
{
	if (disk_fd >= 0)
		disk_change('w', fd, data, len, lseek(fd, 0, SEEK_CUR) - len);
}

static void disk_sync(int fd, bool done)
{
	disk_change(done ? 's' : 'f', fd, NULL, 0, 0);
}

static bool disk_has(int fd, const char *path)
{
	struct stat st;

	return disk_fd < 0 || fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void disk_name(char operation, int fd, const char *path)
{
	struct disk_record r = { .operation = operation };
	const char *name;
	struct stat st;

	if (disk_fd < 0)
		return;
	if (operation != 'u' && fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		r.file = st.st_ino;
	r.directory = disk_place(fd, path, &name);
	if (r.directory > 0)
		disk_write_record(r, name, NULL, NULL);
}

static void disk_rename(int from_fd, const char *from, int to_fd, const char *to)
{
	struct disk_record r = { .operation = 'r' };
	const char *name, *other;

	if (disk_fd < 0)
		return;
	r.file = disk_place(from_fd, from, &name);
	r.directory = disk_place(to_fd, to, &other);
	if (r.directory > 0)
		disk_write_record(r, name, other, NULL);
}

#endif
