/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sources.h"

#include <errno.h>

#include "agent/base/clock.h"
#include "collectors/journal.h"

static int sources_add(struct sources *s, struct collector *c)
{
	int r;

	if (s->n == ELEMENTSOF(s->list)) {
		c->ops->free(c);
		return -E2BIG;
	}
	s->list[s->n++] = c;
	c->source = (uint32_t)s->n;
	r = buf_printf(&s->description, "%s%s", s->n > 1 ? ", " : "", c->name);
	return r;
}

static int sources_add_journal(struct sources *s, const struct config *config)
{
	struct collector *c;
	int r = journal_new(config->journal_directory, config->journal_all, &c);

	return r < 0 ? r : sources_add(s, c);
}

/* The files that are there; where none is, all of them, since one may be created later. */
static int sources_add_files(struct sources *s, const struct config *config)
{
	bool any = false;
	int r = 0;

	for (char **path = config->files; *path; path++)
		any |= access(*path, F_OK) == 0;
	for (char **path = config->files; *path && r >= 0; path++) {
		struct collector *c;

		if (any && access(*path, F_OK) < 0)
			continue;
		r = logfile_new(*path, &c);
		if (r >= 0)
			r = sources_add(s, c);
	}
	return r;
}

static bool any_file_there(const struct config *config)
{
	for (char **path = config->files; *path; path++)
		if (access(*path, F_OK) == 0)
			return true;
	return false;
}

/* The journal where it is persistent and carries auth messages; a volatile one is no source of record. */
static int sources_choose_auto(struct sources *s, const struct config *config)
{
	struct journal_facts facts = { 0 };
	int r = journal_inspect(config->journal_directory, &facts);

	if (r >= 0 && facts.persistent && facts.carries_auth) {
		(void)buf_str(&s->reason, "the journal is persistent and carries auth messages");
		return sources_add_journal(s, config);
	}
	if (any_file_there(config)) {
		(void)buf_printf(&s->reason, "the journal %s",
				 r < 0 || !facts.present ? "is not there" :
				 !facts.persistent	  ? "is volatile" :
							    "carries no auth messages");
		return sources_add_files(s, config);
	}
	(void)buf_printf(&s->reason, "this host has neither %s nor any of the log files",
			 facts.present ? "a persistent journal with auth messages" : "a journal");
	return -ENOENT;
}

/* Always, and last: it is no choice, so it is not described. */
static int sources_add_inbox(struct sources *s, const struct config *config)
{
	struct collector *c;
	size_t described = s->description.len;
	int r = inbox_new(config->state_directory, &c);

	if (r >= 0)
		r = sources_add(s, c);
	if (r >= 0)
		s->description.len = described;
	return r;
}

int sources_choose(const struct config *config, struct sources *ret)
{
	struct sources s = { .description = BUF_INIT(4096), .reason = BUF_INIT(1024) };
	int r = 0;

	switch (config->sources) {
	case SOURCES_AUTO:
		r = sources_choose_auto(&s, config);
		break;
	case SOURCES_JOURNAL:
		r = sources_add_journal(&s, config);
		break;
	case SOURCES_FILES:
		r = sources_add_files(&s, config);
		break;
	case SOURCES_BOTH:
		r = sources_add_journal(&s, config);
		if (r >= 0)
			r = sources_add_files(&s, config);
		break;
	}
	if (r >= 0)
		r = sources_add_inbox(&s, config);
	if (r >= 0)
		r = buf_byte(&s.description, '\0');
	if (r >= 0 || r == -ENOENT)
		(void)buf_byte(&s.reason, '\0');
	*ret = s;
	return r;
}

void sources_done(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->list[i]->ops->free(s->list[i]);
	buf_done(&s->description);
	buf_done(&s->reason);
	s->n = 0;
}

static const Hallmark__V1__Position *position_of(const Hallmark__V1__Batch *last, const char *name)
{
	for (size_t i = 0; last && i < last->n_positions; i++)
		if (strcmp(last->positions[i]->source, name) == 0)
			return last->positions[i];
	return NULL;
}

int sources_start(struct sources *s, const struct config *config, const Hallmark__V1__Batch *last)
{
	struct collector_start start = { 0 };
	int r = 0;

	if (last) {
		/* A source that the last run did not have begins where that run ended: what it holds from before
		 * then may have come by the other source. */
		start.stopped_us = last->time_us;
		start.since_us = last->time_us;
	} else if (config->catch_up_us == 0) {
		start.since_us = INT64_MAX;
	} else if (config->catch_up_us != UINT64_MAX) {
		start.since_us = MAX(clock_wall_us() - (int64_t)config->catch_up_us, 0);
	}
	for (size_t i = 0; i < s->n && r >= 0; i++)
		r = s->list[i]->ops->start(s->list[i], &start, position_of(last, s->list[i]->name));
	return r;
}
