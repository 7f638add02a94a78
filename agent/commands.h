/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the hallmark command: one cmd-NAME.c each, listed in the table in hallmark.c. Output goes to
 * standard output, complaints to standard error through log.h.
 */
#ifndef HALLMARK_AGENT_COMMANDS_H
#define HALLMARK_AGENT_COMMANDS_H

#include <getopt.h>

enum exit_code { /* of every command */
	EXIT_YES = 0,     /* yes, whole, pass */
	EXIT_NO = 1,      /* no */
	EXIT_UNKNOWN = 2, /* could not tell */
	EXIT_USAGE = 3,   /* usage or configuration */
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line, for `hallmark --help` */
	const char *options;   /* what --help says of the options, lines as printed */
	int (*run)(const struct command *self, int argc, char **argv); /* argv[0] is the verb; an exit_code */
};

extern const struct command command_events, command_parse, command_status, command_verify;

/* The options that every verb has, for its getopt_long() table and loop. */
struct command_common {
	const char *config_path, *state_directory; /* NULL: as installed */
};
enum { OPTION_CONFIG = 1000, OPTION_STATE, OPTION_HELP };
#define COMMON_OPTIONS                                            \
	{ "config", required_argument, NULL, OPTION_CONFIG },     \
		{ "state", required_argument, NULL, OPTION_STATE }, \
		{ "help", no_argument, NULL, OPTION_HELP }
#define COMMON_OPTIONS_HELP                                              \
	"  --config FILE      read FILE instead of /etc/hallmark/hallmark.conf\n" \
	"  --state DIR        key, spool and status are in DIR\n"        \
	"  --help             this text\n"

/* Handles `option` if it is one of them. Returns -1: go on; else the exit code to end with (--help, or '?',
 * of which getopt has already complained). */
int command_common_option(const struct command *self, struct command_common *common, int option);

#endif
