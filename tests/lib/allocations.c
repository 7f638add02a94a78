/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets an allocation fail. Loaded with LD_PRELOAD:
 *
 *     HALLMARK_ALLOCATION=N    the N-th from the start of the program gives nothing; N+: that and all that follow
 *     HALLMARK_ALLOCATIONS=F   how many there were goes into the file F when the program ends
 *
 * Those that libcrypto and libseccomp ask for do not count; with HALLMARK_ALLOCATION_OF=libcrypto only that library's do.
 *
 * It goes before a sanitizer's own (ASAN_OPTIONS=verify_asan_link_order=0), which then sees what is left.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long seen, from, to;
/* The code of libraries that are counted apart. */
static struct { const char *name; uintptr_t begin, end; } apart[] = { { "libcrypto", 0, 0 }, { "libseccomp", 0, 0 } };
#define N_APART (sizeof apart / sizeof apart[0])
static const char *of;

/* What dlsym(3) itself asks for, before there is anything to ask; never given back. */
static alignas(max_align_t) char early[4096];
static size_t early_used;

static void *early_alloc(size_t size)
{
	void *p = early + early_used;

	early_used += (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	if (early_used > sizeof early)
		abort();
	return p;
}

static bool is_early(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)early && (uintptr_t)p < (uintptr_t)early + sizeof early;
}

static int find_apart(struct dl_phdr_info *object, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (size_t k = 0; k < N_APART; k++)
		for (int i = 0; strstr(object->dlpi_name, apart[k].name) && i < object->dlpi_phnum; i++)
			if (object->dlpi_phdr[i].p_flags & PF_X) {
				apart[k].begin = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
				apart[k].end = apart[k].begin + object->dlpi_phdr[i].p_memsz;
			}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *which = getenv("HALLMARK_ALLOCATION");
	char *end;

	(void)dl_iterate_phdr(find_apart, NULL);
	of = getenv("HALLMARK_ALLOCATION_OF");
	if (!which)
		return;
	from = strtoul(which, &end, 10);
	to = *end == '+' ? UINT64_MAX : from;
	seen = 0;
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("HALLMARK_ALLOCATIONS");
	unsigned long count = seen;
	FILE *f = path ? fopen(path, "w") : NULL;

	if (f) {
		(void)fprintf(f, "%lu\n", count);
		(void)fclose(f);
	}
}

static bool counts(uintptr_t caller)
{
	for (size_t k = 0; k < N_APART; k++)
		if (caller >= apart[k].begin && caller < apart[k].end)
			return of && strcmp(of, apart[k].name) == 0;
	return !of;
}

static bool fails(const void *caller)
{
	if (!counts((uintptr_t)caller))
		return false;
	seen++;
	if (seen < from || seen > to || from == 0)
		return false;
	errno = ENOMEM;
	return true;
}

#define REAL(name_)                                                             \
	static typeof(name_) *real;                                             \
	static bool searching;                                                  \
	if (!real && !searching) {                                              \
		searching = true;                                               \
		real = (typeof(name_) *)(uintptr_t)dlsym(RTLD_NEXT, #name_);    \
	}

void *malloc(size_t size)
{
	REAL(malloc);
	if (!real)
		return early_alloc(size);
	return fails(__builtin_return_address(0)) ? NULL : real(size);
}

void *calloc(size_t n, size_t size)
{
	REAL(calloc);
	if (!real)
		return early_alloc(n * size);
	return fails(__builtin_return_address(0)) ? NULL : real(n, size);
}

void *realloc(void *p, size_t size)
{
	REAL(realloc);
	return fails(__builtin_return_address(0)) ? NULL : real(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	REAL(reallocarray);
	return fails(__builtin_return_address(0)) ? NULL : real(p, n, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	REAL(aligned_alloc);
	return fails(__builtin_return_address(0)) ? NULL : real(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	REAL(posix_memalign);
	return fails(__builtin_return_address(0)) ? ENOMEM : real(ret, alignment, size);
}

void free(void *p)
{
	REAL(free);
	if (real && !is_early(p))
		real(p);
}
