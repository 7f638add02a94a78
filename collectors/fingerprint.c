/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/fingerprint.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "agent/base/macro.h"

static uint8_t digest_key[FINGERPRINT_KEY_SIZE];

void fingerprint_set_key(const uint8_t key[static FINGERPRINT_KEY_SIZE])
{
	memcpy(digest_key, key, sizeof digest_key);
}

void edge_set_head(struct edge *e, struct bytes b)
{
	e->len = (uint32_t)MIN(b.len, EDGE_MAX);
	if (e->len > 0)
		memcpy(e->bytes, b.data, e->len);
}

void edge_set_tail(struct edge *e, struct bytes b)
{
	edge_set_head(e, b.len > EDGE_MAX ? bytes_from(b, b.len - EDGE_MAX) : b);
}

static int digest(struct bytes b, uint8_t ret[static FINGERPRINT_DIGEST])
{
	uint8_t whole[EVP_MAX_MD_SIZE];

	if (b.len == 0)
		return 0;
	if (!HMAC(EVP_sha256(), digest_key, sizeof digest_key, b.data, b.len, whole, NULL))
		return -EIO;
	memcpy(ret, whole, FINGERPRINT_DIGEST);
	return 0;
}

int fingerprint_make(uint64_t offset, const struct edge *head, const struct edge *tail, struct fingerprint *ret)
{
	struct fingerprint fp = { .offset = offset, .head_size = head->len, .tail_size = tail->len };
	int r;

	r = digest(edge_bytes(head), fp.head);
	if (r >= 0)
		r = digest(edge_bytes(tail), fp.tail);
	if (r < 0)
		return r;
	*ret = fp;
	return 0;
}

int fingerprint_fits(const struct fingerprint *fp, const struct edge *head, const struct edge *tail)
{
	uint8_t h[FINGERPRINT_DIGEST], t[FINGERPRINT_DIGEST];
	int r;

	if (head->len < fp->head_size || tail->len < fp->tail_size)
		return 0;
	r = digest(bytes_of(head->bytes, fp->head_size), h);
	if (r >= 0)
		r = digest(bytes_of(tail->bytes + tail->len - fp->tail_size, fp->tail_size), t);
	if (r < 0)
		return r;
	return (fp->head_size == 0 || memcmp(h, fp->head, sizeof h) == 0) &&
	       (fp->tail_size == 0 || memcmp(t, fp->tail, sizeof t) == 0);
}

bool fingerprint_begins(const struct fingerprint *fp, const struct edge *head, const struct edge *found)
{
	struct fingerprint begins = *fp;
	size_t n = MIN(head->len, found->len);

	if (n > 0)
		return memcmp(head->bytes, found->bytes, n) == 0;
	begins.tail_size = 0;
	return fp->head_size > 0 && fingerprint_fits(&begins, found, &(struct edge){ 0 }) > 0;
}

static bool digest_sane(uint32_t size, const ProtobufCBinaryData *d)
{
	return size <= EDGE_MAX && d->len == (size > 0 ? FINGERPRINT_DIGEST : 0);
}

int fingerprint_from(const Hallmark__V1__FilePosition *p, struct fingerprint *ret)
{
	*ret = (struct fingerprint){ 0 };
	if (!digest_sane(p->head_size, &p->head) || !digest_sane(p->tail_size, &p->tail) ||
	    p->tail_size > p->offset || (p->offset > 0 && (p->head_size == 0 || p->tail_size == 0)) ||
	    p->offset > INT64_MAX)
		return -EINVAL;
	ret->offset = p->offset;
	ret->head_size = p->head_size;
	ret->tail_size = p->tail_size;
	if (p->head_size > 0)
		memcpy(ret->head, p->head.data, FINGERPRINT_DIGEST);
	if (p->tail_size > 0)
		memcpy(ret->tail, p->tail.data, FINGERPRINT_DIGEST);
	return 0;
}

void fingerprint_to(struct fingerprint *fp, Hallmark__V1__FilePosition *ret)
{
	ret->offset = fp->offset;
	ret->head_size = fp->head_size;
	ret->tail_size = fp->tail_size;
	ret->head = (ProtobufCBinaryData){ fp->head_size > 0 ? FINGERPRINT_DIGEST : 0, fp->head };
	ret->tail = (ProtobufCBinaryData){ fp->tail_size > 0 ? FINGERPRINT_DIGEST : 0, fp->tail };
}
