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
	key_fd = openat(state_fd, "key", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (key_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = identity_read_key(key_fd, "key.pem", false, ret);
	return r == 0 ? identity_read_key(key_fd, "new.pem", true, ret) : r;
}

int identity_create(int state_fd, struct identity *id)
{
	_cleanup_(signing_key_freep) struct signing_key *key = NULL;
	_cleanup_(closep) int key_fd = -1;
	struct buf pem = BUF_INIT(KEY_FILE_MAX);
	int r;

	key_fd = open_subdirectory(state_fd, "key", 0700);
	if (key_fd < 0)
		return key_fd;
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

int identity_settle(int state_fd, struct identity *id)
{
	_cleanup_(closep) int key_fd = open_subdirectory(state_fd, "key", 0700);

	if (key_fd < 0)
		return key_fd;
	if (renameat(key_fd, "new.pem", key_fd, "key.pem") < 0 || fsync(key_fd) < 0)
		return -errno;
	id->is_new = false;
	return 0;
}

int identity_retire(int state_fd, struct identity *id)
{
	static const char *const parts[] = { "key", "spool" };
	_cleanup_(closep) int retired_fd = open_subdirectory(state_fd, "retired", 0700), place_fd = -1;
	char name[16];

	if (retired_fd < 0)
		return retired_fd;
	for (unsigned n = 1;; n++) {
		(void)snprintf(name, sizeof name, "%u", n);
		if (mkdirat(retired_fd, name, 0700) == 0)
			break;
		if (errno != EEXIST || n == 1000000)
			return -errno;
	}
	place_fd = open_subdirectory(retired_fd, name, 0700);
	if (place_fd < 0)
		return place_fd;
	for (size_t i = 0; i < ELEMENTSOF(parts); i++)
		if (renameat(state_fd, parts[i], place_fd, parts[i]) < 0 && errno != ENOENT)
			return -errno;
	if (fsync(place_fd) < 0 || fsync(retired_fd) < 0 || fsync(state_fd) < 0)
		return -errno;
	id->key = signing_key_free(id->key);
	return 0;
}

void identity_done(struct identity *id)
{
	id->key = signing_key_free(id->key);
}
