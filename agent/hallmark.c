/* SPDX-License-Identifier: Apache-2.0 */
/* hallmark(1): the table of verbs. */
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/macro.h"
#include "agent/commands.h"

static const struct command *const commands[] = { &command_events, &command_parse, &command_status, &command_verify };

static void print_help(void)
{
	printf("hallmark COMMAND [ARGUMENT…]\n\n"
	       "Shows and proves what hallmarkd has recorded.\n\n");
	for (size_t i = 0; i < ELEMENTSOF(commands); i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	printf("\n  --help     this text; hallmark COMMAND --help tells more of each\n"
	       "  --version  the version\n\n"
	       "Exit codes: 0 yes, whole, pass; 1 no; 2 could not tell; 3 usage or configuration.\n");
}

int command_common_option(const struct command *self, struct command_common *common, int option)
{
	switch (option) {
	case OPTION_CONFIG:
		common->config_path = optarg;
		return -1;
	case OPTION_STATE:
		common->state_directory = optarg;
		return -1;
	case OPTION_HELP:
		printf("hallmark %s %s\n\n%s.\n\n%s%s", self->name, self->arguments, self->summary, self->options,
		       COMMON_OPTIONS_HELP);
		return EXIT_YES;
	default:
		return EXIT_USAGE;
	}
}

int main(int argc, char **argv)
{
	log_setup("hallmark", LOG_INFO);
	if (argc < 2) {
		log_error("which command? See hallmark --help");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0) {
		print_help();
		return EXIT_YES;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("hallmark " HALLMARK_VERSION);
		return EXIT_YES;
	}
	for (size_t i = 0; i < ELEMENTSOF(commands); i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->run(commands[i], argc - 1, argv + 1);
	log_error("there is no command \"%s\"; see hallmark --help", argv[1]);
	return EXIT_USAGE;
}
