/* SPDX-License-Identifier: Apache-2.0 */
/* The ownership kit: locals that free themselves, and the handing over of what they own. */
#ifndef HALLMARK_BASE_MACRO_H
#define HALLMARK_BASE_MACRO_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _must_check_ __attribute__((warn_unused_result))
#define _noreturn_ __attribute__((noreturn))
/* A big local that a hot path fills only as far as it reads it: not to be cleared first, whatever the compiler was told. */
#if defined(__has_attribute) && __has_attribute(uninitialized)
#define _uninitialized_ __attribute__((uninitialized))
#else
#define _uninitialized_
#endif

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Gives up what a cleaned-up local owns, and leaves the local empty. */
#define TAKE_PTR(p)                   \
	({                            \
		typeof(p) _taken = (p); \
		(p) = NULL;           \
		_taken;               \
	})
#define TAKE_FD(fd)                 \
	({                          \
		int _taken = (fd);  \
		(fd) = -1;          \
		_taken;             \
	})

/* Defines NAMEp() for _cleanup_(NAMEp), from a destructor that accepts NULL. */
#define DEFINE_CLEANUP(type, name)               \
	static inline void name##p(type *value) \
	{                                        \
		if (*value)                      \
			name(*value);            \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

#endif
