/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "agent/base/text.h"

#define CURVE "prime256v1" /* what OpenSSL calls P-256 (OBJ_nid2sn(3)) */
#define COORDINATE_SIZE 32

struct signing_key {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *sign; /* made once: setting it up costs as much as a signature */
	uint8_t public[PUBLIC_KEY_SIZE];
};

struct signing_key *signing_key_free(struct signing_key *key)
{
	if (key) {
		EVP_PKEY_CTX_free(key->sign);
		EVP_PKEY_free(key->pkey); /* wipes the number */
		free(key);
	}
	return NULL;
}

static bool is_p256(const EVP_PKEY *pkey)
{
	char group[32];

	return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) == 1 &&
	       strcmp(group, CURVE) == 0;
}

/* SEC 1 §2.3.3: 02 or 03 by the parity of y, then x. */
static int compressed_point(const EVP_PKEY *pkey, uint8_t ret[static PUBLIC_KEY_SIZE])
{
	BIGNUM *x = NULL, *y = NULL;
	uint8_t point[PUBLIC_KEY_SIZE];
	int r = -EBADMSG;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
	    BN_bn2binpad(x, point + 1, COORDINATE_SIZE) == COORDINATE_SIZE) {
		point[0] = BN_is_odd(y) ? 3 : 2;
		memcpy(ret, point, sizeof point);
		r = 0;
	}
	BN_free(x);
	BN_free(y);
	return r;
}

/* Takes the ownership of `pkey`, also on failure. */
static int signing_key_new(EVP_PKEY *pkey, struct signing_key **ret)
{
	_cleanup_(signing_key_freep) struct signing_key *key = calloc(1, sizeof *key);
	int r;

	if (!key) {
		EVP_PKEY_free(pkey);
		return -ENOMEM;
	}
	key->pkey = pkey;
	r = compressed_point(pkey, key->public);
	if (r < 0)
		return r;
	key->sign = EVP_PKEY_CTX_new(pkey, NULL);
	if (!key->sign || EVP_PKEY_sign_init(key->sign) != 1)
		return -EIO;
	*ret = TAKE_PTR(key);
	return 0;
}

void signing_without_texts(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, NULL);
}

int signing_key_generate(struct signing_key **ret)
{
	EVP_PKEY *pkey = EVP_EC_gen(CURVE);

	return pkey ? signing_key_new(pkey, ret) : -EIO;
}

/* A key file with a passphrase is none of ours: nobody is there to be asked. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
{
	return -1;
}

int signing_key_from_pem(struct bytes pem, struct signing_key **ret)
{
	_cleanup_(BIO_free_allp) BIO *bio = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *check = NULL;

	if (pem.len > INT32_MAX)
		return -EBADMSG;
	bio = BIO_new_mem_buf(pem.len > 0 ? (const void *)pem.data : "", (int)pem.len);
	if (!bio)
		return -ENOMEM;
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	ERR_clear_error();
	if (!pkey || !is_p256(pkey))
		return -EBADMSG;
	/* a file that somebody put together may hold the public half of another key */
	check = EVP_PKEY_CTX_new(pkey, NULL);
	if (!check)
		return -ENOMEM;
	if (EVP_PKEY_pairwise_check(check) != 1) {
		ERR_clear_error();
		return -EBADMSG;
	}
	return signing_key_new(TAKE_PTR(pkey), ret);
}

static int append_bio(struct buf *ret, BIO *bio)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);

	return len > 0 ? buf_append(ret, bytes_of(data, (size_t)len)) : -EIO;
}

int signing_key_to_pem(const struct signing_key *key, struct buf *ret)
{
	/* memory that is wiped when it is given back */
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_secmem());

	if (!bio)
		return -ENOMEM;
	if (PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		return -EIO;
	return append_bio(ret, bio);
}

void signing_key_public(const struct signing_key *key, uint8_t ret[static PUBLIC_KEY_SIZE])
{
	memcpy(ret, key->public, sizeof key->public);
}

const uint8_t *signing_key_point(const struct signing_key *key)
{
	return key->public;
}

int signing_key_sign(const struct signing_key *key, const uint8_t digest[static DIGEST_SIZE],
		     uint8_t ret[static SIGNATURE_MAX])
{
	size_t len = SIGNATURE_MAX;

	if (EVP_PKEY_sign(key->sign, ret, &len, digest, DIGEST_SIZE) != 1) {
		ERR_clear_error();
		return -EIO;
	}
	return (int)len;
}

/* --- public keys --------------------------------------------------------------------------- */

int public_key_load(const uint8_t key[static PUBLIC_KEY_SIZE], EVP_PKEY **ret)
{
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;
	/* SubjectPublicKeyInfo is to hold the point uncompressed, as everybody else writes it */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){ CURVE }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)key,
						  PUBLIC_KEY_SIZE),
		OSSL_PARAM_construct_end(),
	};

	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1)
		return -ENOMEM;
	if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		ERR_clear_error();
		return -EBADMSG;
	}
	if (EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
					   OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 1) {
		EVP_PKEY_free(pkey);
		return -EIO;
	}
	*ret = pkey;
	return 0;
}

int public_key_fingerprint(const uint8_t key[static PUBLIC_KEY_SIZE], char ret[static FINGERPRINT_SIZE])
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	_cleanup_(buf_done) struct buf text = BUF_INIT(64);
	uint8_t digest[DIGEST_SIZE], *der = NULL;
	int r, len;

	r = public_key_load(key, &pkey);
	if (r < 0)
		return r;
	len = i2d_PUBKEY(pkey, &der);
	if (len <= 0)
		return -ENOMEM;
	r = EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
	OPENSSL_free(der);
	if (r == 0)
		r = buf_str(&text, "SHA256:");
	if (r == 0)
		r = text_base64(&text, bytes_of(digest, sizeof digest));
	if (r < 0)
		return r;
	/* the last character is the padding */
	memcpy(ret, text.data, FINGERPRINT_SIZE - 1);
	ret[FINGERPRINT_SIZE - 1] = '\0';
	return 0;
}

int public_key_from_pem(struct bytes pem, uint8_t ret[static PUBLIC_KEY_SIZE])
{
	_cleanup_(BIO_free_allp) BIO *bio = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;

	if (pem.len > INT32_MAX)
		return -EBADMSG;
	bio = BIO_new_mem_buf(pem.len > 0 ? (const void *)pem.data : "", (int)pem.len);
	if (!bio)
		return -ENOMEM;
	pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	ERR_clear_error();
	if (!pkey || !is_p256(pkey))
		return -EBADMSG;
	return compressed_point(pkey, ret);
}

int public_key_to_pem(const uint8_t key[static PUBLIC_KEY_SIZE], struct buf *ret)
{
	_cleanup_(BIO_free_allp) BIO *bio = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	int r = public_key_load(key, &pkey);

	if (r < 0)
		return r;
	bio = BIO_new(BIO_s_mem());
	if (!bio)
		return -ENOMEM;
	if (PEM_write_bio_PUBKEY(bio, pkey) != 1)
		return -EIO;
	return append_bio(ret, bio);
}
