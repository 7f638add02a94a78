/* SPDX-License-Identifier: Apache-2.0 */
/* The language of redactions (redact.h): one line of text becomes a struct redact_rule, or a sentence on what is
 * wrong. */
#include <errno.h>

#include "collectors/redact_rule.h"

#define LINE_MAX_BYTES 1024u

struct parser {
	struct arena *arena;
	struct redact_names *names;
	const struct data_place *place;
	struct redact_rule *rule;
};

static int keep(struct arena *arena, struct bytes b, struct bytes *ret)
{
	struct bytes kept = arena_keep(arena, b);

	if (!kept.data)
		return -ENOMEM;
	*ret = kept;
	return 0;
}

/* --- name --------------------------------------------------------------------------------- */

static bool is_name(struct bytes b)
{
	if (b.len == 0 || b.len > REDACT_NAME_MAX)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

static int find_name(const struct redact_names *names, struct bytes name)
{
	for (unsigned i = 0; i < names->n; i++)
		if (bytes_eq(names->list[i], name))
			return (int)i;
	return -ENOENT;
}

static int parse_name(struct parser *p, struct bytes name)
{
	char marker[REDACT_NAME_MAX + 16];
	int n, r;

	if (!is_name(name))
		return data_wrong(p->place, "\"%s\" is no name: up to %u small letters, digits and -", SHOWN(name),
			     REDACT_NAME_MAX);
	n = find_name(p->names, name);
	if (n < 0 && p->names->n == REDACT_NAMES_MAX)
		return data_wrong(p->place, "more than %u different names", REDACT_NAMES_MAX);
	if (n < 0) {
		r = keep(p->arena, name, &p->names->list[p->names->n]);
		if (r < 0)
			return r;
		n = (int)p->names->n++;
	}
	p->rule->name = UINT64_C(1) << n;
	(void)snprintf(marker, sizeof marker, "[redacted %.*s]", (int)name.len, (const char *)name.data);
	return keep(p->arena, bytes_str(marker), &p->rule->marker);
}

/* --- words before the secret ----------------------------------------------------------------- */

static int parse_near(struct parser *p, struct bytes names)
{
	while (names.len > 0) {
		struct bytes name = data_trim(data_split(&names, ' '));
		int n = name.len > 0 ? find_name(p->names, name) : 0;

		if (n < 0)
			return data_wrong(p->place, "near \"%s\": no rule before this one has that name", SHOWN(name));
		if (name.len > 0)
			p->rule->near |= UINT64_C(1) << n;
	}
	return 0;
}

/* Takes the characters in brackets, "[= ]" or "[ ]?", off the end of `words`. */
static int parse_separators(struct parser *p, struct bytes *words)
{
	struct bytes w = *words;
	bool any = w.len > 0 && w.data[w.len - 1] == '?';
	const uint8_t *open;

	if (w.len < 1u + any || w.data[w.len - 1 - any] != ']')
		return 0;
	open = memrchr(w.data, '[', w.len);
	if (!open)
		return 0;
	w = bytes_from(w, (size_t)(open - w.data) + 1);
	w.len -= 1u + any;
	if (w.len == 0)
		return data_wrong(p->place, "no character stands between the brackets");
	words->len = (size_t)(open - words->data);
	p->rule->separators = any ? SEPARATORS_ANY : SEPARATORS_SOME;
	return keep(p->arena, w, &p->rule->separator_set);
}

static int parse_words(struct parser *p, struct bytes words)
{
	struct redact_rule *rule = p->rule;
	int r;

	if (bytes_starts(words, LIT("near ")))
		return parse_near(p, bytes_from(words, strlen("near ")));
	rule->at_word = words.len > 0 && words.data[0] == '^';
	words = bytes_from(words, rule->at_word);
	r = parse_separators(p, &words);
	if (r < 0)
		return r;
	if (words.len < REDACT_WORDS_MIN || words.len > REDACT_WORDS_MAX)
		return data_wrong(p->place, "the words before the secret have %u to %u bytes, not %zu", REDACT_WORDS_MIN,
			     REDACT_WORDS_MAX, words.len);
	return keep(p->arena, words, &rule->words);
}

/* --- how far ------------------------------------------------------------------------------- */

/* "a-z" is a range; a "-" that has no two neighbours is itself. */
static int parse_set(struct parser *p, struct bytes text)
{
	uint8_t *set = arena_alloc(p->arena, 32);

	if (!set)
		return -ENOMEM;
	if (text.len == 0)
		return data_wrong(p->place, "\"key\" wants a length and a set of characters, such as 16 A-Z0-9");
	for (size_t i = 0; i < text.len; i++) {
		bool range = i + 2 < text.len && text.data[i + 1] == '-';
		unsigned first = text.data[i], last = text.data[range ? i + 2 : i];

		if (first > last)
			return data_wrong(p->place, "\"%c-%c\" is no range", (int)first, (int)last);
		for (unsigned c = first; c <= last; c++)
			set[c / 8] |= (uint8_t)(1u << c % 8);
		i += range ? 2 : 0;
	}
	p->rule->key_set = set;
	return 0;
}

/* N, N- or N-M */
static int parse_key(struct parser *p, struct bytes text)
{
	struct bytes length = data_trim(data_split(&text, ' ')), most = length, least = data_trim(data_split(&most, '-'));
	bool open = least.len + 1 == length.len;
	uint64_t min, max = 0;
	int r = bytes_to_u64(least, &min);

	if (r == 0 && !open)
		r = least.len == length.len ? (max = min, 0) : bytes_to_u64(most, &max);
	if (r < 0 || min < 1 || MAX(min, max) > REDACT_KEY_MAX || (!open && max < min))
		return data_wrong(p->place, "\"%s\" is no length from 1 to %u", SHOWN(length), REDACT_KEY_MAX);
	p->rule->key_min = (uint16_t)min;
	p->rule->key_max = (uint16_t)max;
	return parse_set(p, data_trim(text));
}

static int parse_extent(struct parser *p, struct bytes text)
{
	static const char *const plain[] = { [EXTENT_VALUE] = "value", [EXTENT_REST] = "rest", [EXTENT_URL] = "url" };
	struct bytes whole = text, word;

	for (size_t i = 0; i < ELEMENTSOF(plain); i++)
		if (bytes_eq(text, bytes_str(plain[i]))) {
			p->rule->extent = (uint8_t)i;
			return 0;
		}
	word = data_trim(data_split(&text, ' '));
	text = data_trim(text);
	if (bytes_eq(word, LIT("through")) && text.len > 0) {
		p->rule->extent = EXTENT_THROUGH;
		return keep(p->arena, text, &p->rule->through);
	}
	if (bytes_eq(word, LIT("key"))) {
		p->rule->extent = EXTENT_KEY;
		return parse_key(p, text);
	}
	return data_wrong(p->place, "\"%s\" is not value, rest, url, through TEXT or key N SET", SHOWN(whole));
}

int redact_parse_line(struct arena *arena, struct redact_names *names, struct bytes line,
		      const struct data_place *place, struct redact_rule *ret)
{
	struct redact_rule rule = { 0 };
	struct parser p = { .arena = arena, .names = names, .place = place, .rule = &rule };
	struct bytes name, words, extent;
	int r;

	extent = data_trim(line);
	if (extent.len == 0 || extent.data[0] == '#')
		return 0;
	if (extent.len > LINE_MAX_BYTES)
		return data_wrong(p.place, "the line is longer than %u bytes", LINE_MAX_BYTES);
	if (memchr(extent.data, '\0', extent.len))
		return data_wrong(p.place, "the line holds a NUL byte");
	name = data_trim(data_split(&extent, '|'));
	words = data_trim(data_split(&extent, '|'));
	extent = data_trim(extent);
	if (words.len == 0 || extent.len == 0)
		return data_wrong(p.place, "not \"name | words before the secret | how far the secret goes\"");
	r = parse_words(&p, words);
	if (r == 0)
		r = parse_extent(&p, extent);
	if (r == 0 && rule.extent != EXTENT_KEY && rule.near)
		return data_wrong(p.place, "near finds nothing but a key");
	if (r == 0 && rule.extent == EXTENT_KEY && rule.separators != SEPARATORS_NONE)
		return data_wrong(p.place, "a key begins with its words: nothing stands between them");
	if (r == 0)
		r = parse_name(&p, name);
	if (r < 0)
		return r;
	*ret = rule;
	return 1;
}
