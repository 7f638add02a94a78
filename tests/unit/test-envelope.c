/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, signatures and frames: what was sealed opens, and nothing else does. */
#include "tests/unit/test.h"

#include <errno.h>
#include <openssl/evp.h>

#include "proto/dsse.pb-c.h"
#include "proto/envelope.h"

/* Made with openssl-genpkey(1); names and encodings below are those of openssl-pkey(1) and openssl-ec(1). */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzhs80U1y0s98ROTU\n"
			      "+A7UED0Y+F56GOeQcdOXxGPom8ahRANCAATCinpkwFJrS5L1V6u+kDcRm+n57p3R\n"
			      "HEh4+dXM+toJg3s9tLZ18TO3dkFaIrbKyJ57dSeLRutdNrLx4nDEUnLv\n"
			      "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
				 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwop6ZMBSa0uS9VervpA3EZvp+e6d\n"
				 "0RxIePnVzPraCYN7PbS2dfEzt3ZBWiK2ysiee3Uni0brXTay8eJwxFJy7w==\n"
				 "-----END PUBLIC KEY-----\n";
static const char public_point[] = "\x03\xc2\x8a\x7a\x64\xc0\x52\x6b\x4b\x92\xf5\x57\xab\xbe\x90\x37\x11"
				   "\x9b\xe9\xf9\xee\x9d\xd1\x1c\x48\x78\xf9\xd5\xcc\xfa\xda\x09\x83";
static const char fingerprint[] = "SHA256:Ie6sjvf1dusNs3GUSO6kIRkwmW/aRVU6T3oboUy8uwE";

static const char *const foreign_keys[] = {
	"",
	"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n",
	/* P-384 */
	"-----BEGIN PRIVATE KEY-----\n"
	"MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCKgLRwJOvO66qZjNOe\n"
	"LSFd6qDSqYMpgHbgGNO9Av6QOqvQXz6605MpJ/qmF+kKA96hZANiAASMguoSbsfI\n"
	"O7O5Madhm4qR03IzUhtOvMBxF3kUkpvQfMtKWrR7cR1jz3bXFFGC+0eUxl9hg0Kg\n"
	"5Rtw6sLaggRpjyHlCDX8VCOVnUQycVTujzzUVGuGrEU3BdGGuBqzhYU=\n"
	"-----END PRIVATE KEY-----\n",
	/* Ed25519 */
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEIPGBgln4UrqiBtThgp9843IwHgtJ6KDqEwyvgxZP75kK\n"
	"-----END PRIVATE KEY-----\n",
	/* secp256k1, of the same length */
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgqB/koyxePbDI0HM43hgR\n"
	"FCS/xHA8HjFecypXLcWx5FGhRANCAASDnBvOcooUo5m4addZTK8Y+dbbQ4mFV7cy\n"
	"hTw/G+M25s+dn/e63rYPkfsDx8s99R4iwc5rouBMIjDBVGkeWSgy\n"
	"-----END PRIVATE KEY-----\n",
	"-----BEGIN PUBLIC KEY-----\n"
	"MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEg5wbznKKFKOZuGnXWUyvGPnW20OJhVe3\n"
	"MoU8PxvjNubPnZ/3ut62D5H7A8fLPfUeIsHOa6LgTCIwwVRpHlkoMg==\n"
	"-----END PUBLIC KEY-----\n",
	/* key_pem, one bit of the private number changed: its public half is another's */
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzhs80U1y0s98ROTU\n"
	"+A7UED0Y+F56GOeQcdOXxGPom8ehRANCAATCinpkwFJrS5L1V6u+kDcRm+n57p3R\n"
	"HEh4+dXM+toJg3s9tLZ18TO3dkFaIrbKyJ57dSeLRutdNrLx4nDEUnLv\n"
	"-----END PRIVATE KEY-----\n",
	/* under a passphrase: nobody is asked for it */
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiquTQ7onl5QQICCAAw\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n",
};

static struct signing_key *test_key(void)
{
	struct signing_key *key = NULL;

