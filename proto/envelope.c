/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"

#include <errno.h>
#include <openssl/err.h>

#include "proto/key.h"
#include "proto/strict.h"
#include "proto/wire.h"

#define RUN_ID_SIZE 16u
#define ID_SIZE 16u
#define NAME_SIZE_MAX 4096u
#define POSITIONS_MAX 1024u
#define POSITION_FILES_MAX 64u
#define POSITION_TAKEN_MAX 64u
#define TAKEN_NAME_MAX 512u
#define FILE_DIGEST_SIZE 16u
#define FILE_DIGESTED_MAX 256u

/* --- the batch's clear part ---------------------------------------------------------------- */

static bool position_ok(const Hallmark__V1__Position *p)
{
	if (strlen(p->source) > NAME_SIZE_MAX || p->n_files > POSITION_FILES_MAX ||
	    p->n_taken > POSITION_TAKEN_MAX)
		return false;
	for (size_t i = 0; i < p->n_files; i++) {
		const Hallmark__V1__FilePosition *f = p->files[i];

		if ((f->head.len > 0 && f->head.len != FILE_DIGEST_SIZE) ||
		    f->head_size > FILE_DIGESTED_MAX ||
		    (f->tail.len > 0 && f->tail.len != FILE_DIGEST_SIZE) || f->tail_size > FILE_DIGESTED_MAX)
			return false;
	}
	for (size_t i = 0; i < p->n_taken; i++)
		if (p->taken[i]->name.len > TAKEN_NAME_MAX ||
		    (p->taken[i]->digest.len != 0 && p->taken[i]->digest.len != DIGEST_SIZE))
			return false;
	return !p->journal || ((p->journal->boot_id.len == 0 || p->journal->boot_id.len == ID_SIZE) &&
			       (p->journal->seqnum_id.len == 0 || p->journal->seqnum_id.len == ID_SIZE));
}

static const char *events_wrong(const Hallmark__V1__Batch *b)
{
	if (b->events_size > BATCH_EXPANDED_MAX)
		return "too many events";
	if ((b->event_count == 0) != (b->events_size == 0) || (b->event_count == 0) != (b->events.len == 0))
		return "event count and events do not agree";
	return NULL;
}

/* What is wrong with a batch: NULL, or static text. Holds for what we write as for what we read. */
static const char *batch_wrong(const Hallmark__V1__Batch *b)
{
	if (b->key.len != PUBLIC_KEY_SIZE || (b->key.data[0] != 2 && b->key.data[0] != 3))
		return "no key";
	if (b->run_id.len != RUN_ID_SIZE)
		return "no run id";
	if (b->sequence == 0)
		return "no sequence number";
	if (b->next_within_s > INT32_MAX)
		return "a promise for more than 68 years";
	if (b->previous.len != (b->sequence == 1 ? 0 : DIGEST_SIZE))
		return "sequence number and digest of the batch before do not agree";
	if (!b->host || strlen(b->host->name) > NAME_SIZE_MAX ||
	    (b->host->machine_id.len != 0 && b->host->machine_id.len != ID_SIZE) ||
	    (b->host->boot_id.len != 0 && b->host->boot_id.len != ID_SIZE))
		return "no proper host";
	if (b->n_positions > POSITIONS_MAX)
		return "too many positions";
	for (size_t i = 0; i < b->n_positions; i++)
		if (!position_ok(b->positions[i]))
			return "no proper position";
	return events_wrong(b);
}

/* --- the pre-authentication encoding ------------------------------------------------------- */

/* SHA-256 over DSSE's PAE of the payload (protocol.md, "Signature Definition"). */
static int pae_digest(struct bytes payload, uint8_t ret[static DIGEST_SIZE])
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char head[128];
	int n = snprintf(head, sizeof head, "DSSEv1 %zu %s %zu ", sizeof PAYLOAD_TYPE - 1, PAYLOAD_TYPE,
			 payload.len);

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(ctx, head, (size_t)n) != 1 ||
	    EVP_DigestUpdate(ctx, payload.data, payload.len) != 1 || EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
		return -EIO;
	return 0;
}

/* --- writing ------------------------------------------------------------------------------- */

