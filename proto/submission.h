/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict reader of what another part of hallmark hands in: one Submission message (submission.proto), which is
 * taken whole or not at all.
 *
 * Its writer may have been taken over, so nothing in it is believed. Only the one encoding that the record has is
 * taken (strict.h), and no field that is not known: so there is nothing in it that is not signed. Time and memory are
 * linear in its size.
 */
#ifndef HALLMARK_PROTO_SUBMISSION_H
#define HALLMARK_PROTO_SUBMISSION_H

#include "proto/event_writer.h"

#define SUBMISSION_VERSION 1u
#define SUBMISSION_SIZE_MAX (256u * 1024)
#define SUBMISSION_EVENTS_MAX 256u
#define SUBMISSION_TEMPLATES_MAX 64u
#define SUBMISSION_TEXT_MAX 4096u     /* bytes of a template's text */
#define SUBMISSION_CONSTANTS_MAX 16u  /* of a template */
#define SUBMISSION_PARTS_MAX 2048u    /* messages in it: more than all of these limits together allow */

/* What a submitter may say. */
struct submission_rights {
	unsigned kinds;             /* 1u << KIND_… for each kind that it may carry */
	struct event_constant mark; /* a fact that no submitter may bring itself; put to each event if it has a value */
	unsigned names_left;        /* field names new to this process (event_field_id) that it may still bring */
};

struct submitted {
	struct wording *wording;
	const struct bytes *values; /* n_fields of the wording */
	int64_t time_us;
};

/* All of it is its own, and lives until it is freed. */
struct submission {
	struct submitted *events; /* at least one; together with their words no event is longer than EVENT_RAW_MAX */
	size_t n_events;
	struct wording *wordings; /* one for each template */
	size_t n_wordings;
	struct submission_memory *memory;
};

/* -EBADMSG where it is refused: *ret_why is then a sentence, which is static. `rights->names_left` is counted
 * down, also by what is refused. -ENOMEM. */
int submission_read(struct bytes b, struct submission_rights *rights, struct submission **ret, const char **ret_why);
struct submission *submission_free(struct submission *s); /* returns NULL */
DEFINE_CLEANUP(struct submission *, submission_free)

#endif
