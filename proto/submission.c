/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/submission.h"

#include <errno.h>

#include "agent/base/arena.h"
#include "agent/base/text.h"
#include "proto/strict.h"
#include "proto/submission.pb-c.h"

struct submission_memory {
	Hallmark__V1__Submission *message; /* whose strings are borrowed */
	struct arena arena;
};

struct submission *submission_free(struct submission *s)
{
	if (s && s->memory) {
		if (s->memory->message)
			hallmark__v1__submission__free_unpacked(s->memory->message, NULL);
		arena_done(&s->memory->arena);
		free(s->memory);
	}
	free(s);
	return NULL;
}

/* --- the message ---------------------------------------------------------------------------------------- */

static bool has_unknown_fields(const Hallmark__V1__Submission *m)
{
	size_t n = m->base.n_unknown_fields;

	for (size_t i = 0; i < m->n_templates; i++) {
		n += m->templates[i]->base.n_unknown_fields;
		for (size_t k = 0; k < m->templates[i]->n_constants; k++)
			n += m->templates[i]->constants[k]->base.n_unknown_fields;
	}
	for (size_t i = 0; i < m->n_events; i++)
		n += m->events[i]->base.n_unknown_fields;
	return n > 0;
}

static int unpack(struct bytes b, Hallmark__V1__Submission **ret, const char **ret_why)
{
	int r;

	if (b.len > SUBMISSION_SIZE_MAX) {
		*ret_why = "it is larger than 256 KiB";
		return -EBADMSG;
	}
	r = strict_unpack(&hallmark__v1__submission__descriptor, b, SUBMISSION_PARTS_MAX, (ProtobufCMessage **)ret);
	if (r == -EBADMSG)
		*ret_why = "it is no submission, or not encoded in the one way that is taken";
	return r;
}

static const char *message_wrong(const Hallmark__V1__Submission *m)
{
	if (m->version != SUBMISSION_VERSION)
		return "it is of another version";
	if (has_unknown_fields(m))
		return "it has a field that is not known";
	if (m->time_us <= 0)
		return "it names no time";
	if (m->n_events == 0)
		return "it has no event";
	if (m->n_events > SUBMISSION_EVENTS_MAX)
		return "it has more than 256 events";
	if (m->n_templates > SUBMISSION_TEMPLATES_MAX)
		return "it has more than 64 templates";
	return NULL;
}

/* --- templates ------------------------------------------------------------------------------------------ */

static const char *meaning_wrong(const Hallmark__V1__Template *t, const struct submission_rights *rights)
{
	if ((unsigned)t->kind >= 32 || !(rights->kinds & 1u << (unsigned)t->kind))
		return "its submitter may not carry an event of that kind";
	if (t->activity[0] != '\0' && !event_name_ok(t->activity))
		return "an activity is no name";
	if ((unsigned)t->outcome > HALLMARK__V1__OUTCOME__OUTCOME_FAILURE)
		return "an outcome is none";
	if ((unsigned)t->severity < HALLMARK__V1__SEVERITY__SEVERITY_INFO ||
	    (unsigned)t->severity > HALLMARK__V1__SEVERITY__SEVERITY_HIGH)
		return "a severity is none";
	if (t->n_constants > SUBMISSION_CONSTANTS_MAX)
		return "a template has more than 16 constants";
	for (size_t i = 0; i < t->n_constants; i++)
		if (!event_name_ok(t->constants[i]->name))
			return "a constant has no proper name";
	if (strlen(t->text) > SUBMISSION_TEXT_MAX)
		return "a template's text is too long";
	return NULL;
}

/* The number of a field's name. Names stay for the life of the process, and there is room for few: whoever brings
 * ever new ones must not take it from the others. */
