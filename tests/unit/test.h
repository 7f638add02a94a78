/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test is a function, nothing else:
 *
 *     TEST(append_refuses_oversized_payload)
 *     {
 *             assert_int_equal(…);
 *     }
 *
 * Include this first, and only once in a program: it brings main(), which runs every TEST of the file in the
 * order in which they stand, or those that the command line names. TAP with CMOCKA_MESSAGE_OUTPUT=TAP.
 */
#ifndef HALLMARK_TESTS_UNIT_TEST_H
#define HALLMARK_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TESTS_MAX 256
static struct CMUnitTest test_list[TESTS_MAX];
static size_t test_count;

#define TEST(name_)                                                                          \
	static void name_(void);                                                             \
	static void run_##name_(void **state)                                                \
	{                                                                                    \
		(void)state;                                                                 \
		name_();                                                                     \
	}                                                                                    \
	__attribute__((constructor)) static void add_##name_(void)                           \
	{                                                                                    \
		assert_in_range(test_count, 0, TESTS_MAX - 1);                               \
		test_list[test_count++] = (struct CMUnitTest){ #name_, run_##name_, NULL, NULL, NULL }; \
	}                                                                                    \
	static void name_(void)

/* struct bytes against a string literal. */
#define assert_bytes_equal(b, s)                                       \
	do {                                                           \
		struct bytes _b = (b);                                 \
		assert_int_equal(_b.len, sizeof(s) - 1);               \
		if (_b.len)                                            \
			assert_memory_equal(_b.data, s, _b.len);       \
	} while (0)

int main(int argc, char **argv)
{
	size_t n = 0;

	for (size_t i = 0; i < test_count; i++) {
		bool wanted = argc < 2;

		for (int a = 1; a < argc; a++)
			wanted |= strcmp(argv[a], test_list[i].name) == 0;
		if (wanted)
			test_list[n++] = test_list[i];
	}
	return _cmocka_run_group_tests(argv[0], test_list, n, NULL, NULL) ? 1 : 0;
}

#endif