	assert_int_equal(signing_key_from_pem(bytes_str(key_pem), &key), 0);
	return key;
}

/* --- keys ---------------------------------------------------------------------------------- */

TEST(a_key_is_named_as_openssl_names_it)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf pem = BUF_INIT(1024);
	uint8_t point[PUBLIC_KEY_SIZE] = { 0 }, again[PUBLIC_KEY_SIZE] = { 0 };
	char name[FINGERPRINT_SIZE];

	signing_key_public(key, point);
	assert_memory_equal(point, public_point, PUBLIC_KEY_SIZE);
	assert_int_equal(public_key_fingerprint(point, name), 0);
	assert_string_equal(name, fingerprint);
	assert_int_equal(public_key_to_pem(point, &pem), 0);
	assert_bytes_equal(buf_bytes(&pem), public_pem);
	assert_int_equal(public_key_from_pem(buf_bytes(&pem), again), 0);
	assert_memory_equal(again, public_point, PUBLIC_KEY_SIZE);
	buf_clear(&pem);
	assert_int_equal(signing_key_to_pem(key, &pem), 0);
	assert_bytes_equal(buf_bytes(&pem), key_pem);
}

TEST(each_new_key_is_another_and_survives_its_file)
{
	_cleanup_(signing_key_freep) struct signing_key *a = NULL, *b = NULL, *c = NULL;
	_cleanup_(buf_done) struct buf pem = BUF_INIT(1024);
	uint8_t x[PUBLIC_KEY_SIZE], y[PUBLIC_KEY_SIZE];

	assert_int_equal(signing_key_generate(&a), 0);
	assert_int_equal(signing_key_generate(&b), 0);
	signing_key_public(a, x);
	signing_key_public(b, y);
	assert_memory_not_equal(x, y, PUBLIC_KEY_SIZE);
	assert_int_equal(signing_key_to_pem(a, &pem), 0);
	assert_int_equal(signing_key_from_pem(buf_bytes(&pem), &c), 0);
	signing_key_public(c, y);
	assert_memory_equal(x, y, PUBLIC_KEY_SIZE);
}

TEST(a_key_in_another_form_is_the_same_key)
{
	/* SEC 1, as openssl-ec(1) writes it */
	static const char sec1[] = "-----BEGIN EC PRIVATE KEY-----\n"
				   "MHcCAQEEIM4bPNFNctLPfETk1PgO1BA9GPheehjnkHHTl8Rj6JvGoAoGCCqGSM49\n"
				   "AwEHoUQDQgAEwop6ZMBSa0uS9VervpA3EZvp+e6d0RxIePnVzPraCYN7PbS2dfEz\n"
				   "t3ZBWiK2ysiee3Uni0brXTay8eJwxFJy7w==\n"
				   "-----END EC PRIVATE KEY-----\n";
	_cleanup_(signing_key_freep) struct signing_key *key = NULL;
	uint8_t point[PUBLIC_KEY_SIZE];

	assert_int_equal(signing_key_from_pem(bytes_str(sec1), &key), 0);
	signing_key_public(key, point);
	assert_memory_equal(point, public_point, PUBLIC_KEY_SIZE);
}

TEST(what_is_no_p256_key_is_refused)
{
	uint8_t point[PUBLIC_KEY_SIZE] = { 0 };
	_cleanup_(buf_done) struct buf pem = BUF_INIT(1024);
	char name[FINGERPRINT_SIZE];

	for (size_t i = 0; i < ELEMENTSOF(foreign_keys); i++) {
		struct signing_key *key = NULL;

		assert_int_equal(signing_key_from_pem(bytes_str(foreign_keys[i]), &key), -EBADMSG);
		assert_null(key);
		assert_int_equal(public_key_from_pem(bytes_str(foreign_keys[i]), point), -EBADMSG);
	}
	assert_int_equal(public_key_from_pem(bytes_str(key_pem), point), -EBADMSG);
	for (size_t i = 0; i < sizeof point; i++)
		assert_int_equal(point[i], 0);
	/* x past the field's prime, and all that is not 02 or 03 */
	for (uint8_t first = 0; first < 5; first++) {
		memset(point, 0xff, sizeof point);
		point[0] = first;
		assert_int_equal(public_key_fingerprint(point, name), -EBADMSG);
		assert_int_equal(public_key_to_pem(point, &pem), -EBADMSG);
	}
}

