/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal.h"

#include <dirent.h>
#include <errno.h>

#include "collectors/journal_internal.h"

static void look_at_file(const char *directory, const char *name, struct journal_facts *facts)
{
	size_t len = strlen(name);
	char path[512];

	if (len < 8 || (strcmp(name + len - 8, ".journal") != 0 && (len < 9 || strcmp(name + len - 9, ".journal~") != 0)))
		return;
	facts->present = true;
	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	if (access(path, R_OK) == 0)
		return;
	facts->unreadable++;
	(void)snprintf(facts->example, sizeof facts->example, "%.*s", (int)sizeof facts->example - 1, path);
}

/* Counts the journal files of a directory and of the directories in it. */
static void look_at_directory(const char *directory, unsigned depth, struct journal_facts *facts)
{
	DIR *d = opendir(directory);
	struct dirent *e;

	if (!d) {
		if (errno == EACCES) {
			facts->unreadable++;
			(void)snprintf(facts->example, sizeof facts->example, "%s", directory);
		}
		return;
	}
	while ((e = readdir(d))) {
		char path[512];
		int n;

		if (e->d_name[0] == '.')
			continue;
		look_at_file(directory, e->d_name, facts);
		n = snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
		if (depth > 0 && e->d_type == DT_DIR && n > 0 && (size_t)n < sizeof path)
			look_at_directory(path, depth - 1, facts);
	}
	(void)closedir(d);
}

static void look_at_host(struct journal_facts *facts)
{
	char path[64] = "/var/log/journal/";
	sd_id128_t machine;

	if (sd_id128_get_machine(&machine) >= 0) {
		(void)sd_id128_to_string(machine, path + strlen(path));
		look_at_directory(path, 0, facts);
	}
	facts->persistent = facts->present;
	look_at_directory("/run/log/journal", 1, facts);
}

void journal_look_at_files(const char *directory, struct journal_facts *facts)
{
	if (!directory) {
		look_at_host(facts);
		return;
	}
	look_at_directory(directory, 1, facts);
	facts->persistent = facts->present;
}

int journal_open(const char *directory, sd_journal **ret)
{
	return directory ? sd_journal_open_directory(ret, directory, 0) : sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);
}

static bool has_auth_entries(const char *directory)
{
	sd_journal *j;
	int r = journal_open(directory, &j);

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
	struct journal_facts facts = { 0 };
	char target[64];
	ssize_t n;

	journal_look_at_files(directory, &facts);
	n = directory ? 0 : readlink("/dev/log", target, sizeof target);
	facts.carries_auth = n > 0 && bytes_eq(bytes_of(target, (size_t)n), LIT("/run/systemd/journal/dev-log"));
	if (facts.present && !facts.carries_auth)
		facts.carries_auth = has_auth_entries(directory);
	*ret = facts;
	return 0;
}
