/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batch ↔ signed frame. A frame is
 *
 *     offset 0   4 bytes   magic "HMRK"
 *            4   2 bytes   version of the format, little-endian: 1
 *            6   2 bytes   zero
 *            8   4 bytes   length of the envelope, little-endian
 *           12             a DSSE Envelope (dsse.proto)
 *
 * and at most FRAME_MAX bytes long. Order of checks: length, envelope, batch's clear part, key,
 * signature; only then may a caller decompress the events.
 */
#ifndef HALLMARK_PROTO_ENVELOPE_H
#define HALLMARK_PROTO_ENVELOPE_H

#include "agent/base/buf.h"
#include "proto/event.h"

#define FRAME_MAGIC "HMRK"
#define FRAME_VERSION 1u
#define FRAME_HEADER_SIZE 12u
#define DIGEST_SIZE 32u
#define PUBLIC_KEY_SIZE 33u /* P-256 point, compressed */
#define PAYLOAD_TYPE "application/vnd.hallmark.batch+protobuf"

struct signing_key;

/* --- keys ---------------------------------------------------------------------------------- */

/* Before anything else of OpenSSL, in a process that is to stay small: without the error texts, which only people read. */
void signing_without_texts(void);

int signing_key_generate(struct signing_key **ret);
/* PKCS#8 PEM. -EBADMSG for what is no P-256 private key. */
int signing_key_from_pem(struct bytes pem, struct signing_key **ret);
int signing_key_to_pem(const struct signing_key *key, struct buf *ret);
struct signing_key *signing_key_free(struct signing_key *key); /* wipes; returns NULL */
DEFINE_CLEANUP(struct signing_key *, signing_key_free)
void signing_key_public(const struct signing_key *key, uint8_t ret[static PUBLIC_KEY_SIZE]);

/* How people name a key: "SHA256:" and unpadded base64 of SHA-256 over the DER SubjectPublicKeyInfo,
 * as OpenSSL and AWS KMS know the key. */
#define FINGERPRINT_SIZE 51 /* with the NUL */
int public_key_fingerprint(const uint8_t key[static PUBLIC_KEY_SIZE], char ret[static FINGERPRINT_SIZE]);
/* A PEM "PUBLIC KEY", as `openssl pkey -pubout` prints it. */
int public_key_from_pem(struct bytes pem, uint8_t ret[static PUBLIC_KEY_SIZE]);
int public_key_to_pem(const uint8_t key[static PUBLIC_KEY_SIZE], struct buf *ret);

/* --- writing ------------------------------------------------------------------------------- */

/* Signs `batch`, with `key` in its key field, whatever that holds, and appends the frame to `ret`; the
 * batch's digest is put to `ret_digest`. -EINVAL for a batch that frame_open() would refuse; -EMSGSIZE
 * past FRAME_MAX. */
int frame_seal(const struct signing_key *key, const Hallmark__V1__Batch *batch, struct buf *ret,
	       uint8_t ret_digest[static DIGEST_SIZE]);

/* --- reading ------------------------------------------------------------------------------- */

enum frame_status {
	FRAME_OK = 1,         /* a whole frame; its length is known */
	FRAME_END = 0,        /* nothing, or only zero bytes: the end of a segment */
	FRAME_PARTIAL = -1,   /* begins like a frame, and is cut off */
	FRAME_BAD = -2,       /* no frame begins here */
	FRAME_NEWER = -3,     /* a frame of a later version of the format */
};

/* Looks at what `b` begins with. With FRAME_OK and FRAME_NEWER `ret_len` is the whole frame's length;
 * with FRAME_PARTIAL how many bytes it would need. */
enum frame_status frame_peek(struct bytes b, size_t *ret_len);
/* The place of the next magic at or after `from`; b.len where there is none. Resynchronises past damage. */
size_t frame_find(struct bytes b, size_t from);

/* One frame taken apart. Freed by frame_release; `batch` and bytes point into memory that it owns. */
struct frame {
	Hallmark__V1__Batch *batch;
	uint8_t digest[DIGEST_SIZE];
	struct bytes signature;
	size_t size; /* of the whole frame */
	void *envelope; /* private */
};

/* Takes apart a whole frame, bounds every field of the clear part (lengths of key, run id, digest,
 * ids; sizes; sequence not 0; a host; `previous` empty in number 1 and only there), and computes its
 * digest. Checks no signature. -EBADMSG with `ret_why` (static text) for what is not one. The envelope
 * must be byte for byte as frame_seal() writes it, so that nothing around the payload can change
 * unnoticed. Takes at most three times the frame's size and a bit of memory. */
int frame_open(struct bytes frame, struct frame *ret, const char **ret_why);
void frame_release(struct frame *f);
/* 1 if the signature is that of the key that the batch names, 0 if it is not. Negative: could not tell. */
int frame_verify(const struct frame *f);

#endif
