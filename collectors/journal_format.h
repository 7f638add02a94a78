/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a journal file (systemd.io/JOURNAL_FILE_FORMAT), as far as it is looked at here. All numbers are
 * little-endian, all offsets are from the beginning of the file, and all objects stand at multiples of 8. */
#ifndef HALLMARK_COLLECTORS_JOURNAL_FORMAT_H
#define HALLMARK_COLLECTORS_JOURNAL_FORMAT_H

#include <stdint.h>
#include <systemd/sd-id128.h>

enum journal_file_state { /* of the header */
	JOURNAL_FILE_OFFLINE = 0,
	JOURNAL_FILE_ONLINE = 1, /* being written, or left so by a power cut */
	JOURNAL_FILE_ARCHIVED = 2,
};

#define JOURNAL_FLAGS_KNOWN 0x1fu /* incompatible ones: compression of data, the hashes' key, and: */
#define JOURNAL_FLAG_COMPACT 0x10u /* offsets have 32 bits */

/* The part of the header that every version has. */
struct journal_header {
	uint8_t signature[8];
	uint32_t compatible_flags, incompatible_flags;
	uint8_t state, reserved[7];
	sd_id128_t file_id, machine_id, tail_boot_id, seqnum_id;
	uint64_t header_size, arena_size, data_table[2], field_table[2], tail_object, n_objects;
	uint64_t n_entries, tail_seqnum, head_seqnum, entry_array, head_realtime_us, tail_realtime_us, tail_monotonic_us;
};
_Static_assert(sizeof(struct journal_header) == 208, "journal file header");

enum journal_object_type {
	JOURNAL_OBJECT_DATA = 1,
	JOURNAL_OBJECT_ENTRY = 3,
	JOURNAL_OBJECT_ENTRY_ARRAY = 6,
};

struct journal_object {
	uint8_t type, flags, reserved[6];
	uint64_t size;
};

/* "NAME=value" follows, in compact files behind 8 bytes more. It is compressed where a flag says so. */
struct journal_data_object {
	struct journal_object object;
	uint64_t hash, next_hash, next_field;
	uint64_t entry, entry_array, n_entries; /* of the entries that have it: the first, and the others */
};

/* Its items follow: the offset of a data object, and in other than compact files that one's hash. */
struct journal_entry_object {
	struct journal_object object;
	uint64_t seqnum, realtime_us, monotonic_us;
	sd_id128_t boot;
	uint64_t xor_hash;
};

/* Offsets of entries follow; 0: not used yet. */
struct journal_entry_array_object {
	struct journal_object object;
	uint64_t next;
};

#endif
