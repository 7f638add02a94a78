/* SPDX-License-Identifier: Apache-2.0 */
/* The committed end that a spool publishes: three numbers, which stand in the file as they were read. */
#include <errno.h>
#include <inttypes.h>

#include "agent/spool.h"
#include "tests/fuzz/fuzz.h"

static char directory[] = "/tmp/hallmark-fuzz-XXXXXX";
static int directory_fd = -1;

__attribute__((constructor)) static void make_directory(void)
{
	check(mkdtemp(directory));
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(directory_fd >= 0);
}

__attribute__((destructor)) static void remove_directory(void)
{
	(void)unlinkat(directory_fd, "committed", 0);
	(void)rmdir(directory);
	(void)close(directory_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(closep) int fd = openat(directory_fd, "committed", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	uint64_t n[3] = { 7, 7, 7 };
	char text[128];
	size_t len = 0;
	int r;

	check(fd >= 0 && pwrite_all(fd, bytes_of(data, size), 0) == 0);
	r = spool_read_committed(directory, &n[0], &n[1], &n[2]);
	if (r < 0) {
		check(r == -EBADMSG && n[0] == 7 && n[1] == 7 && n[2] == 7);
		return 0;
	}
	check((n[0] == 0) == (n[2] == 0) && (n[1] == 0) == (n[2] == 0) && n[1] <= INT64_MAX);
	/* but for zeros in front */
	for (unsigned i = 0; i < 3; i++) {
		size_t digits = (size_t)snprintf(text, sizeof text, "%" PRIu64 "%c", n[i], i < 2 ? ' ' : '\n');

		while (len + digits < size && data[len] == '0' && data[len + 1] >= '0' && data[len + 1] <= '9')
			len++;
		check(bytes_starts(bytes_from(bytes_of(data, size), len), bytes_of(text, digits)));
		len += digits;
	}
	check(len == size);
	return 0;
}
