/* SPDX-License-Identifier: Apache-2.0 */
/* hallmark events: what this host's spool holds, for those who may read it. */
#include <errno.h>
#include <inttypes.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "agent/follow.h"
#include "agent/printer.h"
#include "proto/compress.h"

struct events {
	struct command_common common;
	struct printer printer;
	bool follow;
	uint8_t key[PUBLIC_KEY_SIZE];
	char fingerprint[FINGERPRINT_SIZE]; /* of `key` */
};

static void events_done(struct events *e)
{
	printer_done(&e->printer);
}

/* -1: go on; else the exit code to end with. */
static int read_options(struct events *e, const struct command *self, int argc, char **argv)
{
	enum { OPTION_FOLLOW = 1, OPTION_SINCE, OPTION_FORMAT };
	static const struct option table[] = {
		{ "follow", no_argument, NULL, OPTION_FOLLOW },
		{ "since", required_argument, NULL, OPTION_SINCE },
		{ "format", required_argument, NULL, OPTION_FORMAT },
		COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option, r;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case OPTION_FOLLOW:
			e->follow = true;
			break;
		case OPTION_SINCE:
			if (text_to_time(optarg, clock_wall_us(), &e->printer.since_us) < 0) {
				log_error("--since: \"%s\" is no time; try 2026-11-23, or 1d", optarg);
				return EXIT_USAGE;
			}
			break;
		case OPTION_FORMAT:
			if (event_format_from_name(optarg, &e->printer.format) < 0) {
				log_error("--format is text, json, ocsf or ecs, not \"%s\"", optarg);
				return EXIT_USAGE;
			}
			break;
		default:
			r = command_common_option(self, &e->common, option);
			if (r >= 0)
				return r;
		}
	}
	if (optind < argc) {
		log_error("hallmark events takes no arguments: it shows this host's spool (for others: hallmark "
			  "verify)");
		return EXIT_USAGE;
	}
	return -1;
}

static int show_frame(struct events *e, const struct frame *f, uint64_t missed)
{
	const Hallmark__V1__Batch *b = f->batch;
	int r;

	if (missed > 0)
		log_warning("%" PRIu64 " batches before sequence %" PRIu64 " are not here: deleted, or damaged", missed,
			    b->sequence);
	/* an event is not younger than the batch that it is in */
	if (b->time_us < e->printer.since_us)
		return 0;
	if (!e->fingerprint[0] || memcmp(e->key, b->key.data, PUBLIC_KEY_SIZE) != 0) {
		r = public_key_fingerprint(b->key.data, e->fingerprint);
		if (r < 0)
			return r;
		memcpy(e->key, b->key.data, PUBLIC_KEY_SIZE);
	}
	r = printer_frame(&e->printer, f, e->fingerprint, NULL);
	if (r == -EBADMSG) {
		log_warning("the events of batch %" PRIu64 " cannot be decoded; none of them is shown", b->sequence);
		r = 0;
	} else if (r == -EPROTONOSUPPORT) {
		log_warning("the events of batch %" PRIu64 " need dictionary %u, which hallmark %s does not have",
			    b->sequence, events_dictionary(b), HALLMARK_VERSION);
		r = 0;
	}
	return r;
}

static int show(struct events *e, struct follow *f)
{
	struct frame frame;
	uint64_t missed;
	int r;

	do {
		while ((r = follow_next(f, &frame, &missed)) > 0) {
			r = show_frame(e, &frame, missed);
			if (r < 0)
				return r;
		}
		if (r == 0)
			r = printer_flush(&e->printer, true);
	} while (r == 0 && e->follow && (r = follow_wait(f)) == 0);
	return r == -EPIPE ? 0 : r;
}

/* Why the spool cannot be read, and what to do. */
static void explain(int error, const char *spool)
{
	log_error_errno(error, "Cannot read the spool %s", spool);
	if (error == -EACCES || error == -EPERM)
		log_error("it is for root and for members of the group hallmark-spool: use sudo, or have yourself "
			  "added (usermod -aG hallmark-spool NAME, then log in again)");
	else if (error == -ENOENT)
		log_error("hallmarkd has not run here yet, or keeps its state elsewhere (--state DIR): see "
			  "systemctl status hallmarkd");
}

static int run(const struct command *self, int argc, char **argv)
{
	_cleanup_(events_done) struct events e = { .printer = PRINTER_INIT };
	_cleanup_(config_done) struct config config = { 0 };
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	_cleanup_(follow_closep) struct follow *f = NULL;
	_cleanup_(freep) char *spool = NULL;
	int r;

	r = read_options(&e, self, argc, argv);
	if (r >= 0)
		return r;
	e.printer.colour = printer_colour();
	if (config_load(e.common.config_path, e.common.state_directory, &config, &why) < 0) {
		log_error("%.*s", (int)why.len, why.len ? (const char *)why.data : "");
		return EXIT_USAGE;
	}
	if (asprintf(&spool, "%s/spool", config.state_directory) < 0)
		return EXIT_UNKNOWN;
	r = follow_open(spool, config.run_directory, &f);
	if (r == 0)
		r = show(&e, f);
	if (r < 0)
		explain(r, spool);
	return r < 0 ? EXIT_UNKNOWN : EXIT_YES;
}

const struct command command_events = {
	.name = "events",
	.arguments = "[OPTION…]",
	.summary = "Show the events that this host has recorded",
	.options =
		"Shows what this host's spool holds, up to what is durable, to root and to members of\n"
		"the group hallmark-spool.\n\n"
		"  --follow           go on with what comes, until Ctrl-C\n"
		"  --since TIME       nothing earlier: RFC 3339, \"YYYY-MM-DD[ HH:MM[:SS]]\" (UTC), or a span\n"
		"                     before now (1d, 90min)\n"
		"  --format FORMAT    text (default), json, ocsf or ecs: one object a line\n",
	.run = run,
};
