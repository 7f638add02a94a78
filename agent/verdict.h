/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the status of hallmarkd comes to: one word, and for each thing that is wrong its cause and the command that
 * mends it. Nothing is well because a process lives; what is not heard of in time is not well.
 */
#ifndef HALLMARK_AGENT_VERDICT_H
#define HALLMARK_AGENT_VERDICT_H

#include "agent/config.h"
#include "agent/status.h"

enum verdict_word { /* the worst one counts */
	VERDICT_COLLECTING_ONLY, /* all is well, and stays here: there is no destination yet */
	VERDICT_DEGRADED,
	VERDICT_NOT_COLLECTING,
	VERDICT_NOT_CONFIGURED,  /* nor would it, with this configuration */
	VERDICT_UNKNOWN,
};

/* Everything that the judgement hangs on. Strings are borrowed; NULL where there is nothing. */
struct verdict_facts {
	const struct status *status;
	int status_error;            /* why there is none: negative errno, or status_parse()'s */
	const struct config *config; /* the defaults, where it cannot be read */
	const char *config_trouble;
	const char *options;         /* how hallmarkd is told of another configuration or state; empty: the installed one */

	status_text boot_id;         /* now, and here */
	uint64_t boot_us, wall_us;
	bool gone;                   /* the process that wrote the status is no more */
	bool segment_gone;           /* what was published as committed is not in the spool */
	bool installed, systemd, enabled;
};

struct problem {
	char *what, *mend; /* a sentence; a command, or NULL */
};

struct verdict {
	enum verdict_word word;
	struct problem problems[STATUS_SOURCES_MAX + 12];
	size_t n;
	bool stale; /* nothing new has come from hallmarkd in the time that it had promised */
	int error;
};

void verdict_judge(const struct verdict_facts *facts, struct verdict *ret);
void verdict_done(struct verdict *v);
const char *verdict_name(enum verdict_word word);
int verdict_exit_code(enum verdict_word word); /* an enum exit_code of commands.h */

/* How long ago the status was written; STATUS_UNKNOWN where the clocks do not tell. */
uint64_t verdict_elapsed_us(const struct verdict_facts *facts);
/* An age of then, as of now. */
uint64_t verdict_age_us(const struct verdict_facts *facts, uint64_t age_us);

#endif
