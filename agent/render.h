/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for people (one line, colour on a terminal) and for programs (one flat JSON object a line).
 *
 * JSON: what is known of every event under fixed names (time, kind, activity, outcome, severity, program, host,
 * pid, source, template, raw), the event's fields and constants under their own names beside them, and two
 * objects: "provenance" (what journald put to the entry) and "record" (the batch that holds it). What is not
 * there is left out. No key occurs twice: a field that is named like a fixed key becomes "field_NAME", a field
 * that is there a second time "field_PLACE_NAME". Where `raw` is not UTF-8, `raw_base64` gives it to the letter.
 *
 * OCSF 1.1.0 and ECS 8.17: the same in foreign words (mapping.h), as nested objects. Both are closed lists of names
 * and types, and a document that breaks them is refused by its reader. So what does not fit stands, as a string, where
 * the schema admits anything: "unmapped" and "hallmark". Nothing is left out.
 */
#ifndef HALLMARK_AGENT_RENDER_H
#define HALLMARK_AGENT_RENDER_H

#include "agent/base/buf.h"
#include "proto/event.h"

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_OCSF, FORMAT_ECS };

/* "text" and "json"; "ocsf" and "ecs" too, which only what is in a batch can have. */
int format_from_name(const char *name, enum format *ret);
int event_format_from_name(const char *name, enum format *ret);

/* Where an event stands: NULL for one that is in no batch (`hallmark parse`). */
struct event_place {
	const Hallmark__V1__Batch *batch;
	uint64_t index;          /* of the event in its batch */
	const char *fingerprint; /* of the batch's key; NULL: left out */
	bool show_host;          /* text: begin with the host's name, where there are several */
};

/* Appends one line, newline included. All foreign bytes are escaped. On failure nothing is appended. */
int render_event(struct buf *out, enum format format, bool colour, const struct event *e,
		 const struct event_place *place);

/* How many foreign bytes an event brings along beside its raw line, be it often the same ones: for whoever
 * must bound what a batch can be made to print. */
size_t event_burden(const struct event *e, const struct event_place *place);

/* Whether no template knew the line. */
bool event_is_unknown(const struct event *e);

/* "2026-11-23 13:13:04Z": a time as people read it. Returns its length. */
size_t render_time(int64_t time_us, char out[static 40]);

#endif
