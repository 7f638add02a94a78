/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/inbox_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>

#include "agent/base/io.h"
#include "proto/event.h"
#include "proto/submission.h"

bool inbox_name_is_temporary(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '.' || (len >= 4 && strcmp(name + len - 4, ".tmp") == 0);
}

static const char *file_wrong(const struct stat *st, const char *name, uid_t owner)
{
	if (!S_ISREG(st->st_mode))
		return "it is no regular file";
	if (st->st_nlink != 1)
		return "it has another name besides";
	if (st->st_uid != owner)
		return "it does not belong to the owner of its directory";
	if (st->st_size > (off_t)SUBMISSION_SIZE_MAX)
		return "it is larger than 256 KiB";
	if (!event_name_ok(name))
		return "its name has other than letters, digits, \"_\", \"-\" and \".\", or is longer than 64 bytes";
	return NULL;
}

/* -EBADMSG: whatever has that name cannot be opened as a file. */
static int file_refuse(int dir_fd, const char *name, struct inbox_file *ret, const char **ret_why)
{
	if (fstatat(dir_fd, name, &ret->st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_why = S_ISLNK(ret->st.st_mode) ? "it is a symbolic link" : "it is no regular file";
	return -EBADMSG;
}

int inbox_file_read(int dir_fd, const char *name, uid_t owner, struct buf *content, struct inbox_file *ret,
		    const char **ret_why)
{
	_cleanup_(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	ssize_t n;
	int r;

	buf_clear(content);
	if (fd < 0 && (errno == ELOOP || errno == ENXIO || errno == ENODEV))
		return file_refuse(dir_fd, name, ret, ret_why);
	if (fd < 0 || fstat(fd, &ret->st) < 0)
		return -errno;
	*ret_why = file_wrong(&ret->st, name, owner);
	if (*ret_why)
		return -EBADMSG;
	/* a byte more than may be: it may have grown since */
	r = buf_reserve(content, SUBMISSION_SIZE_MAX + 1);
	if (r < 0)
		return r;
	n = pread_all(fd, content->data, SUBMISSION_SIZE_MAX + 1, 0);
	if (n < 0)
		return (int)n;
	content->len = (size_t)n;
	return EVP_Digest(content->data, content->len, ret->digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}
