/* SPDX-License-Identifier: Apache-2.0 */
/* The template language (template.h): one line of text becomes a struct template, or a sentence on what is
 * wrong. */
#include <errno.h>

#include "collectors/template_parse.h"

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

/* --- programs and meaning ----------------------------------------------------------------- */

/* Names with commas between them; `missing` is what is wrong where one is empty. */
static int parse_names(struct template_parser *p, struct bytes text, const char *missing, struct template_names *ret)
{
	_cleanup_(freep) struct bytes *names = NULL;
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == ',';
	names = calloc(n, sizeof *names);
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct bytes name = data_trim(data_split(&text, ','));
		const uint8_t *star = name.len > 0 ? memchr(name.data, '*', name.len) : NULL;

		if (name.len == 0)
			return data_wrong(p->place, "%s", missing);
		if (memchr(name.data, ' ', name.len))
			return data_wrong(p->place, "program \"%s\": programs are separated by commas", SHOWN(name));
		if (star && star != name.data + name.len - 1)
			return data_wrong(p->place, "program \"%s\": * may only stand at the end", SHOWN(name));
		names[i] = arena_keep(p->arena, name);
		if (!names[i].data)
			return -ENOMEM;
	}
	/* most lines have the names of the line before */
	ret->names = (const struct bytes *)(const void *)arena_keep(p->arena, bytes_of(names, n * sizeof *names)).data;
	ret->n = ret->names ? n : 0;
	return ret->names ? 0 : -ENOMEM;
}

