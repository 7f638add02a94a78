/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction: secrets are taken out of a message before anything is recorded of it. What a secret looks like is data;
 * one line of a .redactions file is one rule:
 *
 *     name | words before the secret | how far the secret goes
 *
 *     password      | --password[= ]                 | value
 *     authorization | authorization:                 | rest
 *     aws-key-id    | AKIA                           | key 16 A-Z0-9
 *     aws-secret    | near aws-key-id                | key 40 A-Za-z0-9/+
 *
 * The words are looked for whatever the case of their letters. "^" before them: only where no letter, digit, "-" or
 * "_" stands in front; "[= ]" behind them: at least one of these characters follows (at most 64 do), "[ ]?": or
 * none. How far:
 *
 *     value         what a shell would take as one word: quotes and backslashes count
 *     rest          to the end of the field, or to the quote that closes the word
 *     url           behind "://": what stands between the first ":" and the last "@" of the authority
 *     through TEXT  to the end of TEXT, or of the field where that does not follow
 *     key N SET     exactly N characters of a set (N-: N or more; N-M), the words before them included, whose
 *                   case counts here; not as a part of something longer
 *
 * "near NAME…" instead of words: a key anywhere in a message from which a rule of such a name, which stands before
 * this one, took something.
 *
 * What is taken out becomes "[redacted NAME]". Rules see one value at a time: nothing that a value says reaches
 * beyond it, so that no name can make the words around it disappear.
 *
 *     redactor_new(&red)
 *     redactor_add_directory(red, …)       as many as there are
 *     redactor_ready(red)
 *     redact(red, …)                       for each message
 *
 * Cost: time that is linear in the values, whatever they hold and however many rules there are; no allocation once
 * the buffers have grown.
 */
#ifndef HALLMARK_COLLECTORS_REDACT_H
#define HALLMARK_COLLECTORS_REDACT_H

#include "proto/event_writer.h"

struct redactor;

/* What becomes of user names that no account bears: a password, perhaps, that was typed in the wrong place. */
enum unknown_users {
	UNKNOWN_USERS_KEEP,
	UNKNOWN_USERS_HASH, /* 16 hexadecimal digits that are the same for the same name under the same key */
	UNKNOWN_USERS_DROP,
};

#define REDACT_KEY_SIZE 32u

/* Keeps unknown users, and has a random key. */
int redactor_new(struct redactor **ret);
struct redactor *redactor_free(struct redactor *red); /* wipes; returns NULL */
DEFINE_CLEANUP(struct redactor *, redactor_free)

/* As template_set_add() and template_set_add_directory(), for *.redactions. */
int redactor_add(struct redactor *red, struct bytes text, const char *origin, struct buf *ret_why);
int redactor_add_directory(struct redactor *red, const char *path, struct buf *ret_why);
/* To be called once, after the last addition and before the first message. */
int redactor_ready(struct redactor *red);
size_t redactor_count(const struct redactor *red);
/* What looking has cost since the redactor was made, in bytes looked at: for tests. */
uint64_t redactor_steps(const struct redactor *red);

/* At any time. The key decides what UNKNOWN_USERS_HASH shows: whoever has it can try names. */
void redactor_set_unknown_users(struct redactor *red, enum unknown_users mode);
void redactor_set_key(struct redactor *red, const uint8_t key[static REDACT_KEY_SIZE]);

/* Takes the secrets out of a message. `text`: the fields that may hold some, `unknown`: those that are user names that
 * no account bears; a bit for each value, from bit 0 on. 1: `message` and the values, all of them, now point to the
 * redacted ones, which are good until the next call, and at most EVENT_RAW_MAX bytes: what has no room there ends in
 * "[redacted too-long]". 0: there was nothing to take out, and nothing has changed. */
int redact(struct redactor *red, const struct wording *wording, uint32_t text, uint32_t unknown, struct bytes *values,
	   struct bytes *message);

#endif
