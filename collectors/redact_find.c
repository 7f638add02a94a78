/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of all rules, with the character that has to follow them, stand in one trie, from their ends on: they end
 * in "=", ":" or a blank more often than in anything that a name holds. So most bytes of a message are passed over by a
 * look at one table, which says whether words end in this byte, and at another for the byte before it. Where both agree,
 * what stands before is put into small letters and walked through the trie. What each rule may then look at is
 * bounded, or skipped as part of the secret, so that all of it stays linear.
 */
#include <errno.h>

#include "collectors/redact_rule.h"

#define SEPARATORS_MAX 64u
#define QUOTE_LEVEL_MAX 3u

/* --- making ready ------------------------------------------------------------------------------ */

/* What may follow the words: each of these characters, or, as far as the trie is concerned, nothing. */
static size_t rule_keys(const struct redact_rule *rule)
{
	return rule->words.len == 0 ? 0 : rule->separators == SEPARATORS_SOME ? rule->separator_set.len : 1;
}

/* The words, in small letters and from their end on. */
static int make_key(struct arena *arena, const struct redact_rule *rule, size_t which, struct trie_key *ret)
{
	size_t with = rule->separators == SEPARATORS_SOME, len = rule->words.len + with;
	uint8_t *text = arena_alloc(arena, len);

	if (!text)
		return -ENOMEM;
	text[0] = with ? redact_fold(rule->separator_set.data[which]) : 0;
	for (size_t i = 0; i < rule->words.len; i++)
		text[len - 1 - i] = redact_fold(rule->words.data[i]);
	*ret = (struct trie_key){ bytes_of(text, len), TRIE_NONE };
	return 0;
}

/* Each last byte is a kind of its own, as long as there are not too many. */
static void note_end(struct redact_finder *f, struct bytes key)
{
	uint16_t kind = f->ends[0][key.data[0]];

	if (kind == 0)
		kind = (uint16_t)(1u << f->kinds++ % 16);
	for (unsigned i = 0; i < ENDS_LOOKED_AT; i++)
		for (unsigned c = 0; c < 256; c++)
			if (i >= key.len || redact_fold((uint8_t)c) == key.data[i])
				f->ends[i][c] |= kind;
	f->longest = MAX(f->longest, key.len);
}

static int make_keys(struct redact_finder *f, struct arena *arena, struct trie_key *keys,
		     struct trie_key *of_entries)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct redact_rule *rule = &f->rules[i];

		for (size_t k = 0; k < rule_keys(rule); k++, n++) {
			int r = make_key(arena, rule, k, &keys[n]);

			if (r < 0)
				return r;
			note_end(f, keys[n].text);
			of_entries[n] = keys[n];
			f->entries[n].rule = (uint32_t)i;
		}
		if (rule->near)
			f->near[f->n_near++] = (uint32_t)i;
		else
			f->least = MIN(f->least, rule->words.len + MAX(rule->key_min, 1u));
		f->near_names |= rule->near;
	}
	return 0;
}

int redact_finder_init(struct redact_finder *f, struct arena *arena, const struct redact_rule *rules,
		       size_t n_rules)
{
	_cleanup_(freep) struct trie_key *keys = NULL, *of_entries = NULL;
	size_t n = 0, unique = 0;
	int r;

	for (size_t i = 0; i < n_rules; i++)
		n += rule_keys(&rules[i]);
	keys = calloc(n + 1, sizeof *keys);
	of_entries = calloc(n + 1, sizeof *of_entries);
	f->entries = arena_alloc(arena, (n + 1) * sizeof *f->entries);
	f->near = arena_alloc(arena, (n_rules + 1) * sizeof *f->near);
	if (!keys || !of_entries || !f->entries || !f->near)
		return -ENOMEM;
	f->rules = rules;
	f->n = n_rules;
	f->least = SIZE_MAX;
	r = make_keys(f, arena, keys, of_entries);
	if (r < 0)
		return r;
	qsort(keys, n, sizeof *keys, trie_key_compare);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || !bytes_eq(keys[unique - 1].text, keys[i].text))
			keys[unique++] = keys[i];
	/* from the last to the first, so that those with the same words come in their order */
	for (size_t i = n; i-- > 0;) {
		struct trie_key *key = bsearch(&of_entries[i], keys, unique, sizeof *keys, trie_key_compare);

		f->entries[i].next = key->value;
		key->value = (uint32_t)i;
	}
	return trie_build(arena, keys, unique, &f->trie);
}

/* --- words and quotes ------------------------------------------------------------------------ */

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_quote(uint8_t c)
{
	return c == '"' || c == '\'';
}

static bool is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Does a quote behind so many backslashes close one that was opened behind `level` of them? Quotes within quotes
 * have more backslashes before them: as sudo writes them, \' within '…'. */
