/* SPDX-License-Identifier: Apache-2.0 */
/* hallmark status: am I covered, what is wrong, what do I do. Reads what hallmarkd leaves in its run directory, asks
 * no daemon, and needs no privilege. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <systemd/sd-daemon.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/commands.h"
#include "agent/line.h"
#include "agent/printer.h"
#include "agent/spool.h"
#include "agent/verdict.h"

#define OUTPUT_MAX (4u * 1024 * 1024)
#define COLUMNS 80u
#define LABEL_WIDTH 16u

struct show {
	struct command_common common;
	bool json;

	struct config config;
	struct buf config_why, options;
	struct status status;
	struct verdict_facts facts;
	struct verdict verdict;
	bool clock_known, clock_synchronised; /* by the kernel's word */
	bool spool_seen; /* it was looked at, and not only what hallmarkd says of it */

	struct buf out;
	struct line line;
};

static void show_done(struct show *w)
{
	config_done(&w->config);
	verdict_done(&w->verdict);
	buf_done(&w->config_why);
	buf_done(&w->options);
	buf_done(&w->out);
}

/* --- what there is to see ----------------------------------------------------------------------------- */

/* How hallmarkd has to be called to be the one that is asked about. */
static int find_options(struct show *w)
{
	const struct command_common *c = &w->common;
	int r = 0;

	if (c->config_path)
		r = buf_printf(&w->options, "--config %s", c->config_path);
	if (r >= 0 && c->state_directory)
		r = buf_printf(&w->options, "%s--state %s", w->options.len ? " " : "", c->state_directory);
	if (r >= 0)
		r = buf_byte(&w->options, '\0');
	w->facts.options = (const char *)w->options.data;
	return r;
}

/* What is wrong with the configuration is told with the rest; where things are does not hang on it. */
static int find_config(struct show *w)
{
	const struct command_common *c = &w->common;
	int r = config_load(c->config_path, c->state_directory, &w->config, &w->config_why);

	if (r < 0) {
		if (buf_byte(&w->config_why, '\0') < 0)
			return -ENOMEM;
		/* who may not read it has nothing to say against it */
		w->facts.config_trouble = r == -EACCES ? NULL : (const char *)w->config_why.data;
		r = config_load("/dev/null", c->state_directory, &w->config, &(struct buf)BUF_INIT(4096));
	}
	w->facts.config = &w->config;
	return r;
}

/* A process of this number need not be the one that was meant, but where there is none it is no more. */
static bool is_gone(const struct status *s)
{
	return s->pid_namespace != 0 && s->pid_namespace == status_pid_namespace() && s->pid > 0 && s->pid <= INT32_MAX &&
	       kill((pid_t)s->pid, 0) < 0 && errno == ESRCH;
}

static bool holds_committed(const struct show *w, uint64_t *ret_segment)
{
	char path[PATH_MAX];
	uint64_t segment, end;
	struct stat st;

	*ret_segment = 0;
	if (spool_read_committed(w->config.run_directory, &segment, &end, &(uint64_t){ 0 }) < 0 || segment == 0 ||
	    snprintf(path, sizeof path, "%s/spool/%020" PRIu64 ".seg", w->config.state_directory, segment) >= (int)sizeof path)
		return true;
	*ret_segment = segment;
	return stat(path, &st) == 0 ? (uint64_t)st.st_size >= end : errno != ENOENT;
}

/* What was committed must be there, whatever hallmarkd says. Who may not look does not know. */
static void look_at_spool(struct show *w)
{
	_cleanup_(freep) char *path = NULL;
	uint64_t segment, again;

	if (asprintf(&path, "%s/spool", w->config.state_directory) < 0) {
		path = NULL;
		return;
	}
	w->spool_seen = access(path, X_OK) == 0 || errno == ENOENT;
	/* looked at twice: hallmarkd may have gone on, and made room, between two looks */
	w->facts.segment_gone = w->spool_seen && !holds_committed(w, &segment) && !holds_committed(w, &again) &&
				segment == again;
}

static void look_at_clock(struct show *w)
{
	struct timex t = { .modes = 0 };
	int r = adjtimex(&t);

	w->clock_known = r >= 0;
	w->clock_synchronised = r >= 0 && r != TIME_ERROR;
}

static void look_at_host(struct verdict_facts *f)
{
	static const char *const wanted[] = {
		"/etc/systemd/system/multi-user.target.wants/hallmarkd.service",
		"/usr/lib/systemd/system/multi-user.target.wants/hallmarkd.service",
	};
	struct stat st;

	f->installed = access(HALLMARK_SBINDIR "/hallmarkd", X_OK) == 0;
	f->systemd = sd_booted() > 0;
	for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
		f->enabled |= lstat(wanted[i], &st) == 0;
}

