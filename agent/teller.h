/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hallmarkd tells of itself: the status file, and the line for its service manager, from one gathering. It also
 * keeps what a status says of the last day, across restarts within one boot: the run directory forgets with a boot.
 *
 *     teller_begin(t, config)
 *     teller_look(t, …); teller_write(t), teller_notify(t)
 */
#ifndef HALLMARK_AGENT_TELLER_H
#define HALLMARK_AGENT_TELLER_H

#include "agent/recorder.h"
#include "agent/sources.h"
#include "agent/status.h"

struct teller {
	const struct config *config;
	struct status status; /* as of the last teller_look() */

	/* CLOCK_BOOTTIME; INT64_MIN: never. What was before this boot is negative. */
	int64_t started_us, counting_since_us, event_us, reset_us;
	int64_t source_event_us[INTAKE_SOURCES_MAX];
	uint64_t source_events[INTAKE_SOURCES_MAX]; /* when last looked at */

	uint64_t losses[STATUS_LOSS_HOURS]; /* newest hour first */
	uint64_t loss_hour;                 /* which one that is */
	uint64_t losses_counted;            /* of the intake's */
	int64_t key_made_us;                /* wall clock; 0: not known */
	int write_failed;                   /* said already */
	const struct sources *sources;      /* that were last looked at */
};

/* Of one that is all zeros. Takes over what the run before had to say of the last day, if it was in this boot. */
void teller_begin(struct teller *t, const struct config *config);

struct teller_view {
	const struct intake *intake;
	const struct recorder *recorder; /* NULL: not open, and `opening_failed` is why */
	const struct sources *sources;
	const bool *reading;             /* of each source: it is not read to its end */
	int opening_failed;              /* negative errno */
	int64_t commit_us;               /* CLOCK_BOOTTIME */
};
void teller_look(struct teller *t, const struct teller_view *view);
/* From now on it says that hallmarkd has stopped. */
void teller_stopped(struct teller *t, const char *reason);
/* What template files had to be passed over for. */
void teller_templates(struct teller *t, size_t count, const char *trouble);

/* Logs a failure once. */
void teller_write(struct teller *t);
void teller_notify(const struct teller *t);

#endif
