/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>

#include "agent/base/io.h"
#include "agent/base/text.h"
#include "collectors/exclude.h"

#define DEFAULT_CONFIG HALLMARK_SYSCONFDIR "/hallmark.conf"
#define CONFIG_MAX (256u * 1024)
#define LIST_MAX 32u /* entries of one list option */

/* --- parsers of values: 0, or a negative errno; the caller says where and what ----------------------- */

static int parse_size(const char *value, void *target)
{
	return text_to_size(value, target);
}

static int parse_span(const char *value, void *target)
{
	return text_to_span(value, target);
}

static int parse_catch_up(const char *value, void *target)
{
	if (strcmp(value, "all") != 0)
		return text_to_span(value, target);
	*(uint64_t *)target = UINT64_MAX;
	return 0;
}

static int parse_rate(const char *value, void *target)
{
	uint64_t n;
	int r = bytes_to_u64(bytes_str(value), &n);

	if (r < 0)
		return r;
	if (n < 1 || n > 1000)
		return -ERANGE;
	*(uint64_t *)target = n;
	return 0;
}

static int parse_sources(const char *value, void *target)
{
	static const char *const names[] = { [SOURCES_AUTO] = "auto", [SOURCES_JOURNAL] = "journal",
					     [SOURCES_FILES] = "files", [SOURCES_BOTH] = "both" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(value, names[i]) == 0) {
			*(enum sources_mode *)target = (enum sources_mode)i;
			return 0;
		}
	return -EINVAL;
}

static int parse_journal(const char *value, void *target)
{
	if (strcmp(value, "all") != 0 && strcmp(value, "auth") != 0)
		return -EINVAL;
	*(bool *)target = strcmp(value, "all") == 0;
	return 0;
}

static int parse_bool(const char *value, void *target)
{
	return text_to_bool(value, target);
}

static int parse_unknown_users(const char *value, void *target)
{
	static const char *const names[] = { [UNKNOWN_USERS_KEEP] = "keep", [UNKNOWN_USERS_HASH] = "hash",
					     [UNKNOWN_USERS_DROP] = "drop" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(value, names[i]) == 0) {
			*(enum unknown_users *)target = (enum unknown_users)i;
			return 0;
		}
	return -EINVAL;
}

static int parse_path(const char *value, void *target)
{
	char *copy;

	if ((value[0] != '/' && value[0] != '\0') || !text_is_utf8(bytes_str(value)))
		return -EINVAL;
	copy = value[0] ? strdup(value) : NULL;
	if (value[0] && !copy)
		return -ENOMEM;
	free(*(char **)target);
	*(char **)target = copy;
	return 0;
}

static void list_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

/* Absolute paths, separated by blanks; the list replaces the one before it. */
static int parse_paths(const char *value, void *target)
{
	char **list = calloc(LIST_MAX + 1, sizeof *list);
	size_t n = 0;
	int r = list ? 0 : -ENOMEM;

	while (r == 0) {
		size_t len;

		value += strspn(value, " \t");
		len = strcspn(value, " \t");
		if (len == 0)
			break;
		/* a path names its source in the record, whose strings are UTF-8 */
		if (value[0] != '/' || !text_is_utf8(bytes_of(value, len)))
			r = -EINVAL;
		else if (n == LIST_MAX)
			r = -E2BIG;
		else if (!(list[n++] = strndup(value, len)))
			r = -ENOMEM;
		value += len;
	}
	if (r < 0) {
		list_free(list);
		return r;
	}
	list_free(*(char ***)target);
	*(char ***)target = list;
	return 0;
}

