/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts an event's facts where a foreign schema wants them. A layout is a table of members, in the order in which
 * they are written; objects are opened when their first member is, so that none is empty.
 *
 *     struct layout t = LAYOUT(line, event, place, string_max);
 *     layout_walk(&t, members)      any number of tables, one behind the other
 *     layout_leftovers(&t, …)       what no member had a place for
 *
 * A fact goes to the first member that asks for it and can take it, and to no other. One that the schema's type
 * does not admit (a port of 70000, an address that is none) stays a leftover: nothing is bent, nothing lost.
 */
#ifndef HALLMARK_AGENT_LAYOUT_H
#define HALLMARK_AGENT_LAYOUT_H

#include "agent/render_parts.h"

#define LAYOUT_DEPTH 8u
#define LAYOUT_FACTS 4u
#define LAYOUT_NUMBER_MAX INT32_MAX /* readers keep such members in 32 bits */

struct layout {
	struct line *line;
	const struct event *event;
	const struct event_place *place;
	size_t string_max;              /* longer values are leftovers; our own strings are cut */
	uint64_t taken;                 /* facts that have a place, one bit each; past 64 none has */
	const char *open[LAYOUT_DEPTH]; /* objects we are in, of which the first `written` are in the line */
	unsigned depth, written;
};

#define LAYOUT(l, e, p, max) { .line = (l), .event = (e), .place = (p), .string_max = (max) }

enum member_kind {
	MEMBER_END = 0,
	MEMBER_OPEN,    /* an object, up to its MEMBER_CLOSE */
	MEMBER_CLOSE,
	MEMBER_TEXT,    /* the first of `facts` that is there, not empty and not taken */
	MEMBER_NAME,    /* the same, but an empty one counts: whoever logs on chooses the name */
	MEMBER_NUMBER,  /* …that is a number of at most 31 bits */
	MEMBER_PORT,    /* …from 1 to 65535 */
	MEMBER_IP,      /* …that is an IPv4 or IPv6 address, without a zone */
	MEMBER_HOST,    /* …that is a host name (RFC 1123) */
	MEMBER_FIXED,   /* `text` as it stands */
	MEMBER_CALL,    /* whatever `call` writes under that name */
};

struct member {
	enum member_kind kind;
	const char *name;
	const char *facts[LAYOUT_FACTS];
	const char *text;   /* JSON: the value (FIXED), or further members that are there if this one is */
	const char *unless; /* left out where the event has this fact */
	bool after;         /* left out where the object has no member yet */
	void (*call)(struct layout *t, const char *name);
};

#define OPEN(n) { .kind = MEMBER_OPEN, .name = (n) }
#define CLOSE { .kind = MEMBER_CLOSE }
#define TEXT(n, ...) { .kind = MEMBER_TEXT, .name = (n), .facts = { __VA_ARGS__ } }
#define NAME(n, ...) { .kind = MEMBER_NAME, .name = (n), .facts = { __VA_ARGS__ } }
#define NUMBER(n, ...) { .kind = MEMBER_NUMBER, .name = (n), .facts = { __VA_ARGS__ } }
#define PORT_AFTER(n, ...) { .kind = MEMBER_PORT, .name = (n), .facts = { __VA_ARGS__ }, .after = true }
#define IP(n, ...) { .kind = MEMBER_IP, .name = (n), .facts = { __VA_ARGS__ } }
#define HOST(n, ...) { .kind = MEMBER_HOST, .name = (n), .facts = { __VA_ARGS__ } }
#define FIXED(n, json) { .kind = MEMBER_FIXED, .name = (n), .text = (json) }
#define FIXED_AFTER(n, json) { .kind = MEMBER_FIXED, .name = (n), .text = (json), .after = true }
#define TEXT_AFTER(n, ...) { .kind = MEMBER_TEXT, .name = (n), .facts = { __VA_ARGS__ }, .after = true }
#define CALL(n, function) { .kind = MEMBER_CALL, .name = (n), .call = (function) }
#define CALL_AFTER(n, function) { .kind = MEMBER_CALL, .name = (n), .call = (function), .after = true }
#define END { .kind = MEMBER_END }

void layout_walk(struct layout *t, const struct member *members);

/* Objects, and the name of a member, as functions for MEMBER_CALL write them. */
void layout_open(struct layout *t, const char *name);
void layout_close(struct layout *t);
void layout_key(struct layout *t, const char *name);
/* A string of ours, cut to string_max; left out where it is empty. */
void layout_text(struct layout *t, const char *name, struct bytes value);
void layout_number(struct layout *t, const char *name, uint64_t value); /* left out past 31 bits */
void layout_hex(struct layout *t, const char *name, struct bytes value);

/* The place of a fact of that name that is not taken and not longer than string_max; -1: there is none. */
int layout_find(const struct layout *t, const char *name);
/* That fact, if there is one, has its place now. */
void layout_take(struct layout *t, const char *name);

/* An object of the facts that were not taken, each as a string; left out where there are none. */
void layout_leftovers(struct layout *t, const char *name);

/* For MEMBER_CALL: what every schema has a place for. uid: key, sequence and index,
 * which two events share only where the chain is forked. */
void layout_put_pid(struct layout *t, const char *name);
void layout_put_program(struct layout *t, const char *name);
void layout_put_host(struct layout *t, const char *name);
void layout_put_machine_id(struct layout *t, const char *name);
void layout_put_uid(struct layout *t, const char *name);
/* "run" and "boot_id": the agent's, and the host's when the batch was closed. */
void layout_put_batch(struct layout *t);

bool layout_is_ip(struct bytes b);   /* IPv4 or IPv6, without a zone */
bool layout_is_host(struct bytes b); /* a host name as RFC 1123 has it */

#endif