static bool closes(unsigned level, size_t slashes)
{
	return level > 0 ? slashes <= level : slashes % 2 == 0;
}

static void lex(struct redact_finder *f, struct redact_lexer *l, struct bytes v, size_t to)
{
	f->steps += to - MIN(l->at, to);
	for (; l->at < to; l->at++) {
		uint8_t c = v.data[l->at];

		if (is_blank(c)) {
			*l = (struct redact_lexer){ .at = l->at };
			continue;
		}
		if (c == '\\') {
			l->slashes++;
			continue;
		}
		if (is_quote(c) && !l->in_word) {
			/* each level may cost a look at all the rest: more than a few are none */
			l->quote = l->slashes <= QUOTE_LEVEL_MAX ? c : 0;
			l->level = (uint8_t)l->slashes;
		} else if (c == l->quote && closes(l->level, l->slashes)) {
			l->quote = 0;
		}
		l->in_word = true;
		l->slashes = 0;
	}
}

/* The place of the quote that closes, or the end. */
static size_t quote_end(struct redact_finder *f, struct bytes v, size_t at, uint8_t quote, unsigned level)
{
	size_t begin = at, slashes = 0;

	for (; at < v.len && (v.data[at] != quote || !closes(level, slashes)); at++)
		slashes = v.data[at] == '\\' ? slashes + 1 : 0;
	f->steps += at - begin;
	return at;
}

/* --- how far a secret goes --------------------------------------------------------------------- */

/* Behind quotes, what does not go on like a word of a shell ends it: JSON stays readable. */
static bool ends_quoted(uint8_t c)
{
	return is_blank(c) || memchr(",;:}])|&<>", c, 10);
}

static size_t value_end(struct redact_finder *f, struct bytes v, size_t begin, const struct redact_lexer *word)
{
	size_t at = begin, level = 0;
	bool quoted = false;

	while (at < v.len) {
		size_t slashes = 0;

		while (at + slashes < v.len && slashes < QUOTE_LEVEL_MAX && v.data[at + slashes] == '\\')
			slashes++;
		if ((quoted || at == begin) && at + slashes < v.len && is_quote(v.data[at + slashes])) {
			uint8_t quote = v.data[at + slashes];

			/* one that was open before the secret began */
			if ((quote == word->quote && closes(word->level, slashes)) || slashes < level)
				break;
			level = quoted ? level : slashes;
			at += slashes + 1;
			if (slashes == level)
				at = MIN(v.len, quote_end(f, v, at, quote, (unsigned)level) + 1);
			quoted = true;
			continue;
		}
		if (word->quote && !quoted)
			return quote_end(f, v, at, word->quote, word->level);
		if (quoted ? ends_quoted(v.data[at]) : is_blank(v.data[at]))
			break;
		at = MIN(v.len, at + (v.data[at] == '\\' ? 2 : 1));
	}
	f->steps += at - begin;
	return at;
}

/* RFC 3986 §3.2: the authority ends before the first of / ? #, and its user information at the last @. */
static void find_url(struct redact_finder *f, struct bytes v, size_t *begin, size_t *end)
{
	size_t at = *begin, colon = 0, sign = 0;

	for (; at < v.len && !is_blank(v.data[at]) && !memchr("/?#'\"<>", v.data[at], 7); at++) {
		if (v.data[at] == ':' && colon == 0)
			colon = at;
		else if (v.data[at] == '@')
			sign = at;
	}
	f->steps += at - *begin;
	*end = *begin;
	if (colon > 0 && sign > colon) {
		*begin = colon + 1;
		*end = sign;
	}
}

/* How many bytes of a key there are; 0 where there is none, or part of something longer. */
static size_t key_length(struct redact_finder *f, const struct redact_rule *rule, struct bytes v, size_t at)
{
	size_t n = rule->words.len, most = rule->key_max ? n + rule->key_max : v.len;

	if ((at > 0 && redact_in_set(rule->key_set, v.data[at - 1])) || !bytes_starts(bytes_from(v, at), rule->words))
		return 0;
	while (at + n < v.len && n <= most && redact_in_set(rule->key_set, v.data[at + n]))
		n++;
	f->steps += n;
	return n >= (size_t)rule->words.len + rule->key_min && n <= most ? n : 0;
}

static size_t through_end(struct redact_finder *f, struct bytes v, size_t begin, struct bytes text)
{
	struct bytes rest = bytes_from(v, begin);
	const uint8_t *p = rest.len > 0 ? memmem(rest.data, rest.len, text.data, text.len) : NULL;
	size_t end = p ? (size_t)(p - v.data) + text.len : v.len;

	f->steps += end - begin;
	return end;
}

