/* SPDX-License-Identifier: Apache-2.0 */
/* The template language (template.h): one line of text becomes a struct template, or a sentence on what is
 * wrong. */
#include <errno.h>
#include <stdarg.h>

#include "collectors/match.h"

#define LINE_MAX_BYTES 4096u
#define LEADING_GROUPS_MAX 3u
#define FACTS_MAX 16u
#define NAME_MAX_BYTES 32u

struct parser {
	struct arena *arena;
	const struct template_place *place;
	struct template *t;
	struct token tokens[TOKENS_MAX];
	size_t n;
	struct bytes names[EVENT_FIELDS_MAX];
	struct event_constant facts[FACTS_MAX];
	size_t n_facts;
	bool in_group;
	unsigned fields_in_group;
	size_t group_begin;
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

/* For wrong(): foreign text comes from a file of the administrator's, but may be long or odd. */
static const char *shown(struct bytes b, char out[static 64])
{
	size_t n = MIN(b.len, 60u);

	for (size_t i = 0; i < n; i++)
		out[i] = b.data[i] < 0x20 || b.data[i] >= 0x7f ? '?' : (char)b.data[i];
	out[n] = '\0';
	return out;
}
#define SHOWN(b) shown((b), (char[64]){ 0 })

static struct bytes trim(struct bytes b)
{
	while (b.len > 0 && (b.data[0] == ' ' || b.data[0] == '\t'))
		b = bytes_from(b, 1);
	while (b.len > 0 &&
	       (b.data[b.len - 1] == ' ' || b.data[b.len - 1] == '\t' || b.data[b.len - 1] == '\r'))
		b.len--;
	return b;
}

/* Takes what stands before the first `c` off the front of `rest`; all of it where there is none. */
static struct bytes split(struct bytes *rest, uint8_t c)
{
	const uint8_t *p = rest->len > 0 ? memchr(rest->data, c, rest->len) : NULL;
	struct bytes part = { rest->data, p ? (size_t)(p - rest->data) : rest->len };

	*rest = bytes_from(*rest, part.len + 1);
	return part;
}

static bool is_name(struct bytes b)
{
	if (b.len == 0 || b.len > NAME_MAX_BYTES || b.data[0] < 'a' || b.data[0] > 'z')
		return false;
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
			return false;
	}
	return true;
}

static struct bytes keep(struct arena *arena, struct bytes b)
{
	uint8_t *p = arena_alloc(arena, b.len + 1);

	if (!p)
		return BYTES_NONE;
	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return bytes_of(p, b.len);
}

/* --- programs and meaning ----------------------------------------------------------------- */

static int parse_programs(struct parser *p, struct bytes text)
{
	struct bytes *programs;
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == ',';
	programs = arena_alloc(p->arena, n * sizeof *programs);
	if (!programs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct bytes tag = trim(split(&text, ','));
		const uint8_t *star = tag.len > 0 ? memchr(tag.data, '*', tag.len) : NULL;

		if (tag.len == 0)
			return wrong(p, "a program is missing before the first |");
		if (memchr(tag.data, ' ', tag.len))
			return wrong(p, "program \"%s\": programs are separated by commas", SHOWN(tag));
		if (star && star != tag.data + tag.len - 1)
			return wrong(p, "program \"%s\": * may only stand at the end", SHOWN(tag));
		programs[i] = keep(p->arena, tag);
		if (!programs[i].data)
			return -ENOMEM;
	}
	p->t->programs = programs;
	p->t->n_programs = n;
	return 0;
}

static const char *activity_from_name(struct bytes word)
{
	static const char *const activities[] = { "logon",	   "logoff",	"session_open",
						  "session_close", "privilege", "account_change",
						  "other" };

	for (size_t i = 0; i < ELEMENTSOF(activities); i++) {
		if (bytes_eq(word, bytes_str(activities[i])))
			return activities[i];
	}
	return NULL;
}

static int parse_fact(struct parser *p, struct bytes word)
{
	struct bytes name = split(&word, '=');

	if (!is_name(name))
		return wrong(p, "\"%s\" is no name for a fact", SHOWN(name));
	for (size_t i = 0; i < p->n_facts; i++) {
		if (bytes_eq(name, bytes_str(p->facts[i].name)))
			return wrong(p, "the fact %s stands twice", SHOWN(name));
	}
	if (p->n_facts == FACTS_MAX)
		return wrong(p, "more than %u facts", FACTS_MAX);
	name = keep(p->arena, name);
	word = keep(p->arena, word);
	if (!name.data || !word.data)
		return -ENOMEM;
	p->facts[p->n_facts++] = (struct event_constant){ (const char *)name.data, (const char *)word.data };
	return 0;
}

