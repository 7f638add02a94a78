/* SPDX-License-Identifier: Apache-2.0 */
/* What our kinds, activities and changes are called in foreign schemas: one table for OCSF and ECS. */
#ifndef HALLMARK_AGENT_MAPPING_H
#define HALLMARK_AGENT_MAPPING_H

#include "proto/event.h"

/* Classes of OCSF 1.1; the first two are both Authentication, with other roles for the names. */
enum ocsf_class {
	OCSF_BASE = 0,
	OCSF_LOGON,   /* somebody logs on, or off */
	OCSF_SWITCH,  /* somebody acts as somebody else */
	OCSF_ACCOUNT,
	OCSF_GROUP,
	OCSF_ENTITY,  /* a group by itself: Group Management demands a user until 1.4 */
	OCSF_LIFECYCLE,
	OCSF_DETECTION,
	OCSF_CLASS_MAX
};

#define OCSF_ACTIVITY_OTHER 99u

struct mapping {
	Hallmark__V1__Kind kind;
	const char *activity; /* NULL: any */
	const char *change;   /* the fact of that name; NULL: any */

	enum ocsf_class class;
	unsigned activity_id;
	const char *activity_name; /* NULL: our own word, as OCSF wants it with 99 */
	const char *later;         /* what a later OCSF says instead, as members in JSON; or NULL */

	const char *category, *type; /* ECS: event.category (NULL: none fits) and event.type, as arrays in JSON */
};

/* Never NULL: what has no row of its own is a base event. */
const struct mapping *mapping_of(const struct event *e);

#endif
