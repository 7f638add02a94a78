/* SPDX-License-Identifier: Apache-2.0 */
/* A compressed log (the first byte says how): read in long steps or in short ones it is the same bytes with the same
 * end, and the window holds what came before the cursor. */
#include <errno.h>

#include "collectors/decoder.h"
#include "tests/fuzz/fuzz.h"

#define EXPANDED_MAX ((size_t)2 << 20) /* more of it is not looked at: a bomb is only slow */

static struct buf longer = BUF_INIT(2 * EXPANDED_MAX), shorter = BUF_INIT(2 * EXPANDED_MAX);

/* How it ended: what decoder_fill() said last, or 1 where there would be more. */
static int read_all(int fd, enum encoding encoding, size_t step, struct buf *ret)
{
	_cleanup_(decoder_freep) struct decoder *d = NULL;
	struct window *w;
	int r;

	buf_clear(ret);
	check(buf_reserve(ret, 1) == 0 && decoder_new(fd, encoding, &d) == 0);
	w = decoder_window(d);
	while ((r = decoder_fill(d)) == 1 && ret->len < EXPANDED_MAX) {
		size_t n = MIN(w->len - w->at, step), before = MIN(ret->len, (size_t)EDGE_MAX);

		check(w->at < w->len && w->len <= WINDOW_SIZE && w->at >= before);
		check(bytes_eq(bytes_of(w->data + w->at - before, before),
			       bytes_of(ret->data + ret->len - before, before)));
		check(buf_append(ret, bytes_of(w->data + w->at, n)) == 0);
		w->at += n;
	}
	/* what was decoded before the end */
	check(r == 1 || buf_append(ret, bytes_of(w->data + w->at, w->len - w->at)) == 0);
	check(r == 1 || decoder_fill(d) == r);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum encoding encoding = size > 0 && data[0] % 2 ? ENCODING_ZSTD : ENCODING_GZIP;
	char path[64];
	int fd = input_file(bytes_from(bytes_of(data, size), 1), path);
	int r = read_all(fd, encoding, SIZE_MAX, &longer);

	check(r == 0 || r == 1 || r == -ENODATA || r == -EBADMSG || r == -EFBIG);
	check(read_all(fd, encoding, 30000, &shorter) == r);
	check(bytes_starts(buf_bytes(&longer), buf_bytes(&shorter)) ||
	      bytes_starts(buf_bytes(&shorter), buf_bytes(&longer)));
	check(r == 1 || shorter.len == longer.len);
	return 0;
}
