/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#include "agent/base/text.h"
#include "agent/commands.h"
#include "agent/spool.h"

#define DAY_US (UINT64_C(86400) * 1000000)
/* A busy host is late; as much again as was promised, and not more than this, is no sign of anything. */
#define GRACE_MAX_US (UINT64_C(30) * 1000000)

static const struct {
	const char *name;
	enum exit_code exit_code;
} words[] = {
	[VERDICT_COLLECTING_ONLY] = { "collecting only", EXIT_YES },
	[VERDICT_DEGRADED] = { "degraded", EXIT_NO },
	[VERDICT_NOT_COLLECTING] = { "not collecting", EXIT_NO },
	[VERDICT_NOT_CONFIGURED] = { "not configured", EXIT_USAGE },
	[VERDICT_UNKNOWN] = { "unknown", EXIT_UNKNOWN },
};

const char *verdict_name(enum verdict_word word)
{
	return words[word].name;
}

int verdict_exit_code(enum verdict_word word)
{
	return words[word].exit_code;
}

void verdict_done(struct verdict *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->problems[i].what);
		free(v->problems[i].mend);
	}
	v->n = 0;
}

/* --- ages --------------------------------------------------------------------------------------------- */

static bool is_of_this_boot(const struct verdict_facts *f)
{
	return strcmp(f->status->boot_id, f->boot_id) == 0;
}

uint64_t verdict_elapsed_us(const struct verdict_facts *f)
{
	bool same = is_of_this_boot(f);
	uint64_t now = same ? f->boot_us : f->wall_us, then = same ? f->status->boot_us : f->status->wall_us;

	return then > now ? STATUS_UNKNOWN : now - then;
}

uint64_t verdict_age_us(const struct verdict_facts *f, uint64_t age_us)
{
	uint64_t elapsed = verdict_elapsed_us(f);

	return elapsed > STATUS_UNKNOWN - 1 - MIN(age_us, STATUS_UNKNOWN - 1) || age_us == STATUS_UNKNOWN ?
		       STATUS_UNKNOWN : elapsed + age_us;
}

/* "3 h ago" */
static const char *ago(uint64_t age_us, char out[static 32])
{
	char span[TEXT_SPAN_MAX];

	if (age_us == STATUS_UNKNOWN)
		return "at a time that cannot be told";
	text_span(age_us, span);
	(void)snprintf(out, 32, "%s ago", span);
	return out;
}

/* --- problems ----------------------------------------------------------------------------------------- */

_printf_(3, 4) static void problem(struct verdict *v, enum verdict_word word, const char *format, ...)
{
	va_list arguments;
	char *what;

	v->word = MAX(v->word, word);
	if (v->n == ELEMENTSOF(v->problems))
		return;
	va_start(arguments, format);
	if (vasprintf(&what, format, arguments) < 0)
		v->error = -ENOMEM;
	else
		v->problems[v->n++] = (struct problem){ .what = what };
	va_end(arguments);
}

/* Of the problem that was told last. */
_printf_(2, 3) static void mend(struct verdict *v, const char *format, ...)
{
	va_list arguments;
	char *command;

	va_start(arguments, format);
	if (vasprintf(&command, format, arguments) < 0)
		v->error = -ENOMEM;
	else if (v->n == 0 || v->problems[v->n - 1].mend)
		free(command);
	else
		v->problems[v->n - 1].mend = command;
	va_end(arguments);
}

static bool is_service(const struct verdict_facts *f)
{
	return f->systemd && !f->options[0];
}

/* How hallmarkd is brought to run, or made to begin anew. */
static void mend_by_start(struct verdict *v, const struct verdict_facts *f, const char *verb)
{
	if (is_service(f))
		mend(v, "systemctl %s hallmarkd; journalctl -u hallmarkd -n 20", verb);
	else
		mend(v, "%shallmarkd%s%s", strcmp(verb, "start") == 0 ? "" : "end it, and: ", f->options[0] ? " " : "", f->options);
}

/* --- there is nothing to judge ------------------------------------------------------------------------ */

