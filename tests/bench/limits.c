/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one core needs for the least that can be done with a log: reading it, its SHA-256, and zstd -1 of it in blocks
 * of a batch's size; and for a walk over all fields of a journal.
 *
 *     limits FILE
 *     limits --journal DIRECTORY
 *
 * Prints a line for each: what, CPU seconds, how often or how many bytes came out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <systemd/sd-journal.h>
#include <zstd.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"

#define READ_SIZE (256u * 1024)
#define BLOCK_SIZE (1024u * 1024)

static uint64_t begun_us;

static void begin(void)
{
	begun_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

static void say(const char *what, uint64_t came)
{
	printf("%s %.6f %" PRIu64 "\n", what, (double)(clock_us(CLOCK_PROCESS_CPUTIME_ID) - begun_us) / 1e6, came);
}

static int measure_read(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	static uint8_t space[READ_SIZE];
	uint64_t total = 0;
	ssize_t n;

	begin();
	while ((n = read(fd, space, sizeof space)) > 0)
		total += (uint64_t)n;
	if (n < 0)
		return -errno;
	say("read", total);
	return 0;
}

static int measure_sha256(struct bytes text)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned size;

	begin();
	if (EVP_Digest(text.data, text.len, digest, &size, EVP_sha256(), NULL) != 1)
		return -EIO;
	say("sha256", size);
	return 0;
}

static int measure_zstd(struct bytes text)
{
	static uint8_t space[ZSTD_COMPRESSBOUND(BLOCK_SIZE)];
	uint64_t total = 0;
	ZSTD_CCtx *context = ZSTD_createCCtx();

	if (!context)
		return -ENOMEM;
	begin();
	while (text.len > 0) {
		size_t block = text.len < BLOCK_SIZE ? text.len : BLOCK_SIZE;

		total += ZSTD_compressCCtx(context, space, sizeof space, text.data, block, 1);
		text = bytes_from(text, block);
	}
	say("zstd", total);
	ZSTD_freeCCtx(context);
	return 0;
}

static int measure_log(const char *path)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)1 << 32);
	int r = read_file_at(AT_FDCWD, path, false, &text);

	/* the file is in memory from here on */
	if (r >= 0)
		r = measure_read(path);
	if (r >= 0)
		r = measure_sha256(buf_bytes(&text));
	return r < 0 ? r : measure_zstd(buf_bytes(&text));
}

static int measure_journal(const char *directory)
{
	uint64_t entries = 0;
	sd_journal *journal;
	const void *data;
	size_t size;
	int r = sd_journal_open_directory(&journal, directory, 0);

	if (r < 0)
		return r;
	begin();
	while ((r = sd_journal_next(journal)) > 0) {
		SD_JOURNAL_FOREACH_DATA(journal, data, size)
			;
		entries++;
	}
	say("walk", entries);
	sd_journal_close(journal);
	return r;
}

int main(int argc, char **argv)
{
	bool journal = argc == 3 && strcmp(argv[1], "--journal") == 0;
	int r;

	if (!journal && argc != 2)
		return 3;
	r = journal ? measure_journal(argv[2]) : measure_log(argv[1]);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[argc - 1], strerror(-r));
	return r < 0;
}
