/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that the wall clock was set. What was said of time before and after that does not go together, so it has to
 * stand between the two in the record.
 *
 * Two clocks are compared of which nobody can set one, so that a step is noticed whenever it is looked for; the
 * descriptor wakes those who wait meanwhile. Drift, slewing and suspend move both clocks and are no steps.
 */
#ifndef HALLMARK_AGENT_CLOCK_WATCH_H
#define HALLMARK_AGENT_CLOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_STEP_MIN_US INT64_C(1000000) /* smaller ones are told once they have added up to this */

struct clock_watch {
	int fd;            /* readable when the clock was set; -1: there is no such thing here */
	int64_t offset_us; /* of the wall clock, when it was last told of */
};

/* From now on. Never fails: without a descriptor a step is only noticed late. */
void clock_watch_begin(struct clock_watch *w);
void clock_watch_end(struct clock_watch *w);

/* Whether the clock was set, and what it says now, and would say. The same answer until clock_watch_told(). */
bool clock_watch_look(struct clock_watch *w, int64_t *ret_before_us, int64_t *ret_after_us);
void clock_watch_told(struct clock_watch *w, int64_t before_us, int64_t after_us);

#endif
