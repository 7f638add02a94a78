/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of templates: what a match becomes, and where everything is kept. The language is read in
 * template_parse.c, and what was read made ready in template_compile.c; how a message finds its template is told
 * in template_index.c, and how one template is matched, in time that is linear in the message, in match.c.
 */
#include "collectors/template.h"

#include <errno.h>

#include "collectors/data_files.h"
#include "collectors/match.h"

struct template_set {
	struct arena arena;
	struct template_texts texts;
	struct template *templates;
	size_t n, cap;
	struct template_index *index;
	struct attempt attempt;
	struct wording **unknown_varieties;
};

int template_set_new(struct template_set **ret)
{
	struct template_set *set = calloc(1, sizeof *set);

	if (!set)
		return -ENOMEM;
	set->texts = (struct template_texts)TEMPLATE_TEXTS_INIT;
	*ret = set;
	return 0;
}

/* Those that were made in loading. */
static void drop_tokens(struct template_set *set, size_t from)
{
	for (size_t i = from; i < set->n; i++) {
		free((void *)(uintptr_t)set->templates[i].tokens);
		set->templates[i].tokens = NULL;
	}
}

struct template_set *template_set_free(struct template_set *set)
{
	if (set) {
		if (!set->index)
			drop_tokens(set, 0);
		arena_done(&set->arena);
		texts_done(&set->texts);
		free(set->templates);
		free(set);
	}
	return NULL;
}

static int set_room(struct template_set *set)
{
	size_t cap = set->cap ? 2 * set->cap : 64;
	struct template *t;

	if (set->n < set->cap)
		return 0;
	t = reallocarray(set->templates, cap, sizeof *t);
	if (!t)
		return -ENOMEM;
	set->templates = t;
	set->cap = cap;
	return 0;
}

int template_set_add(struct template_set *set, struct bytes text, const char *origin, struct buf *ret_why)
{
	struct data_place place = { .origin = origin, .why = ret_why };
	size_t before = set->n;
	int r;

	while (text.len > 0) {
		const uint8_t *newline = memchr(text.data, '\n', text.len);
		struct bytes line = { text.data, newline ? (size_t)(newline - text.data) : text.len };

		text = bytes_from(text, line.len + 1);
		place.line++;
		r = set_room(set);
		if (r == 0)
			r = template_parse_line(&set->arena, &set->texts, line, &place, &set->templates[set->n]);
		if (r < 0) {
			drop_tokens(set, before);
			set->n = before;
			return r;
		}
		set->n += (size_t)r;
	}
	return (int)(set->n - before);
}

static int add_text(void *to, struct bytes text, const char *origin, struct buf *ret_why)
{
	return template_set_add(to, text, origin, ret_why);
}

int template_set_add_directory(struct template_set *set, const char *path, struct buf *ret_why)
{
	return data_files_add(path, ".templates", add_text, set, ret_why);
}

int template_set_ready(struct template_set *set)
{
	struct template *fitting = set->n > 0 ? reallocarray(set->templates, set->n, sizeof *fitting) : NULL;
	int r;

	if (fitting) {
		set->templates = fitting;
		set->cap = set->n;
	}
	arena_settle(&set->arena);
	set->attempt.arena = &set->arena;
	set->attempt.texts = &set->texts;
	r = texts_pack(&set->texts);
	if (r == 0)
		r = template_index_new(&set->arena, set->templates, set->n, &set->index);
	if (r == 0)
		drop_tokens(set, 0);
	return r;
}

size_t template_set_count(const struct template_set *set)
{
	return set->n;
}

void template_set_forget(struct template_set *set)
{
	template_index_forget(set->index);
}

uint64_t template_set_steps(const struct template_set *set)
{
	return set->attempt.steps;
}

/* The rule as it stands for the values of a wording. Where a field that it names is absent nobody is named who could
 * be contradicted. */
static struct template_sender resolve_sender(const struct writer_rule *rule, const struct resolved *r)
{
	struct template_sender sender = { .root = rule->root, .accounts = rule->accounts };
	size_t present = 0;

	for (size_t k = 0; k < rule->n_ids; k++) {
		for (size_t i = 0; i < r->wording.n_fields; i++) {
			if (r->wording.field_ids[i] != rule->ids[k])
				continue;
			if (r->numbers & 1u << i)
				sender.numbers |= 1u << i;
			else
				sender.names |= 1u << i;
			present++;
		}
	}
	if (!rule->given || rule->any || present != rule->n_ids)
		return (struct template_sender){ 0 };
	sender.given = true;
	return sender;
}

