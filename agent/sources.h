/* SPDX-License-Identifier: Apache-2.0 */
/* Which collectors there are: what the configuration names, or, where it says auto, what this host has; and always
 * the inbox, last. */
#ifndef HALLMARK_AGENT_SOURCES_H
#define HALLMARK_AGENT_SOURCES_H

#include "agent/config.h"
#include "collectors/collector.h"

struct sources {
	struct collector *list[INTAKE_SOURCES_MAX - 1];
	size_t n;
	struct buf description; /* one line for people: "journal (auth), /var/log/auth.log" */
	struct buf reason;      /* why auto chose so, or why there is nothing */
};

/* Makes the collectors, and starts none. -ENOENT where auto finds neither a journal nor a log: `reason` says so. */
int sources_choose(const struct config *config, struct sources *ret);
void sources_done(struct sources *s);

/* Starts each where the last batch says that it had come to; `last` NULL: at the first start. */
int sources_start(struct sources *s, const struct config *config, const Hallmark__V1__Batch *last);

#endif
