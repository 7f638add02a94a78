/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of templates: what a match becomes, and where everything is kept. The language is read in
 * template_parse.c; how a message finds its template is told in template_index.c, and how one template
 * is matched, in time that is linear in the message, in match.c.
 */
#include "collectors/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "agent/base/io.h"
#include "collectors/match.h"

#define FILE_MAX (4u * 1024 * 1024)

struct template_set {
	struct arena arena;
	struct template *templates;
	size_t n, cap;
	struct template_index *index;
	struct attempt attempt;
};

int template_set_new(struct template_set **ret)
{
	struct template_set *set = calloc(1, sizeof *set);

	if (!set)
		return -ENOMEM;
	*ret = set;
	return 0;
}

struct template_set *template_set_free(struct template_set *set)
{
	if (set) {
		arena_done(&set->arena);
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
	struct template_place place = { .origin = origin, .why = ret_why };
	size_t before = set->n;
	int r;

	while (text.len > 0) {
		const uint8_t *newline = memchr(text.data, '\n', text.len);
		struct bytes line = { text.data, newline ? (size_t)(newline - text.data) : text.len };

		text = bytes_from(text, line.len + 1);
		place.line++;
		r = set_room(set);
		if (r == 0)
			r = template_parse_line(&set->arena, line, &place, &set->templates[set->n]);
		if (r < 0) {
			set->n = before;
			return r;
		}
		set->n += (size_t)r;
	}
	return (int)(set->n - before);
}

static int is_template_file(const struct dirent *d)
{
	size_t len = strlen(d->d_name), end = strlen(".templates");

	return len > end && d->d_name[0] != '.' && strcmp(d->d_name + len - end, ".templates") == 0;
}

static int add_file(struct template_set *set, int dir_fd, const char *directory, const char *name,
		    struct buf *ret_why)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
	_cleanup_(freep) char *origin = NULL;
	int r;

	if (asprintf(&origin, "%s/%s", directory, name) < 0) {
		origin = NULL;
		return -ENOMEM;
	}
	r = read_file_at(dir_fd, name, false, &text);
	if (r < 0) {
		if (ret_why)
			(void)buf_printf(ret_why, "%s: cannot be read: %s", origin, strerror(-r));
		return r;
	}
	return template_set_add(set, buf_bytes(&text), origin, ret_why);
}

int template_set_add_directory(struct template_set *set, const char *path, struct buf *ret_why)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int n, added = 0, failed = 0;

	if (fd < 0) {
		int r = -errno;

		if (r != -ENOENT && ret_why)
			(void)buf_printf(ret_why, "%s: cannot be read: %s", path, strerror(-r));
		return r == -ENOENT ? 0 : r;
	}
	n = scandirat(fd, ".", &names, is_template_file, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		/* a mistake in one file is no reason to do without the others; the first is told */
		int r = add_file(set, fd, path, names[i]->d_name, failed < 0 ? NULL : ret_why);

		if (r >= 0)
			added += r;
		else if (failed == 0)
			failed = r;
		free(names[i]);
	}
	free(names);
	return failed < 0 ? failed : added;
}

int template_set_ready(struct template_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct template *t = &set->templates[i];

		t->resolved = arena_alloc(&set->arena, sizeof *t->resolved << t->n_groups);
		if (!t->resolved)
			return -ENOMEM;
	}
	return template_index_new(&set->arena, set->templates, set->n, &set->index);
}

size_t template_set_count(const struct template_set *set)
{
	return set->n;
}

uint64_t template_set_steps(const struct template_set *set)
{
	return set->attempt.steps;
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
		length += k->kind == TOKEN_LITERAL ? k->literal.len : 0;
	text = arena_alloc(arena, length);
	if (!r || !literals || !ids || !text)
		return NULL;
	literals[0] = bytes_of(text, 0);
	for (const struct token *k = t->tokens; k->kind != TOKEN_END; k++) {
		if (k->kind == TOKEN_GROUP && !(groups & 1u << k->number)) {
			k = t->tokens + k->skip - 1;
		} else if (k->kind == TOKEN_LITERAL) {
			memcpy(text, k->literal.data, k->literal.len);
			text += k->literal.len;
			literals[n].len += k->literal.len;
		} else if (k->kind == TOKEN_FIELD) {
			r->fields[n] = k->number;
			ids[n++] = k->id;
			literals[n] = bytes_of(text, 0);
		}
	}
	r->wording = (struct wording){
		.meaning = t->meaning, .n_fields = n, .literals = literals, .field_ids = ids
	};
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
	r = &t->resolved[a->groups];
	if (!*r)
		*r = resolve(&set->arena, t, a->groups);
	if (!*r)
		return false;
	ret->wording = &(*r)->wording;
	for (size_t i = 0; i < (*r)->wording.n_fields; i++) {
		unsigned f = (*r)->fields[i];

		ret->values[i] = bytes_of(message.data + a->begin[f], a->end[f] - a->begin[f]);
	}
	return true;
}
