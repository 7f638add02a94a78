/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal.h"

#include <stdio.h>
#include <string.h>

#include "collectors/journal_files.h"

#define SYSLOG_SOCKET "/dev/log"
#define JOURNALD_SOCKET "/run/systemd/journal/dev-log"

static bool syslog_reaches_journald(void)
{
	char target[64];
	ssize_t n = readlink(SYSLOG_SOCKET, target, sizeof target);

	return n > 0 && bytes_eq(bytes_of(target, (size_t)n), LIT(JOURNALD_SOCKET));
}

static bool has_auth_entries(const char *directory)
{
	sd_journal *j;
	int r;

	r = journal_open(directory, &j);
	if (r < 0)
		return false;
	r = sd_journal_add_match(j, "SYSLOG_FACILITY=4", 0);
	if (r >= 0)
		r = sd_journal_add_match(j, "SYSLOG_FACILITY=10", 0);
	if (r >= 0)
		r = sd_journal_seek_tail(j);
	if (r >= 0)
		r = sd_journal_previous(j);
	sd_journal_close(j);
	return r > 0;
}

int journal_inspect(const char *directory, struct journal_facts *ret)
{
	_cleanup_(journal_files_done) struct journal_files files = { 0 };
	struct journal_facts facts = { 0 };
	int r;

	r = journal_files_list(directory, &files);
	if (r < 0)
		return r;
	for (size_t i = 0; i < files.n; i++) {
		const struct journal_file *f = &files.list[i];

		facts.present = true;
		facts.persistent |= directory || strncmp(f->path, "/var/", 5) == 0;
		if (f->error < 0 && facts.unreadable++ == 0)
			(void)snprintf(facts.example, sizeof facts.example, "%s", f->path);
	}
	facts.carries_auth = facts.present && ((!directory && syslog_reaches_journald()) || has_auth_entries(directory));
	*ret = facts;
	return 0;
}
