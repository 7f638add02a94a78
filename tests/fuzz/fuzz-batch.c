/* SPDX-License-Identifier: Apache-2.0 */
/* A Batch, in a frame that is otherwise right: what is taken apart can be sealed by us, is then found whole, and
 * sealed once more it is the same. Its events expand to just the size that it names, or not at all. */
#include <errno.h>

#include "proto/compress.h"
#include "proto/envelope.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

static struct signing_key *key;
static struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);

__attribute__((constructor)) static void make_key(void)
{
	check(signing_key_generate(&key) == 0);
}

__attribute__((destructor)) static void give_back(void)
{
	signing_key_free(key);
	buf_done(&plain);
}

static uint8_t *put_field(uint8_t *p, unsigned field, struct bytes b)
{
	p = wire_put_head(p, field, b.len);
	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return p + b.len;
}

/* A frame around the input, with a signature that is none. */
static void wrap(struct bytes payload, struct buf *frame)
{
	size_t len;
	uint8_t *p;

	check(buf_reserve(frame, payload.len + 256) == 0);
	p = put_field(frame->data + FRAME_HEADER_SIZE, 1, payload);
	p = put_field(p, 2, LIT(PAYLOAD_TYPE));
	p = put_field(p, 3, LIT("\x0a\x04none"));
	frame->len = (size_t)(p - frame->data);
	len = frame->len - FRAME_HEADER_SIZE;
	memcpy(frame->data, FRAME_MAGIC "\x01\0\0\0", 8);
	for (unsigned i = 0; i < 4; i++)
		frame->data[8 + i] = (uint8_t)(len >> 8 * i);
}

static void check_seal(const Hallmark__V1__Batch *batch)
{
	_cleanup_(buf_done) struct buf sealed = BUF_INIT(2 * FRAME_MAX);
	_cleanup_(frame_release) struct frame f = { 0 };
	uint8_t digest[DIGEST_SIZE], again[DIGEST_SIZE];
	const char *why;
	int r = frame_seal(key, batch, &sealed, digest);

	/* near the maximum there may be no room for our signature */
	check(r == 0 || r == -EMSGSIZE);
	if (r < 0)
		return;
	check(frame_open(buf_bytes(&sealed), &f, &why) == 0 && memcmp(f.digest, digest, DIGEST_SIZE) == 0);
	check(frame_verify(&f) == 1 && f.batch->sequence == batch->sequence);
	buf_clear(&sealed);
	check(frame_seal(key, f.batch, &sealed, again) == 0 && memcmp(again, digest, DIGEST_SIZE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_done) struct buf frame = BUF_INIT((size_t)2 << 20);
	_cleanup_(frame_release) struct frame f = { 0 };
	const char *why = NULL;
	int r;

	if (size > FRAME_MAX - 256)
		return 0;
	wrap(bytes_of(data, size), &frame);
	r = frame_open(buf_bytes(&frame), &f, &why);
	if (r < 0) {
		check(r == -EBADMSG && why && !f.batch);
		return 0;
	}
	check(frame_verify(&f) == 0);
	r = events_expand(f.batch, &plain);
	check(r == 0 ? plain.len == f.batch->events_size : r == -EBADMSG || r == -EPROTONOSUPPORT);
	check_seal(f.batch);
	return 0;
}
