/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hallmark.conf(5): the defaults that are compiled in, /etc/hallmark/hallmark.conf, then the drop-ins in
 * hallmark.conf.d beside it, those that end in .conf, in the order of their names. The option table in config.c is the one
 * place that knows the options; man page and --help are held against it by a test.
 */
#ifndef HALLMARK_AGENT_CONFIG_H
#define HALLMARK_AGENT_CONFIG_H

#include "agent/base/buf.h"
#include "collectors/redact.h"

/* AUTO: the journal where it is persistent and carries auth messages, else the files; never both. */
enum sources_mode { SOURCES_AUTO, SOURCES_JOURNAL, SOURCES_FILES, SOURCES_BOTH };

struct config {
	/* [Sources] */
	enum sources_mode sources;
	bool journal_all;
	char *journal_directory; /* NULL: this host's */
	char **files;            /* NULL-terminated */
	uint64_t catch_up_us;    /* at the first start; UINT64_MAX: everything, 0: from now on */
	char **template_directories;
	char **exclude; /* NULL-terminated; each is an exclusion (collectors/exclude.h) */

	/* [Redaction] */
	bool secrets; /* are taken out */
	enum unknown_users unknown_users;

	/* [Spool] */
	uint64_t spool_cap_bytes;

	/* [Pace] */
	uint64_t commits_per_second;
	uint64_t checkpoint_us;

	/* where things are; moved together by --state */
	char *state_directory; /* key/ spool/ inbox/ */
	char *run_directory;   /* committed, status */
	char *acked_path;
};

void config_done(struct config *c);
/* `path` NULL: /etc/hallmark/hallmark.conf, which may be missing. `state` NULL: as installed. On -EINVAL or
 * another error a sentence with file and line is in `ret_why`. */
int config_load(const char *path, const char *state, struct config *ret, struct buf *ret_why);
/* The option table as text, for --help and the test on the man page: "  Section.option = default". */
int config_describe(struct buf *ret);

#endif