static bool names_any_program(const struct template *t)
{
	for (size_t i = 0; i < t->programs.n; i++)
		if (bytes_eq(t->programs.names[i], LIT("*")))
			return true;
	return false;
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

/* What template_vary() adds: two of a name could not be told apart. */
static bool is_reserved(struct bytes name)
{
	static const char *const reserved[] = { "redacted",	    "joined",	       "suspicion",    "claimed_kind",
						"claimed_activity", "claimed_outcome", "contradiction" };

	for (size_t i = 0; i < ELEMENTSOF(reserved); i++) {
		if (bytes_eq(name, bytes_str(reserved[i])))
			return true;
	}
	return false;
}

static int parse_fact(struct template_parser *p, struct bytes word)
{
	struct bytes name = data_split(&word, '=');

	if (!is_name(name))
		return data_wrong(p->place, "\"%s\" is no name for a fact", SHOWN(name));
	if (is_reserved(name))
		return data_wrong(p->place, "the name %s is reserved", SHOWN(name));
	for (size_t i = 0; i < p->n_facts; i++) {
		if (bytes_eq(name, bytes_str(p->facts[i].name)))
			return data_wrong(p->place, "the fact %s stands twice", SHOWN(name));
	}
	if (p->n_facts == FACTS_MAX)
		return data_wrong(p->place, "more than %u facts", FACTS_MAX);
	name = arena_keep(p->arena, name);
	word = arena_keep(p->arena, word);
	if (!name.data || !word.data)
		return -ENOMEM;
	p->facts[p->n_facts++] = (struct event_constant){ (const char *)name.data, (const char *)word.data };
	return 0;
}

/* No words make a line a forged one: that is for the sender's judge to say. */
static bool kind_of_template(struct bytes word, Hallmark__V1__Kind *ret)
{
	return !bytes_eq(word, LIT("forged")) && kind_from_name(word, ret) == 0;
}

static int parse_rule(struct template_parser *p, const char *name, struct bytes value)
{
	struct template_names *executables = &p->writers.executables;
	bool is_sender = strcmp(name, "sender") == 0;

	if (is_sender ? p->sender.data != NULL : executables->n > 0)
		return data_wrong(p->place, "%s= stands twice", name);
	if (!is_sender)
		return parse_names(p, value, "a name is missing in exe=", executables);
	p->sender = arena_keep(p->arena, value);
	return p->sender.data ? 0 : -ENOMEM;
}

/* Words that are both a kind and an activity ("privilege") are the kind where they first stand. */
static int parse_meaning(struct template_parser *p, struct bytes text)
{
	bool kind = false, activity = false, outcome = false, severity = false;
	struct meaning m = { .activity = "", .severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO };

	for (text = data_trim(text); text.len > 0; text = data_trim(text)) {
		struct bytes word = data_split(&text, ' ');
		int r = 0;

		if (bytes_starts(word, LIT("sender="))) {
			r = parse_rule(p, "sender", bytes_from(word, 7));
		} else if (bytes_starts(word, LIT("exe="))) {
			r = parse_rule(p, "exe", bytes_from(word, 4));
		} else if (memchr(word.data, '=', word.len)) {
			r = parse_fact(p, word);
		} else if (!kind && kind_of_template(word, &m.kind)) {
			kind = true;
		} else if (!activity && activity_from_name(word)) {
			m.activity = activity_from_name(word);
			activity = true;
		} else if (!outcome && outcome_from_name(word, &m.outcome) == 0) {
			outcome = true;
		} else if (!severity && severity_from_name(word, &m.severity) == 0) {
			severity = true;
		} else {
			r = data_wrong(p->place, "\"%s\" is no kind, activity, outcome or severity that could stand here",
				  SHOWN(word));
		}
		if (r < 0)
			return r;
	}
	p->t->meaning = m;
	return 0;
}

/* --- text --------------------------------------------------------------------------------- */

static int add_token(struct template_parser *p, struct token token)
{
	if (p->n == TOKENS_MAX - 1)
		return data_wrong(p->place, "the text has more than %u parts", TOKENS_MAX - 1);
	p->tokens[p->n++] = token;
	return 0;
}

static int add_literal(struct template_parser *p, struct buf *literal)
{
	struct bytes text;

	if (literal->len == 0)
		return 0;
	text = arena_keep(p->arena, buf_bytes(literal));
	buf_clear(literal);
	return text.data ? add_token(p, (struct token){ .kind = TOKEN_LITERAL, .text = text.data, .len = (uint16_t)text.len }) : -ENOMEM;
}

static int open_group(struct template_parser *p)
{
	if (p->in_group)
		return data_wrong(p->place, "optional groups do not nest");
	if (p->t->n_groups == GROUPS_MAX)
		return data_wrong(p->place, "more than %u optional groups", GROUPS_MAX);
	p->in_group = true;
	p->fields_in_group = 0;
	p->group_begin = p->n;
	return add_token(p, (struct token){ .kind = TOKEN_GROUP, .number = p->t->n_groups++ });
}

static int close_group(struct template_parser *p)
{
	if (p->n == p->group_begin + 1)
		return data_wrong(p->place, "an optional group is empty");
	p->in_group = false;
	p->tokens[p->group_begin].skip = (uint16_t)(p->n + 1);
	return add_token(p, (struct token){ .kind = TOKEN_GROUP_END });
}

/* What stands behind a field's name: a type, `last`, `unknown`, each of them or not, in this order. */
static int parse_options(struct template_parser *p, struct bytes whole, struct bytes text, struct token *token)
{
	const struct token *before = p->n > 0 ? &p->tokens[p->n - 1] : NULL;
	enum field_type type = token->type;

	while (text.len > 0) {
		struct bytes word = data_split(&text, ':');

		if (bytes_eq(word, LIT("last")) && (text.len == 0 || bytes_eq(text, LIT("unknown"))))
			token->last = true;
		else if (bytes_eq(word, LIT("unknown")) && text.len == 0)
			token->unknown = true;
		else if (field_type_from_name(word, &type) < 0)
			return data_wrong(p->place, "\"{%s}\": \"%s\" is no type", SHOWN(whole), SHOWN(word));
	}
	token->type = (uint8_t)type;
	token->unknown_group =
		before && before->kind == TOKEN_GROUP_END ? (uint8_t)(p->t->n_groups - 1) : GROUP_NONE;
	return 0;
}

/* The number of a name that is_name() has passed; no memory for it is no mistake in the file. */
static int find_id(const struct template_parser *p, struct bytes name)
{
	char terminated[NAME_MAX_BYTES + 1] = "";
	int id;

	memcpy(terminated, name.data, name.len);
	id = event_field_id(terminated);
	if (id >= 0 || id == -ENOMEM)
		return id;
	return data_wrong(p->place, "the field %s: there are too many different field names", terminated);
}

/* name, and what parse_options() reads; :blanks */
static int parse_field(struct template_parser *p, struct bytes text)
{
	struct bytes whole = text, name = data_split(&text, ':');
	struct token token = { .kind = TOKEN_FIELD, .number = p->t->n_fields };
	int id, r;

	if (name.len == 0 && bytes_starts(text, LIT("blanks")))
		name = LIT(EVENT_FIELD_BLANKS);
	if (!is_name(name))
		return data_wrong(p->place, "\"{%s}\": \"%s\" is no name for a field", SHOWN(whole), SHOWN(name));
	if (is_reserved(name))
		return data_wrong(p->place, "the name %s is reserved", SHOWN(name));
	token.type = (uint8_t)field_type_of_name(name);
	r = parse_options(p, whole, text, &token);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->t->n_fields && token.type != TYPE_BLANKS; i++) {
		if (bytes_eq(name, p->names[i]))
			return data_wrong(p->place, "the field %s stands twice", SHOWN(name));
	}
	for (size_t i = 0; i < p->n_facts; i++) {
		if (bytes_eq(name, bytes_str(p->facts[i].name)))
			return data_wrong(p->place, "%s is both a fact and a field", SHOWN(name));
	}
	if (p->t->n_fields == EVENT_FIELDS_MAX)
		return data_wrong(p->place, "more than %u fields", EVENT_FIELDS_MAX);
	if (p->in_group && ++p->fields_in_group > 4)
		return data_wrong(p->place, "an optional group has more than four fields");
	id = find_id(p, name);
	if (id < 0)
		return id;
	p->names[p->t->n_fields++] = name;
	token.id = (uint16_t)id;
	return add_token(p, token);
}

