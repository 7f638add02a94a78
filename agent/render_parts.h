/* SPDX-License-Identifier: Apache-2.0 */
/* What the forms of render.h have in common. Each appends one whole line, newline included. */
#ifndef HALLMARK_AGENT_RENDER_PARTS_H
#define HALLMARK_AGENT_RENDER_PARTS_H

#include "agent/line.h"
#include "agent/render.h"

void render_json(struct line *l, const struct event *e, const struct event_place *place);
void render_ocsf(struct line *l, const struct event *e, const struct event_place *place);
void render_ecs(struct line *l, const struct event *e, const struct event_place *place);

/* An event's facts: its fields, then its constants; `i` counts through both. */
static inline size_t event_facts(const struct event *e)
{
	return e->n_fields + e->meaning.n_constants;
}

static inline const char *event_fact_name(const struct event *e, size_t i)
{
	return i < e->n_fields ? e->fields[i].name : e->meaning.constants[i - e->n_fields].name;
}

static inline struct bytes event_fact_value(const struct event *e, size_t i)
{
	return i < e->n_fields ? e->fields[i].value : bytes_str(e->meaning.constants[i - e->n_fields].value);
}

/* What the configuration calls the source of an event; "hallmark" for the agent itself. */
struct bytes event_source(const struct event *e, const struct event_place *place);

/* The key of fact i, so that no two get the same one. `alone`: none of our own names stands beside them, and
 * a "." is no part of a name, since some readers take it for the path of an object. */
void json_fact_key(struct line *l, const struct event *e, size_t i, bool alone);

/* The object "provenance". */
void json_provenance(struct line *l, const struct provenance *p);

#endif