/* Words that are both a kind and an activity ("privilege") are the kind where they first stand. */
static int parse_meaning(struct parser *p, struct bytes text)
{
	bool kind = false, activity = false, outcome = false, severity = false;
	struct meaning m = { .activity = "", .severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO };

	for (text = trim(text); text.len > 0; text = trim(text)) {
		struct bytes word = split(&text, ' ');
		int r = 0;

		if (memchr(word.data, '=', word.len)) {
			r = parse_fact(p, word);
		} else if (!kind && kind_from_name(word, &m.kind) == 0) {
			kind = true;
		} else if (!activity && activity_from_name(word)) {
			m.activity = activity_from_name(word);
			activity = true;
		} else if (!outcome && outcome_from_name(word, &m.outcome) == 0) {
			outcome = true;
		} else if (!severity && severity_from_name(word, &m.severity) == 0) {
			severity = true;
		} else {
			r = wrong(p, "\"%s\" is no kind, activity, outcome or severity that could stand here",
				  SHOWN(word));
		}
		if (r < 0)
			return r;
	}
	p->t->meaning = m;
	return 0;
}

/* --- text --------------------------------------------------------------------------------- */

static int add_token(struct parser *p, struct token token)
{
	if (p->n == TOKENS_MAX - 1)
		return wrong(p, "the text has more than %u parts", TOKENS_MAX - 1);
	p->tokens[p->n++] = token;
	return 0;
}

static int add_literal(struct parser *p, struct buf *literal)
{
	struct bytes text;

	if (literal->len == 0)
		return 0;
	text = keep(p->arena, buf_bytes(literal));
	buf_clear(literal);
	return text.data ? add_token(p, (struct token){ .kind = TOKEN_LITERAL, .literal = text }) : -ENOMEM;
}

static int open_group(struct parser *p)
{
	if (p->in_group)
		return wrong(p, "optional groups do not nest");
	if (p->t->n_groups == GROUPS_MAX)
		return wrong(p, "more than %u optional groups", GROUPS_MAX);
	p->in_group = true;
	p->fields_in_group = 0;
	p->group_begin = p->n;
	return add_token(p, (struct token){ .kind = TOKEN_GROUP, .number = p->t->n_groups++ });
}

static int close_group(struct parser *p)
{
	if (p->n == p->group_begin + 1)
		return wrong(p, "an optional group is empty");
	p->in_group = false;
	p->tokens[p->group_begin].skip = (uint16_t)(p->n + 1);
	return add_token(p, (struct token){ .kind = TOKEN_GROUP_END });
}

/* name, name:type, name:last, name:type:last, :blanks */
static int parse_field(struct parser *p, struct bytes text)
{
	struct bytes whole = text, name = split(&text, ':');
	struct token token = { .kind = TOKEN_FIELD, .number = p->t->n_fields };
	enum field_type type;
	char terminated[NAME_MAX_BYTES + 1] = "";
	int id;

	if (name.len == 0 && bytes_starts(text, LIT("blanks")))
		name = LIT(EVENT_FIELD_BLANKS);
	if (!is_name(name))
		return wrong(p, "\"{%s}\": \"%s\" is no name for a field", SHOWN(whole), SHOWN(name));
	type = field_type_of_name(name);
	while (text.len > 0) {
		struct bytes word = split(&text, ':');

		if (bytes_eq(word, LIT("last")) && text.len == 0)
			token.last = true;
		else if (field_type_from_name(word, &type) < 0)
			return wrong(p, "\"{%s}\": \"%s\" is no type", SHOWN(whole), SHOWN(word));
	}
	for (size_t i = 0; i < p->t->n_fields && type != TYPE_BLANKS; i++) {
		if (bytes_eq(name, p->names[i]))
			return wrong(p, "the field %s stands twice", SHOWN(name));
	}
	for (size_t i = 0; i < p->n_facts; i++) {
		if (bytes_eq(name, bytes_str(p->facts[i].name)))
			return wrong(p, "%s is both a fact and a field", SHOWN(name));
	}
	if (p->t->n_fields == EVENT_FIELDS_MAX)
		return wrong(p, "more than %u fields", EVENT_FIELDS_MAX);
	if (p->in_group && ++p->fields_in_group > 4)
		return wrong(p, "an optional group has more than four fields");
	memcpy(terminated, name.data, name.len);
	id = event_field_id(terminated);
	if (id < 0)
		return wrong(p, "the field %s: there are too many different field names", terminated);
	p->names[p->t->n_fields++] = name;
	token.id = (uint16_t)id;
	token.type = (uint8_t)type;
	return add_token(p, token);
}