/* One entry, behind those before it; an empty value takes all of them away. */
static int parse_exclude(const char *value, void *target)
{
	char ***target_list = target, **list;
	size_t n = 0;
	int r;

	if (value[0] == '\0') {
		list_free(*target_list);
		*target_list = calloc(1, sizeof **target_list);
		return *target_list ? 0 : -ENOMEM;
	}
	r = exclusion_parse(value, &(struct exclusion){ 0 });
	if (r < 0)
		return r;
	while ((*target_list)[n])
		n++;
	if (n == EXCLUDE_MAX)
		return -E2BIG;
	list = reallocarray(*target_list, n + 2, sizeof *list);
	if (!list)
		return -ENOMEM;
	*target_list = list;
	list[n] = strdup(value);
	if (!list[n])
		return -ENOMEM;
	list[n + 1] = NULL;
	return 0;
}

/* --- the options -------------------------------------------------------------------------------------- */

static const struct option_row {
	const char *section, *name;
	int (*parse)(const char *value, void *target);
	size_t offset;
	const char *value; /* the default, in the words of the file */
	const char *expects;
} options[] = {
#define ROW(section, name, parse, member, value, expects) \
	{ section, name, parse, offsetof(struct config, member), value, expects }
	ROW("Sources", "sources", parse_sources, sources, "auto", "auto, journal, files or both"),
	ROW("Sources", "journal", parse_journal, journal_all, "auth", "auth or all"),
	ROW("Sources", "journal-directory", parse_path, journal_directory, "", "an absolute path, or nothing"),
	ROW("Sources", "files", parse_paths, files, "/var/log/auth.log /var/log/secure", "absolute paths"),
	ROW("Sources", "catch-up", parse_catch_up, catch_up_us, "all", "a span of time such as 1d, or all"),
	ROW("Sources", "templates", parse_paths, template_directories,
	    HALLMARK_DATADIR "/templates " HALLMARK_SYSCONFDIR "/templates", "absolute paths"),
	ROW("Sources", "exclude", parse_exclude, exclude, "",
	    "TAG, or TAG: BEGINNING-OF-A-TEMPLATE (and 64 of them at most)"),
	ROW("Redaction", "secrets", parse_bool, secrets, "yes", "yes or no"),
	ROW("Redaction", "unknown-users", parse_unknown_users, unknown_users, "keep", "keep, hash or drop"),
	ROW("Spool", "cap", parse_size, spool_cap_bytes, "512M", "a size such as 512M, at least 32M"),
	ROW("Pace", "commits-per-second", parse_rate, commits_per_second, "20", "a number from 1 to 1000"),
	ROW("Pace", "checkpoint", parse_span, checkpoint_us, "5min", "a span of time from 1s to 1d"),
#undef ROW
};

int config_describe(struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(options) && r >= 0; i++)
		r = buf_printf(ret, "  %s.%s = %s\n", options[i].section, options[i].name, options[i].value);
	return r;
}

