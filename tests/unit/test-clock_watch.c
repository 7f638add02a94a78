/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"
#include "agent/clock_watch.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOUR INT64_C(3600)

/* What the wall clock is wrong by. */
static int64_t set_by_s;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_REALTIME)
		t->tv_sec += set_by_s;
	return r;
}

static void assert_step(struct clock_watch *w, int64_t seconds)
{
	int64_t before, after;

	assert_true(clock_watch_look(w, &before, &after));
	assert_in_range(after - before - seconds * 1000000 + 500000, 0, 1000000);
	clock_watch_told(w, before, after);
	assert_false(clock_watch_look(w, &before, &after));
}

TEST(a_clock_that_goes_on_is_no_step)
{
	struct clock_watch w;
	int64_t before, after;

	set_by_s = 0;
	clock_watch_begin(&w);
	assert_true(w.fd >= 0);
	assert_false(clock_watch_look(&w, &before, &after));
	(void)usleep(1100000);
	assert_false(clock_watch_look(&w, &before, &after));
	clock_watch_end(&w);
}

TEST(each_step_is_told_until_it_was_taken_note_of)
{
	struct clock_watch w;
	int64_t before, after, again, now;

	set_by_s = 0;
	clock_watch_begin(&w);
	set_by_s = HOUR;
	assert_true(clock_watch_look(&w, &before, &after));
	assert_true(clock_watch_look(&w, &again, &now));
	clock_watch_told(&w, again, now);
	set_by_s = -365 * 24 * HOUR;
	assert_step(&w, -365 * 24 * HOUR - HOUR);
	set_by_s = -(int64_t)time(NULL); /* 1970 */
	assert_step(&w, set_by_s + 365 * 24 * HOUR);
	set_by_s = 0;
	assert_true(clock_watch_look(&w, &before, &after));
	assert_in_range(before, 0, 86400 * INT64_C(1000000));
	clock_watch_end(&w);
}

TEST(small_steps_add_up)
{
	struct clock_watch w;
	int64_t before, after;

	set_by_s = 0;
	clock_watch_begin(&w);
	w.offset_us += 600000;
	assert_false(clock_watch_look(&w, &before, &after));
	w.offset_us += 600000;
	assert_true(clock_watch_look(&w, &before, &after));
	clock_watch_end(&w);
}

TEST(without_a_descriptor_a_step_is_seen_all_the_same)
{
	struct clock_watch w;

	set_by_s = 0;
	clock_watch_begin(&w);
	clock_watch_end(&w);
	set_by_s = HOUR;
	assert_step(&w, HOUR);
}