static int look(struct show *w)
{
	struct verdict_facts *f = &w->facts;
	int r = find_options(w);

	if (r >= 0)
		r = find_config(w);
	if (r < 0)
		return r;
	status_boot_id(f->boot_id);
	f->status_error = status_read(w->config.run_directory, &w->status);
	/* after reading: what was written meanwhile is not of the future */
	f->boot_us = clock_boot_us();
	f->wall_us = (uint64_t)MAX(clock_wall_us(), 0);
	if (f->status_error == 0) {
		f->status = &w->status;
		f->gone = is_gone(&w->status);
		look_at_spool(w);
	} else {
		status_init(&w->status);
	}
	look_at_clock(w);
	look_at_host(f);
	verdict_judge(f, &w->verdict);
	return w->verdict.error;
}

static uint64_t losses(const struct status *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < STATUS_LOSS_HOURS; i++)
		n += s->losses[i];
	return n;
}

static const char *source_state(const struct status_source *s)
{
	return s->trouble[0] ? "trouble" : s->reading == 1 ? "catching up" : "read to its end";
}

/* --- as text ------------------------------------------------------------------------------------------ */

static const char *const colours[] = {
	[VERDICT_COLLECTING_ONLY] = "\033[1;32m",
	[VERDICT_DEGRADED] = "\033[1;33m",
	[VERDICT_NOT_COLLECTING] = "\033[1;31m",
	[VERDICT_NOT_CONFIGURED] = "\033[1;31m",
	[VERDICT_UNKNOWN] = "\033[1;33m",
};

static void put(struct show *w, const char *text)
{
	line_add(&w->line, bytes_str(text));
}

/* Words, escaped, in lines of COLUMNS that begin with so many blanks. The first line is begun already. */
static void put_words(struct show *w, const char *text, size_t indent, size_t column)
{
	bool first = true;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (len > 0 && !first && column + 1 + len > COLUMNS) {
			put(w, "\n");
			for (column = 0; column < indent; column++)
				put(w, " ");
		} else if (len > 0 && !first) {
			put(w, " ");
			column++;
		}
		line_escaped(&w->line, bytes_of(text, len));
		first = first && len == 0;
		column += len;
		text += len + (text[len] == ' ');
	}
	put(w, "\n");
}

_printf_(3, 4) static void row(struct show *w, const char *label, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	size_t n = strlen(label);

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	put(w, label);
	do
		put(w, " ");
	while (++n < LABEL_WIDTH);
	put_words(w, text, LABEL_WIDTH, MAX(n, LABEL_WIDTH));
}

/* "3 s ago", as of now. */
static const char *ago(const struct show *w, uint64_t age_us, char out[static 32])
{
	char span[TEXT_SPAN_MAX];
	uint64_t now_us = verdict_age_us(&w->facts, age_us);

	if (now_us == STATUS_UNKNOWN)
		return "never";
	text_span(now_us, span);
	(void)snprintf(out, 32, "%s ago", span);
	return out;
}

static void put_verdict(struct show *w)
{
	const struct verdict *v = &w->verdict;

	if (w->line.colour)
		put(w, colours[v->word]);
	put(w, verdict_name(v->word));
	if (w->line.colour)
		put(w, "\033[0m");
	if (v->word == VERDICT_COLLECTING_ONLY)
		put(w, ": all is recorded and signed, and stays on this host\n");
	else
		put(w, v->n == 1 ? ": one thing is wrong\n" : ": see what is wrong\n");
	for (size_t i = 0; i < v->n; i++) {
		put(w, "\n  ");
		put_words(w, v->problems[i].what, 2, 2);
		if (!v->problems[i].mend)
			continue;
		/* a command is not broken, so that it can be copied */
		put(w, "      ");
		line_escaped(&w->line, bytes_str(v->problems[i].mend));
		put(w, "\n");
	}
}

static void put_losses(struct show *w)
{
	const struct status *s = &w->status;
	uint64_t known_us = verdict_age_us(&w->facts, s->losses_known_us);
	char span[TEXT_SPAN_MAX] = "24 h";

	if (known_us < UINT64_C(86400) * 1000000)
		text_span(known_us, span);
	if (losses(s) == 0)
		row(w, "losses", "none in %s", span);
	else
		row(w, "losses", "%" PRIu64 " in %s", losses(s), span);
}

static void put_spool(struct show *w)
{
	const struct status *s = &w->status;
	char bytes[TEXT_SIZE_MAX], cap[TEXT_SIZE_MAX], held[TEXT_SIZE_MAX];

	if (s->spool_bytes == STATUS_UNKNOWN) {
		row(w, "spool", "not open");
		return;
	}
	text_size(s->spool_bytes, bytes);
	text_size(s->spool_cap, cap);
	text_size(s->spool_undelivered, held);
	row(w, "spool", "%s of %s in %" PRIu64 " segment%s; %s not delivered%s", bytes, cap, s->spool_segments,
	    s->spool_segments == 1 ? "" : "s", held, w->spool_seen ? "" : " (as hallmarkd says: you may not look)");
}

