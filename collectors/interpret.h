/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent makes of a message before it goes into a batch: which template it is, and what that means. What
 * the daemon signs and what `hallmark parse` shows is made here, in one place.
 *
 *     interpreter_new(&in)
 *     interpreter_set_redaction(in, …)     what becomes of secrets, if not the usual
 *     interpreter_add_directory(in, …)     as many as the configuration names
 *     interpreter_exclude(in, …)           what is to be left out
 *     interpreter_ready(in)
 *     interpret(in, …)                     for each message
 */
#ifndef HALLMARK_COLLECTORS_INTERPRET_H
#define HALLMARK_COLLECTORS_INTERPRET_H

#include "collectors/exclude.h"
#include "collectors/redact.h"
#include "collectors/template.h"

struct interpreter;

int interpreter_new(struct interpreter **ret);
struct interpreter *interpreter_free(struct interpreter *in); /* returns NULL */
DEFINE_CLEANUP(struct interpreter *, interpreter_free)

/* Before anything is added: `keep_secrets` passes over the redactions that the directories hold. */
void interpreter_set_redaction(struct interpreter *in, bool keep_secrets, enum unknown_users unknown_users);
/* Adds what is in a directory, templates and redactions: see template_set_add_directory() and
 * redactor_add_directory(), whose errors these are. */
int interpreter_add_directory(struct interpreter *in, const char *path, struct buf *ret_why);
/* Lines that this covers are to be left out; `entry` is kept, not copied. -EINVAL for what is no entry
 * (exclusion_parse()), -E2BIG for one past EXCLUDE_MAX. */
int interpreter_exclude(struct interpreter *in, const char *entry);
/* The entries, in the order in which they were added. */
const char *const *interpreter_excluded(const struct interpreter *in, size_t *ret_n);
/* To be called once, after the last addition and before the first message. */
int interpreter_ready(struct interpreter *in);
/* Owned by the interpreter: for adding templates that stand in no directory, and for counting them. */
struct template_set *interpreter_templates(struct interpreter *in);
/* Owned by the interpreter: for counting the redactions, and for giving it a key. */
struct redactor *interpreter_redactor(struct interpreter *in);

struct interpretation {
	struct wording *wording;                 /* wording_unknown's where no template knows the message */
	struct bytes message;                    /* what wording and values make together */
	struct bytes values[EVENT_FIELDS_MAX];
	unsigned varieties;                      /* which the wording is of (template.h) */
	int excluded;                            /* the place of the entry that leaves it out; -1: none does */
};

/* `origin` says who wrote the message, as far as that is known; `varieties` (template.h) what the caller knows of
 * it: VARIETY_JOINED or 0. What `ret` points to is valid until the next call, and as long as the message.
 *
 * "message repeated 5 times: [ MESSAGE]", as rsyslog and syslogd write it of any program, is MESSAGE with the field
 * `repeat` before its own, where a template knows that. A line is never left out that is forged or suspected to be,
 * or that speaks of evidence lost. */
int interpret(struct interpreter *in, const struct origin *origin, int64_t time_us, struct bytes message,
	      unsigned varieties, struct interpretation *ret);

#endif