/* The literals that remain beside each other when absent groups are left out become one. */
static struct resolved *resolve(struct arena *arena, const struct template *t, uint32_t groups)
{
	struct resolved *r = arena_alloc(arena, sizeof *r + t->n_fields);
	struct bytes *literals = arena_alloc(arena, (t->n_fields + 1u) * sizeof *literals);
	uint16_t *ids = arena_alloc(arena, t->n_fields * sizeof *ids);
	size_t n = 0, length = 0;
	uint8_t *text;

	for (const struct token *k = t->tokens; k->kind != TOKEN_END; k++)
		length += k->kind == TOKEN_LITERAL ? k->len : 0;
	text = arena_alloc(arena, length);
	if (!r || !literals || !ids || !text)
		return NULL;
	literals[0] = bytes_of(text, 0);
	for (const struct token *k = t->tokens; k->kind != TOKEN_END; k++) {
		if (k->kind == TOKEN_GROUP && !(groups & 1u << k->number)) {
			k = t->tokens + k->skip - 1;
		} else if (k->kind == TOKEN_LITERAL) {
			memcpy(text, k->text, k->len);
			text += k->len;
			literals[n].len += k->len;
		} else if (k->kind == TOKEN_FIELD) {
			if (k->unknown && (k->unknown_group == GROUP_NONE || groups & 1u << k->unknown_group))
				r->unknown |= 1u << n;
			r->fields[n] = k->number;
			r->text |= k->type == TYPE_TEXT ? 1u << n : 0;
			r->numbers |= k->type == TYPE_INT ? 1u << n : 0;
			ids[n++] = k->id;
			literals[n] = bytes_of(text, 0);
		}
	}
	r->wording = (struct wording){
		.meaning = t->meaning, .n_fields = n, .literals = literals, .field_ids = ids
	};
	r->sender = resolve_sender(t->writers, r);
	return r;
}

bool template_match(struct template_set *set, struct bytes program, struct bytes message,
		    struct template_match *ret)
{
	struct attempt *a = &set->attempt;
	struct template *t = template_index_find(set->index, program, message, a);
	struct resolved **r;

	if (!t)
		return false;
	if (!t->resolved)
		t->resolved = arena_alloc(&set->arena, sizeof *t->resolved << t->n_groups);
	if (!t->resolved)
		return false;
	r = &t->resolved[a->groups];
	if (!*r)
		*r = resolve(&set->arena, t, a->groups);
	if (!*r)
		return false;
	ret->wording = &(*r)->wording;
	ret->unknown = (*r)->unknown;
	ret->text = (*r)->text;
	ret->template = t;
	ret->rule = a->rule;
	ret->named = a->named;
	for (size_t i = 0; i < (*r)->wording.n_fields; i++) {
		unsigned f = (*r)->fields[i];

		ret->values[i] = bytes_of(message.data + a->begin[f], a->end[f] - a->begin[f]);
	}
	return true;
}

static struct resolved *resolved_of(const struct wording *wording)
{
	return (struct resolved *)((uintptr_t)wording - offsetof(struct resolved, wording));
}

/* A tag that the template names itself is judged by the template's own rule, where it has one. A tag's rule that
 * names fields is for the templates that name the tag: those of all programs use the same names for others. */
void template_writers(const struct template_match *m, struct template_writers *ret)
{
	const struct template *t = m->template, *rule = m->rule;
	const struct resolved *r = resolved_of(m->wording);
	bool applies = rule && (m->named ? !t->writers->given : rule->writers->n_ids == 0);

	*ret = (struct template_writers){
		.senders = { applies ? resolve_sender(rule->writers, r) : (struct template_sender){ 0 }, r->sender },
		.executables = { t->programs, t->writers->executables,
				 rule ? rule->writers->executables : (struct template_names){ 0 } },
	};
}

/* --- varieties of a wording ----------------------------------------------------------------- */

#define VARIETY_CONSTANTS_MAX 7u

static void add_constant(struct meaning *m, struct event_constant *constants, const char *name, const char *value)
{
	if (value[0] != '\0')
		constants[m->n_constants++] = (struct event_constant){ name, value };
}

