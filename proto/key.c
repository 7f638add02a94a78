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
#define POINT_SIZE (1 + 2 * COORDINATE_SIZE)

/*
 * The DER of a P-256 key, all but its numbers: PrivateKeyInfo (RFC 5208) around ECPrivateKey (RFC 5915), and
 * SubjectPublicKeyInfo (RFC 5480). Of a fixed curve they are fixed bytes; whoever asks OpenSSL's encoders and decoders for
 * them keeps all of those, a hundred kilobytes, for good.
 */
static const uint8_t pkcs8_head[] = {
	0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
	0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
};
static const uint8_t pkcs8_before_point[] = { 0xa1, 0x44, 0x03, 0x42, 0x00 };
static const uint8_t spki_head[] = {
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
	0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
};

struct pkcs8 {
	uint8_t head[sizeof pkcs8_head], number[COORDINATE_SIZE], before_point[sizeof pkcs8_before_point], point[POINT_SIZE];
};
struct spki {
	uint8_t head[sizeof spki_head], point[POINT_SIZE];
};

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

/* Why OpenSSL refused something: -EBADMSG, or -ENOMEM, which says nothing of what was refused. Where there is no error,
 * there was no memory for one. */
static int refused(void)
{
	int r = ERR_peek_error() ? -EBADMSG : -ENOMEM;
	unsigned long e;

	while ((e = ERR_get_error()))
		if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
			r = -ENOMEM;
	return r;
}

static bool is_p256(const EVP_PKEY *pkey)
{
	char group[32];

	return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) == 1 &&
	       strcmp(group, CURVE) == 0;
}

/* SEC 1 §2.3.3: 04, x and y. */
static int point_of(const EVP_PKEY *pkey, uint8_t ret[static POINT_SIZE])
{
	BIGNUM *x = NULL, *y = NULL;
	int r = 0;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
	    BN_bn2binpad(x, ret + 1, COORDINATE_SIZE) == COORDINATE_SIZE &&
	    BN_bn2binpad(y, ret + 1 + COORDINATE_SIZE, COORDINATE_SIZE) == COORDINATE_SIZE) {
		ret[0] = 4;
	} else {
		r = refused();
	}
	BN_free(x);
	BN_free(y);
	return r;
}

/* The same: 02 or 03 by the parity of y, then x. */
static int compressed_point(const EVP_PKEY *pkey, uint8_t ret[static PUBLIC_KEY_SIZE])
{
	uint8_t point[POINT_SIZE];
	int r = point_of(pkey, point);

	if (r < 0)
		return r;
	ret[0] = 2 + (point[POINT_SIZE - 1] & 1);
	memcpy(ret + 1, point + 1, COORDINATE_SIZE);
	return 0;
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

/* NULL where it is no such key. */
static EVP_PKEY *pkcs8_load(const struct pkcs8 *der)
{
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *number = BN_secure_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;

	if (ctx && build && number && BN_bin2bn(der->number, COORDINATE_SIZE, number) &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, CURVE, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, der->point, POINT_SIZE) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number) == 1)
		params = OSSL_PARAM_BLD_to_param(build);
	if (params && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		pkey = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_clear_free(number);
	return pkey;
}

/* A key in PEM as signing_key_to_pem() writes it; NULL for any other. */
static EVP_PKEY *own_pem_load(BIO *bio)
{
	struct pkcs8 *der = NULL;
	char *name = NULL, *header = NULL;
	EVP_PKEY *pkey = NULL;
	long len = 0;

	if (PEM_read_bio(bio, &name, &header, (unsigned char **)&der, &len) == 1 && strcmp(name, PEM_STRING_PKCS8INF) == 0 &&
	    len == sizeof *der && memcmp(der->head, pkcs8_head, sizeof der->head) == 0 &&
	    memcmp(der->before_point, pkcs8_before_point, sizeof der->before_point) == 0)
		pkey = pkcs8_load(der);
	ERR_clear_error();
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, der ? (size_t)len : 0);
	return pkey;
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
	pkey = own_pem_load(bio);
	if (!pkey) {
		(void)BIO_reset(bio);
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	}
	if (!pkey)
		return refused();
	ERR_clear_error();
	if (!is_p256(pkey))
		return -EBADMSG;
	/* a file that somebody put together may hold the public half of another key */
	check = EVP_PKEY_CTX_new(pkey, NULL);
	if (!check)
		return -ENOMEM;
	if (EVP_PKEY_pairwise_check(check) != 1)
		return refused();
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
	struct pkcs8 der;
	BIGNUM *number = NULL;
	int r = point_of(key->pkey, der.point);

	memcpy(der.head, pkcs8_head, sizeof der.head);
	memcpy(der.before_point, pkcs8_before_point, sizeof der.before_point);
	if (r == 0 && (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &number) != 1 ||
		       BN_bn2binpad(number, der.number, COORDINATE_SIZE) != COORDINATE_SIZE || !bio ||
		       PEM_write_bio(bio, PEM_STRING_PKCS8INF, "", (const uint8_t *)&der, sizeof der) <= 0))
		r = -EIO;
	BN_clear_free(number);
	OPENSSL_cleanse(&der, sizeof der);
	return r < 0 ? r : append_bio(ret, bio);
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
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){ CURVE }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)key,
						  PUBLIC_KEY_SIZE),
		OSSL_PARAM_construct_end(),
	};

	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1)
		return -ENOMEM;
	if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return refused();
	*ret = pkey;
	return 0;
}

static int public_key_spki(const uint8_t key[static PUBLIC_KEY_SIZE], struct spki *ret)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	int r = public_key_load(key, &pkey);

	memcpy(ret->head, spki_head, sizeof ret->head);
	return r < 0 ? r : point_of(pkey, ret->point);
}

int public_key_fingerprint(const uint8_t key[static PUBLIC_KEY_SIZE], char ret[static FINGERPRINT_SIZE])
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(64);
	uint8_t digest[DIGEST_SIZE];
	struct spki der;
	int r;

	r = public_key_spki(key, &der);
	if (r < 0)
		return r;
	r = EVP_Digest(&der, sizeof der, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
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
	if (!pkey)
		return refused();
	ERR_clear_error();
	if (!is_p256(pkey))
		return -EBADMSG;
	return compressed_point(pkey, ret);
}

int public_key_to_pem(const uint8_t key[static PUBLIC_KEY_SIZE], struct buf *ret)
{
	_cleanup_(BIO_free_allp) BIO *bio = NULL;
	struct spki der;
	int r = public_key_spki(key, &der);

	if (r < 0)
		return r;
	bio = BIO_new(BIO_s_mem());
	if (!bio)
		return -ENOMEM;
	if (PEM_write_bio(bio, PEM_STRING_PUBLIC, "", (const uint8_t *)&der, sizeof der) <= 0)
		return -EIO;
	return append_bio(ret, bio);
}
