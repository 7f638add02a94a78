/* SPDX-License-Identifier: Apache-2.0 */
/* hallmark parse: what the templates make of log lines. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "agent/render.h"
#include "collectors/field_type.h"
#include "collectors/header.h"
#include "collectors/interpret.h"
#include "collectors/joiner.h"

#define DIRECTORIES_MAX 16u
#define LINE_MAX_BYTES (64u * 1024 * 1024)
#define OUTPUT_MAX (512u * 1024 * 1024)
#define NO_TIME INT64_MIN

enum { OPTION_PROGRAM = 1, OPTION_INPUT, OPTION_FORMAT, OPTION_TEMPLATES };

struct parse {
	struct command_common common;
	const char *program; /* NULL: each line has a header */
	const char *directories[DIRECTORIES_MAX];
	size_t n_directories;
	bool jsonl;
	enum format format;
	struct interpreter *interpreter;
	struct joiner *joiner;
	struct header_clock clock;
	struct buf out;
};

/* A line and what was found in it. */
struct understood {
	const struct joiner_line *line;
	struct interpretation meaning;
};

static bool is_known(const struct understood *u)
{
	return !u->meaning.wording->unknown;
}

static void parse_done(struct parse *p)
{
	interpreter_free(p->interpreter);
	joiner_free(p->joiner);
	buf_done(&p->out);
}

/* --- output ------------------------------------------------------------------------------- */

static int json_key(struct buf *out, const char *key)
{
	int r = buf_str(out, out->len > 0 && out->data[out->len - 1] == '{' ? "\"" : ",\"");

	if (r == 0)
		r = buf_str(out, key);
	return r < 0 ? r : buf_str(out, "\":");
}

static int json_text(struct buf *out, const char *key, struct bytes value)
{
	int r = json_key(out, key);

	return r < 0 ? r : text_json(out, value);
}

/* What is there under a well-known name of a number is a number, if it can be one as it is written. */
static int json_value(struct buf *out, const char *key, struct bytes value)
{
	uint64_t n;
	int r;

	if (!field_type_is_number(field_type_of_name(bytes_str(key))) || bytes_to_u64(value, &n) < 0)
		return json_text(out, key, value);
	r = json_key(out, key);
	return r < 0 ? r : buf_printf(out, "%llu", (unsigned long long)n);
}

static int template_text(struct buf *out, const struct wording *w)
{
	int r = 0;

	for (size_t i = 0; i <= w->n_fields && r == 0; i++) {
		for (size_t k = 0; k < w->literals[i].len && r == 0; k++) {
			uint8_t c = w->literals[i].data[k];

			r = buf_append(out, bytes_of((uint8_t[]){ c, c }, c == '{' || c == '}' ? 2 : 1));
		}
		if (i < w->n_fields && r == 0)
			r = buf_printf(out, "{%s}", event_field_name(w->field_ids[i]));
	}
	return r;
}

static int print_constants(struct buf *out, const struct meaning *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_constants; i++)
		r = json_value(out, m->constants[i].name, bytes_str(m->constants[i].value));
	return r;
}

static int print_meaning(struct buf *out, const struct understood *u)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(LINE_MAX_BYTES);
	const struct wording *w = u->meaning.wording;
	const struct meaning *m = &w->meaning;
	int r = template_text(&text, w);

	if (r == 0)
		r = json_text(out, "template", buf_bytes(&text));
	if (r == 0)
		r = json_text(out, "kind", bytes_str(kind_name(m->kind)));
	if (r == 0 && m->activity[0])
		r = json_text(out, "activity", bytes_str(m->activity));
	if (r == 0 && m->outcome != HALLMARK__V1__OUTCOME__OUTCOME_NONE)
		r = json_text(out, "outcome", bytes_str(outcome_name(m->outcome)));
	if (r == 0)
		r = json_text(out, "severity", bytes_str(severity_name(m->severity)));
	if (r == 0)
		r = print_constants(out, m);
	for (size_t i = 0; r == 0 && i < w->n_fields; i++) {
		const char *name = event_field_name(w->field_ids[i]);

		if (strcmp(name, EVENT_FIELD_BLANKS) != 0)
			r = json_value(out, name, u->meaning.values[i]);
	}
	return r;
}

static int print_json(struct buf *out, const struct understood *u)
{
	char time[TEXT_TIME_MAX];
	int r = buf_str(out, "{");

	if (r == 0 && u->line->time_us != NO_TIME)
		r = json_text(out, "time", bytes_of(time, text_time(u->line->time_us, time)));
	if (r == 0 && u->line->origin.host.len > 0)
		r = json_text(out, "host", u->line->origin.host);
	if (r == 0 && u->line->origin.program.len > 0)
		r = json_text(out, "program", u->line->origin.program);
	if (r == 0 && u->line->pid > 0)
		r = json_key(out, "pid");
	if (r == 0 && u->line->pid > 0)
		r = buf_printf(out, "%u", u->line->pid);
	if (r == 0)
		r = json_text(out, "message", u->meaning.message);
	if (r == 0)
		r = is_known(u) ? print_meaning(out, u) : buf_str(out, ",\"template\":null");
	if (r == 0 && !is_known(u))
		r = print_constants(out, &u->meaning.wording->meaning);
	return r < 0 ? r : buf_str(out, "}\n");
}