static void put_sources(struct show *w)
{
	const struct status *s = &w->status;
	char age[32], size[TEXT_SIZE_MAX];

	for (size_t i = 0; i < s->n_sources; i++) {
		const struct status_source *source = &s->sources[i];
		_cleanup_(buf_done) struct buf text = BUF_INIT(4096);

		(void)buf_printf(&text, "%s: %s", source->name, source_state(source));
		if (source->position_age_us != STATUS_UNKNOWN)
			(void)buf_printf(&text, ", up to an entry of %s", ago(w, source->position_age_us, age));
		if (source->behind_bytes != STATUS_UNKNOWN && source->behind_bytes > 0) {
			text_size(source->behind_bytes, size);
			(void)buf_printf(&text, ", %s bytes behind", size);
		}
		(void)buf_printf(&text, "; events: %" PRIu64, source->events);
		if (source->event_age_us != STATUS_UNKNOWN)
			(void)buf_printf(&text, ", the last %s", ago(w, source->event_age_us, age));
		row(w, i == 0 ? "sources" : "", "%.*s", (int)text.len, (const char *)text.data);
	}
}

static void put_identity(struct show *w)
{
	const struct status *s = &w->status;
	char age[32];

	if (!s->fingerprint[0])
		row(w, "identity", "no key yet");
	else
		row(w, "identity", "%s, made %s, bound to %s", s->fingerprint, ago(w, s->key_age_us, age),
		    s->bound[0] ? s->bound : "nothing that names this instance");
}

static void show_text(struct show *w)
{
	const struct status *s = &w->status;
	char age[32], span[TEXT_SPAN_MAX];

	w->line.colour = printer_colour();
	put_verdict(w);
	if (!w->facts.status)
		return;
	put(w, verdict_elapsed_us(&w->facts) > s->next_within_us ? "\nAs it was when hallmarkd last spoke:\n\n" : "\n");
	text_span(s->next_within_us, span);
	row(w, "last event", "%s", ago(w, s->event_age_us, age));
	row(w, "last commit", "%s, sequence %" PRIu64, ago(w, s->commit_age_us, age),
	    s->sequence == STATUS_UNKNOWN ? 0 : s->sequence);
	row(w, "events", "%" PRIu64 " since hallmarkd was started %s; %" PRIu64 " left out", s->events,
	    ago(w, s->running_us, age), s->excluded);
	row(w, "unknown lines", "%" PRIu64, s->unknown);
	put_losses(w);
	put_spool(w);
	put_identity(w);
	put_sources(w);
	row(w, "clock", "%s", !w->clock_known ? "cannot be told" : w->clock_synchronised ? "synchronised" : "not synchronised");
	if (s->next_within_us > 0)
		row(w, "status", "written %s by hallmarkd %s, which does so every %s", ago(w, 0, age), s->version, span);
	else
		row(w, "status", "written %s by hallmarkd %s, when it stopped", ago(w, 0, age), s->version);
}

/* --- as JSON ------------------------------------------------------------------------------------------ */

/* All of the keys are always there; null is what is not known. */
static void member(struct show *w, const char *key, uint64_t value)
{
	json_key(&w->line, key);
	if (value == STATUS_UNKNOWN)
		put(w, "null");
	else
		line_number(&w->line, value);
}

static void member_age(struct show *w, const char *key, uint64_t age_us)
{
	uint64_t now_us = w->facts.status ? verdict_age_us(&w->facts, age_us) : STATUS_UNKNOWN;

	member(w, key, now_us == STATUS_UNKNOWN ? now_us : now_us / 1000000);
}

static void member_span(struct show *w, const char *key, uint64_t us)
{
	member(w, key, us == STATUS_UNKNOWN ? us : us / 1000000);
}

static void member_text(struct show *w, const char *key, const char *text)
{
	json_key(&w->line, key);
	if (text && text[0])
		json_string(&w->line, bytes_str(text));
	else
		put(w, "null");
}

static void member_bool(struct show *w, const char *key, bool value)
{
	json_key(&w->line, key);
	put(w, value ? "true" : "false");
}

static void json_problems(struct show *w)
{
	json_key(&w->line, "problems");
	put(w, "[");
	for (size_t i = 0; i < w->verdict.n; i++) {
		put(w, i > 0 ? ",{" : "{");
		member_text(w, "what", w->verdict.problems[i].what);
		member_text(w, "mend", w->verdict.problems[i].mend);
		put(w, "}");
	}
	put(w, "]");
}

