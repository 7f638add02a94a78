/* SPDX-License-Identifier: Apache-2.0 */
/* A file of frames and of what is none: each byte is told of once, as a frame, as damage, as a newer frame, or it is a
 * zero at the end; and both readers say the same. */
#include "agent/scan.h"
#include "tests/fuzz/fuzz.h"

static struct scan scan = { .fd = -1 };

__attribute__((destructor)) static void give_back(void)
{
	scan_done(&scan);
}

static void check_same(const struct frames_result *a, const struct frames_result *b)
{
	check(a->item == b->item && (a->item == FRAMES_END || a->offset == b->offset));
	check(a->item == FRAMES_FRAME ? memcmp(a->frame.digest, b->frame.digest, DIGEST_SIZE) == 0 :
					a->damage_bytes == b->damage_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(frames_closep) struct frames *frames = NULL;
	struct frames_result item, other;
	char path[64], *paths[] = { path };
	size_t at = 0, len;
	int fd = input_file(bytes_of(data, size), path);

	check(scan_start(&scan, fd, UINT64_MAX) == 0);
	check(frames_open(paths, 1, UINT64_MAX, UINT64_MAX, &frames) == 0);
	for (;;) {
		check(scan_next(&scan, &item) == 0 && frames_next(frames, &other) == 0);
		check_same(&item, &other);
		if (item.item == FRAMES_END)
			break;
		check(item.item != FRAMES_FILE_ERROR && item.offset == at);
		len = item.item == FRAMES_FRAME ? item.frame.size : item.damage_bytes;
		check(len > 0 && len <= size - at && (item.item != FRAMES_DAMAGE || item.why));
		if (item.item != FRAMES_DAMAGE)
			check(frame_peek(bytes_of(data + at, size - at), &len) ==
			      (item.item == FRAMES_FRAME ? FRAME_OK : FRAME_NEWER));
		at += len;
	}
	for (; at < size; at++)
		check(data[at] == 0);
	return 0;
}