static int field_id(const char *name, struct submission_rights *rights, const char **ret_why)
{
	const char *known;
	int id;

	for (unsigned i = 0; (known = event_field_name(i)); i++)
		if (strcmp(known, name) == 0)
			return (int)i;
	if (rights->names_left == 0) {
		*ret_why = "its submitter has brought too many different names of fields";
		return -EBADMSG;
	}
	id = event_field_id(name);
	if (id == -EINVAL)
		*ret_why = "a field has no proper name";
	else if (id == -ENOSPC)
		*ret_why = "there is no room for another name of a field";
	else if (id >= 0)
		rights->names_left--;
	return id == -EINVAL || id == -ENOSPC ? -EBADMSG : id;
}

/* A template's text while it is taken apart. */
struct parts {
	struct bytes literals[EVENT_FIELDS_MAX + 1];
	uint16_t field_ids[EVENT_FIELDS_MAX];
	size_t n;
	char *words; /* of the literals, with single braces */
};

static int parts_field(struct parts *p, const char **text, struct submission_rights *rights, const char **ret_why)
{
	size_t len = strcspn(*text, "{}");
	char name[EVENT_NAME_MAX + 1];
	int id;

	*ret_why = "a template's braces are not right";
	if ((*text)[len] != '}' || len > EVENT_NAME_MAX)
		return -EBADMSG;
	if (p->n == EVENT_FIELDS_MAX) {
		*ret_why = "a template has more than 32 fields";
		return -EBADMSG;
	}
	memcpy(name, *text, len);
	name[len] = '\0';
	*text += len + 1;
	id = field_id(name, rights, ret_why);
	if (id >= 0)
		p->field_ids[p->n++] = (uint16_t)id;
	return id;
}

static int parts_read(struct parts *p, const char *text, struct submission_rights *rights, const char **ret_why)
{
	char *start = p->words, *end = p->words;

	for (;;) {
		size_t plain = strcspn(text, "{}");
		int r;

		memcpy(end, text, plain);
		end += plain;
		text += plain;
		if (*text != '\0' && text[0] == text[1]) { /* "{{" or "}}" */
			*end++ = *text;
			text += 2;
			continue;
		}
		p->literals[p->n] = bytes_of(start, (size_t)(end - start));
		start = end;
		if (*text == '\0')
			return 0;
		if (*text++ == '}') {
			*ret_why = "a template's braces are not right";
			return -EBADMSG;
		}
		r = parts_field(p, &text, rights, ret_why);
		if (r < 0)
			return r;
	}
}

static void *copy(struct arena *arena, const void *data, size_t size)
{
	void *place = arena_alloc(arena, size);

	if (place && size > 0)
		memcpy(place, data, size);
	return place;
}

static bool name_is_among(const char *name, const struct wording *w, size_t n_fields, size_t n_constants)
{
	for (size_t i = 0; i < n_fields; i++)
		if (strcmp(event_field_name(w->field_ids[i]), name) == 0)
			return true;
	for (size_t i = 0; i < n_constants; i++)
		if (strcmp(w->meaning.constants[i].name, name) == 0)
			return true;
	return false;
}

/* Two facts of one name, or one in the name of the mark, would leave it to the reader which of them is believed. */
static bool has_a_name_twice(const struct wording *w)
{
	for (size_t i = 0; i < w->n_fields; i++)
		if (name_is_among(event_field_name(w->field_ids[i]), w, i, 0))
			return true;
	for (size_t i = 0; i < w->meaning.n_constants; i++)
		if (name_is_among(w->meaning.constants[i].name, w, w->n_fields, i))
			return true;
	return false;
}

static int constants_read(const Hallmark__V1__Template *t, const struct submission_rights *rights, struct arena *arena,
			  struct meaning *meaning)
{
	size_t n = t->n_constants;
	struct event_constant *list = arena_alloc(arena, (n + 1) * sizeof *list);

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct event_constant){ t->constants[i]->name, t->constants[i]->value };
	list[n] = rights->mark;
	meaning->constants = list;
	meaning->n_constants = n + 1;
	return 0;
}

static int wording_read(const Hallmark__V1__Template *t, struct submission_rights *rights, struct arena *arena,
			struct wording *ret, const char **ret_why)
{
	struct parts p = { .words = arena_alloc(arena, strlen(t->text) + 1) };
	int r;