static void judge_absent(const struct verdict_facts *f, struct verdict *v)
{
	if (!f->options[0] && !f->installed) {
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd is not installed");
		mend(v, "apt install hallmark");
	} else if (is_service(f) && !f->enabled) {
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd has not run since this host started, and is not enabled");
		mend(v, "systemctl enable --now hallmarkd");
	} else if (is_service(f)) {
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd has not come to run since this host started");
		mend_by_start(v, f, "start");
	} else {
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd has not run here: there is no status in %s", f->config->run_directory);
		mend_by_start(v, f, "start");
	}
}

static void judge_unreadable(const struct verdict_facts *f, struct verdict *v)
{
	const char *directory = f->config->run_directory;

	if (f->status_error == -ENOENT || f->status_error == -ENOTDIR) {
		judge_absent(f, v);
	} else if (f->status_error == -EPROTONOSUPPORT) {
		problem(v, VERDICT_UNKNOWN, "the status in %s is of another version of hallmarkd than this command", directory);
		mend_by_start(v, f, "restart");
	} else if (f->status_error == -EBADMSG) {
		problem(v, VERDICT_UNKNOWN, "what is in %s/status is no status", directory);
		mend_by_start(v, f, "restart");
	} else {
		problem(v, VERDICT_UNKNOWN, "%s/status cannot be read: %s", directory, strerror(-f->status_error));
		mend(v, "namei -l %s/status", directory);
	}
}

/* --- whether anything is collected ---------------------------------------------------------------------- */

static void judge_life(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;
	uint64_t elapsed = verdict_elapsed_us(f);
	const char *when;
	char text[32], promised[TEXT_SPAN_MAX];

	when = ago(elapsed, text);
	if (s->stopped[0]) {
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd stopped %s: %s", when, s->stopped);
		mend_by_start(v, f, "start");
	} else if (!is_of_this_boot(f)) {
		v->stale = true;
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd has not run since this host started; it last spoke %s", when);
		mend_by_start(v, f, "start");
	} else if (elapsed == STATUS_UNKNOWN) {
		v->stale = true;
		problem(v, VERDICT_UNKNOWN, "the status says that it was written in the future");
		mend_by_start(v, f, "restart");
	} else if (f->gone) {
		v->stale = true;
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd ended without a word; it last spoke %s", when);
		mend_by_start(v, f, "start");
	} else if (elapsed > s->next_within_us + MIN(s->next_within_us, GRACE_MAX_US)) {
		v->stale = true;
		text_span(s->next_within_us, promised);
		problem(v, VERDICT_NOT_COLLECTING, "hallmarkd last spoke %s, though it does so every %s: it hangs, or is gone", when,
			promised);
		mend_by_start(v, f, "restart");
	}
}

static void judge_state(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;
	char text[32];

	if (s->state_trouble[0]) {
		problem(v, VERDICT_NOT_COLLECTING, "key and spool in %s cannot be opened: %s", f->config->state_directory,
			s->state_trouble);
		mend(v, "ls -la %s; df -h %s", f->config->state_directory, f->config->state_directory);
	}
	if (s->blocked[0]) {
		problem(v, VERDICT_DEGRADED, "the spool takes nothing since %s: %s; the sources wait",
			ago(verdict_age_us(f, s->blocked_us), text), s->blocked);
		mend(v, "df -h %s", f->config->state_directory);
	}
	if (f->segment_gone) {
		problem(v, VERDICT_DEGRADED, "what is committed is not in %s/spool: it was taken away", f->config->state_directory);
		mend_by_start(v, f, "restart");
	}
	if (s->publish_trouble[0]) {
		problem(v, VERDICT_DEGRADED, "the committed end cannot be published in %s: %s", f->config->run_directory,
			s->publish_trouble);
		mend(v, "df -h %s", f->config->run_directory);
	}
}

/* --- sources ------------------------------------------------------------------------------------------ */

