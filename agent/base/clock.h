/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HALLMARK_BASE_CLOCK_H
#define HALLMARK_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* The wall clock: for the record, never for measuring a span. */
static inline int64_t clock_wall_us(void)
{
	return (int64_t)clock_us(CLOCK_REALTIME);
}

/* Goes on during suspend: for pace and checkpoints. */
static inline uint64_t clock_boot_us(void)
{
	return clock_us(CLOCK_BOOTTIME);
}

#endif
