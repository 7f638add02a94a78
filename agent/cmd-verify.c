/* SPDX-License-Identifier: Apache-2.0 */
/* hallmark verify: whose frames these are, and whether one is missing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "agent/frames.h"
#include "agent/printer.h"
#include "agent/report.h"
#include "agent/spool.h"
#include "agent/trust.h"
#include "proto/compress.h"

/* Complaints about single places, after which only the report counts on. */
#define COMPLAINTS_MAX 20u

struct verify {
	struct command_common common;
	struct chain_options options;
	struct trust trust;
	struct printer printer;
	struct chain *chain;
	char last_key[FINGERPRINT_SIZE]; /* of the frame before: are there several hosts? */
	unsigned complaints;
};

static void verify_done(struct verify *v)
{
	chain_free(v->chain);
	trust_done(&v->trust);
	printer_done(&v->printer);
}

/* --- what is asked ------------------------------------------------------------------------------- */

static int read_trust(struct verify *v, const char *path)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(TRUST_FILE_MAX);
	unsigned line = 0;
	int r;

	r = read_file_at(AT_FDCWD, path, false, &text);
	if (r < 0)
		return log_error_errno(r, "Cannot read the trusted keys in %s", path);
	r = trust_add(&v->trust, buf_bytes(&text), &line);
	if (r == -EBADMSG)
		log_error("%s:%u: neither a public key (PEM, P-256) nor a fingerprint (SHA256:…)", path, line);
	else if (r < 0)
		log_error_errno(r, "Cannot take the trusted keys in %s", path);
	v->options.trust_given = true;
	return r;
}

static int read_as_of(struct verify *v, const char *text)
{
	int64_t now = clock_wall_us();
	int r = 0;

	if (strcmp(text, "now") == 0)
		v->options.as_of_us = now;
	else
		r = text_to_time(text, now, &v->options.as_of_us);
	if (r < 0)
		log_error("--as-of: \"%s\" is no time; try 2026-11-23T13:00:00Z, or now", text);
	v->options.as_of = true;
	return r;
}

