/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "agent/host_secret.h"
#include "collectors/fingerprint.h"

struct place {
	char directory[32], file[48];
};

static struct place place_make(void)
{
	struct place p = { .directory = "/tmp/test-secret.XXXXXX" };

	assert_non_null(mkdtemp(p.directory));
	(void)snprintf(p.file, sizeof p.file, "%s/secret", p.directory);
	return p;
}

static void place_done(struct place *p)
{
	(void)unlink(p->file);
	(void)rmdir(p->directory);
}

static void write_secret(const struct place *p, const char *text)
{
	_cleanup_(closep) int fd = open(p->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write_all(fd, bytes_str(text)), 0);
}

TEST(a_secret_is_made_once_and_each_purpose_has_a_key_of_its_own)
{
	_cleanup_(place_done) struct place p = place_make();
	uint8_t a[HOST_SECRET_SIZE], b[HOST_SECRET_SIZE];
	struct stat st;

	assert_int_equal(host_secret_derive(p.directory, "names", a), 0);
	assert_int_equal(stat(p.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, HOST_SECRET_SIZE);
	assert_int_equal(host_secret_derive(p.directory, "names", b), 0);
	assert_memory_equal(a, b, sizeof a);
	assert_int_equal(host_secret_derive(p.directory, "name", b), 0);
	assert_memory_not_equal(a, b, sizeof a);
}

TEST(two_hosts_have_two_secrets)
{
	_cleanup_(place_done) struct place p = place_make(), q = place_make();
	uint8_t a[HOST_SECRET_SIZE], b[HOST_SECRET_SIZE];

	assert_int_equal(host_secret_derive(p.directory, "names", a), 0);
	assert_int_equal(host_secret_derive(q.directory, "names", b), 0);
	assert_memory_not_equal(a, b, sizeof a);
}

TEST(what_is_no_secret_is_replaced)
{
	static const char *const texts[] = { "", "short", "0123456789abcdef0123456789abcdefg" };
	_cleanup_(place_done) struct place p = place_make();
	uint8_t a[HOST_SECRET_SIZE], b[HOST_SECRET_SIZE];

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		write_secret(&p, texts[i]);
		assert_int_equal(host_secret_derive(p.directory, "names", a), 0);
		assert_int_equal(host_secret_derive(p.directory, "names", b), 0);
		assert_memory_equal(a, b, sizeof a);
	}
}

TEST(where_it_cannot_be_kept_there_is_none)
{
	uint8_t a[HOST_SECRET_SIZE];

	assert_true(host_secret_derive("/nowhere", "names", a) < 0);
	assert_true(host_secret_derive("/proc", "names", a) < 0);
}

TEST(bytes_before_a_position_are_told_by_the_same_key_only)
{
	const struct bytes line = LIT("Nov  3 04:05:06 h sudo: alice : … --password hunter2\n");
	uint8_t key[FINGERPRINT_KEY_SIZE] = { 1 }, plain[EVP_MAX_MD_SIZE];
	struct fingerprint fp;
	struct edge edge;

	edge_set_head(&edge, line);
	fingerprint_set_key(key);
	assert_int_equal(fingerprint_make(line.len, &edge, &edge, &fp), 0);
	assert_int_equal(fingerprint_fits(&fp, &edge, &edge), 1);
	assert_true(EVP_Digest(line.data, line.len, plain, NULL, EVP_sha256(), NULL));
	assert_memory_not_equal(fp.tail, plain, sizeof fp.tail);
	key[0] = 2;
	fingerprint_set_key(key);
	assert_int_equal(fingerprint_fits(&fp, &edge, &edge), 0);
}
