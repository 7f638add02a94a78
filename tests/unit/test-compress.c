/* SPDX-License-Identifier: Apache-2.0 */
/* Events are compressed and expanded, with dictionaries and without. */
#include "tests/unit/test.h"
#include <errno.h>
#include "proto/compress.h"
#include "proto/dictionaries.h"

TEST(events_come_back_as_they_were)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX), packed = BUF_INIT(BATCH_EXPANDED_MAX);
	_cleanup_(buf_done) struct buf again = BUF_INIT(BATCH_EXPANDED_MAX);
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;

	for (unsigned i = 0; i < 50000; i++)
		assert_int_equal(buf_printf(&plain, "%u,", i * 7919), 0);
	for (unsigned round = 0; round < 3; round++) {
		buf_clear(&packed);
		assert_int_equal(events_compress(buf_bytes(&plain), &packed), 0);
		assert_true(round == 2 || packed.len < plain.len);
		batch.events = (ProtobufCBinaryData){ packed.len, packed.data };
		batch.events_size = (uint32_t)plain.len;
		assert_int_equal(events_dictionary(&batch), round == 0 ? 0 : n_dictionaries - 1);
		assert_int_equal(events_expand(&batch, &again), 0);
		assert_int_equal(again.len, plain.len);
		assert_memory_equal(again.data, plain.data, plain.len);
		plain.len /= 100;
		events_compress_trim();
	}
}

TEST(events_of_another_size_than_announced_are_refused)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT(2 * BATCH_EXPANDED_MAX), again = BUF_INIT(BATCH_EXPANDED_MAX);
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;
	const uint8_t plain[1000] = { 0 };

	assert_int_equal(events_expand(&batch, &again), 0);
	assert_int_equal(again.len, 0);
	assert_int_equal(events_compress(bytes_of(plain, sizeof plain), &packed), 0);
	batch.events = (ProtobufCBinaryData){ packed.len, packed.data };
	for (unsigned size = 0; size < 2000; size++) {
		batch.events_size = size;
		assert_int_equal(events_expand(&batch, &again), size == sizeof plain ? 0 : -EBADMSG);
		assert_int_equal(again.len, size == sizeof plain ? size : 0);
	}
	batch.events_size = sizeof plain;
	for (size_t n = 0; n < packed.len; n++) {
		batch.events.len = n;
		assert_int_equal(events_expand(&batch, &again), -EBADMSG);
	}
	/* two zstd frames, of which the first has the announced size */
	assert_int_equal(events_compress(bytes_of(plain, sizeof plain), &packed), 0);
	batch.events = (ProtobufCBinaryData){ packed.len, packed.data };
	assert_int_equal(events_expand(&batch, &again), -EBADMSG);
	assert_int_equal(events_compress(bytes_of(plain, (size_t)BATCH_EXPANDED_MAX + 1), &packed), -EMSGSIZE);
	events_compress_trim();
}

/* Whoever reads a batch finds its dictionary by the number in it: they have to agree (RFC 8878, 5). */
TEST(each_dictionary_bears_the_number_of_its_place)
{
	assert_int_equal(dictionaries[0].len, 0);
	assert_true(n_dictionaries > 1);
	for (unsigned i = 1; i < n_dictionaries; i++) {
		const uint8_t number[] = { (uint8_t)i, 0, 0, 0 };

		assert_true(bytes_starts(dictionaries[i], LIT("\x37\xa4\x30\xec")));
		assert_memory_equal(dictionaries[i].data + 4, number, sizeof number);
	}
}

TEST(what_others_hold_too_takes_a_small_batch_next_to_nothing)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT(4096), again = BUF_INIT(4096);
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;
	struct bytes plain = LIT("\x12\x60\n=Failed password for {user} from {src_ip} port {src_port} ssh2\x10\x01"
				 "\x1a\x05logon \x02(\x02"
				 "2\x12\n\x06method\x12\x08password");

	assert_int_equal(events_compress(plain, &packed), 0);
	assert_true(packed.len < 25);
	batch.events = (ProtobufCBinaryData){ packed.len, packed.data };
	batch.events_size = (uint32_t)plain.len;
	assert_int_equal(events_expand(&batch, &again), 0);
	assert_true(bytes_eq(buf_bytes(&again), plain));
	events_compress_trim();
}

/* The number of a dictionary stands behind magic and descriptor, where the content is as small as here. */
#define NUMBER_AT 5

TEST(a_dictionary_that_there_is_not_is_told_from_what_is_wrong)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT(4096), again = BUF_INIT(4096);
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;
	struct bytes plain = LIT("of some dictionary");

	assert_int_equal(events_compress(plain, &packed), 0);
	batch.events = (ProtobufCBinaryData){ packed.len, packed.data };
	batch.events_size = (uint32_t)plain.len;
	assert_int_equal(packed.data[NUMBER_AT], n_dictionaries - 1);
	for (unsigned number = 0; number < 256; number++) {
		int r;

		packed.data[NUMBER_AT] = (uint8_t)number;
		assert_int_equal(events_dictionary(&batch), number);
		r = events_expand(&batch, &again);
		assert_true(number < n_dictionaries ? r == 0 || r == -EBADMSG : r == -EPROTONOSUPPORT);
	}
	batch.events_size++; /* that is wrong, whatever the dictionary holds */
	assert_int_equal(events_expand(&batch, &again), -EBADMSG);
	events_compress_trim();
}