	*ret_why = meaning_wrong(t, rights);
	if (*ret_why)
		return -EBADMSG;
	r = p.words ? parts_read(&p, t->text, rights, ret_why) : -ENOMEM;
	if (r < 0)
		return r;
	*ret = (struct wording){
		.meaning = { .kind = t->kind, .activity = t->activity, .outcome = t->outcome, .severity = t->severity },
		.n_fields = p.n,
		.literals = copy(arena, p.literals, (p.n + 1) * sizeof *p.literals),
		.field_ids = copy(arena, p.field_ids, p.n * sizeof *p.field_ids),
	};
	r = ret->literals && ret->field_ids ? constants_read(t, rights, arena, &ret->meaning) : -ENOMEM;
	if (r >= 0 && has_a_name_twice(ret)) {
		*ret_why = "a name is there twice in one event, or is not for its submitter";
		r = -EBADMSG;
	}
	if (r >= 0 && !rights->mark.value)
		ret->meaning.n_constants--;
	return r;
}

/* --- events --------------------------------------------------------------------------------------------- */

static const char *event_wrong(const Hallmark__V1__SubmittedEvent *e, const struct submission *s)
{
	const struct wording *w;
	size_t size = 0;

	if (e->template_ >= s->n_wordings)
		return "an event has no template";
	w = &s->wordings[e->template_];
	if (e->time_us < 0)
		return "an event has no proper time";
	if (e->n_values != w->n_fields)
		return "an event has not as many values as its template has fields";
	for (size_t i = 0; i <= w->n_fields; i++)
		size += w->literals[i].len;
	for (size_t i = 0; i < e->n_values; i++)
		size += strlen(e->values[i]);
	return size > EVENT_RAW_MAX ? "an event is longer than 64 KiB" : NULL;
}

static int event_read(const Hallmark__V1__SubmittedEvent *e, const Hallmark__V1__Submission *m, struct submission *s,
		      struct submitted *ret, const char **ret_why)
{
	struct bytes *values;

	*ret_why = event_wrong(e, s);
	if (*ret_why)
		return -EBADMSG;
	values = arena_alloc(&s->memory->arena, e->n_values * sizeof *values);
	if (!values)
		return -ENOMEM;
	for (size_t i = 0; i < e->n_values; i++)
		values[i] = bytes_str(e->values[i]);
	*ret = (struct submitted){
		.wording = &s->wordings[e->template_],
		.values = values,
		.time_us = e->time_us ? e->time_us : m->time_us,
	};
	return 0;
}

static int submission_fill(struct submission *s, struct submission_rights *rights, const char **ret_why)
{
	const Hallmark__V1__Submission *m = s->memory->message;
	struct arena *arena = &s->memory->arena;
	int r = 0;

	s->wordings = arena_alloc(arena, m->n_templates * sizeof *s->wordings);
	s->events = arena_alloc(arena, m->n_events * sizeof *s->events);
	if (!s->wordings || !s->events)
		return -ENOMEM;
	for (; r >= 0 && s->n_wordings < m->n_templates; s->n_wordings++)
		r = wording_read(m->templates[s->n_wordings], rights, arena, &s->wordings[s->n_wordings], ret_why);
	for (; r >= 0 && s->n_events < m->n_events; s->n_events++)
		r = event_read(m->events[s->n_events], m, s, &s->events[s->n_events], ret_why);
	return r;
}

int submission_read(struct bytes b, struct submission_rights *rights, struct submission **ret, const char **ret_why)
{
	_cleanup_(submission_freep) struct submission *s = calloc(1, sizeof *s);
	int r;

	if (!s || !(s->memory = calloc(1, sizeof *s->memory)))
		return -ENOMEM;
	r = unpack(b, &s->memory->message, ret_why);
	if (r < 0)
		return r;
	*ret_why = message_wrong(s->memory->message);
	if (*ret_why)
		return -EBADMSG;
	r = submission_fill(s, rights, ret_why);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}