static void json_sources(struct show *w)
{
	json_key(&w->line, "sources");
	put(w, "[");
	for (size_t i = 0; i < w->status.n_sources; i++) {
		const struct status_source *s = &w->status.sources[i];

		put(w, i > 0 ? ",{" : "{");
		member_text(w, "name", s->name);
		member_text(w, "state", source_state(s));
		member_text(w, "trouble", s->trouble);
		member(w, "behind_bytes", s->behind_bytes);
		member_age(w, "position_age_s", s->position_age_us);
		member_age(w, "last_event_age_s", s->event_age_us);
		member(w, "events", s->events);
		put(w, "}");
	}
	put(w, "]");
}

static void json_spool(struct show *w)
{
	const struct status *s = &w->status;

	json_key(&w->line, "spool");
	put(w, "{");
	member(w, "bytes", s->spool_bytes);
	member(w, "cap_bytes", s->spool_cap);
	member(w, "segments", s->spool_segments);
	member(w, "undelivered_bytes", s->spool_undelivered);
	member_age(w, "blocked_s", s->blocked_us);
	put(w, "}");
}

static void json_identity(struct show *w)
{
	const struct status *s = &w->status;

	json_key(&w->line, "identity");
	put(w, "{");
	member_text(w, "fingerprint", s->fingerprint);
	member_text(w, "bound_to", s->bound);
	member_age(w, "key_age_s", s->key_age_us);
	member_age(w, "reset_age_s", s->reset_age_us);
	put(w, "}");
}

static void show_json(struct show *w)
{
	const struct status *s = &w->status;

	put(w, "{");
	member_text(w, "verdict", verdict_name(w->verdict.word));
	member(w, "exit_code", (uint64_t)verdict_exit_code(w->verdict.word));
	json_problems(w);
	member_bool(w, "stale", w->verdict.stale);
	member_age(w, "status_age_s", w->facts.status ? 0 : STATUS_UNKNOWN);
	member_span(w, "next_within_s", s->next_within_us);
	member_text(w, "version", s->version);
	member_age(w, "started_age_s", s->running_us);
	member_age(w, "last_event_age_s", s->event_age_us);
	member_age(w, "last_commit_age_s", s->commit_age_us);
	member(w, "sequence", s->sequence);
	member(w, "events", s->events);
	member(w, "unknown_lines", s->unknown);
	member(w, "excluded_lines", s->excluded);
	member(w, "losses_24h", w->facts.status ? losses(s) : STATUS_UNKNOWN);
	member_age(w, "losses_known_s", s->losses_known_us);
	member(w, "templates", s->templates);
	json_spool(w);
	json_identity(w);
	json_sources(w);
	json_key(&w->line, "clock_synchronised");
	put(w, !w->clock_known ? "null" : w->clock_synchronised ? "true" : "false");
	put(w, "}\n");
}

/* --- command line ------------------------------------------------------------------------------------- */

/* -1: go on; else the exit code to end with. */
static int read_options(struct show *w, const struct command *self, int argc, char **argv)
{
	enum { OPTION_FORMAT = 1 };
	static const struct option table[] = {
		{ "format", required_argument, NULL, OPTION_FORMAT },
		COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option, r;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == OPTION_FORMAT) {
			w->json = strcmp(optarg, "json") == 0;
			if (w->json || strcmp(optarg, "text") == 0)
				continue;
			log_error("--format is text or json, not \"%s\"", optarg);
			return EXIT_USAGE;
		}
		r = command_common_option(self, &w->common, option);
		if (r >= 0)
			return r;
	}
	if (optind < argc) {
		log_error("hallmark status takes no arguments: it is about this host");
		return EXIT_USAGE;
	}
	return -1;
}

static int run(const struct command *self, int argc, char **argv)
{
	_cleanup_(show_done) struct show w = {
		.config_why = BUF_INIT(8192),
		.options = BUF_INIT(2 * PATH_MAX),
		.out = BUF_INIT(OUTPUT_MAX),
	};
	int r = read_options(&w, self, argc, argv);

	if (r >= 0)
		return r;
	w.line.out = &w.out;
	r = look(&w);
	if (r >= 0) {
		if (w.json)
			show_json(&w);
		else
			show_text(&w);
		r = w.line.error;
	}
	if (r >= 0)
		r = write_all(STDOUT_FILENO, buf_bytes(&w.out));
	if (r < 0) {
		log_error_errno(r, "Cannot show the status");
		return EXIT_UNKNOWN;
	}
	return verdict_exit_code(w.verdict.word);
}

const struct command command_status = {
	.name = "status",
	.arguments = "[OPTION…]",
	.summary = "Say whether this host is covered, what is wrong, and what mends it",
	.options =
		"Shows what hallmarkd has said of itself, whether it runs or not; everybody may ask. It exits with\n"
		"0 when all is well, 1 when something is wrong, 2 when that cannot be told, and 3 when it is not\n"
		"configured.\n\n"
		"  --format FORMAT    text (default), or json: one object\n",
	.run = run,
};
