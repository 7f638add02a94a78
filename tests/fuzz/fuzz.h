/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one function, and checks what its parser promises: that nothing crashes is the least of it.
 * libFuzzer calls it with inputs of its own making, replay.c with those of the corpus.
 */
#ifndef HALLMARK_TESTS_FUZZ_FUZZ_H
#define HALLMARK_TESTS_FUZZ_FUZZ_H

#include <fcntl.h>
#include <sys/mman.h>

#include "agent/base/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert() there whatever the flags, and seen by libFuzzer as a crash. */
#define check(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* The next line of `text`, without its newline. */
static inline struct bytes take_line(struct bytes *text)
{
	const uint8_t *newline = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;
	struct bytes line = { text->data, newline ? (size_t)(newline - text->data) : text->len };

	*text = bytes_from(*text, line.len + 1);
	return line;
}

/* A file in memory that holds just the input; its path stays the same. */
static inline int input_file(struct bytes b, char ret_path[static 64])
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	check(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite_all(fd, b, 0) == 0);
	(void)snprintf(ret_path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

#endif