static int print_text(struct buf *out, const struct understood *u)
{
	const struct wording *w = u->meaning.wording;
	const struct meaning *m = is_known(u) ? &w->meaning : NULL;
	int r = text_escape(out, u->line->origin.program.len > 0 ? u->line->origin.program : LIT("-"));

	if (r == 0 && u->line->pid > 0)
		r = buf_printf(out, "[%u]", u->line->pid);
	if (r == 0 && !m)
		r = buf_str(out, " unknown");
	if (r == 0 && m)
		r = buf_printf(out, " %s %s%s%s%s%s", severity_name(m->severity), kind_name(m->kind),
			       m->activity[0] ? " " : "", m->activity, outcome_name(m->outcome)[0] ? " " : "",
			       outcome_name(m->outcome));
	for (size_t i = 0; r == 0 && i < w->meaning.n_constants; i++)
		r = buf_printf(out, " %s=%s", w->meaning.constants[i].name, w->meaning.constants[i].value);
	for (size_t i = 0; r == 0 && m && i < w->n_fields; i++) {
		const char *name = event_field_name(w->field_ids[i]);

		if (strcmp(name, EVENT_FIELD_BLANKS) == 0)
			continue;
		r = buf_printf(out, " %s=\"", name);
		if (r == 0)
			r = text_escape(out, u->meaning.values[i]);
		if (r == 0)
			r = buf_byte(out, '"');
	}
	if (r == 0)
		r = buf_str(out, " | ");
	if (r == 0)
		r = text_escape(out, u->meaning.message);
	return r < 0 ? r : buf_byte(out, '\n');
}

/* --- input -------------------------------------------------------------------------------- */

static int print_line(struct parse *p, const struct joiner_line *line)
{
	struct understood u = { .line = line };
	int r = interpret(p->interpreter, &line->origin, line->time_us, line->message,
			  line->joined ? VARIETY_JOINED : 0, &u.meaning);

	if (r < 0)
		return r;
	buf_clear(&p->out);
	r = p->format == FORMAT_JSON ? print_json(&p->out, &u) : print_text(&p->out, &u);
	if (r < 0)
		return r;
	return fwrite(p->out.data, 1, p->out.len, stdout) == p->out.len ? 0 : -EIO;
}

static int let_go(struct parse *p, const struct joiner_line *held)
{
	int r = print_line(p, held);

	joiner_drop(p->joiner, held);
	return r;
}

/* `program` empty: the line says it itself. */
static struct joiner_line take_apart(struct parse *p, struct bytes line, struct bytes program)
{
	struct joiner_line l = { .origin.provenance = PROVENANCE_NONE, .time_us = NO_TIME };
	struct parsed_line parsed;

	if (program.len > 0) {
		l.origin.program = program;
		l.message = line;
		return l;
	}
	p->clock.now_us = clock_wall_us();
	header_parse(&p->clock, line, &parsed);
	l.origin.program = parsed.program;
	l.origin.host = parsed.host;
	l.pid = parsed.pid;
	l.message = parsed.message;
	if (parsed.has_time)
		l.time_us = parsed.time_us;
	return l;
}

/* One of the lines of a log, of which several may be one. */
static int parse_line(struct parse *p, struct bytes text, struct bytes program)
{
	struct joiner_line line = take_apart(p, text, program);
	const struct joiner_line *held;
	int r;

	while ((r = joiner_look(p->joiner, &line, line.message.len <= EVENT_RAW_MAX, &held)) == JOINER_OUT) {
		r = let_go(p, held);
		if (r < 0)
			return r;
	}
	if (r == JOINER_FIRST)
		return joiner_hold(p->joiner, &line, 0);
	return r == JOINER_OTHER ? print_line(p, &line) : MIN(r, 0);
}

/* {"line": "…", "program_in": "sshd"}, each answered by itself, and in its turn. */
static int parse_json(struct parse *p, struct bytes text)
{
	json_error_t error;
	json_t *object = json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, &error);
	const char *line, *program = NULL;
	size_t line_len, program_len = 0;
	struct joiner_line l;
	int r = -EINVAL;

	if (object && json_unpack(object, "{s:s%, s?s%}", "line", &line, &line_len, "program_in", &program,
				  &program_len) == 0) {
		l = take_apart(p, bytes_of(line, line_len), bytes_of(program, program_len));
		r = print_line(p, &l);
	}
	json_decref(object);
	return r;
}