/* --- frames -------------------------------------------------------------------------------- */

static uint8_t run_id[16] = "0123456789abcdef", previous[DIGEST_SIZE] = "the digest of the batch before.";

struct sample {
	Hallmark__V1__Batch batch;
	Hallmark__V1__Host host;
	Hallmark__V1__Position position, *positions[1];
	Hallmark__V1__FilePosition file, *files[1];
	Hallmark__V1__JournalPosition journal;
};

static void make_sample(struct sample *s)
{
	hallmark__v1__batch__init(&s->batch);
	hallmark__v1__host__init(&s->host);
	hallmark__v1__position__init(&s->position);
	hallmark__v1__file_position__init(&s->file);
	hallmark__v1__journal_position__init(&s->journal);
	s->host.name = (char *)(uintptr_t)"host";
	s->host.machine_id = s->host.boot_id = (ProtobufCBinaryData){ sizeof run_id, run_id };
	s->file.offset = 4711;
	s->file.head_size = s->file.tail_size = 256;
	s->file.head = s->file.tail = (ProtobufCBinaryData){ 16, run_id };
	s->files[0] = &s->file;
	s->journal.boot_id = s->journal.seqnum_id = (ProtobufCBinaryData){ 16, run_id };
	s->position.source = (char *)(uintptr_t)"/var/log/auth.log";
	s->position.files = s->files;
	s->position.n_files = 1;
	s->positions[0] = &s->position;
	s->batch.host = &s->host;
	s->batch.positions = s->positions;
	s->batch.n_positions = 1;
	s->batch.run_id = (ProtobufCBinaryData){ sizeof run_id, run_id };
	s->batch.sequence = 7;
	s->batch.previous = (ProtobufCBinaryData){ sizeof previous, previous };
	s->batch.time_us = 1795438400123456;
	s->batch.next_within_s = 300;
}

static void seal_sample(const struct signing_key *key, struct buf *frame, uint8_t digest[static DIGEST_SIZE])
{
	struct sample s;

	make_sample(&s);
	assert_int_equal(frame_seal(key, &s.batch, frame, digest), 0);
}

TEST(what_was_sealed_opens_and_verifies)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX);
	uint8_t digest[DIGEST_SIZE];
	struct frame f;
	const char *why = NULL;
	size_t len = 0;

	assert_int_equal(buf_str(&b, "x"), 0);
	seal_sample(key, &b, digest);
	assert_int_equal(b.data[0], 'x');
	assert_int_equal(frame_peek(bytes_from(buf_bytes(&b), 1), &len), FRAME_OK);
	assert_int_equal(len, b.len - 1);
	assert_int_equal(frame_open(bytes_from(buf_bytes(&b), 1), &f, &why), 0);
	assert_int_equal(frame_verify(&f), 1);
	assert_memory_equal(f.digest, digest, DIGEST_SIZE);
	assert_int_equal(f.size, len);
	assert_int_equal(f.batch->sequence, 7);
	assert_int_equal(f.batch->key.len, PUBLIC_KEY_SIZE);
	assert_memory_equal(f.batch->key.data, public_point, PUBLIC_KEY_SIZE);
	assert_string_equal(f.batch->positions[0]->source, "/var/log/auth.log");
	assert_int_equal(f.batch->positions[0]->files[0]->offset, 4711);
	frame_release(&f);
	assert_null(f.batch);
}

