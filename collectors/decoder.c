/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/decoder.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define INPUT_SIZE (32u * 1024)
#define ZSTD_WINDOW_LOG_MAX 23 /* 8 MiB */

struct decoder {
	int fd;
	enum encoding encoding;
	off_t at;        /* the next byte of the file to read */
	uint8_t *input;
	size_t pos, len; /* of the input that is not yet decoded */
	bool between;    /* a member or frame has ended: so may the file */
	bool file_ended;
	int error;       /* 0, 1 at the end, or a negative errno */
	struct window window;
	z_stream z;
	bool z_ready;
	ZSTD_DCtx *zstd;
};

struct decoder *decoder_free(struct decoder *d)
{
	if (d) {
		if (d->z_ready)
			(void)inflateEnd(&d->z);
		(void)ZSTD_freeDCtx(d->zstd);
		free(d->window.data);
		free(d->input);
		free(d);
	}
	return NULL;
}

int decoder_new(int fd, enum encoding encoding, struct decoder **ret)
{
	_cleanup_(decoder_freep) struct decoder *d = NULL;

	if (encoding != ENCODING_GZIP && encoding != ENCODING_ZSTD)
		return -ENOTSUP;
	d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	d->fd = fd;
	d->encoding = encoding;
	d->input = malloc(INPUT_SIZE);
	d->window.data = malloc(WINDOW_SIZE);
	if (!d->input || !d->window.data)
		return -ENOMEM;
	if (encoding == ENCODING_GZIP) {
		/* 16: a gzip header and trailer, and no other */
		if (inflateInit2(&d->z, 16 + MAX_WBITS) != Z_OK)
			return -ENOMEM;
		d->z_ready = true;
	} else {
		d->zstd = ZSTD_createDCtx();
		if (!d->zstd ||
		    ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
			return -ENOMEM;
	}
	*ret = TAKE_PTR(d);
	return 0;
}

static int decoder_input(struct decoder *d)
{
	ssize_t n;

	do
		n = pread(d->fd, d->input, INPUT_SIZE, d->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	d->pos = 0;
	d->len = (size_t)n;
	d->at += n;
	d->file_ended = n == 0;
	return 0;
}

/* Both take what they can of the input and return how many bytes came out, or a negative errno. */
static ssize_t step_gzip(struct decoder *d, uint8_t *data, size_t len)
{
	int r;

	if (d->between) {
		/* gzip(1) takes a further member, and passes over anything else that follows one */
		if (d->input[d->pos] != 0x1f)
			return d->error = 1, 0;
		if (inflateReset(&d->z) != Z_OK)
			return -ENOMEM;
	}
	d->between = false;
	d->z.next_in = d->input + d->pos;
	d->z.avail_in = (uInt)(d->len - d->pos);
	d->z.next_out = data;
	d->z.avail_out = (uInt)len;
	r = inflate(&d->z, Z_NO_FLUSH);
	d->pos = d->len - d->z.avail_in;
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	if (r == Z_STREAM_END)
		d->between = true;
	else if (r != Z_OK && r != Z_BUF_ERROR)
		d->error = -EBADMSG;
	return d->z.next_out - data;
}

static ssize_t step_zstd(struct decoder *d, uint8_t *data, size_t len)
{
	ZSTD_inBuffer in = { d->input, d->len, d->pos };
	ZSTD_outBuffer out = { data, len, 0 };
	size_t r = ZSTD_decompressStream(d->zstd, &out, &in);

	d->pos = in.pos;
	d->between = r == 0;
	if (ZSTD_isError(r))
		d->error = ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge ? -EFBIG :
			   ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation		     ? -ENOMEM :
											       -EBADMSG;
	return (ssize_t)out.pos;
}

struct window *decoder_window(struct decoder *d)
{
	return &d->window;
}

int decoder_fill(struct decoder *d)
{
	struct window *w = &d->window;
	size_t kept = MIN(w->at, (size_t)EDGE_MAX), before;

	if (w->len - w->at >= WINDOW_SIZE / 2)
		return 1;
	memmove(w->data, w->data + w->at - kept, w->len - w->at + kept);
	w->len -= w->at - kept;
	w->at = kept;
	before = w->len;
	while (w->len < WINDOW_SIZE && d->error == 0) {
		uint8_t *data = w->data + w->len;
		size_t room = WINDOW_SIZE - w->len;
		ssize_t n = 0;
		int r = 0;

		if (d->pos == d->len && !d->file_ended)
			r = decoder_input(d);
		/* without input there may still be output that did not fit before */
		if (r >= 0 && (d->pos < d->len || !d->between))
			n = d->encoding == ENCODING_GZIP ? step_gzip(d, data, room) : step_zstd(d, data, room);
		if (r < 0 || n < 0)
			d->error = r < 0 ? r : (int)n;
		else if (n == 0 && d->file_ended && d->error == 0)
			d->error = d->between ? 1 : -ENODATA;
		else
			w->len += (size_t)n;
	}
	return w->len > before ? 1 : d->error > 0 ? 0 : d->error;
}