static const struct option_row *option_find(const char *section, const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if (strcmp(options[i].section, section) == 0 && strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* --- files -------------------------------------------------------------------------------------------- */

struct reading {
	struct config *config;
	struct buf *why;
};

static int on_option(void *user, const char *section, const char *name, const char *value)
{
	struct reading *reading = user;
	const struct option_row *row = option_find(section, name);
	int r;

	if (!row) {
		(void)buf_printf(reading->why, "there is no option \"%s\" in [%s]", name, section);
		return 0;
	}
	r = row->parse(value, (char *)reading->config + row->offset);
	if (r < 0)
		(void)buf_printf(reading->why, "%s = \"%s\" is not %s", name, value, row->expects);
	return r >= 0;
}

/* Reads one file; what is wrong goes to `why` as "FILE:LINE: sentence". */
static int config_read(struct config *c, const char *path, struct buf *why)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(CONFIG_MAX), sentence = BUF_INIT(1024);
	struct reading reading = { c, &sentence };
	int r, line;

	r = read_file_at(AT_FDCWD, path, false, &text);
	if (r >= 0)
		r = buf_byte(&text, '\0');
	if (r < 0) {
		(void)buf_printf(why, "%s: %s", path, r == -EMSGSIZE ? "larger than 256 KiB" : strerror(-r));
		return r;
	}
	if (memchr(text.data, '\0', text.len - 1)) {
		(void)buf_printf(why, "%s: holds a NUL byte", path);
		return -EINVAL;
	}
	line = ini_parse_string((const char *)text.data, on_option, &reading);
	if (line == 0)
		return 0;
	(void)buf_printf(why, "%s:%d: %.*s", path, line, (int)sentence.len,
			 sentence.len ? (const char *)sentence.data : "");
	if (sentence.len == 0)
		(void)buf_str(why, "neither [Section] nor option = value");
	return -EINVAL;
}

static int is_dropin(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return d->d_name[0] != '.' && len > 5 && strcmp(d->d_name + len - 5, ".conf") == 0;
}

static int config_read_dropins(struct config *c, const char *path, struct buf *why)
{
	_cleanup_(buf_done) struct buf directory = BUF_INIT(4096);
	struct dirent **entries;
	int n, r;

	r = buf_printf(&directory, "%s.d", path);
	if (r >= 0)
		r = buf_byte(&directory, '\0');
	if (r < 0)
		return r;
	n = scandir((const char *)directory.data, &entries, is_dropin, alphasort);
	if (n < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		_cleanup_(buf_done) struct buf file = BUF_INIT(4096 + 256);

		if (r >= 0)
			r = buf_printf(&file, "%s/%s", (const char *)directory.data, entries[i]->d_name);
		if (r >= 0)
			r = buf_byte(&file, '\0');
		if (r >= 0)
			r = config_read(c, (const char *)file.data, why);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* --- the whole ---------------------------------------------------------------------------------------- */

void config_done(struct config *c)
{
	free(c->journal_directory);
	list_free(c->files);
	list_free(c->template_directories);
	list_free(c->exclude);
	free(c->state_directory);
	free(c->run_directory);
	free(c->acked_path);
	*c = (struct config){ 0 };
}

static int config_places(struct config *c, const char *state)
{
	if (!state) {
		c->state_directory = strdup("/var/lib/hallmark");
		c->run_directory = strdup("/run/hallmark");
		c->acked_path = strdup("/var/lib/hallmark-forward/acked");
	} else {
		c->state_directory = strdup(state);
		if (asprintf(&c->run_directory, "%s/run", state) < 0)
			c->run_directory = NULL;
		if (asprintf(&c->acked_path, "%s/forward/acked", state) < 0)
			c->acked_path = NULL;
	}
	return c->state_directory && c->run_directory && c->acked_path ? 0 : -ENOMEM;
}

static int config_bounds(const struct config *c, struct buf *why)
{
	if (c->spool_cap_bytes < 32u * 1024 * 1024) {
		(void)buf_str(why, "[Spool] cap is less than 32M");
		return -EINVAL;
	}
	if (c->checkpoint_us < 1000000u || c->checkpoint_us > 86400u * UINT64_C(1000000)) {
		(void)buf_str(why, "[Pace] checkpoint is not between 1s and 1d");
		return -EINVAL;
	}
	return 0;
}

int config_load(const char *path, const char *state, struct config *ret, struct buf *ret_why)
{
	_cleanup_(config_done) struct config c = { 0 };
	const char *file = path ? path : DEFAULT_CONFIG;
	int r = config_places(&c, state);

	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(options); i++)
		r = options[i].parse(options[i].value, (char *)&c + options[i].offset);
	if (r >= 0 && (path || access(file, F_OK) == 0))
		r = config_read(&c, file, ret_why);
	if (r >= 0)
		r = config_read_dropins(&c, file, ret_why);
	if (r >= 0)
		r = config_bounds(&c, ret_why);
	if (r < 0) {
		if (ret_why->len == 0)
			(void)buf_printf(ret_why, "%s: %s", file, strerror(-r));
		return r;
	}
	*ret = c;
	c = (struct config){ 0 };
	return 0;
}