static int parse_brace(struct template_parser *p, struct bytes *text, struct buf *literal)
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
		return data_wrong(p->place, "{ without }");
	field = bytes_of(text->data + 1, (size_t)(close - text->data) - 1);
	*text = bytes_from(*text, field.len + 2);
	return parse_field(p, field);
}

static int parse_text(struct template_parser *p, struct bytes text)
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
			r = data_wrong(p->place, "} without {; a brace that is meant is written twice");
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
		return data_wrong(p->place, "an optional group is not closed by ]}");
	if (p->n == 0)
		return data_wrong(p->place, "the text is empty");
	p->tokens[p->n++] = (struct token){ .kind = TOKEN_END };
	return 0;
}

/* --- who may have written it -------------------------------------------------------------- */

static bool has_field(const struct template_parser *p, struct bytes name)
{
	for (size_t i = 0; i < p->t->n_fields; i++)
		if (bytes_eq(name, p->names[i]))
			return true;
	return false;
}

/* A field in braces: of the template, or, in a rule for tags, of any template that has it. */
static int parse_sender_field(struct template_parser *p, struct bytes word)
{
	struct bytes name = word.len > 2 ? bytes_of(word.data + 1, word.len - 2) : BYTES_NONE;
	struct writer_rule *rule = &p->writers;
	int id;

	if (!is_name(name) || word.data[word.len - 1] != '}' || (p->n > 0 && !has_field(p, name)))
		return data_wrong(p->place, "sender=%s: there is no such field", SHOWN(word));
	if (rule->n_ids == ELEMENTSOF(rule->ids))
		return data_wrong(p->place, "sender= names more than %u fields", SENDER_FIELDS_MAX);
	id = find_id(p, name);
	if (id < 0)
		return id;
	rule->ids[rule->n_ids++] = (uint16_t)id;
	return 0;
}

static int parse_sender(struct template_parser *p)
{
	struct writer_rule *rule = &p->writers;
	_cleanup_(freep) struct bytes *accounts = NULL;
	struct template_names names;
	struct bytes kept;
	int r;

	if (!p->sender.data)
		return 0;
	r = parse_names(p, p->sender, "a name is missing in sender=", &names);
	if (r < 0)
		return r;
	accounts = calloc(names.n, sizeof *accounts);
	if (!accounts)
		return -ENOMEM;
	rule->given = true;
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		if (bytes_eq(names.names[i], LIT("any")))
			rule->any = true;
		else if (bytes_eq(names.names[i], LIT("root")))
			rule->root = true;
		else if (names.names[i].data[0] == '{')
			r = parse_sender_field(p, names.names[i]);
		else
			accounts[rule->accounts.n++] = names.names[i];
	}
	kept = arena_keep(p->arena, bytes_of(accounts, rule->accounts.n * sizeof *accounts));
	rule->accounts.names = (const struct bytes *)(const void *)kept.data;
	return r == 0 && !kept.data ? -ENOMEM : r;
}

