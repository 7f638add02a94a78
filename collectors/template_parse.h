/* SPDX-License-Identifier: Apache-2.0 */
/* Between template_parse.c, which reads a line, and template_compile.c, which finds out what matching has to
 * know of it. Nobody else includes this. */
#ifndef HALLMARK_COLLECTORS_TEMPLATE_PARSE_H
#define HALLMARK_COLLECTORS_TEMPLATE_PARSE_H

#include "collectors/match.h"

#define LINE_MAX_BYTES 4096u
#define FACTS_MAX 16u
#define NAME_MAX_BYTES 32u

struct template_parser {
	struct arena *arena;
	struct template_texts *texts;
	const struct data_place *place;
	struct template *t;
	struct token tokens[TOKENS_MAX];
	size_t n;
	struct bytes names[EVENT_FIELDS_MAX];
	struct event_constant facts[FACTS_MAX];
	size_t n_facts;
	struct bytes sender; /* read when the fields are known */
	struct writer_rule writers;
	bool in_group;
	unsigned fields_in_group;
	size_t group_begin;
};

/* Where each field can end, and how a message may begin; or what no message could match. */
int template_compile(struct template_parser *p);
/* The first half of that. */
int template_find_ends(struct template_parser *p);

#endif
