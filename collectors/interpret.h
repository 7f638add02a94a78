/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent makes of a message before it goes into a batch: which template it is, and what that means. What
 * the daemon signs and what `hallmark parse` shows is made here, in one place.
 *
 *     interpreter_new(&in)
 *     interpreter_add_directory(in, …)     as many as the configuration names
 *     interpreter_ready(in)
 *     interpret(in, …)                     for each message
 */
#ifndef HALLMARK_COLLECTORS_INTERPRET_H
#define HALLMARK_COLLECTORS_INTERPRET_H

#include "collectors/template.h"

struct interpreter;

int interpreter_new(struct interpreter **ret);
struct interpreter *interpreter_free(struct interpreter *in); /* returns NULL */
DEFINE_CLEANUP(struct interpreter *, interpreter_free)

/* Adds what is in a directory: see template_set_add_directory(), whose errors these are. */
int interpreter_add_directory(struct interpreter *in, const char *path, struct buf *ret_why);
/* To be called once, after the last addition and before the first message. */
int interpreter_ready(struct interpreter *in);
/* Owned by the interpreter: for adding templates that stand in no directory, and for counting them. */
struct template_set *interpreter_templates(struct interpreter *in);

struct interpretation {
	struct wording *wording;                 /* wording_unknown's where no template knows the message */
	struct bytes message;                    /* what wording and values make together */
	struct bytes values[EVENT_FIELDS_MAX];
};

/* `origin` says who wrote the message, as far as that is known. What `ret` points to is valid until the next
 * call, and as long as the message. */
int interpret(struct interpreter *in, const struct origin *origin, int64_t time_us, struct bytes message,
	      struct interpretation *ret);

#endif
