/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "agent/base/io.h"

#define FILE_NAME "secret"

static int secret_make(int state_fd, uint8_t ret[static HOST_SECRET_SIZE])
{
	if (getrandom(ret, HOST_SECRET_SIZE, 0) != (ssize_t)HOST_SECRET_SIZE)
		return -EIO;
	return replace_file_at(state_fd, FILE_NAME, bytes_of(ret, HOST_SECRET_SIZE), 0600, true);
}

static int secret_get(int state_fd, uint8_t ret[static HOST_SECRET_SIZE])
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(HOST_SECRET_SIZE + 1);
	int r = read_file_at(state_fd, FILE_NAME, true, &text);

	if (r < 0 && r != -ENOENT && r != -EMSGSIZE)
		return r;
	if (r < 0 || text.len != HOST_SECRET_SIZE)
		return secret_make(state_fd, ret);
	memcpy(ret, text.data, HOST_SECRET_SIZE);
	OPENSSL_cleanse(text.data, text.cap);
	return 0;
}

int host_secret_derive(const char *state_directory, const char *label, uint8_t ret[static HOST_SECRET_SIZE])
{
	_cleanup_(closep) int state_fd = open(state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t secret[HOST_SECRET_SIZE];
	int r;

	if (state_fd < 0)
		return -errno;
	r = secret_get(state_fd, secret);
	if (r >= 0 && !HMAC(EVP_sha256(), secret, sizeof secret, bytes_str(label).data, strlen(label), ret, NULL))
		r = -EIO;
	OPENSSL_cleanse(secret, sizeof secret);
	return r;
}
