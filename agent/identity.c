/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#include "agent/base/io.h"
#include "agent/base/text.h"

#define KEY_FILE_MAX 4096u

static void identity_names(struct identity *id)
{
	sd_id128_t value;

	if (gethostname(id->host, sizeof id->host) < 0)
		id->host[0] = '\0';
	id->host[sizeof id->host - 1] = '\0';
	if (!text_is_utf8(bytes_str(id->host)))
		id->host[0] = '\0';
	/* a container or a sealed image may have neither: then the record says so by leaving them out */
	id->has_machine_id = sd_id128_get_machine(&value) >= 0;
	if (id->has_machine_id)
		memcpy(id->machine_id, value.bytes, sizeof id->machine_id);
	id->has_boot_id = sd_id128_get_boot(&value) >= 0;
	if (id->has_boot_id)
		memcpy(id->boot_id, value.bytes, sizeof id->boot_id);
}

static int identity_take_key(struct identity *id, struct signing_key *key, bool is_new)
{
	signing_key_public(key, id->public_key);
	signing_key_free(id->key);
	id->key = key;
	id->is_new = is_new;
	return public_key_fingerprint(id->public_key, id->fingerprint);
}

/* 1: read, 0: there is none. */
static int identity_read_key(int key_fd, const char *name, bool is_new, struct identity *id)
{
	_cleanup_(signing_key_freep) struct signing_key *key = NULL;
	struct buf pem = BUF_INIT(KEY_FILE_MAX);
	int r;

	r = read_file_at(key_fd, name, true, &pem);
	id->is_new = is_new && r != -ENOENT;
	if (r >= 0)
		r = signing_key_from_pem(buf_bytes(&pem), &key);
	if (pem.data)
		OPENSSL_cleanse(pem.data, pem.cap);
	buf_done(&pem);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = identity_take_key(id, TAKE_PTR(key), is_new);
	return r < 0 ? r : 1;
}

static int open_subdirectory(int fd, const char *name, mode_t mode)
{
	int sub;

	if (mkdirat(fd, name, mode) < 0 && errno != EEXIST)
		return -errno;
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return sub < 0 ? -errno : sub;
}