/* -1: go on; else the exit code to end with. */
static int read_options(struct verify *v, const struct command *self, int argc, char **argv)
{
	enum { OPTION_TRUST = 1, OPTION_TRUST_FIRST, OPTION_FROM_START, OPTION_AS_OF, OPTION_FORMAT };
	static const struct option table[] = {
		{ "format", required_argument, NULL, OPTION_FORMAT },
		{ "report-only", no_argument, NULL, 'q' },
		{ "trust", required_argument, NULL, OPTION_TRUST },
		{ "trust-first", no_argument, NULL, OPTION_TRUST_FIRST },
		{ "from-start", no_argument, NULL, OPTION_FROM_START },
		{ "as-of", required_argument, NULL, OPTION_AS_OF },
		COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option, r;

	while ((option = getopt_long(argc, argv, "q", table, NULL)) != -1) {
		r = 0;
		switch (option) {
		case OPTION_FORMAT:
			r = event_format_from_name(optarg, &v->printer.format);
			if (r < 0)
				log_error("--format is text, json, ocsf or ecs, not \"%s\"", optarg);
			break;
		case 'q':
			v->printer.quiet = true;
			break;
		case OPTION_TRUST:
			r = read_trust(v, optarg);
			break;
		case OPTION_TRUST_FIRST:
			v->options.trust_first = true;
			break;
		case OPTION_FROM_START:
			v->options.from_start = true;
			break;
		case OPTION_AS_OF:
			r = read_as_of(v, optarg);
			break;
		default:
			r = command_common_option(self, &v->common, option);
			if (r >= 0)
				return r;
			r = 0;
		}
		if (r < 0)
			return EXIT_USAGE;
	}
	if (v->options.trust_given && v->options.trust_first) {
		log_error("--trust and --trust-first contradict each other");
		return EXIT_USAGE;
	}
	return -1;
}

/* --- where it is --------------------------------------------------------------------------------- */

/* This host's spool is still being written: what lies behind its committed end is not yet said. */
struct own_spool {
	char *path;
	uint64_t end_segment, end_offset;
};

static void own_spool_done(struct own_spool *own)
{
	free(own->path);
}

static int own_spool_find(const struct command_common *common, struct own_spool *ret, struct buf *ret_why)
{
	_cleanup_(config_done) struct config config = { 0 };
	uint64_t sequence;
	int r;

	r = config_load(common->config_path, common->state_directory, &config, ret_why);
	if (r < 0)
		return r;
	if (asprintf(&ret->path, "%s/spool", config.state_directory) < 0) {
		ret->path = NULL;
		return -ENOMEM;
	}
	if (spool_read_committed(config.run_directory, &ret->end_segment, &ret->end_offset, &sequence) < 0)
		ret->end_segment = ret->end_offset = UINT64_MAX;
	return 0;
}

static bool same_directory(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* --- reading ------------------------------------------------------------------------------------- */

static bool may_complain(struct verify *v)
{
	if (v->complaints++ == COMPLAINTS_MAX)
		log_warning("there is more of this; the report counts all of it");
	return v->complaints <= COMPLAINTS_MAX;
}

static void complain(struct verify *v, const struct frames_result *at, const char *what)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(64 * 1024);

	if (may_complain(v) && text_escape(&path, bytes_str(at->path)) == 0)
		log_warning("%.*s: byte %" PRIu64 ": %s", (int)path.len, path.len ? (const char *)path.data : "",
			    at->offset, what);
}

/* Where the signature does not hold, whose frame it is and which is only what it claims. */
static void complain_frame(struct verify *v, const struct frames_result *at, const char *claim, const char *what)
{
	const Hallmark__V1__Batch *b = at->frame.batch;
	_cleanup_(buf_done) struct buf text = BUF_INIT(64 * 1024);

	if (buf_printf(&text, "%s%" PRIu64 " of ", claim, b->sequence) == 0 &&
	    text_escape(&text, bytes_of(b->host->name, strnlen(b->host->name, CHAIN_NAME_MAX))) == 0 && buf_printf(&text, ": %s", what) == 0 &&
	    buf_byte(&text, '\0') == 0)
		complain(v, at, (const char *)text.data);
}

static void complain_damage(struct verify *v, const struct frames_result *at)
{
	char what[200];

	(void)snprintf(what, sizeof what, "%" PRIu64 " bytes that are no frame: %s", at->damage_bytes, at->why);
	complain(v, at, what);
	chain_note_trouble(v->chain, CHAIN_DAMAGE, at->damage_bytes);
}

/* The chain is judged all the same: that needs no events. */
static void complain_dictionary(struct verify *v, const struct frames_result *at)
{
	char what[200];

	(void)snprintf(what, sizeof what,
		       "its events need dictionary %u, which hallmark %s does not have; a later one shows them",
		       events_dictionary(at->frame.batch), HALLMARK_VERSION);
	complain_frame(v, at, "sequence ", what);
	chain_note_trouble(v->chain, CHAIN_NEWER, 0);
}

/* Signature, then the chain, then the events: nothing is decompressed before its signature holds. */
static int take_frame(struct verify *v, const struct frames_result *at)
{
	const struct frame *f = &at->frame;
	const char *key;
	int r;

	r = frame_verify(f);
	if (r <= 0) {
		complain_frame(v, at, "what claims to be sequence ",
			       r == 0 ? "bad signature" : "the signature could not be checked");
		chain_note_trouble(v->chain, r == 0 ? CHAIN_BAD_SIGNATURE : CHAIN_UNCHECKED, f->size);
		return 0;
	}
	r = chain_add(v->chain, f);
	if (r < 0)
		return r;
	if (r == CHAIN_UNTRUSTED)
		complain_frame(v, at, "sequence ", "its key is not trusted; its events are not shown");
	if (r != CHAIN_NEW)
		return 0;
	key = chain_fingerprint(v->chain, f);
	if (v->last_key[0] && strcmp(v->last_key, key) != 0)
		v->printer.show_host = true;
	memcpy(v->last_key, key, sizeof v->last_key);
	r = printer_frame(&v->printer, f, key, v->chain);
	if (r == -EPROTONOSUPPORT) {
		complain_dictionary(v, at);
		return 0;
	}
	if (r != -EBADMSG)
		return r;
	complain_frame(v, at, "sequence ", "signed, but its events cannot be decoded; none of them is shown");
	chain_note_bad_events(v->chain, f);
	return 0;
}

static int take(struct verify *v, const struct frames_result *at)
{
	switch (at->item) {
	case FRAMES_FRAME:
		return take_frame(v, at);
	case FRAMES_DAMAGE:
		complain_damage(v, at);
		return 0;
	case FRAMES_NEWER:
		complain(v, at, "a frame of a format newer than this program");
		chain_note_trouble(v->chain, CHAIN_NEWER, 0);
		return 0;
	case FRAMES_FILE_ERROR:
		complain(v, at, strerror(-at->error));
		chain_note_trouble(v->chain, CHAIN_UNREADABLE, 0);
		return 0;
	case FRAMES_END:
		break;
	}
	return 0;
}

static int read_all(struct verify *v, char *const *paths, size_t n, const struct own_spool *own)
{
	_cleanup_(frames_closep) struct frames *frames = NULL;
	bool is_own = n == 1 && own->path && same_directory(paths[0], own->path);
	struct frames_result at;
	int r;

	r = frames_open(paths, n, is_own ? own->end_segment : UINT64_MAX,
			is_own ? own->end_offset : UINT64_MAX, &frames);
	while (r >= 0 && (r = frames_next(frames, &at)) >= 0 && at.item != FRAMES_END)
		r = take(v, &at);
	return r;
}

static int report(struct verify *v)
{
	struct printer *p = &v->printer;
	/* foreign schemas are for events, and have no words for this */
	enum format format = p->format == FORMAT_TEXT ? FORMAT_TEXT : FORMAT_JSON;
	const struct chain_host *hosts;
	size_t n;
	int r;

	r = chain_judge(v->chain);
	hosts = chain_hosts(v->chain, &n);
	if (r == 0 && p->format == FORMAT_TEXT && p->out.len > 0)
		r = buf_str(&p->out, "\n");
	for (size_t i = 0; i < n && r == 0; i++) {
		r = report_host(&hosts[i], format, p->colour, &p->out);
		if (r == 0)
			r = printer_flush(p, false);
	}
	if (r == 0)
		r = report_all(v->chain, format, p->colour, &p->out);
	return r == 0 ? printer_flush(p, true) : r;
}

static int run(const struct command *self, int argc, char **argv)
{
	_cleanup_(verify_done) struct verify v = { .printer = PRINTER_INIT };
	_cleanup_(own_spool_done) struct own_spool own = { 0 };
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	char *const *paths;
	size_t n;
	int r;

	r = read_options(&v, self, argc, argv);
	if (r >= 0)
		return r;
	trust_sort(&v.trust);
	v.options.trusted = (const char (*)[FINGERPRINT_SIZE])v.trust.fingerprints;
	v.options.n_trusted = v.trust.n;
	v.printer.colour = printer_colour();
	r = own_spool_find(&v.common, &own, &why);
	/* who names paths, and no configuration, needs none */
	if (r < 0 && (argc == optind || v.common.config_path || v.common.state_directory)) {
		log_error_errno(r, "%.*s", (int)why.len, why.len ? (const char *)why.data : "");
		return EXIT_USAGE;
	}
	n = argc > optind ? (size_t)(argc - optind) : 1;
	paths = argc > optind ? argv + optind : &own.path;

	r = chain_new(&v.options, &v.chain);
	if (r >= 0)
		r = read_all(&v, paths, n, &own);
	if (r >= 0)
		r = report(&v);
	if (r < 0) {
		log_error_errno(r, "Could not verify to the end");
		return EXIT_UNKNOWN;
	}
	return report_exit(v.chain);
}

const struct command command_verify = {
	.name = "verify",
	.arguments = "[OPTION…] [PATH…]",
	.summary = "Prove records whole, and print their events",
	.options =
		"Reads spools, directories of objects, files, or standard input (-): this host's spool\n"
		"if there is no PATH. Checks every signature, finds what is missing, there twice or\n"
		"forked, prints the events, then a report for each host key.\n\n"
		"  --format FORMAT    text (default), json, ocsf or ecs: one object a line, those of the report\n"
		"                     with a \"report\" key\n"
		"  -q, --report-only  no events, only the report\n"
		"  --trust FILE       keys to trust: public keys in PEM, or fingerprints (SHA256:…), one a\n"
		"                     line; may be given more than once. Any other key is wrong (1), and its\n"
		"                     events are not shown\n"
		"  --trust-first      be content with keys on first sight, which else cannot be told (2)\n"
		"  --from-start       demand the chain's first frame as well\n"
		"  --as-of TIME       demand as well that the host ended with a farewell, or that its last\n"
		"                     batch is not older at TIME than twice the interval that it announced:\n"
		"                     RFC 3339, \"YYYY-MM-DD[ HH:MM[:SS]]\" (UTC), a span before now, or now\n",
	.run = run,
};