static int parse_brace(struct parser *p, struct bytes *text, struct buf *literal)
{
	const uint8_t *close;
	struct bytes field;
	int r;

	if (bytes_starts(*text, LIT("{{"))) {
		*text = bytes_from(*text, 2);
		return buf_byte(literal, '{');
	}
	r = add_literal(p, literal);
	if (r < 0)
		return r;
	if (bytes_starts(*text, LIT("{["))) {
		*text = bytes_from(*text, 2);
		return open_group(p);
	}
	close = memchr(text->data, '}', text->len);
	if (!close)
		return wrong(p, "{ without }");
	field = bytes_of(text->data + 1, (size_t)(close - text->data) - 1);
	*text = bytes_from(*text, field.len + 2);
	return parse_field(p, field);
}

static int parse_text(struct parser *p, struct bytes text)
{
	_cleanup_(buf_done) struct buf literal = BUF_INIT(LINE_MAX_BYTES);
	int r = 0;

	while (r == 0 && text.len > 0) {
		if (text.data[0] == '{') {
			r = parse_brace(p, &text, &literal);
		} else if (p->in_group && bytes_starts(text, LIT("]}"))) {
			text = bytes_from(text, 2);
			r = add_literal(p, &literal);
			if (r == 0)
				r = close_group(p);
		} else if (text.data[0] == '}' && !bytes_starts(text, LIT("}}"))) {
			r = wrong(p, "} without {; a brace that is meant is written twice");
		} else {
			r = buf_byte(&literal, text.data[0]);
			text = bytes_from(text, text.data[0] == '}' ? 2 : 1);
		}
	}
	if (r == 0)
		r = add_literal(p, &literal);
	if (r < 0)
		return r;
	if (p->in_group)
		return wrong(p, "an optional group is not closed by ]}");
	if (p->n == 0)
		return wrong(p, "the text is empty");
	p->tokens[p->n++] = (struct token){ .kind = TOKEN_END };
	return 0;
}

/* --- what follows what -------------------------------------------------------------------- */

/* What can stand right before a token; blanks touch other fields, but not what touches them already. */
enum { AFTER_LITERAL = 1, AFTER_FIELD = 2, AFTER_BLANKS = 4, AFTER_FIELD_AND_BLANKS = 8 };

static int check_touching(struct parser *p)
{
	unsigned before = AFTER_LITERAL, at_group = 0;

	for (const struct token *k = p->tokens; k->kind != TOKEN_END; k++) {
		unsigned forbidden =
			AFTER_FIELD_AND_BLANKS | (k->type == TYPE_BLANKS ? AFTER_BLANKS : AFTER_FIELD);

		if (k->kind == TOKEN_LITERAL) {
			before = AFTER_LITERAL;
		} else if (k->kind == TOKEN_GROUP) {
			at_group = before;
		} else if (k->kind == TOKEN_GROUP_END) {
			before |= at_group;
		} else {
			if (before & forbidden)
				return wrong(p, "the field %s touches the field before it",
					     SHOWN(p->names[k->number]));
			if (k->type != TYPE_BLANKS)
				before = AFTER_FIELD;
			else
				before = (before & AFTER_LITERAL ? AFTER_BLANKS : 0) |
					 (before & AFTER_FIELD ? AFTER_FIELD_AND_BLANKS : 0);
		}
	}
	return 0;
}

/* What can begin behind a field. `second` is -1 as soon as it is not one and the same. */
struct beginnings {
	uint8_t bytes[32];
	int second; /* -2: none yet */
	bool end;
};

static void beginnings_of(const struct parser *p, size_t i, struct beginnings *b)
{
	const struct token *k = &p->tokens[i];
	int second;

	switch (k->kind) {
	case TOKEN_LITERAL:
		b->bytes[k->literal.data[0] / 8] |= (uint8_t)(1u << k->literal.data[0] % 8);
		second = k->literal.len > 1 ? k->literal.data[1] : -1;
		b->second = b->second == -2 || b->second == second ? second : -1;
		return;
	case TOKEN_GROUP:
		beginnings_of(p, i + 1, b);
		beginnings_of(p, k->skip, b);
		return;
	case TOKEN_GROUP_END:
		beginnings_of(p, i + 1, b);
		return;
	case TOKEN_FIELD:
		b->second = -1;
		if (k->type == TYPE_BLANKS) {
			b->bytes[' ' / 8] |= 1u << ' ' % 8;
			beginnings_of(p, i + 1, b);
		} else {
			memset(b->bytes, 0xff, sizeof b->bytes);
			b->end = true;
		}
		return;
	default:
		b->end = true;
	}
}

