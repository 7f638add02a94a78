/* SPDX-License-Identifier: Apache-2.0 */
/* Events for people (one line, colour on a terminal) and for programs (one flat JSON object a line). */
#ifndef HALLMARK_AGENT_RENDER_H
#define HALLMARK_AGENT_RENDER_H

#include "agent/base/buf.h"
#include "proto/event.h"

enum format { FORMAT_TEXT, FORMAT_JSON };

int format_from_name(const char *name, enum format *ret);

/* Where an event stands: NULL for one that is in no batch (`hallmark parse`). */
struct event_place {
	const Hallmark__V1__Batch *batch;
	uint64_t index; /* of the event in its batch */
};

/* Appends one line, newline included. All foreign bytes are escaped. */
int render_event(struct buf *out, enum format format, bool colour, const struct event *e,
		 const struct event_place *place);

#endif