static int parse_stream(struct parse *p, FILE *in, const char *name)
{
	_cleanup_(freep) char *line = NULL;
	struct bytes program = bytes_str(p->program);
	unsigned long long number = 0;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, in)) >= 0) {
		size_t len = (size_t)n;
		int r;

		number++;
		len -= len > 0 && line[len - 1] == '\n';
		/* a copy that went through another system; no syslog writes such lines */
		len -= !p->jsonl && len > 0 && line[len - 1] == '\r';
		r = p->jsonl ? parse_json(p, bytes_of(line, len))
			     : parse_line(p, bytes_of(line, len), program);
		if (r == -EINVAL && p->jsonl) {
			log_error("%s:%llu: not a JSON object with a \"line\"", name, number);
			return EXIT_USAGE;
		}
		if (r < 0) {
			log_error_errno(r, "%s:%llu", name, number);
			return EXIT_UNKNOWN;
		}
	}
	for (const struct joiner_line *held; (held = joiner_oldest(p->joiner));) {
		int r = let_go(p, held);

		if (r < 0) {
			log_error_errno(r, "%s", name);
			return EXIT_UNKNOWN;
		}
	}
	if (ferror(in) || fflush(stdout) != 0) {
		log_error_errno(-errno, "Failed to read %s or to print what it holds", name);
		return EXIT_UNKNOWN;
	}
	return EXIT_YES;
}

/* --- the command -------------------------------------------------------------------------- */

static int load_templates(struct parse *p)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct config config = { 0 };
	int r = interpreter_new(&p->interpreter);

	if (r == 0)
		r = joiner_new(&p->joiner);
	if (r == 0 && p->n_directories == 0) {
		r = config_load(p->common.config_path, p->common.state_directory, &config, &why);
		if (r >= 0)
			interpreter_set_redaction(p->interpreter, !config.secrets, config.unknown_users);
		for (char **d = config.template_directories; r >= 0 && d && *d; d++)
			r = interpreter_add_directory(p->interpreter, *d, &why);
		config_done(&config);
	}
	for (size_t i = 0; i < p->n_directories && r >= 0; i++)
		r = interpreter_add_directory(p->interpreter, p->directories[i], &why);
	if (r >= 0)
		r = interpreter_ready(p->interpreter);
	if (r >= 0)
		return 0;
	if (why.len > 0)
		log_error("%.*s", (int)why.len, (const char *)why.data);
	else
		log_error_errno(r, "Failed to load the templates");
	return r;
}

static int parse_option(const struct command *self, struct parse *p, int option)
{
	switch (option) {
	case OPTION_PROGRAM:
		p->program = optarg;
		return -1;
	case OPTION_INPUT:
		p->jsonl = strcmp(optarg, "jsonl") == 0;
		if (p->jsonl || strcmp(optarg, "lines") == 0)
			return -1;
		log_error("--input is lines or jsonl, not \"%s\"", optarg);
		return EXIT_USAGE;
	case OPTION_FORMAT:
		if (format_from_name(optarg, &p->format) == 0)
			return -1;
		log_error("--format is text or json, not \"%s\"", optarg);
		return EXIT_USAGE;
	case OPTION_TEMPLATES:
		if (p->n_directories == DIRECTORIES_MAX) {
			log_error("more than %u template directories", DIRECTORIES_MAX);
			return EXIT_USAGE;
		}
		p->directories[p->n_directories++] = optarg;
		return -1;
	default:
		return command_common_option(self, &p->common, option);
	}
}

static int run_parse(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{ "program", required_argument, NULL, OPTION_PROGRAM },
		{ "input", required_argument, NULL, OPTION_INPUT },
		{ "format", required_argument, NULL, OPTION_FORMAT },
		{ "templates", required_argument, NULL, OPTION_TEMPLATES },
		COMMON_OPTIONS,
		{ 0 },
	};
	_cleanup_(parse_done) struct parse p = { .out = BUF_INIT(OUTPUT_MAX) };
	_cleanup_(fclosep) FILE *file = NULL;
	int option, r;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		r = parse_option(self, &p, option);
		if (r >= 0)
			return r;
	}
	if (argc - optind > 1) {
		log_error("one FILE at most; see hallmark parse --help");
		return EXIT_USAGE;
	}
	r = load_templates(&p);
	if (r < 0)
		return r == -ENOMEM ? EXIT_UNKNOWN : EXIT_USAGE;
	if (optind == argc || strcmp(argv[optind], "-") == 0)
		return parse_stream(&p, stdin, "standard input");
	file = fopen(argv[optind], "re");
	if (!file) {
		log_error_errno(-errno, "Failed to open %s", argv[optind]);
		return EXIT_UNKNOWN;
	}
	return parse_stream(&p, file, argv[optind]);
}

const struct command command_parse = {
	.name = "parse",
	.arguments = "[OPTION…] [FILE]",
	.summary = "Shows what the templates make of log lines",
	.options = "  --program TAG      the lines have no header: TAG wrote them\n"
		   "  --input FORM       lines (default), or jsonl: {\"line\": …, \"program_in\": …}\n"
		   "  --format FORM      text (default) or json, one object a line\n"
		   "  --templates DIR    only the templates of DIR; may be given again\n",
	.run = run_parse,
};