static void put_frame_header(uint8_t *p, size_t envelope_len)
{
	memcpy(p, FRAME_MAGIC, 4);
	p[4] = FRAME_VERSION & 0xff;
	p[5] = FRAME_VERSION >> 8;
	p[6] = p[7] = 0;
	for (unsigned i = 0; i < 4; i++)
		p[8 + i] = (uint8_t)(envelope_len >> 8 * i);
}

/* Behind the payload: its type, and the one signature. */
static uint8_t *put_envelope_rest(uint8_t *p, struct bytes signature)
{
	p = wire_put_head(p, 2, sizeof PAYLOAD_TYPE - 1);
	memcpy(p, PAYLOAD_TYPE, sizeof PAYLOAD_TYPE - 1);
	p += sizeof PAYLOAD_TYPE - 1;
	p = wire_put_head(p, 3, 1 + wire_varint_size(signature.len) + signature.len);
	p = wire_put_head(p, 1, signature.len);
	memcpy(p, signature.data, signature.len);
	return p + signature.len;
}

/* The most that stands around a payload. */
#define AROUND_PAYLOAD \
	(FRAME_HEADER_SIZE + 4 * (1 + WIRE_VARINT_MAX) + sizeof PAYLOAD_TYPE - 1 + SIGNATURE_MAX)

int frame_seal(const struct signing_key *key, const Hallmark__V1__Batch *batch, struct buf *ret,
	       uint8_t ret_digest[static DIGEST_SIZE])
{
	uint8_t digest[DIGEST_SIZE], signature[SIGNATURE_MAX], *start, *payload, *end;
	Hallmark__V1__Batch named = *batch;
	size_t size;
	int r;

	named.key = (ProtobufCBinaryData){ PUBLIC_KEY_SIZE, (uint8_t *)(uintptr_t)signing_key_point(key) };
	if (batch_wrong(&named))
		return -EINVAL;
	size = hallmark__v1__batch__get_packed_size(&named);
	if (size > FRAME_MAX - AROUND_PAYLOAD)
		return -EMSGSIZE;
	r = buf_reserve(ret, size + AROUND_PAYLOAD);
	if (r < 0)
		return r;
	/* packed where it will stand: a batch is large, and copied only once */
	start = ret->data + ret->len;
	payload = wire_put_head(start + FRAME_HEADER_SIZE, 1, size);
	hallmark__v1__batch__pack(&named, payload);
	r = pae_digest(bytes_of(payload, size), digest);
	if (r == 0)
		r = signing_key_sign(key, digest, signature);
	if (r < 0)
		return r;
	end = put_envelope_rest(payload + size, bytes_of(signature, (size_t)r));
	put_frame_header(start, (size_t)(end - start) - FRAME_HEADER_SIZE);
	ret->len += (size_t)(end - start);
	memcpy(ret_digest, digest, sizeof digest);
	return 0;
}

/* --- reading ------------------------------------------------------------------------------- */

static bool only_zeros(struct bytes b)
{
	return b.len == 0 || (b.data[0] == 0 && memcmp(b.data, b.data + 1, b.len - 1) == 0);
}

enum frame_status frame_peek(struct bytes b, size_t *ret_len)
{
	unsigned version;
	size_t len;

	if (b.len == 0 || b.data[0] == 0)
		return only_zeros(b) ? FRAME_END : FRAME_BAD;
	if (memcmp(b.data, FRAME_MAGIC, MIN(b.len, 4u)) != 0)
		return FRAME_BAD;
	if (b.len < FRAME_HEADER_SIZE) {
		*ret_len = FRAME_HEADER_SIZE;
		return FRAME_PARTIAL;
	}
	version = b.data[4] | (unsigned)b.data[5] << 8;
	len = b.data[8] | (size_t)b.data[9] << 8 | (size_t)b.data[10] << 16 | (size_t)b.data[11] << 24;
	if (version < FRAME_VERSION || (version == FRAME_VERSION && (b.data[6] != 0 || b.data[7] != 0)) ||
	    len == 0 || len > FRAME_MAX - FRAME_HEADER_SIZE)
		return FRAME_BAD;
	*ret_len = FRAME_HEADER_SIZE + len;
	if (b.len < FRAME_HEADER_SIZE + len)
		return FRAME_PARTIAL;
	return version > FRAME_VERSION ? FRAME_NEWER : FRAME_OK;
}