/* Anybody's DSSE reader: the envelope through protobuf-c, the encoding by hand, the signature over it. */
TEST(the_envelope_is_one_that_any_dsse_implementation_reads)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf frame = BUF_INIT(FRAME_MAX), pae = BUF_INIT(FRAME_MAX);
	uint8_t digest[DIGEST_SIZE], expected[DIGEST_SIZE];
	Io__Intoto__Envelope *e;

	seal_sample(key, &frame, digest);
	e = io__intoto__envelope__unpack(NULL, frame.len - FRAME_HEADER_SIZE, frame.data + FRAME_HEADER_SIZE);
	assert_non_null(e);
	assert_string_equal(e->payloadtype, "application/vnd.hallmark.batch+protobuf");
	assert_int_equal(e->n_signatures, 1);
	assert_string_equal(e->signatures[0]->keyid, "");
	assert_int_equal(e->signatures[0]->sig.data[0], 0x30);
	assert_int_equal(buf_printf(&pae, "DSSEv1 39 application/vnd.hallmark.batch+protobuf %zu ", e->payload.len), 0);
	assert_int_equal(buf_append(&pae, bytes_of(e->payload.data, e->payload.len)), 0);
	assert_int_equal(EVP_Digest(pae.data, pae.len, expected, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(digest, expected, DIGEST_SIZE);
	io__intoto__envelope__free_unpacked(e, NULL);
}

TEST(no_changed_bit_goes_unnoticed)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX);
	uint8_t digest[DIGEST_SIZE];

	seal_sample(key, &b, digest);
	for (size_t i = 0; i < b.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct frame f;
			const char *why = NULL;

			b.data[i] ^= (uint8_t)(1u << bit);
			if (frame_open(buf_bytes(&b), &f, &why) == 0) {
				assert_int_equal(frame_verify(&f), 0);
				frame_release(&f);
			} else {
				assert_non_null(why);
			}
			b.data[i] ^= (uint8_t)(1u << bit);
		}
	}
}

TEST(no_byte_can_be_added_or_taken_away)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX);
	uint8_t digest[DIGEST_SIZE];
	const char *why = NULL;
	struct frame f;

	seal_sample(key, &b, digest);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(frame_open(bytes_of(b.data, n), &f, &why), -EBADMSG);
	/* an unknown field behind the signatures, with the length put right */
	assert_int_equal(buf_append(&b, LIT("\x22\x01x")), 0);
	assert_int_equal(frame_open(buf_bytes(&b), &f, &why), -EBADMSG);
	b.data[8] = (uint8_t)(b.len - FRAME_HEADER_SIZE);
	b.data[9] = (uint8_t)((b.len - FRAME_HEADER_SIZE) >> 8);
	assert_int_equal(frame_open(buf_bytes(&b), &f, &why), -EBADMSG);
	assert_string_equal(why, "no DSSE envelope of a batch with one signature");
}

/* Half of all keys have an even y, half an odd one. */
TEST(any_new_key_signs_what_can_be_verified)
{
	for (unsigned i = 0; i < 16; i++) {
		_cleanup_(signing_key_freep) struct signing_key *key = NULL;
		_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX);
		uint8_t digest[DIGEST_SIZE];
		const char *why;
		struct frame f;

		assert_int_equal(signing_key_generate(&key), 0);
		seal_sample(key, &b, digest);
		assert_int_equal(frame_open(buf_bytes(&b), &f, &why), 0);
		assert_int_equal(frame_verify(&f), 1);
		frame_release(&f);
	}
}

TEST(a_signature_of_another_key_does_not_hold)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key(), *other = NULL;
	_cleanup_(buf_done) struct buf a = BUF_INIT(FRAME_MAX);
	uint8_t digest[DIGEST_SIZE], point[PUBLIC_KEY_SIZE];
	struct frame f;
	const char *why;

	assert_int_equal(signing_key_generate(&other), 0);
	signing_key_public(other, point);
	seal_sample(key, &a, digest);
	assert_int_equal(frame_open(buf_bytes(&a), &f, &why), 0);
	memcpy(f.batch->key.data, point, sizeof point);
	assert_int_equal(frame_verify(&f), 0);
	memset(f.batch->key.data + 1, 0xff, PUBLIC_KEY_SIZE - 1);
	assert_int_equal(frame_verify(&f), 0);
	frame_release(&f);
}

