/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/template_texts.h"

#include <errno.h>
#include <zstd.h>

#define LEVEL 9

int texts_add(struct template_texts *t, struct bytes text, size_t *ret)
{
	size_t at = t->plain.len;
	int r = buf_append(&t->plain, text);

	if (r >= 0)
		*ret = at;
	return r;
}

int texts_pack(struct template_texts *t)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT(TEXTS_MAX);
	int r = buf_reserve(&packed, ZSTD_compressBound(t->plain.len));
	size_t n;

	if (r < 0)
		return r;
	n = ZSTD_compress(packed.data, packed.cap, t->plain.data, t->plain.len, LEVEL);
	if (ZSTD_isError(n))
		return -ENOMEM;
	r = buf_append(&t->packed, bytes_of(packed.data, n));
	if (r < 0)
		return r;
	t->size = t->plain.len;
	buf_done(&t->plain);
	return 0;
}

int texts_read(const struct template_texts *t, struct buf *ret)
{
	int r = buf_reserve(ret, t->size);

	if (r < 0)
		return r;
	if (ZSTD_decompress(ret->data + ret->len, t->size, t->packed.data, t->packed.len) != t->size)
		return -ENOMEM;
	ret->len += t->size;
	return 0;
}

void texts_done(struct template_texts *t)
{
	buf_done(&t->plain);
	buf_done(&t->packed);
}