size_t frame_find(struct bytes b, size_t from)
{
	const uint8_t *p;

	if (from >= b.len)
		return b.len;
	p = memmem(b.data + from, b.len - from, FRAME_MAGIC, 4);
	return p ? (size_t)(p - b.data) : b.len;
}

/* An envelope is read exactly as it is written, so that no byte of a frame can change unnoticed: the
 * signature does not cover what stands around the payload. */
static bool take_envelope(struct bytes b, struct bytes *ret_payload, struct bytes *ret_signature)
{
	struct bytes type, signature;

	return wire_take_field(&b, 1, ret_payload) && wire_take_field(&b, 2, &type) &&
	       bytes_eq(type, LIT(PAYLOAD_TYPE)) && wire_take_field(&b, 3, &signature) && b.len == 0 &&
	       wire_take_field(&signature, 1, ret_signature) && signature.len == 0 &&
	       ret_signature->len > 0 && ret_signature->len <= SIGNATURE_MAX;
}

int frame_open(struct bytes frame, struct frame *ret, const char **ret_why)
{
	struct bytes payload, signature;
	Hallmark__V1__Batch *batch = NULL;
	struct frame f = { .size = frame.len };
	const char *why;
	uint8_t *copy;
	size_t len;
	int r;

	if (frame_peek(frame, &len) != FRAME_OK || len != frame.len) {
		*ret_why = "no frame";
		return -EBADMSG;
	}
	if (!take_envelope(bytes_from(frame, FRAME_HEADER_SIZE), &payload, &signature)) {
		*ret_why = "no DSSE envelope of a batch with one signature";
		return -EBADMSG;
	}
	r = pae_digest(payload, f.digest);
	if (r < 0)
		return r;
	r = strict_unpack(&hallmark__v1__batch__descriptor, payload, BATCH_PARTS_MAX, (ProtobufCMessage **)&batch);
	if (r < 0 && r != -EBADMSG)
		return r;
	why = batch ? batch_wrong(batch) : "no batch";
	copy = why ? NULL : malloc(signature.len);
	if (!copy) {
		if (batch)
			hallmark__v1__batch__free_unpacked(batch, NULL);
		if (!why)
			return -ENOMEM;
		*ret_why = why;
		return -EBADMSG;
	}
	memcpy(copy, signature.data, signature.len);
	f.batch = batch;
	f.envelope = copy;
	f.signature = bytes_of(copy, signature.len);
	*ret = f;
	return 0;
}

void frame_release(struct frame *f)
{
	if (f->batch)
		hallmark__v1__batch__free_unpacked(f->batch, NULL);
	free(f->envelope);
	*f = (struct frame){ 0 };
}

/* The last key that was asked for. Frames of one host mostly follow one another, and making a key ready
 * costs half as much as checking a signature with it. */
static struct {
	EVP_PKEY_CTX *ctx;
	uint8_t key[PUBLIC_KEY_SIZE];
} verifier;

static int verifier_ready(const uint8_t key[static PUBLIC_KEY_SIZE])
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	int r;

	if (verifier.ctx && memcmp(verifier.key, key, PUBLIC_KEY_SIZE) == 0)
		return 0;
	r = public_key_load(key, &pkey);
	if (r < 0)
		return r;
	EVP_PKEY_CTX_free(verifier.ctx);
	verifier.ctx = EVP_PKEY_CTX_new(pkey, NULL);
	if (!verifier.ctx)
		return -ENOMEM;
	memcpy(verifier.key, key, PUBLIC_KEY_SIZE);
	return 0;
}

int frame_verify(const struct frame *f)
{
	int r = verifier_ready(f->batch->key.data);

	if (r < 0)
		return r == -EBADMSG ? 0 : r; /* what is no key has signed nothing */
	if (EVP_PKEY_verify_init(verifier.ctx) != 1)
		return -EIO;
	r = EVP_PKEY_verify(verifier.ctx, f->signature.data, f->signature.len, f->digest, sizeof f->digest);
	if (r != 1 && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
		r = -ENOMEM;
	else
		r = r == 1; /* below 0: the signature is not even one */
	ERR_clear_error();
	return r;
}
