/* SPDX-License-Identifier: Apache-2.0 */
/* What matching has to know of a template that was read: what follows what, and how a message may begin. */
#include <errno.h>

#include "collectors/template_parse.h"

#define LEADING_GROUPS_MAX 3u

/* What can stand right before a token; blanks touch other fields, but not what touches them already. */
enum { AFTER_LITERAL = 1, AFTER_FIELD = 2, AFTER_BLANKS = 4, AFTER_FIELD_AND_BLANKS = 8 };

static int check_touching(struct template_parser *p)
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
				return data_wrong(p->place, "the field %s touches the field before it",
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

static void beginnings_of(const struct template_parser *p, size_t i, struct beginnings *b)
{
	const struct token *k = &p->tokens[i];
	int second;

	switch (k->kind) {
	case TOKEN_LITERAL:
		b->bytes[k->text[0] / 8] |= (uint8_t)(1u << k->text[0] % 8);
		second = k->len > 1 ? k->text[1] : -1;
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

static int find_ends(struct template_parser *p, struct token *field, size_t at)
{
	struct beginnings b = { .second = -2 };
	unsigned n = 0, own = 0;

	beginnings_of(p, at + 1, &b);
	field->first = -1;
	for (unsigned c = 0; c < 256; c++) {
		if (!b.bytes[c / 8])
			c |= 7;
		if (!(b.bytes[c / 8] & 1u << c % 8))
			continue;
		field->first = n++ == 0 ? (int16_t)c : -1;
		own += field_type_holds(field->type, (uint8_t)c);
	}
	if (field_type_is_greedy(field->type) && n > 0 && own == n && !b.end)
		return data_wrong(p->place, "what follows the field %s is always taken by it, so that nothing can match",
			     SHOWN(p->names[field->number]));
	field->follow = arena_keep(p->arena, bytes_of(b.bytes, sizeof b.bytes)).data;
	if (!field->follow)
		return -ENOMEM;
	field->second = (int16_t)(b.second == -2 ? -1 : b.second);
	field->probe_second = field->first == ' ' && field->second >= 0;
	field->may_end = b.end;
	field->one_end = field->type == TYPE_TEXT ? n == 0 : own == 0 || field_type_is_greedy(field->type);
	field->only_end = field->one_end && (field->type == TYPE_TEXT || field_type_is_bounded(field->type));
	return 0;
}

static void find_near(const struct template_parser *p, struct lead *lead)
{
	const struct token *k = &p->tokens[lead->token];

	lead->near_blanks = k->kind == TOKEN_FIELD && k->type == TYPE_BLANKS;
	k += lead->near_blanks;
	if (k->kind == TOKEN_FIELD && k->type != TYPE_TEXT && k->type != TYPE_BLANKS && k[1].kind == TOKEN_LITERAL) {
		lead->near = k[1].text;
		lead->near_len = k[1].len;
	}
}

/* Spells out the beginnings: each group of mere words before the first literal may be there or not. */
static int find_leads(struct template_parser *p)
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
				r = buf_append(&lead, token_literal(&p->tokens[3 * g + 1]));
		}
		if (r == 0 && p->tokens[i].kind == TOKEN_LITERAL)
			r = buf_append(&lead, token_literal(&p->tokens[i]));
		/* groups are numbered from the first on, as the bits of `set` are */
		leads[set].text = arena_keep(p->arena, buf_bytes(&lead));
		leads[set].groups = (uint8_t)set;
		leads[set].token = (uint16_t)(i + (p->tokens[i].kind == TOKEN_LITERAL));
		find_near(p, &leads[set]);
		if (r < 0 || !leads[set].text.data)
			return -ENOMEM;
	}
	p->t->leads = leads;
	p->t->n_leads = (uint8_t)(1u << groups);
	return 0;
}

int template_find_ends(struct template_parser *p)
{
	int r = check_touching(p);

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		if (p->tokens[i].kind == TOKEN_FIELD)
			r = find_ends(p, &p->tokens[i], i);
	}
	return r;
}

int template_compile(struct template_parser *p)
{
	int r = template_find_ends(p);

	return r == 0 ? find_leads(p) : r;
}