/* A frame around any payload, as somebody else might put it together. */
static void wrap_signed(struct bytes payload, size_t n_signatures, const char *keyid, struct buf *frame)
{
	_cleanup_(buf_done) struct buf envelope = BUF_INIT(FRAME_MAX);
	Io__Intoto__Envelope e = IO__INTOTO__ENVELOPE__INIT;
	Io__Intoto__Signature sig = IO__INTOTO__SIGNATURE__INIT, *sigs[2] = { &sig, &sig };

	e.payload = (ProtobufCBinaryData){ payload.len, (uint8_t *)(uintptr_t)payload.data };
	e.payloadtype = (char *)(uintptr_t)PAYLOAD_TYPE;
	e.signatures = sigs;
	e.n_signatures = n_signatures;
	sig.keyid = (char *)(uintptr_t)keyid;
	sig.sig = (ProtobufCBinaryData){ 16, run_id };
	assert_int_equal(buf_reserve(&envelope, io__intoto__envelope__get_packed_size(&e)), 0);
	envelope.len = io__intoto__envelope__pack(&e, envelope.data);
	buf_clear(frame);
	assert_int_equal(buf_append(frame, LIT("HMRK\1\0\0\0")), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(buf_byte(frame, (uint8_t)(envelope.len >> 8 * i)), 0);
	assert_int_equal(buf_append(frame, buf_bytes(&envelope)), 0);
}

static void wrap(struct bytes payload, struct buf *frame)
{
	wrap_signed(payload, 1, "", frame);
}

static Hallmark__V1__Position *many_positions[1025];
static Hallmark__V1__FilePosition *many_files[65];
static Hallmark__V1__TakenSubmission *many_taken[65];

/* Makes one thing wrong with a batch; false where there are no more. */
static bool spoil(struct sample *s, unsigned which)
{
	static Hallmark__V1__Position position = HALLMARK__V1__POSITION__INIT;
	static Hallmark__V1__TakenSubmission taken;
	static uint8_t name[513];

	hallmark__v1__taken_submission__init(&taken);
	for (size_t i = 0; i < ELEMENTSOF(many_taken); i++)
		many_taken[i] = &taken;
	switch (which) {
	case 0: s->batch.run_id.len = 15; break;
	case 1: s->batch.sequence = 0; break;
	case 2: s->batch.sequence = 1; break;
	case 3: s->batch.previous.len = 0; break;
	case 4: s->batch.previous.len = 31; break;
	case 5: s->batch.host = NULL; break;
	case 6: s->host.machine_id.len = 1; break;
	case 7: s->host.boot_id.len = 15; break;
	case 8: s->batch.event_count = 1; break;
	case 9: s->batch.events = s->batch.run_id; break;
	case 10: s->batch.events_size = 1; break;
	case 11:
		s->batch.event_count = 1;
		s->batch.events = s->batch.run_id;
		s->batch.events_size = BATCH_EXPANDED_MAX + 1;
		break;
	case 12: s->file.head.len = 15; break;
	case 13: s->file.head_size = 257; break;
	case 14: s->file.tail.len = 1; break;
	case 15: s->file.tail_size = 257; break;
	case 16:
		s->journal.boot_id.len = 3;
		s->position.journal = &s->journal;
		break;
	case 17:
		s->journal.seqnum_id.len = 3;
		s->position.journal = &s->journal;
		break;
	case 18:
		for (size_t i = 0; i < ELEMENTSOF(many_positions); i++)
			many_positions[i] = &position;
		s->batch.positions = many_positions;
		s->batch.n_positions = ELEMENTSOF(many_positions);
		break;
	case 19:
		for (size_t i = 0; i < ELEMENTSOF(many_files); i++)
			many_files[i] = &s->file;
		s->position.files = many_files;
		s->position.n_files = ELEMENTSOF(many_files);
		break;
	case 20:
		s->position.taken = many_taken;
		s->position.n_taken = ELEMENTSOF(many_taken);
		break;
	case 21:
		taken.digest = (ProtobufCBinaryData){ 16, name };
		s->position.taken = many_taken;
		s->position.n_taken = 1;
		break;
	case 22:
		taken.name = (ProtobufCBinaryData){ sizeof name, name };
		s->position.taken = many_taken;
		s->position.n_taken = 1;
		break;
	default: return false;
	}
	return true;
}

static void pack_sample(const struct sample *s, struct buf *payload)
{
	buf_clear(payload);
	assert_int_equal(buf_reserve(payload, hallmark__v1__batch__get_packed_size(&s->batch)), 0);
	payload->len = hallmark__v1__batch__pack(&s->batch, payload->data);
}

TEST(an_envelope_has_one_signature_and_no_hint)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX), payload = BUF_INIT(FRAME_MAX);
	uint8_t point[PUBLIC_KEY_SIZE];
	const char *why = NULL;
	struct sample s;
	struct frame f;

	memcpy(point, public_point, sizeof point);
	make_sample(&s);
	s.batch.key = (ProtobufCBinaryData){ sizeof point, point };
	pack_sample(&s, &payload);
	for (size_t n = 0; n < 3; n++) {
		wrap_signed(buf_bytes(&payload), n, "", &b);
		assert_int_equal(frame_open(buf_bytes(&b), &f, &why), n == 1 ? 0 : -EBADMSG);
		if (n == 1)
			frame_release(&f);
	}
	wrap_signed(buf_bytes(&payload), 1, "k", &b);
	assert_int_equal(frame_open(buf_bytes(&b), &f, &why), -EBADMSG);
}