/* Whether it may stand in a command, which somebody copies into a root shell: the status is hallmarkd's word. */
static bool is_plain(const char *path)
{
	return path[strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+@:-")] == '\0';
}

/* In its sandbox, a path that is there for everybody else need not be there. */
static void mend_file(struct verdict *v, const struct verdict_facts *f, const char *path)
{
	const char *name = strrchr(path, '/');

	if (!is_plain(path))
		mend(v, "see files in hallmark.conf(5)");
	else if (is_service(f) && access(path, F_OK) == 0 && strncmp(path, "/var/log/", 9) != 0)
		mend(v, "systemctl edit hallmarkd, and there: [Service] BindReadOnlyPaths=%.*s", (int)MAX(name - path, 1), path);
	else
		mend(v, "namei -l %s", path);
}

static void judge_sources(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;
	size_t wrong = 0, logs = 0;

	for (size_t i = 0; i < s->n_sources; i++) {
		const struct status_source *source = &s->sources[i];
		bool log = strcmp(source->name, "inbox") != 0;

		logs += log;
		if (!source->trouble[0])
			continue;
		wrong += log;
		problem(v, VERDICT_DEGRADED, "%s", source->trouble);
		if (source->name[0] == '/')
			mend_file(v, f, source->name);
		else if (log)
			mend(v, "journalctl --header; journalctl --verify");
		else
			mend(v, "ls -la %s/inbox", f->config->state_directory);
	}
	if (!s->state_trouble[0] && wrong == logs)
		problem(v, VERDICT_NOT_COLLECTING, "there is no source that can be read");
}

/* --- what was lost, or will be -------------------------------------------------------------------------- */

static void judge_losses(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;
	uint64_t losses = 0, elapsed = verdict_elapsed_us(f);

	for (size_t i = 0; i < STATUS_LOSS_HOURS; i++)
		losses += s->losses[i];
	if (losses == 0 || elapsed > DAY_US)
		return;
	problem(v, VERDICT_DEGRADED, "%" PRIu64 " loss%s of evidence in the last day", losses, losses == 1 ? "" : "es");
	mend(v, "hallmark events --since 1d%s%s | grep 'EVIDENCE LOST'", f->options[0] ? " " : "", f->options);
}

static void judge_spool(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;
	char held[TEXT_SIZE_MAX], cap[TEXT_SIZE_MAX];

	if (s->spool_undelivered == STATUS_UNKNOWN || s->spool_cap == STATUS_UNKNOWN ||
	    (s->spool_undelivered < s->spool_cap / 10 * 9 && s->spool_undelivered + 2 * SPOOL_SEGMENT_SIZE <= s->spool_cap))
		return;
	text_size(s->spool_undelivered, held);
	text_size(s->spool_cap, cap);
	problem(v, VERDICT_DEGRADED, "the spool holds %s that nobody has taken, of %s: the oldest goes next, and is lost", held,
		cap);
	mend(v, "raise cap in hallmark.conf(5), and: systemctl restart hallmarkd");
}

static void judge_identity(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;
	uint64_t age_us = verdict_age_us(f, s->reset_age_us);
	char text[32];

	if (age_us > DAY_US)
		return;
	problem(v, VERDICT_DEGRADED, "a new key began a new chain %s: %s; the key before was %s", ago(age_us, text), s->reset,
		s->old_fingerprint);
	mend(v, "hallmark verify --trust-first --report-only %s/retired/*/spool", f->config->state_directory);
}

static void judge_templates(const struct verdict_facts *f, struct verdict *v)
{
	const struct status *s = f->status;

	if (s->templates == 0) {
		problem(v, VERDICT_DEGRADED, "there are no message templates: no line is understood");
		mend(v, "ls -l %s", f->config->template_directories ? f->config->template_directories[0] : "");
	}
	if (s->templates_trouble[0]) {
		problem(v, VERDICT_DEGRADED, "message templates were passed over: %s", s->templates_trouble);
		mend_by_start(v, f, "restart");
	}
}

/* --- the whole ---------------------------------------------------------------------------------------- */

void verdict_judge(const struct verdict_facts *f, struct verdict *ret)
{
	struct verdict v = { .word = VERDICT_COLLECTING_ONLY };

	if (!f->status)
		judge_unreadable(f, &v);
	else
		judge_life(f, &v);
	if (f->config_trouble) {
		bool ends_it = v.word == VERDICT_NOT_COLLECTING;

		problem(&v, ends_it ? VERDICT_NOT_CONFIGURED : VERDICT_DEGRADED,
			"the configuration is wrong, and hallmarkd does not start with it: %s", f->config_trouble);
		mend_by_start(&v, f, "restart");
	}
	/* what was so when it last spoke says little of now, but may say why it did not go on */
	if (f->status) {
		judge_state(f, &v);
		judge_sources(f, &v);
		judge_losses(f, &v);
		judge_spool(f, &v);
		judge_identity(f, &v);
		judge_templates(f, &v);
	}
	*ret = v;
}
