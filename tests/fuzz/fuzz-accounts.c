/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/passwd: whatever else stands in it, no account is contradicted by its own line. */
#include "collectors/accounts.h"
#include "tests/fuzz/fuzz.h"

#define LATER_US INT64_C(7258118400000000) /* the year 2200: newer than the file */

static struct bytes take_part(struct bytes *line)
{
	const uint8_t *colon = line->len > 0 ? memchr(line->data, ':', line->len) : NULL;
	struct bytes part = { line->data, colon ? (size_t)(colon - line->data) : line->len };

	*line = bytes_from(*line, part.len + 1);
	return part;
}

static char path[] = "/tmp/hallmark-fuzz-XXXXXX";

static void remove_file(void)
{
	(void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	_cleanup_(accounts_freep) struct accounts *accounts = NULL;
	struct bytes text = { data, size };

	/* a file in memory has no link, and says nothing */
	if (fd < 0) {
		fd = mkstemp(path);
		check(fd >= 0 && atexit(remove_file) == 0);
	}
	check(ftruncate(fd, 0) == 0 && pwrite_all(fd, text, 0) == 0);
	check(accounts_new(path, &accounts) == 0);
	for (unsigned i = 0; i < 64 && text.len > 0; i++) {
		struct bytes line = take_line(&text), name = take_part(&line), number;
		uint64_t uid;

		(void)take_part(&line);
		number = take_part(&line);
		/* "…:0:0": there is something behind the number */
		if (name.len > 0 && line.len > 0 && bytes_to_u64(number, &uid) == 0 && uid < UINT32_MAX &&
		    name.data[0] != '+' && name.data[0] != '-')
			check(!accounts_contradict(accounts, name, uid, LATER_US));
		(void)accounts_contradict(accounts, name, i, LATER_US);
	}
	return 0;
}