/* The same rule where a batch is written and where it is read. */
TEST(a_batch_with_anything_wrong_is_neither_sealed_nor_opened)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX), payload = BUF_INIT(FRAME_MAX);
	uint8_t digest[DIGEST_SIZE] = { 0 }, point[PUBLIC_KEY_SIZE];
	const char *why = NULL;
	struct sample s;
	struct frame f;

	memcpy(point, public_point, sizeof point);
	for (unsigned i = 0;; i++) {
		make_sample(&s);
		s.batch.key = (ProtobufCBinaryData){ sizeof point, point };
		if (!spoil(&s, i))
			break;
		pack_sample(&s, &payload);
		wrap(buf_bytes(&payload), &b);
		assert_int_equal(frame_open(buf_bytes(&b), &f, &why), -EBADMSG);
		assert_string_not_equal(why, "no batch");
		buf_clear(&b);
		assert_int_equal(frame_seal(key, &s.batch, &b, digest), -EINVAL);
		assert_int_equal(b.len, 0);
		assert_int_equal(digest[0], 0);
	}
	/* the key is always the sealer's, and can be wrong only in what is read */
	for (unsigned i = 0; i < 3; i++) {
		make_sample(&s);
		s.batch.key = (ProtobufCBinaryData){ sizeof point - (i == 1), point };
		point[0] = i == 2 ? 4 : 3;
		pack_sample(&s, &payload);
		wrap(buf_bytes(&payload), &b);
		assert_int_equal(frame_open(buf_bytes(&b), &f, &why), i == 0 ? 0 : -EBADMSG);
		if (i == 0) {
			assert_int_equal(frame_verify(&f), 0); /* what stands there is no signature at all */
			frame_release(&f);
		}
	}
}

TEST(a_frame_has_its_limit)
{
	_cleanup_(signing_key_freep) struct signing_key *key = test_key();
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX);
	_cleanup_(freep) uint8_t *big = calloc(1, FRAME_MAX);
	uint8_t digest[DIGEST_SIZE];
	struct sample s;
	const char *why;
	struct frame f;

	assert_non_null(big);
	make_sample(&s);
	s.batch.event_count = s.batch.events_size = 1;
	s.batch.events = (ProtobufCBinaryData){ FRAME_MAX - 350, big };
	assert_int_equal(frame_seal(key, &s.batch, &b, digest), -EMSGSIZE);
	assert_int_equal(b.len, 0);
	s.batch.events.len = FRAME_MAX - 500;
	assert_int_equal(frame_seal(key, &s.batch, &b, digest), 0);
	assert_in_range(b.len, FRAME_MAX - 500, FRAME_MAX);
	assert_int_equal(frame_open(buf_bytes(&b), &f, &why), 0);
	assert_int_equal(frame_verify(&f), 1);
	frame_release(&f);
}