/* Few templates have rules of their own, and those mostly the same. */
static int keep_writers(struct template_parser *p)
{
	struct bytes rule = arena_keep(p->arena, bytes_of(&p->writers, sizeof p->writers));

	p->t->writers = (const struct writer_rule *)(const void *)rule.data;
	return rule.data ? 0 : -ENOMEM;
}

/* --- a whole line ------------------------------------------------------------------------- */

static int finish(struct template_parser *p, struct bytes text)
{
	struct event_constant *facts = arena_alloc(p->arena, p->n_facts * sizeof *facts + 1);
	struct token *tokens;
	int r = template_compile(p);

	if (r < 0)
		return r;
	r = texts_add(p->texts, text, &p->t->text);
	if (r < 0)
		return r;
	p->t->text_len = (uint16_t)text.len;
	tokens = calloc(p->n, sizeof *tokens);
	if (!tokens || !facts) {
		free(tokens);
		return -ENOMEM;
	}
	memcpy(tokens, p->tokens, p->n * sizeof *tokens);
	memcpy(facts, p->facts, p->n_facts * sizeof *facts);
	p->t->tokens = tokens;
	p->t->meaning.constants = facts;
	p->t->meaning.n_constants = p->n_facts;
	return 0;
}

int template_read(struct arena *arena, const struct template_texts *texts, struct template *t)
{
	_cleanup_(buf_done) struct buf all = BUF_INIT(TEXTS_MAX);
	struct template again = { .meaning = t->meaning };
	struct data_place nowhere = { .origin = "" };
	struct template_parser p = { .arena = arena, .place = &nowhere, .t = &again, .n_facts = t->meaning.n_constants };
	struct token *tokens;
	int r;

	if (p.n_facts > 0)
		memcpy(p.facts, t->meaning.constants, p.n_facts * sizeof *p.facts);
	r = texts_read(texts, &all);
	if (r == 0)
		r = parse_text(&p, bytes_of(all.data + t->text, t->text_len));
	if (r == 0)
		r = template_find_ends(&p);
	arena_settle(arena);
	tokens = r == 0 ? arena_alloc(arena, p.n * sizeof *tokens) : NULL;
	if (!tokens)
		return -ENOMEM; /* it was read before: nothing else can be wrong with it */
	memcpy(tokens, p.tokens, p.n * sizeof *tokens);
	t->tokens = tokens;
	return 0;
}

/* Nothing but sender= and exe=: the second and last part of such a line. */
static bool is_rule_for_tags(struct bytes meaning)
{
	for (meaning = data_trim(meaning); meaning.len > 0; meaning = data_trim(meaning)) {
		struct bytes word = data_split(&meaning, ' ');

		if (!bytes_starts(word, LIT("sender=")) && !bytes_starts(word, LIT("exe=")))
			return false;
	}
	return true;
}

int template_parse_line(struct arena *arena, struct template_texts *texts, struct bytes line,
			const struct data_place *place, struct template *ret)
{
	struct template t = { 0 };
	struct template_parser p = { .arena = arena, .texts = texts, .place = place, .t = &t };
	struct bytes rest = data_trim(line), programs, meaning;
	bool is_rule;
	int r;

	if (rest.len == 0 || rest.data[0] == '#')
		return 0;
	if (rest.len > LINE_MAX_BYTES)
		return data_wrong(p.place, "the line is longer than %u bytes", LINE_MAX_BYTES);
	programs = data_split(&rest, '|');
	is_rule = rest.len > 0 && !memchr(rest.data, '|', rest.len) && is_rule_for_tags(rest);
	if (rest.len == 0 || (!is_rule && !memchr(rest.data, '|', rest.len)))
		return data_wrong(p.place, "not \"programs | meaning | text\"");
	meaning = data_split(&rest, '|');
	r = parse_names(&p, programs, "a program is missing before the first |", &t.programs);
	if (r == 0)
		r = parse_meaning(&p, meaning);
	if (r == 0 && names_any_program(&t) && (is_rule || p.writers.executables.n > 0))
		r = data_wrong(p.place, "%s for every program", is_rule ? "no rule can be" : "no exe= can be");
	if (r == 0 && !is_rule)
		r = parse_text(&p, data_trim(rest));
	if (r == 0)
		r = parse_sender(&p);
	if (r == 0)
		r = keep_writers(&p);
	if (r == 0 && !is_rule)
		r = finish(&p, data_trim(rest));
	if (r < 0)
		return r;
	*ret = t;
	return 1;
}
