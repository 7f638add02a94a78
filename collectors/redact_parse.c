/* SPDX-License-Identifier: Apache-2.0 */
/* The language of redactions (redact.h): one line of text becomes a struct redact_rule, or a sentence on what is
 * wrong. */
#include <errno.h>
#include <stdarg.h>

#include "collectors/redact_rule.h"

#define LINE_MAX_BYTES 1024u

struct parser {
	struct arena *arena;
	struct redact_names *names;
	const struct redact_place *place;
	struct redact_rule *rule;
};

static _printf_(2, 3) int wrong(const struct parser *p, const char *format, ...)
{
	va_list args;
	char text[256];

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (p->place->why)
		(void)buf_printf(p->place->why, "%s:%u: %s", p->place->origin, p->place->line, text);
	return -EINVAL;
}

/* For wrong(): what an administrator wrote, cut and made printable. */
static const char *shown(struct bytes b, char out[static 64])
{
	size_t n = MIN(b.len, 60u);

	for (size_t i = 0; i < n; i++)
		out[i] = b.data[i] < 0x20 || b.data[i] >= 0x7f ? '?' : (char)b.data[i];
	out[n] = '\0';
	return out;
}
#define SHOWN(b) shown((b), (char[64]){ 0 })

static bool is_gap(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct bytes trim(struct bytes b)
{
	while (b.len > 0 && is_gap(b.data[0]))
		b = bytes_from(b, 1);
	while (b.len > 0 && is_gap(b.data[b.len - 1]))
		b.len--;
	return b;
}

/* Takes what stands before the first `c` off the front of `rest`; all of it where there is none. */
static struct bytes split(struct bytes *rest, uint8_t c)
{
	const uint8_t *p = rest->len > 0 ? memchr(rest->data, c, rest->len) : NULL;
	struct bytes part = { rest->data, p ? (size_t)(p - rest->data) : rest->len };

	*rest = bytes_from(*rest, part.len + 1);
	return trim(part);
}

static int keep(struct arena *arena, struct bytes b, struct bytes *ret)
{
	uint8_t *p = arena_alloc(arena, b.len + 1);

	if (!p)
		return -ENOMEM;
	memcpy(p, b.data, b.len);
	*ret = bytes_of(p, b.len);
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
		return wrong(p, "\"%s\" is no name: up to %u small letters, digits and -", SHOWN(name),
			     REDACT_NAME_MAX);
	n = find_name(p->names, name);
	if (n < 0 && p->names->n == REDACT_NAMES_MAX)
		return wrong(p, "more than %u different names", REDACT_NAMES_MAX);
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
		struct bytes name = split(&names, ' ');
		int n = name.len > 0 ? find_name(p->names, name) : 0;

		if (n < 0)
			return wrong(p, "near \"%s\": no rule before this one has that name", SHOWN(name));
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
		return wrong(p, "no character stands between the brackets");
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
		return wrong(p, "the words before the secret have %u to %u bytes, not %zu", REDACT_WORDS_MIN,
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
		return wrong(p, "\"key\" wants a length and a set of characters, such as 16 A-Z0-9");
	for (size_t i = 0; i < text.len; i++) {
		bool range = i + 2 < text.len && text.data[i + 1] == '-';
		unsigned first = text.data[i], last = text.data[range ? i + 2 : i];

		if (first > last)
			return wrong(p, "\"%c-%c\" is no range", (int)first, (int)last);
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
	struct bytes length = split(&text, ' '), most = length, least = split(&most, '-');
	bool open = least.len + 1 == length.len;
	uint64_t min, max = 0;
	int r = bytes_to_u64(least, &min);

	if (r == 0 && !open)
		r = least.len == length.len ? (max = min, 0) : bytes_to_u64(most, &max);
	if (r < 0 || min < 1 || MAX(min, max) > REDACT_KEY_MAX || (!open && max < min))
		return wrong(p, "\"%s\" is no length from 1 to %u", SHOWN(length), REDACT_KEY_MAX);
	p->rule->key_min = (uint16_t)min;
	p->rule->key_max = (uint16_t)max;
	return parse_set(p, trim(text));
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
	word = split(&text, ' ');
	text = trim(text);
	if (bytes_eq(word, LIT("through")) && text.len > 0) {
		p->rule->extent = EXTENT_THROUGH;
		return keep(p->arena, text, &p->rule->through);
	}
	if (bytes_eq(word, LIT("key"))) {
		p->rule->extent = EXTENT_KEY;
		return parse_key(p, text);
	}
	return wrong(p, "\"%s\" is not value, rest, url, through TEXT or key N SET", SHOWN(whole));
}

int redact_parse_line(struct arena *arena, struct redact_names *names, struct bytes line,
		      const struct redact_place *place, struct redact_rule *ret)
{
	struct redact_rule rule = { 0 };
	struct parser p = { .arena = arena, .names = names, .place = place, .rule = &rule };
	struct bytes name, words, extent;
	int r;

	extent = trim(line);
	if (extent.len == 0 || extent.data[0] == '#')
		return 0;
	if (extent.len > LINE_MAX_BYTES)
		return wrong(&p, "the line is longer than %u bytes", LINE_MAX_BYTES);
	if (memchr(extent.data, '\0', extent.len))
		return wrong(&p, "the line holds a NUL byte");
	name = split(&extent, '|');
	words = split(&extent, '|');
	extent = trim(extent);
	if (words.len == 0 || extent.len == 0)
		return wrong(&p, "not \"name | words before the secret | how far the secret goes\"");
	r = parse_words(&p, words);
	if (r == 0)
		r = parse_extent(&p, extent);
	if (r == 0 && rule.extent != EXTENT_KEY && rule.near)
		return wrong(&p, "near finds nothing but a key");
	if (r == 0 && rule.extent == EXTENT_KEY && rule.separators != SEPARATORS_NONE)
		return wrong(&p, "a key begins with its words: nothing stands between them");
	if (r == 0)
		r = parse_name(&p, name);
	if (r < 0)
		return r;
	*ret = rule;
	return 1;
}
