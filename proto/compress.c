/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/compress.h"

#include <errno.h>
#include <zstd.h>

#include "proto/dictionaries.h"

/* Up to this size, some 700 events, a dictionary takes a tenth off and more; and the time does not matter, since there are
 * few such batches in a second. */
#define SMALL_MAX (16u * 1024)
#define SMALL_LEVEL 3
#define LEVEL 1

/* A context costs more to make than a small batch to compress, and as much as one to expand. */
static ZSTD_CCtx *compress_context;
static ZSTD_DCtx *expand_context;

int events_compress(struct bytes plain, struct buf *ret)
{
	bool small = plain.len <= SMALL_MAX;
	struct bytes dictionary = dictionaries[small ? n_dictionaries - 1 : 0];
	size_t n;
	int r;

	if (plain.len > BATCH_EXPANDED_MAX)
		return -EMSGSIZE;
	if (!compress_context)
		compress_context = ZSTD_createCCtx();
	if (!compress_context)
		return -ENOMEM;
	r = buf_reserve(ret, ZSTD_compressBound(plain.len));
	if (r < 0)
		return r;
	n = ZSTD_compress_usingDict(compress_context, ret->data + ret->len, ret->cap - ret->len, plain.data, plain.len,
				    dictionary.data, dictionary.len, small ? SMALL_LEVEL : LEVEL);
	if (ZSTD_isError(n))
		return -ENOMEM;
	ret->len += n;
	return 0;
}

void events_compress_trim(void)
{
	(void)ZSTD_freeCCtx(compress_context);
	compress_context = NULL;
}

unsigned events_dictionary(const Hallmark__V1__Batch *batch)
{
	return ZSTD_getDictID_fromFrame(batch->events.data, batch->events.len);
}

int events_expand(const Hallmark__V1__Batch *batch, struct buf *ret)
{
	unsigned number = events_dictionary(batch);
	size_t n;
	int r;

	buf_clear(ret);
	if (batch->events_size == 0)
		return batch->events.len == 0 ? 0 : -EBADMSG;
	if (batch->events_size > BATCH_EXPANDED_MAX)
		return -EBADMSG;
	/* one frame, which says the same of itself, and nothing behind it */
	if (ZSTD_getFrameContentSize(batch->events.data, batch->events.len) != batch->events_size)
		return -EBADMSG;
	if (number >= n_dictionaries)
		return -EPROTONOSUPPORT;
	if (ZSTD_findFrameCompressedSize(batch->events.data, batch->events.len) != batch->events.len)
		return -EBADMSG;
	if (!expand_context)
		expand_context = ZSTD_createDCtx();
	if (!expand_context)
		return -ENOMEM;
	r = buf_reserve(ret, batch->events_size);
	if (r < 0)
		return r;
	/* in one piece, into memory of the announced size: no window is allocated, whatever it claims */
	n = ZSTD_decompress_usingDict(expand_context, ret->data, batch->events_size, batch->events.data, batch->events.len,
				      dictionaries[number].data, dictionaries[number].len);
	if (n != batch->events_size)
		return -EBADMSG;
	ret->len = n;
	return 0;
}
