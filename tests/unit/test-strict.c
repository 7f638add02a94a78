/* SPDX-License-Identifier: Apache-2.0 */
/* Of all ways to encode a message one is taken: what protobuf-c itself writes. */
#include "tests/unit/test.h"

#include <errno.h>

#include "agent/base/macro.h"
#include "proto/hallmark.pb-c.h"
#include "proto/strict.h"

static bool taken(const ProtobufCMessageDescriptor *d, struct bytes b, size_t max_parts)
{
	ProtobufCMessage *m = NULL;
	int r = strict_unpack(d, b, max_parts, &m);

	if (r == 0)
		protobuf_c_message_free_unpacked(m, NULL);
	else
		assert_int_equal(r, -EBADMSG);
	return r == 0;
}

#define POSITION &hallmark__v1__position__descriptor
#define FILE_POSITION &hallmark__v1__file_position__descriptor
#define JOURNAL &hallmark__v1__journal_position__descriptor
#define EVENTS &hallmark__v1__events__descriptor
#define COLUMN &hallmark__v1__column__descriptor
#define TEMPLATE &hallmark__v1__template__descriptor
#define HEADER &hallmark__v1__header__descriptor

static const struct form {
	const ProtobufCMessageDescriptor *message;
	struct bytes right, wrong;
} forms[] = {
	/* each field once, in ascending order; those that repeat stand together */
	{ POSITION, LIT("\x0a\1x\x12\0\x12\0\x1a\0"), LIT("\x0a\1x\x12\0\x1a\0\x12\0") },
	{ POSITION, LIT("\x0a\1x\x12\0"), LIT("\x12\0\x0a\1x") },
	{ POSITION, LIT("\x0a\1x"), LIT("\x0a\1x\x0a\1x") },
	{ POSITION, LIT("\x1a\0"), LIT("\x1a\0\x1a\0") },
	/* what holds its default is left out, but for messages */
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x08\0") },
	{ POSITION, LIT("\x1a\0"), LIT("\x0a\0") },
	{ FILE_POSITION, LIT("\x1a\1h"), LIT("\x1a\0") },
	{ JOURNAL, LIT("\x21\0\0\0\0\0\0\0\1"), LIT("\x21\0\0\0\0\0\0\0\0") },
	/* numbers as short as they can be, and within their type */
	{ FILE_POSITION, LIT("\x08\x80\1"), LIT("\x08\x81\0") },
	{ FILE_POSITION, LIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), LIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\3") },
	{ FILE_POSITION, LIT("\x10\xff\xff\xff\xff\x0f"), LIT("\x10\x80\x80\x80\x80\x10") },
	{ TEMPLATE, LIT("\x10\x7f"), LIT("\x10\xff\xff\xff\xff\x0f") },
	{ TEMPLATE, LIT("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), LIT("\x10\xff\xff\xff\xff\xff\1") },
	{ HEADER, LIT("\x20\1"), LIT("\x20\2") },
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x88\0\1") },
	{ FILE_POSITION, LIT("\x1a\1h"), LIT("\x1a\x81\0h") },
	/* lists are packed, in one piece, and not empty */
	{ COLUMN, LIT("\x12\2\0\1"), LIT("\x10\0\x10\1") },
	{ COLUMN, LIT("\x12\2\0\1"), LIT("\x12\1\0\x12\1\1") },
	{ COLUMN, LIT("\x12\2\0\1"), LIT("\x12\0") },
	{ COLUMN, LIT("\x12\2\x80\1"), LIT("\x12\2\x80\0") },
	{ COLUMN, LIT("\x12\5\xff\xff\xff\xff\x0f"), LIT("\x12\5\xff\xff\xff\xff\x1f") },
	{ EVENTS, LIT("\x2a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), LIT("\x32\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1") },
	/* text is UTF-8 without NUL; bytes are any */
	{ POSITION, LIT("\x0a\2\xc3\xa9"), LIT("\x0a\2\xc3\x28") },
	{ POSITION, LIT("\x0a\3x y"), LIT("\x0a\3x\0y") },
	{ FILE_POSITION, LIT("\x1a\2\xc3\x28"), LIT("\x1a\2\xc3") },
	/* the type of the table */
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x0a\1x") },
	{ JOURNAL, LIT("\x10\1"), LIT("\x11\0\0\0\0\0\0\0\1") },
	/* what is unknown is behind what is known, and no group */
	{ FILE_POSITION, LIT("\x08\1\x40\0\x42\1x\x41\0\0\0\0\0\0\0\0\x45\0\0\0\0"), LIT("\x40\0\x08\1") },
	{ FILE_POSITION, LIT("\x40\1"), LIT("\x40\x81\0") },
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x08\1\x43\x44") },
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x08\1\x46\1") },
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x08\1\0\1") },
	{ FILE_POSITION, LIT("\x08\1\xf8\xff\xff\xff\x0f\1"), LIT("\x08\1\x80\x80\x80\x80\x10\1") },
	/* all of that within what is within */
	{ POSITION, LIT("\x12\2\x08\1"), LIT("\x12\2\x08\0") },
	/* and nothing is cut off */
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x08") },
	{ FILE_POSITION, LIT("\x08\1"), LIT("\x08\x81") },
	{ POSITION, LIT("\x0a\1x"), LIT("\x0a\2x") },
	{ JOURNAL, LIT("\x21\0\0\0\0\0\0\0\1"), LIT("\x21\0\0\0\0\0\0\1") },
};

TEST(one_form_is_taken_and_no_other)
{
	for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
		const struct form *f = &forms[i];

		if (!taken(f->message, f->right, 10) || taken(f->message, f->wrong, 10))
			fail_msg("form %zu", i);
	}
}

TEST(what_protobuf_writes_is_taken)
{
	Hallmark__V1__JournalPosition journal = HALLMARK__V1__JOURNAL_POSITION__INIT;
	Hallmark__V1__FilePosition file = HALLMARK__V1__FILE_POSITION__INIT, *files[2] = { &file, &file };
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;
	uint8_t packed[256];

	journal.realtime_us = -1;
	journal.entry_hash = UINT64_MAX;
	file.offset = UINT64_MAX;
	p.source = (char *)(uintptr_t)"/var/log/auth.log";
	p.files = files;
	p.n_files = 2;
	p.journal = &journal;
	assert_true(taken(POSITION, bytes_of(packed, hallmark__v1__position__pack(&p, packed)), 3));
}

TEST(messages_and_unknown_fields_are_counted_at_any_depth)
{
	static const struct bytes b = LIT("\x0a\1x\x12\0\x12\2\x40\0\x1a\2\x38\0\x28\0"); /* two files, a journal, three unknown */

	assert_true(taken(POSITION, b, 6));
	assert_false(taken(POSITION, b, 5));
	assert_true(taken(POSITION, BYTES_NONE, 0));
}
