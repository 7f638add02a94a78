/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spool with its own chain, and what it said was durable. Include tests/lib/faults.c, test.h and agent/spool.h
 * before it.
 */
#ifndef HALLMARK_TESTS_UNIT_SPOOL_BENCH_H
#define HALLMARK_TESTS_UNIT_SPOOL_BENCH_H

#include "agent/frames.h"
#include "tests/unit/frame-maker.h"

#define SEGMENT (128u * 1024) /* half of it reserve */
#define LARGE 20000u          /* three such frames and a fourth that does not fit */
#define ACCEPTED_MAX 64

struct bench {
	struct place place;
	struct maker maker;
	struct spool_options options;
	char directory[PATH_MAX + 16], publish[PATH_MAX + 16], acked[PATH_MAX + 16];
	struct spool *spool;
	struct spool_damage damage;
	uint8_t accepted[ACCEPTED_MAX][DIGEST_SIZE]; /* by sequence, from 1 */
};

static inline void bench_done(struct bench *b)
{
	faults_set(NULL);
	spool_close(b->spool);
	maker_done(&b->maker);
	place_done(&b->place);
}

static inline void bench_init(struct bench *b)
{
	memset(b, 0, sizeof *b);
	place_init(&b->place);
	maker_init(&b->maker);
	(void)snprintf(b->directory, sizeof b->directory, "%s/spool", b->place.path);
	(void)snprintf(b->publish, sizeof b->publish, "%s/run", b->place.path);
	(void)snprintf(b->acked, sizeof b->acked, "%s/acked", b->place.path);
	b->options = (struct spool_options){
		.directory = b->directory,
		.publish_directory = b->publish,
		.acked_path = b->acked,
		.public_key = b->maker.public_key,
		.cap_bytes = 8 * SEGMENT,
		.segment_bytes = SEGMENT,
	};
}

static inline int bench_open(struct bench *b)
{
	b->spool = spool_close(b->spool);
	b->damage = (struct spool_damage){ 0 };
	return spool_open(&b->options, &b->spool, &b->damage);
}

static inline void bench_accept(struct bench *b)
{
	maker_accept(&b->maker);
	assert_in_range(b->maker.sequence, 1, ACCEPTED_MAX - 1);
	memcpy(b->accepted[b->maker.sequence], b->maker.digest, DIGEST_SIZE);
}

/* Signs and appends the next frame; after a failure the chain stands where it stood. */
static inline int bench_append(struct bench *b, size_t ballast)
{
	struct bytes frame = maker_seal(&b->maker, ballast);
	int r = spool_append(b->spool, frame, b->maker.sequence + 1, false);

	if (r == 0)
		bench_accept(b);
	return r;
}

static inline void bench_fill(struct bench *b, unsigned n, size_t ballast)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(bench_append(b, ballast), 0);
}

/* The tip is the last frame that was said to be durable, and a reader meets each of them once, in order. Returns how
 * many bytes of damage it met. */
static inline uint64_t bench_check(struct bench *b)
{
	char *const paths[] = { b->directory };
	_cleanup_(frames_closep) struct frames *f = NULL;
	struct frames_result item;
	uint64_t expected = 1, damage = 0;

	if (b->maker.sequence > 0) {
		const struct spool_tip *tip = spool_tip(b->spool);

		assert_true(tip->exists);
		assert_int_equal(tip->frame.batch->sequence, b->maker.sequence);
		assert_memory_equal(tip->frame.digest, b->maker.previous, DIGEST_SIZE);
	}
	assert_int_equal(frames_open(paths, 1, UINT64_MAX, UINT64_MAX, &f), 0);
	while (frames_next(f, &item) == 0 && item.item != FRAMES_END) {
		if (item.item == FRAMES_DAMAGE) {
			damage += item.damage_bytes;
			continue;
		}
		assert_int_equal(item.item, FRAMES_FRAME);
		assert_int_equal(item.frame.batch->sequence, expected);
		assert_memory_equal(item.frame.digest, b->accepted[expected], DIGEST_SIZE);
		expected++;
	}
	assert_int_equal(expected, b->maker.sequence + 1);
	return damage;
}

static inline const char *segment_file(unsigned number)
{
	static char name[64];

	(void)snprintf(name, sizeof name, "spool/%020u.seg", number);
	return name;
}

static inline bool bench_has(const struct bench *b, unsigned number)
{
	return faccessat(b->place.fd, segment_file(number), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline void bench_flip(const struct bench *b, unsigned number, uint64_t offset)
{
	_cleanup_(closep) int fd = openat(b->place.fd, segment_file(number), O_RDWR | O_CLOEXEC);
	uint8_t c;

	assert_int_equal(pread_all(fd, &c, 1, (off_t)offset), 1);
	c ^= 0x40;
	assert_int_equal(pwrite_all(fd, bytes_of(&c, 1), (off_t)offset), 0);
}

static inline uint64_t bench_nonzero_behind(const struct bench *b, unsigned number, uint64_t offset)
{
	_cleanup_(buf_done) struct buf all = BUF_INIT(16 * SEGMENT);
	uint64_t n = 0;

	assert_int_equal(read_file_at(b->place.fd, segment_file(number), true, &all), 0);
	for (size_t i = offset; i < all.len; i++)
		n += all.data[i] != 0;
	return n;
}

static inline void bench_expect_committed(struct bench *b)
{
	uint64_t segment, offset, sequence;
	const struct spool_tip *tip = spool_tip(b->spool);

	assert_int_equal(spool_read_committed(b->publish, &segment, &offset, &sequence), 0);
	assert_int_equal(sequence, b->maker.sequence);
	assert_int_equal(segment, tip->segment);
	assert_int_equal(offset, tip->end);
}

#endif