int identity_load(int state_fd, struct identity *ret)
{
	_cleanup_(closep) int key_fd = -1;
	int r;

	*ret = (struct identity){ 0 };
	identity_names(ret);
	instance_read(INSTANCE_DMI_DIRECTORY, INSTANCE_MACHINE_ID_FILE, &ret->instance);
	key_fd = openat(state_fd, "key", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (key_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = identity_read_key(key_fd, "key.pem", false, ret);
	return r == 0 ? identity_read_key(key_fd, "new.pem", true, ret) : r;
}

int identity_at_home(int state_fd, const struct identity *id, struct buf *why)
{
	_cleanup_(closep) int key_fd = openat(state_fd, "key", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct instance kept = { 0 };
	int r;

	if (key_fd < 0)
		return errno == ENOENT ? 1 : -errno;
	r = instance_load(key_fd, &kept);
	if (r < 0)
		return r;
	if (instance_compare(&kept, &id->instance, why) == INSTANCE_OTHER)
		return 0;
	/* a disk that is full now is no reason to read nothing: the next start keeps them */
	if (instance_merge(&kept, &id->instance))
		(void)instance_store(key_fd, &kept);
	return 1;
}

int identity_create(int state_fd, struct identity *id)
{
	_cleanup_(signing_key_freep) struct signing_key *key = NULL;
	_cleanup_(closep) int key_fd = -1;
	struct buf pem = BUF_INIT(KEY_FILE_MAX);
	struct instance kept = { 0 };
	int r;

	key_fd = open_subdirectory(state_fd, "key", 0700);
	if (key_fd < 0)
		return key_fd;
	/* before the key: none is ever without them */
	(void)instance_merge(&kept, &id->instance);
	r = instance_store(key_fd, &kept);
	if (r >= 0)
		r = signing_key_generate(&key);
	if (r >= 0)
		r = signing_key_to_pem(key, &pem);
	if (r >= 0)
		r = replace_file_at(key_fd, "new.pem", buf_bytes(&pem), 0600, true);
	if (pem.data)
		OPENSSL_cleanse(pem.data, pem.cap);
	buf_done(&pem);
	if (r >= 0 && fsync(state_fd) < 0)
		r = -errno;
	return r < 0 ? r : identity_take_key(id, TAKE_PTR(key), true);
}

/* --- succession --------------------------------------------------------------------------------------- */

/* The parts of the old state, in the order in which they are moved. */
static const char *const parts[] = { "key", "spool" };

static int open_retiring(int state_fd)
{
	int fd = openat(state_fd, "retiring", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* Whether all of the old state is in there. */
static bool is_complete(int retiring_fd)
{
	return faccessat(retiring_fd, parts[ELEMENTSOF(parts) - 1], F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int move_parts(int state_fd, int retiring_fd)
{
	for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
		if (renameat(state_fd, parts[i], retiring_fd, parts[i]) < 0 && errno != ENOENT)
			return -errno;
		/* none of them shall be seen on the disk before those that went before it */
		if (fsync(retiring_fd) < 0 || fsync(state_fd) < 0)
			return -errno;
	}
	return 0;
}

/* Gives STATE/retiring its number under STATE/retired. */
static int finish_retiring(int state_fd)
{
	_cleanup_(closep) int retiring_fd = open_retiring(state_fd), retired_fd = -1;
	char name[16];
	int r = -1;

	if (retiring_fd == -ENOENT)
		return 0;
	if (retiring_fd < 0)
		return retiring_fd;
	if (!is_complete(retiring_fd))
		return 0;
	retired_fd = open_subdirectory(state_fd, "retired", 0700);
	if (retired_fd < 0)
		return retired_fd;
	for (unsigned n = 1; r < 0; n++) {
		(void)snprintf(name, sizeof name, "%u", n);
		/* takes the place of no directory that has something in it */
		r = renameat(state_fd, "retiring", retired_fd, name);
		if (r < 0 && ((errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) || n == 1000000))
			return -errno;
	}
	return fsync(retired_fd) < 0 || fsync(state_fd) < 0 ? -errno : 0;
}

int identity_settle(int state_fd, struct identity *id)
{
	_cleanup_(closep) int key_fd = -1;

	if (id->is_new) {
		key_fd = open_subdirectory(state_fd, "key", 0700);
		if (key_fd < 0)
			return key_fd;
		if (renameat(key_fd, "new.pem", key_fd, "key.pem") < 0 || fsync(key_fd) < 0)
			return -errno;
		id->is_new = false;
	}
	return finish_retiring(state_fd);
}

int identity_retire(int state_fd, struct identity *id, struct bytes reason)
{
	_cleanup_(closep) int retired_fd = open_subdirectory(state_fd, "retired", 0700), retiring_fd = -1;
	int r;

	/* made now, so that a full disk is met here and not behind the new chain's first frame */
	if (retired_fd < 0)
		return retired_fd;
	r = finish_retiring(state_fd);
	if (r < 0)
		return r;
	retiring_fd = open_subdirectory(state_fd, "retiring", 0700);
	if (retiring_fd < 0)
		return retiring_fd;
	r = replace_file_at(retiring_fd, "reason", reason, 0600, true);
	if (r >= 0)
		r = move_parts(state_fd, retiring_fd);
	if (r < 0)
		return r;
	id->key = signing_key_free(id->key);
	id->is_new = false;
	return 0;
}

int identity_resume(int state_fd)
{
	_cleanup_(closep) int retiring_fd = open_retiring(state_fd);

	if (retiring_fd == -ENOENT)
		return 0;
	if (retiring_fd < 0)
		return retiring_fd;
	/* without a reason nothing was moved yet: what is there is judged anew */
	if (is_complete(retiring_fd) || faccessat(retiring_fd, "reason", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return move_parts(state_fd, retiring_fd);
}

int identity_retiring(int state_fd, char ret_reason[static IDENTITY_REASON_MAX + 1])
{
	_cleanup_(buf_done) struct buf reason = BUF_INIT(IDENTITY_REASON_MAX);
	_cleanup_(closep) int fd = open_retiring(state_fd);
	int r;

	if (fd < 0)
		return fd;
	if (!is_complete(fd))
		return -ENOENT;
	r = read_file_at(fd, "reason", true, &reason);
	if (r < 0 && r != -ENOENT && r != -EMSGSIZE)
		return r;
	memcpy(ret_reason, reason.data ? reason.data : (const uint8_t *)"", reason.len);
	ret_reason[reason.len] = '\0';
	return TAKE_FD(fd);
}

void identity_done(struct identity *id)
{
	id->key = signing_key_free(id->key);
}