static int find_ends(struct parser *p, struct token *field, size_t at)
{
	struct beginnings b = { .second = -2 };
	uint8_t *follow = arena_alloc(p->arena, sizeof b.bytes);
	unsigned n = 0, own = 0;

	if (!follow)
		return -ENOMEM;
	beginnings_of(p, at + 1, &b);
	field->first = -1;
	for (unsigned c = 0; c < 256; c++) {
		if (!(b.bytes[c / 8] & 1u << c % 8))
			continue;
		field->first = n++ == 0 ? (int16_t)c : -1;
		own += field_type_holds(field->type, (uint8_t)c);
	}
	if (field_type_is_greedy(field->type) && n > 0 && own == n && !b.end)
		return wrong(p, "what follows the field %s is always taken by it, so that nothing can match",
			     SHOWN(p->names[field->number]));
	memcpy(follow, b.bytes, sizeof b.bytes);
	field->follow = follow;
	field->second = (int16_t)(b.second == -2 ? -1 : b.second);
	field->may_end = b.end;
	field->one_end = field->type == TYPE_TEXT ? n == 0 : own == 0 || field_type_is_greedy(field->type);
	return 0;
}

/* Spells out the beginnings: each group of mere words before the first literal may be there or not. */
static int find_leads(struct parser *p)
{
	size_t i = 0;
	unsigned groups = 0;
	struct lead *leads;

	while (groups < LEADING_GROUPS_MAX && p->tokens[i].kind == TOKEN_GROUP &&
	       p->tokens[i + 1].kind == TOKEN_LITERAL && p->tokens[i + 2].kind == TOKEN_GROUP_END) {
		groups++;
		i += 3;
	}
	leads = arena_alloc(p->arena, sizeof *leads << groups);
	if (!leads)
		return -ENOMEM;
	for (unsigned set = 0; set < 1u << groups; set++) {
		_cleanup_(buf_done) struct buf lead = BUF_INIT(LINE_MAX_BYTES);
		int r = 0;

		for (unsigned g = 0; g < groups && r == 0; g++) {
			if (set & 1u << g)
				r = buf_append(&lead, p->tokens[3 * g + 1].literal);
		}
		if (r == 0 && p->tokens[i].kind == TOKEN_LITERAL)
			r = buf_append(&lead, p->tokens[i].literal);
		/* groups are numbered from the first on, as the bits of `set` are */
		leads[set].text = keep(p->arena, buf_bytes(&lead));
		leads[set].groups = set;
		leads[set].token = (uint16_t)(i + (p->tokens[i].kind == TOKEN_LITERAL));
		if (r < 0 || !leads[set].text.data)
			return -ENOMEM;
	}
	p->t->leads = leads;
	p->t->n_leads = (uint8_t)(1u << groups);
	return 0;
}

static int finish(struct parser *p)
{
	struct event_constant *facts = arena_alloc(p->arena, p->n_facts * sizeof *facts + 1);
	struct token *tokens;
	int r = check_touching(p);

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		if (p->tokens[i].kind == TOKEN_FIELD)
			r = find_ends(p, &p->tokens[i], i);
	}
	if (r == 0)
		r = find_leads(p);
	if (r < 0)
		return r;
	tokens = arena_alloc(p->arena, p->n * sizeof *tokens);
	if (!tokens || !facts)
		return -ENOMEM;
	memcpy(tokens, p->tokens, p->n * sizeof *tokens);
	memcpy(facts, p->facts, p->n_facts * sizeof *facts);
	p->t->tokens = tokens;
	p->t->meaning.constants = facts;
	p->t->meaning.n_constants = p->n_facts;
	return 0;
}

int template_parse_line(struct arena *arena, struct bytes line, const struct template_place *place,
			struct template *ret)
{
	struct template t = { 0 };
	struct parser p = { .arena = arena, .place = place, .t = &t };
	struct bytes rest = trim(line), programs, meaning;
	int r;

	if (rest.len == 0 || rest.data[0] == '#')
		return 0;
	if (rest.len > LINE_MAX_BYTES)
		return wrong(&p, "the line is longer than %u bytes", LINE_MAX_BYTES);
	programs = split(&rest, '|');
	if (rest.len == 0 || !memchr(rest.data, '|', rest.len))
		return wrong(&p, "not \"programs | meaning | text\"");
	meaning = split(&rest, '|');
	r = parse_programs(&p, programs);
	if (r == 0)
		r = parse_meaning(&p, meaning);
	if (r == 0)
		r = parse_text(&p, trim(rest));
	if (r == 0)
		r = finish(&p);
	if (r < 0)
		return r;
	*ret = t;
	return 1;
}