TEST(the_beginning_of_bytes_says_what_they_are)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum frame_status status;
		size_t needs;
	} cases[] = {
		{ "", 0, FRAME_END, 0 },
		{ "\0\0\0\0\0\0\0", 7, FRAME_END, 0 },
		{ "\0\0\0\0\0\0x", 7, FRAME_BAD, 0 },
		{ "H", 1, FRAME_PARTIAL, 12 },
		{ "HMRK\1\0\0\0\1\0\0", 11, FRAME_PARTIAL, 12 },
		{ "HMRK\1\0\0\0\5\1\0\0", 12, FRAME_PARTIAL, 12 + 0x105 },
		{ "HMRK\1\0\0\0\1\0\0\0x", 13, FRAME_OK, 13 },
		{ "HMRK\1\0\0\0\1\0\0\0xyz", 15, FRAME_OK, 13 },
		{ "HMRK\2\0\7\0\1\0\0\0x", 13, FRAME_NEWER, 13 },
		{ "HMRK\0\1\0\0\1\0\0\0x", 13, FRAME_NEWER, 13 },
		{ "HMRK\0\0\0\0\1\0\0\0x", 13, FRAME_BAD, 0 },
		{ "HMRK\1\0\1\0\1\0\0\0x", 13, FRAME_BAD, 0 },
		{ "HMRK\1\0\0\0\0\0\0\0x", 13, FRAME_BAD, 0 },
		{ "HMRK\1\0\0\0\x95\xbb\x0d\0x", 13, FRAME_BAD, 0 }, /* one past FRAME_MAX */
		{ "HMRK\1\0\0\0\x94\xbb\x0d\0x", 13, FRAME_PARTIAL, FRAME_MAX },
		{ "HMRK\1\0\0\0\xff\xff\xff\xff", 12, FRAME_BAD, 0 },
		{ "HMRL\1\0\0\0\1\0\0\0x", 13, FRAME_BAD, 0 },
		{ "xHMRK", 5, FRAME_BAD, 0 },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		size_t needs = 0;

		assert_int_equal(frame_peek(bytes_of(cases[i].bytes, cases[i].len), &needs), cases[i].status);
		assert_int_equal(needs, cases[i].needs);
	}
}

TEST(the_next_frame_is_found_behind_damage)
{
	assert_int_equal(frame_find(LIT("HMRK"), 0), 0);
	assert_int_equal(frame_find(LIT("xxHMRKxxHMRK"), 0), 2);
	assert_int_equal(frame_find(LIT("xxHMRKxxHMRK"), 3), 8);
	assert_int_equal(frame_find(LIT("xxHMR"), 0), 5);
	assert_int_equal(frame_find(LIT("HMRK"), 1), 4);
	assert_int_equal(frame_find(LIT("HMRK"), 99), 4);
	assert_int_equal(frame_find(BYTES_NONE, 0), 0);
}

/* A small message that would unpack into very much is refused, not unpacked. */
TEST(opening_takes_memory_in_proportion)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(FRAME_MAX), payload = BUF_INIT(FRAME_MAX);
	const char *why = NULL;
	struct frame f;

	for (size_t i = 0; i < 400000; i++)
		assert_int_equal(buf_append(&payload, LIT("\x4a\x00")), 0); /* an empty position */
	wrap(buf_bytes(&payload), &b);
	assert_int_equal(frame_open(buf_bytes(&b), &f, &why), -EBADMSG);
	assert_string_equal(why, "no batch");
}
