/* SPDX-License-Identifier: Apache-2.0 */
/* Real signed frames of any size, one chain at a time; and a directory that goes away with the test. */
#ifndef HALLMARK_TESTS_UNIT_FRAME_MAKER_H
#define HALLMARK_TESTS_UNIT_FRAME_MAKER_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "proto/envelope.h"

struct maker {
	struct signing_key *key;
	uint8_t public_key[PUBLIC_KEY_SIZE];
	uint64_t sequence;             /* of the last frame that was accepted */
	uint8_t previous[DIGEST_SIZE]; /* its digest */
	struct buf frame;              /* the last one that was sealed */
	uint8_t digest[DIGEST_SIZE];
	int64_t salt;                  /* no two frames are the same */
};

static inline void maker_done(struct maker *m)
{
	signing_key_free(m->key);
	buf_done(&m->frame);
}

static inline void maker_init(struct maker *m)
{
	*m = (struct maker){ .frame = BUF_INIT(FRAME_MAX) };
	assert_int_equal(signing_key_generate(&m->key), 0);
	signing_key_public(m->key, m->public_key);
}

/* Seals the frame that follows the last accepted one, with `ballast` bytes of events; not yet accepted. */
static inline struct bytes maker_seal(struct maker *m, size_t ballast)
{
	uint8_t run_id[16] = { 1 }, *events = NULL;
	Hallmark__V1__Host host = HALLMARK__V1__HOST__INIT;
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;

	batch.run_id = (ProtobufCBinaryData){ sizeof run_id, run_id };
	batch.sequence = m->sequence + 1;
	if (m->sequence > 0)
		batch.previous = (ProtobufCBinaryData){ DIGEST_SIZE, m->previous };
	batch.time_us = 1795000000000000 + m->salt++;
	batch.host = &host;
	if (ballast > 0) {
		events = malloc(ballast);
		assert_non_null(events);
		memset(events, 'e', ballast);
		batch.event_count = 1;
		batch.events_size = 1;
		batch.events = (ProtobufCBinaryData){ ballast, events };
	}
	buf_clear(&m->frame);
	assert_int_equal(frame_seal(m->key, &batch, &m->frame, m->digest), 0);
	free(events);
	return buf_bytes(&m->frame);
}

static inline void maker_accept(struct maker *m)
{
	m->sequence++;
	memcpy(m->previous, m->digest, sizeof m->previous);
}

static inline struct bytes maker_next(struct maker *m, size_t ballast)
{
	(void)maker_seal(m, ballast);
	maker_accept(m);
	return buf_bytes(&m->frame);
}

struct place {
	char path[PATH_MAX];
	int fd;
};

static inline int place_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void place_done(struct place *p)
{
	(void)close(p->fd);
	(void)nftw(p->path, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void place_init(struct place *p)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(p->path, sizeof p->path, "%s/hallmark-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(p->path));
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->fd >= 0);
}

/* Writes bytes into a file of the place at an offset, made where it is missing. */
static inline void place_write(const struct place *p, const char *name, struct bytes b, off_t offset)
{
	_cleanup_(closep) int fd = openat(p->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite_all(fd, b, offset), 0);
}

/* The path of a file in the place; one at a time. */
static inline char *place_path(const struct place *p, const char *name)
{
	static char path[PATH_MAX + 256];

	(void)snprintf(path, sizeof path, "%s/%s", p->path, name);
	return path;
}

#endif
