/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event in memory: what collectors hand in (event_writer.h), and what readers get back
 * (event_reader.h). All bytes are borrowed from whoever made the event, until the next one.
 */
#ifndef HALLMARK_PROTO_EVENT_H
#define HALLMARK_PROTO_EVENT_H

#include "agent/base/bytes.h"
#include "proto/hallmark.pb-c.h"

/* Limits of the record. */
#define EVENT_RAW_MAX (64u * 1024)              /* longer lines are cut, and the rest declared lost */
#define EVENT_FIELDS_MAX 32u                    /* values in one event */
#define EVENT_NUMBER_NONE UINT64_MAX            /* a provenance number that is not there */
#define BATCH_EXPANDED_MAX (8u * 1024 * 1024)   /* a batch's Events before compression */
#define BATCH_RAW_MAX (64u * 1024 * 1024)       /* the raw lines of a batch, put together again */
#define FRAME_MAX 900000u                       /* a whole frame */
#define BATCH_PARTS_MAX 4096u                   /* messages and unknown fields in a batch */
#define EVENTS_PARTS_MAX 65536u                 /* …and in its Events */

/* The header of a line in a log file: the parts of the raw line before the message, in this order:
 * before, the time as text, between, the pid as text (where has_pid), after. See Header in hallmark.proto. */
struct header {
	struct bytes before, time, between, after;
	struct bytes pid_text;
	Hallmark__V1__Stamp stamp;
	int utc_offset_min;
	unsigned fraction_digits;
	bool has_pid;
};

struct provenance {
	uint64_t uid, gid, audit_loginuid, audit_session, syslog_pid, facility; /* or EVENT_NUMBER_NONE */
	struct bytes transport, boot_id, exe, comm, unit, message_id;           /* empty: not there */
	bool own_machine; /* the uids are this host's; for the sender's judge, not for the record */
};

#define PROVENANCE_NONE                                                                       \
	((struct provenance){ .uid = EVENT_NUMBER_NONE, .gid = EVENT_NUMBER_NONE,              \
			      .audit_loginuid = EVENT_NUMBER_NONE,                             \
			      .audit_session = EVENT_NUMBER_NONE,                              \
			      .syslog_pid = EVENT_NUMBER_NONE, .facility = EVENT_NUMBER_NONE })

/* Who wrote a line. `source` is the place of the source among the batch's positions plus 1; 0 is
 * the agent itself. */
struct origin {
	uint32_t source;
	struct bytes program, host;
	bool has_header, has_provenance;
	struct header header; /* only where has_header */
	struct provenance provenance;
};

struct event_constant {
	const char *name, *value;
};

/* What a message means. All of it lives as long as the template that it belongs to. */
struct meaning {
	Hallmark__V1__Kind kind;
	const char *activity; /* "" for none */
	Hallmark__V1__Outcome outcome;
	Hallmark__V1__Severity severity;
	const struct event_constant *constants;
	size_t n_constants;
};

/* As a reader gets it. */
/* The field that is no fact: blanks by which a program aligns its text. The line is made of them too, so they are
 * kept; nobody is shown them. */
#define EVENT_FIELD_BLANKS "blanks"

struct event_field {
	const char *name;
	struct bytes value;
};

struct event {
	int64_t time_us;
	uint32_t pid; /* 0: unknown */
	struct origin origin;
	struct meaning meaning;
	const char *template_text;
	struct bytes message; /* without header */
	struct bytes raw;     /* the whole line as it stood in the source, header and all */
	struct event_field fields[EVENT_FIELDS_MAX]; /* in the order in which they stand in the message */
	size_t n_fields;
};

/* The value of a field or constant; empty bytes with data NULL where the event has none. */
struct bytes event_get(const struct event *e, const char *name);

/* Names of fields and constants: 1 to EVENT_NAME_MAX letters, digits, "_", "-" and ".". */
#define EVENT_NAME_MAX 64u
bool event_name_ok(const char *name);

/* The words of the enumerations, as templates and output spell them: "authentication", "failure",
 * "high"; "unknown" for a number that is none. The reverse returns -EINVAL for a word that is none. */
const char *kind_name(Hallmark__V1__Kind kind);
const char *outcome_name(Hallmark__V1__Outcome outcome);
const char *severity_name(Hallmark__V1__Severity severity);
int kind_from_name(struct bytes name, Hallmark__V1__Kind *ret);
int outcome_from_name(struct bytes name, Hallmark__V1__Outcome *ret);
int severity_from_name(struct bytes name, Hallmark__V1__Severity *ret);

/* Writes a stamp as text, as the sources that we read write it; returns its length, 0 where the
 * stamp cannot stand for that time (STAMP_NONE, a fraction that is finer than the digits). */
#define STAMP_TEXT_MAX 40
size_t stamp_render(Hallmark__V1__Stamp stamp, unsigned fraction_digits, int utc_offset_min, int64_t time_us,
		    char out[static STAMP_TEXT_MAX]);

#endif
