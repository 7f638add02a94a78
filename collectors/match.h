/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the templates: what template.c compiles, template_index.c finds and match.c tries. Nobody
 * else includes this.
 */
#ifndef HALLMARK_COLLECTORS_MATCH_H
#define HALLMARK_COLLECTORS_MATCH_H

#include "agent/base/arena.h"
#include "collectors/data_line.h"
#include "collectors/field_type.h"
#include "collectors/template.h"
#include "collectors/template_texts.h"

#define TOKENS_MAX 96u
#define GROUPS_MAX 8u /* so that a template has at most 256 wordings */
#define GROUP_NONE UINT8_MAX
#define SENDER_FIELDS_MAX 4u
#define NO_POSITION SIZE_MAX

enum token_kind { TOKEN_LITERAL, TOKEN_FIELD, TOKEN_GROUP, TOKEN_GROUP_END, TOKEN_END };

/* There are thousands, so each is kept small. */
struct token {
	union {
		const uint8_t *text;   /* of a literal */
		const uint8_t *follow; /* of a field: see below; a bit for each byte value */
	};
	uint16_t len; /* of the literal */
	uint8_t kind;
	uint8_t type;	/* enum field_type */
	uint8_t number; /* of the field or group in its template */
	/* no account bears the name where the group of that number is present; always, if it is GROUP_NONE */
	uint8_t unknown_group;
	bool unknown : 1;
	bool last : 1;
	/* Where a field may end: before a byte of `follow` (and then `second`, unless negative; `first` is
	 * the only byte of `follow`, or negative), or, where `may_end`, at the end of the message.
	 * `one_end`: there is only one such place, where the bytes of its type end; `only_end`: and finding it again costs
	 * next to nothing. `probe_second`: of the two bytes the second one is worth looking for, since blanks are
	 * everywhere. */
	bool may_end : 1;
	bool one_end : 1;
	bool only_end : 1;
	bool probe_second : 1;
	int16_t first, second;
	union {
		uint16_t id;   /* of a field: event_field_id() */
		uint16_t skip; /* of a group: the token behind it */
	};
};

static inline struct bytes token_literal(const struct token *t)
{
	return bytes_of(t->text, t->len);
}

/* A template of which the optional groups are resolved. */
struct resolved {
	struct wording wording;
	struct wording **varieties; /* by number; made when first needed */
	uint32_t unknown, text, numbers; /* values that no account bears; that are of the types text and int */
	struct template_sender sender;
	uint8_t fields[]; /* numbers of those that are present */
};

/* How a message may begin: the leading literal, with some of the groups of words before it; which groups
 * those are, and the first token behind it. `near` is the literal behind a field that holds no blank and stands right
 * behind that, or behind blanks (`near_blanks`); empty where it is not so. */
struct lead {
	struct bytes text;
	const uint8_t *near;
	uint16_t near_len;
	bool near_blanks;
	uint8_t groups;
	uint16_t token;
};

static inline struct bytes lead_near(const struct lead *lead)
{
	return bytes_of(lead->near, lead->near_len);
}

/* What `sender=` says, where it is given, and `exe=`. */
struct writer_rule {
	bool given, any, root;
	uint8_t n_ids;
	uint16_t ids[SENDER_FIELDS_MAX]; /* event_field_id() of the fields that it names */
	struct template_names accounts;
	struct template_names executables;
};

/* A rule for tags has no leads, and fits no message. Most templates are never tried on a host: of those the tokens are
 * not kept, and made again from the text by template_read() for whoever is tried. */
struct template
{
	size_t text; /* where it stands in the texts */
	const struct token *tokens; /* NULL: not there now */
	struct meaning meaning;
	const struct lead *leads;
	uint16_t text_len;
	uint8_t n_leads, n_fields, n_groups;
	struct template_names programs; /* a trailing "*" belongs to the tag */
	const struct writer_rule *writers;
	struct resolved **resolved;   /* one for each combination of present groups, made when first needed */
};

/* Reads one line of a .templates file: 1 and a template, 0 for a blank line or a comment, -EINVAL with a
 * sentence in `why` (may be NULL), -ENOMEM. `resolved` is left empty; the tokens are the caller's to free. */
int template_parse_line(struct arena *arena, struct template_texts *texts, struct bytes line,
			const struct data_place *place, struct template *ret);
/* Makes the tokens, once more, in the arena. 0 or -ENOMEM. */
int template_read(struct arena *arena, const struct template_texts *texts, struct template *t);

/* What was chosen in an attempt and could be chosen in another way: the group, which could be absent; or the end of the
 * field that begins at `at`, of which those from `low` to `high` are left. */
struct choice {
	const struct token *token;
	size_t at, low, high;
};

/* One attempt: the message, and what was found out about it. */
struct attempt {
	struct arena *arena; /* for tokens that are not there, and what they are made of */
	const struct template_texts *texts;
	const uint8_t *data;
	size_t len;
	const struct token *tokens;
	uint64_t steps, steps_max;
	uint32_t groups; /* present ones, a bit each */
	unsigned n_choices;
	struct choice choices[TOKENS_MAX]; /* a token has one at most */
	bool named;      /* the template that fits names the program */
	const struct template *rule; /* for the program; NULL: none */
	size_t begin[EVENT_FIELDS_MAX], end[EVENT_FIELDS_MAX];
	/* a field is known to fail from every start in [lo, hi], and hi is where its bytes end; lo may be
	 * NO_POSITION, and then hi means nothing */
	size_t lo[EVENT_FIELDS_MAX], hi[EVENT_FIELDS_MAX];
};

/* Does the template fit the whole message, which begins with that lead? */
bool attempt_fits(struct attempt *a, struct template *t, const struct lead *lead, struct bytes message);

/* Whether no message can fit two templates that may begin like this. False may also mean that it cannot be told. */
bool leads_exclude(const struct lead *one, const struct lead *other);

/* Finds templates by program and message; see template_index.c. */
struct template_index;
int template_index_new(struct arena *arena, struct template *templates, size_t n,
		       struct template_index **ret);
/* Forgets what was guessed: template_index_find() answers the same, by looking. */
void template_index_forget(struct template_index *index);
/* The template that fits, with the attempt that says how; NULL for none. */
struct template *template_index_find(struct template_index *index, struct bytes program, struct bytes message,
				     struct attempt *a);

#endif
