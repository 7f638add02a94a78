/* SPDX-License-Identifier: Apache-2.0 */
/* One frame: what a prefix of it is taken for, and that no byte of one whose signature holds can change unnoticed. */
#include <errno.h>

#include "proto/envelope.h"
#include "tests/fuzz/fuzz.h"

static void check_find(struct bytes b)
{
	for (size_t from = 0; from <= b.len;) {
		size_t at = frame_find(b, from);

		check(at >= from && at <= b.len);
		check(at == b.len || bytes_starts(bytes_from(b, at), LIT(FRAME_MAGIC)));
		from = at + 1;
	}
}

/* Whatever other value a byte of it takes. Which byte: the digest says. */
static void check_change(struct bytes b, const struct frame *whole)
{
	_cleanup_(frame_release) struct frame f = { 0 };
	_cleanup_(freep) uint8_t *changed = malloc(b.len);
	size_t at = (whole->digest[0] | (size_t)whole->digest[1] << 8 | (size_t)whole->digest[2] << 16) % b.len;
	const char *why;

	check(changed);
	memcpy(changed, b.data, b.len);
	changed[at] ^= (uint8_t)(whole->digest[3] | 1);
	check(frame_open(bytes_of(changed, b.len), &f, &why) < 0 || frame_verify(&f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(frame_release) struct frame f = { 0 };
	struct bytes b = { data, size };
	size_t len = 0, same;
	const char *why = NULL;
	enum frame_status status = frame_peek(b, &len);
	int r;

	check_find(b);
	if (status == FRAME_PARTIAL)
		check(len > size && len <= FRAME_MAX);
	if (status != FRAME_OK && status != FRAME_NEWER) {
		check(frame_open(b, &f, &why) == -EBADMSG && why);
		return 0;
	}
	check(len > FRAME_HEADER_SIZE && len <= size);
	b.len = len;
	check(frame_peek(b, &same) == status && same == len);
	check(frame_peek(bytes_of(data, len - 1), &same) == FRAME_PARTIAL && same == len);
	r = frame_open(b, &f, &why);
	check(r == 0 ? status == FRAME_OK && f.size == len : r == -EBADMSG && why);
	/* nothing stands behind the signature */
	if (r == 0)
		check(bytes_eq(bytes_from(b, len - f.signature.len), f.signature));
	if (r == 0 && frame_verify(&f) == 1)
		check_change(b, &f);
	return 0;
}