static int vary_meaning(struct arena *arena, struct meaning *m, unsigned varieties)
{
	struct event_constant *c = arena_alloc(arena, (m->n_constants + VARIETY_CONSTANTS_MAX) * sizeof *c);

	if (!c)
		return -ENOMEM;
	if (m->n_constants > 0)
		memcpy(c, m->constants, m->n_constants * sizeof *c);
	m->constants = c;
	if (varieties & VARIETY_REDACTED)
		add_constant(m, c, "redacted", "yes");
	if (varieties & VARIETY_JOINED)
		add_constant(m, c, "joined", "yes");
	if (varieties & VARIETY_SUSPECT) {
		add_constant(m, c, "suspicion", "executable");
		m->severity = MAX(m->severity, HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM);
	}
	if (varieties & (VARIETY_NOT_ROOT | VARIETY_NOT_CALLER)) {
		add_constant(m, c, "claimed_kind", kind_name(m->kind));
		add_constant(m, c, "claimed_activity", m->activity);
		add_constant(m, c, "claimed_outcome", outcome_name(m->outcome));
		add_constant(m, c, "contradiction",
			     varieties & VARIETY_NOT_ROOT ? "sender-is-not-root" : "sender-is-not-the-caller");
		m->kind = HALLMARK__V1__KIND__KIND_FORGED;
		m->activity = "";
		m->outcome = HALLMARK__V1__OUTCOME__OUTCOME_NONE;
		m->severity = HALLMARK__V1__SEVERITY__SEVERITY_HIGH;
	}
	return 0;
}

static struct bytes concatenate(struct arena *arena, struct bytes a, struct bytes b)
{
	uint8_t *p = arena_alloc(arena, a.len + b.len + 1);

	if (!p)
		return BYTES_NONE;
	if (a.len > 0)
		memcpy(p, a.data, a.len);
	if (b.len > 0)
		memcpy(p + a.len, b.data, b.len);
	return bytes_of(p, a.len + b.len);
}

/* As rsyslog packs them; parsing it is the interpreter's. */
static int vary_text(struct arena *arena, struct wording *w)
{
	size_t n = w->n_fields;
	struct bytes *literals = arena_alloc(arena, (n + 2) * sizeof *literals);
	uint16_t *ids = arena_alloc(arena, (n + 1) * sizeof *ids);
	int repeat = event_field_id("repeat");

	if (repeat < 0 || !literals || !ids)
		return -ENOMEM;
	ids[0] = (uint16_t)repeat;
	memcpy(ids + 1, w->field_ids, n * sizeof *ids);
	literals[0] = LIT("message repeated ");
	memcpy(literals + 2, w->literals + 1, n * sizeof *literals);
	literals[1] = concatenate(arena, LIT(" times: [ "), w->literals[0]);
	literals[n + 1] = concatenate(arena, literals[n + 1], LIT("]"));
	if (!literals[1].data || !literals[n + 1].data)
		return -ENOMEM;
	w->n_fields = n + 1;
	w->literals = literals;
	w->field_ids = ids;
	return 0;
}

static struct wording ***varieties_of(struct template_set *set, struct wording *base)
{
	if (base == &wording_unknown)
		return &set->unknown_varieties;
	return &resolved_of(base)->varieties;
}

struct wording *template_vary(struct template_set *set, struct wording *base, unsigned varieties)
{
	struct wording ***list = varieties_of(set, base), *w;

	if (varieties == 0)
		return base;
	/* said before anything is taken from the arena, which a stream of such lines would fill */
	if (varieties & VARIETY_REPEATED && base->n_fields == EVENT_FIELDS_MAX)
		return NULL;
	if (!*list)
		*list = arena_alloc(&set->arena, VARIETIES * sizeof **list);
	if (!*list || (*list)[varieties])
		return *list ? (*list)[varieties] : NULL;
	w = arena_alloc(&set->arena, sizeof *w);
	if (!w)
		return NULL;
	*w = (struct wording){ .meaning = base->meaning,
			       .unknown = base->unknown,
			       .n_fields = base->n_fields,
			       .literals = base->literals,
			       .field_ids = base->field_ids };
	if (vary_meaning(&set->arena, &w->meaning, varieties) < 0 ||
	    (varieties & VARIETY_REPEATED && vary_text(&set->arena, w) < 0))
		return NULL;
	(*list)[varieties] = w;
	return w;
}
