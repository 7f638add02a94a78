/* SPDX-License-Identifier: Apache-2.0 */
/* Between envelope.c and key.c: the keys of envelope.h as OpenSSL holds them. */
#ifndef HALLMARK_PROTO_KEY_H
#define HALLMARK_PROTO_KEY_H

#include <openssl/evp.h>

#include "proto/envelope.h"

#define SIGNATURE_MAX 72u /* ASN.1 DER of two numbers of 256 bits */

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

/* -EBADMSG for bytes that are no point of the curve. */
int public_key_load(const uint8_t key[static PUBLIC_KEY_SIZE], EVP_PKEY **ret);

/* The public point, which lives as long as the key. */
const uint8_t *signing_key_point(const struct signing_key *key);

/* Signs a digest. ECDSA, ASN.1 DER; returns the length. */
int signing_key_sign(const struct signing_key *key, const uint8_t digest[static DIGEST_SIZE],
		     uint8_t ret[static SIGNATURE_MAX]);

#endif
