/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the redactor: what redact_parse.c reads, redact_find.c finds and redact.c takes out. Nobody else includes
 * this. */
#ifndef HALLMARK_COLLECTORS_REDACT_RULE_H
#define HALLMARK_COLLECTORS_REDACT_RULE_H

#include "agent/base/buf.h"
#include "collectors/data_line.h"
#include "collectors/trie.h"

#define REDACT_NAMES_MAX 64u
#define REDACT_WORDS_MIN 2u
#define REDACT_WORDS_MAX 64u
#define REDACT_KEY_MAX 256u /* of a key with an upper bound */
#define REDACT_NAME_MAX 32u

enum redact_extent { EXTENT_VALUE, EXTENT_REST, EXTENT_URL, EXTENT_THROUGH, EXTENT_KEY };
enum redact_separators { SEPARATORS_NONE, SEPARATORS_SOME, SEPARATORS_ANY };

struct redact_rule {
	struct bytes marker;  /* "[redacted NAME]" */
	struct bytes words;   /* as written; empty for a rule with `near` */
	uint64_t name, near;  /* a bit for each name */
	uint8_t extent, separators;
	bool at_word;
	struct bytes separator_set;
	struct bytes through;
	uint16_t key_min, key_max; /* key_max 0: no bound */
	const uint8_t *key_set;    /* a bit for each byte value */
};

struct redact_names {
	struct bytes list[REDACT_NAMES_MAX];
	unsigned n;
};

static inline bool redact_in_set(const uint8_t *set, uint8_t byte)
{
	return set[byte / 8] & 1u << byte % 8;
}

static inline uint8_t redact_fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* Reads one line of a .redactions file: 1 and a rule, 0 for a blank line or a comment, -EINVAL with a sentence in
 * `why` (may be NULL), -ENOMEM. */
int redact_parse_line(struct arena *arena, struct redact_names *names, struct bytes line,
		      const struct data_place *place, struct redact_rule *ret);

/* --- finding ------------------------------------------------------------------------------------- */

#define ENDS_LOOKED_AT 3u

/* A rule with the words as they stand in the trie. */
struct redact_entry {
	uint32_t rule, next; /* the next one with the same words, or TRIE_NONE */
};

struct redact_finder {
	const struct redact_rule *rules;
	size_t n;
	struct trie trie; /* from words to the first entry that has them */
	struct redact_entry *entries;
	/* the last bytes of words, the very last first: bits for up to sixteen kinds of ends */
	uint16_t ends[ENDS_LOOKED_AT][256];
	unsigned kinds;
	size_t least, longest; /* bytes of words and a secret (SIZE_MAX: there are none); of words */
	uint32_t *near;	       /* the rules with `near`, and all names that they speak of */
	size_t n_near;
	uint64_t near_names;
	uint64_t steps; /* bytes looked at */
};

/* What is open in a word: the quote that it began with, or 0, and how many backslashes stood before that. */
struct redact_lexer {
	size_t at, slashes;
	uint8_t quote, level;
	bool in_word;
};

/* Words are looked for that end at `at` or later. Starts as {0}. */
struct redact_cursor {
	size_t at;
	struct redact_lexer word;
};

struct redact_secret {
	size_t begin, end;
	const struct redact_rule *rule;
};

/* The rules, and the arena that all of it comes from, outlive the finder, which starts as {0}. */
int redact_finder_init(struct redact_finder *f, struct arena *arena, const struct redact_rule *rules,
		       size_t n_rules);
/* The next secret behind words. It may begin in the one before it. */
bool redact_find_words(struct redact_finder *f, struct bytes v, struct redact_cursor *c, struct redact_secret *ret);
/* The next key without words, by the rules to which the names in `found` give cause. */
bool redact_find_near(struct redact_finder *f, struct bytes v, uint64_t found, struct redact_cursor *c,
		      struct redact_secret *ret);

#endif
