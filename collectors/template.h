/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message templates: what programs print, as data. One line of a .templates file is one template, or a rule for tags:
 *
 *     programs | meaning | text
 *     programs | senders
 *
 *     sshd, sshd-session | authentication logon failure low | Failed {method:word} for {[invalid user ]}{user:last} from {src_ip} port {src_port}{[ ssh2]}
 *
 * programs   tags, separated by commas; "*" for any. A tag may end in "*".
 * meaning    kind, activity, outcome, severity: words in any order, each optional; name=value facts; senders.
 * senders    sender=… who may have written it (root, any, the name of an account, or a field in braces that names one
 *            or is a uid), exe=… how else the program's executable may be called; each a list with commas. A rule for
 *            tags is for every line with that tag; the last one counts. See sender.h for what becomes of them.
 * text       literals; {name} a field, {name:type} or {name:last} or {name:type:last}; {[ … ]} an optional
 *            group (groups do not nest and hold at most four fields); {{ and }} are single braces. `:unknown` at the
 *            end of a field: no account bears that name (if a group right before it is there, where there is one).
 *
 * A line that begins with # is a comment. Blanks around the three parts do not count.
 *
 * A field's type says what it may hold: text (any bytes, also none), word (no blank, also none), host (a
 * name or an address: letters, digits and . : _ - %), ip (a valid IPv4 or IPv6 address), port (1 to 65535),
 * int (up to 64 bits), blanks (spaces, also none; its name may be left out: {:blanks}). Well-known names
 * imply their type (src_ip: ip, src_port: port, pid and uid: int, …: the table in field_type.c); other names
 * are text. A field ends at the first place where the rest of the template fits, or, marked `last`, at the
 * last such place; port, int and blanks take all that they can. A group is left out only where the rest
 * does not fit with it. Two fields never touch, unless one of them is blanks.
 *
 * Of the templates for a program (then of those for "*"), the one whose leading literal is longest and
 * that fits wins; among equals the one that stands first. Groups of mere words at the very beginning
 * belong to the leading literal where they are present.
 *
 * Cost: for each byte of a message the same, whether there are ten templates or thousands, and however
 * long the message: see template.c.
 */
#ifndef HALLMARK_COLLECTORS_TEMPLATE_H
#define HALLMARK_COLLECTORS_TEMPLATE_H

#include "proto/event_writer.h"

struct template_set;
struct template;

int template_set_new(struct template_set **ret);
struct template_set *template_set_free(struct template_set *set); /* returns NULL */
DEFINE_CLEANUP(struct template_set *, template_set_free)

/* Adds the templates of one file's text. `origin` names it in error texts. Returns how many it added, or
 * -EINVAL with a sentence (place, what is wrong) in `ret_why`, if that is not NULL; then nothing of this
 * text is added. */
int template_set_add(struct template_set *set, struct bytes text, const char *origin, struct buf *ret_why);
/* Adds every *.templates file of a directory, in the order of their names. A missing directory is no error. On
 * an error in one file the others are added all the same, and the first one's error is told. */
int template_set_add_directory(struct template_set *set, const char *path, struct buf *ret_why);
/* To be called once, after the last addition and before the first match. */
int template_set_ready(struct template_set *set);
size_t template_set_count(const struct template_set *set); /* with the rules for tags */
/* As if no message had been matched before: for tests. */
void template_set_forget(struct template_set *set);
/* What matching has cost since the set was made, in bytes looked at and tokens tried: for tests. */
uint64_t template_set_steps(const struct template_set *set);

struct template_names {
	const struct bytes *names;
	size_t n;
};

/* Who may have written a line: root, or one of these. Bits stand for values of the match, in their order. */
struct template_sender {
	bool given; /* else there is no rule, and all the rest is empty */
	bool root;
	uint32_t names, numbers; /* values that name an account, or its number */
	struct template_names accounts;
};

/* What a message turned out to be. `values` point into the message. */
struct template_match {
	struct wording *wording; /* owned by the set; its optional groups are resolved */
	struct bytes values[EVENT_FIELDS_MAX];
	uint32_t unknown; /* names that no account bears: a bit for each value, in their order */
	uint32_t text;	  /* values of the type text */
	/* for template_writers() */
	const struct template *template, *rule;
	bool named;
};

/* Who may have written the message of a match. */
struct template_writers {
	/* the rule of the program's tag, and the template's own; each has to be kept */
	struct template_sender senders[2];
	struct template_names executables[3]; /* what the sender's may be called; a name may end in "*" */
};
void template_writers(const struct template_match *match, struct template_writers *ret);

/* True and a match, or false: no template knows the message. Not for two threads at a time. */
bool template_match(struct template_set *set, struct bytes program, struct bytes message,
		    struct template_match *ret);

/* What can be true of a single line beside what its words say. */
enum {
	VARIETY_REPEATED = 1,   /* packed: "message repeated {repeat} times: [ " before it, "]" behind it */
	VARIETY_REDACTED = 2,   /* redacted=yes: values were taken out of it */
	VARIETY_JOINED = 4,     /* joined=yes: it was written in parts */
	VARIETY_SUSPECT = 8,    /* suspicion=executable, severity at least medium: see sender.h */
	VARIETY_NOT_ROOT = 16,  /* kind forged, severity high; contradiction=sender-is-not-root, */
	VARIETY_NOT_CALLER = 32 /* or sender-is-not-the-caller; what it claims becomes claimed_… */
};
#define VARIETIES 64u

/* The wording that says the same and is of these varieties too: for VARIETY_REPEATED with the field `repeat` before
 * the others, else with the same fields. `base` is a match's wording or wording_unknown, not a variety. Made once
 * and kept, so that there are at most VARIETIES for each base. NULL for no memory, or one field too many. */
struct wording *template_vary(struct template_set *set, struct wording *base, unsigned varieties);

#endif
