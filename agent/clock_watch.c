/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/clock_watch.h"

#include <errno.h>
#include <sys/timerfd.h>

#include "agent/base/clock.h"
#include "agent/base/macro.h"

/* A timer that never fires, but is cancelled by each step. */
static void arm(struct clock_watch *w)
{
	const struct itimerspec never = { .it_value.tv_sec = INT64_MAX / 1000000000 };

	if (w->fd >= 0 && timerfd_settime(w->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 &&
	    errno != ECANCELED)
		clock_watch_end(w);
}

void clock_watch_begin(struct clock_watch *w)
{
	w->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	arm(w);
	w->offset_us = clock_wall_us() - (int64_t)clock_boot_us();
}

void clock_watch_end(struct clock_watch *w)
{
	closep(&w->fd);
	w->fd = -1;
}

bool clock_watch_look(struct clock_watch *w, int64_t *ret_before_us, int64_t *ret_after_us)
{
	uint64_t times;
	int64_t before, after, step;

	/* armed anew before the clock is read: so no step falls in between */
	if (w->fd >= 0 && read(w->fd, &times, sizeof times) < 0 && errno == ECANCELED)
		arm(w);
	before = (int64_t)clock_boot_us() + w->offset_us;
	after = clock_wall_us();
	step = after - before;
	if (step < CLOCK_STEP_MIN_US && step > -CLOCK_STEP_MIN_US)
		return false;
	*ret_before_us = before;
	*ret_after_us = after;
	return true;
}

void clock_watch_told(struct clock_watch *w, int64_t before_us, int64_t after_us)
{
	w->offset_us += after_us - before_us;
}