/* --- finding secrets ---------------------------------------------------------------------------- */

/* Passes what may stand between the words and the secret; what has to, the trie has found. */
static size_t pass_separators(const struct redact_rule *rule, struct bytes v, size_t at)
{
	size_t n = 0;

	while (n < SEPARATORS_MAX && at + n < v.len && rule->separator_set.len > 0 &&
	       memchr(rule->separator_set.data, v.data[at + n], rule->separator_set.len))
		n++;
	return at + n;
}

/* Finds how far the secret goes behind words at `at`, which is `begin` or before it. */
static size_t find_end(struct redact_finder *f, const struct redact_rule *rule, struct bytes v,
		       struct redact_cursor *c, size_t at, size_t *begin)
{
	struct redact_lexer word;
	size_t end;

	lex(f, &c->word, v, at);
	word = c->word;
	lex(f, &word, v, at + rule->words.len);
	switch (rule->extent) {
	case EXTENT_VALUE:
		return value_end(f, v, *begin, &word);
	case EXTENT_URL:
		find_url(f, v, begin, &end);
		return end;
	case EXTENT_THROUGH:
		return through_end(f, v, *begin, rule->through);
	default:
		return word.quote ? quote_end(f, v, *begin, word.quote, word.level) : v.len;
	}
}

/* Whether the rule, whose words stand at `at`, finds a secret; then the cursor has moved past it. */
static bool take(struct redact_finder *f, const struct redact_rule *rule, struct bytes v, struct redact_cursor *c,
		 size_t at, struct redact_secret *ret)
{
	size_t begin = at, end;

	if (rule->at_word && at > 0 && is_name_byte(v.data[at - 1]))
		return false;
	if (rule->extent == EXTENT_KEY) {
		end = at + key_length(f, rule, v, at);
	} else {
		begin = pass_separators(rule, v, at + rule->words.len);
		if (begin >= v.len)
			return false;
		end = find_end(f, rule, v, c, at, &begin);
	}
	if (end <= begin)
		return false;
	/* "--token --password x": perhaps the first of them wants no value; words are looked for in an option too */
	c->at = rule->extent == EXTENT_VALUE && is_blank(v.data[begin - 1]) && v.data[begin] == '-' ? begin : end;
	*ret = (struct redact_secret){ begin, end, rule };
	return true;
}

/* The rules whose words end at c->at, those with the longest words first. */
static bool find_at(struct redact_finder *f, struct bytes v, struct redact_cursor *c, struct redact_secret *ret)
{
	uint8_t folded[REDACT_WORDS_MAX + 1];
	struct {
		uint32_t entry;
		size_t len;
	} found[REDACT_WORDS_MAX + 1];
	size_t len = MIN(f->longest, c->at + 1), n = 0;
	struct trie_walk walk = { 0 };
	uint32_t i;

	for (size_t k = 0; k < len; k++)
		folded[k] = redact_fold(v.data[c->at - k]);
	f->steps += len;
	while ((i = trie_next(&f->trie, bytes_of(folded, len), &walk)) != TRIE_NONE) {
		found[n].entry = i;
		found[n++].len = walk.depth;
	}
	while (n-- > 0)
		for (i = found[n].entry; i != TRIE_NONE; i = f->entries[i].next)
			if (take(f, &f->rules[f->entries[i].rule], v, c, c->at + 1 - found[n].len, ret))
				return true;
	return false;
}

bool redact_find_words(struct redact_finder *f, struct bytes v, struct redact_cursor *c, struct redact_secret *ret)
{
	size_t begin = c->at;

	for (c->at = MAX(c->at, 1u); c->at < v.len; c->at++) {
		unsigned kind = f->ends[0][v.data[c->at]];

		if (!kind || !(kind &= f->ends[1][v.data[c->at - 1]]) ||
		    (c->at > 1 && !(kind & f->ends[2][v.data[c->at - 2]])))
			continue;
		if (find_at(f, v, c, ret)) {
			f->steps += ret->begin - MIN(begin, ret->begin);
			return true;
		}
	}
	f->steps += v.len - MIN(begin, v.len);
	return false;
}

bool redact_find_near(struct redact_finder *f, struct bytes v, uint64_t found, struct redact_cursor *c,
		      struct redact_secret *ret)
{
	for (; c->at < v.len; c->at++) {
		for (size_t i = 0; i < f->n_near; i++) {
			const struct redact_rule *rule = &f->rules[f->near[i]];
			size_t n = rule->near & found ? key_length(f, rule, v, c->at) : 0;

			if (n > 0) {
				*ret = (struct redact_secret){ c->at, c->at + n, rule };
				c->at += n;
				return true;
			}
		}
	}
	return false;
}

