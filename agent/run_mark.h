/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the run before ended. A clean stop says so in the chain (a farewell). A crash leaves a mark, which its
 * signal handler writes into a file that was opened beforehand; a kill leaves nothing; and a machine that went
 * down under the agent has another boot id afterwards.
 */
#ifndef HALLMARK_AGENT_RUN_MARK_H
#define HALLMARK_AGENT_RUN_MARK_H

#include "proto/envelope.h"

#define RUN_END_MAX 96

/* Reads the mark that the run before left in the directory. `last` is that run's newest batch, or NULL. True
 * where it ended in an orderly way, or there was none. */
bool run_mark_previous(int dir_fd, const Hallmark__V1__Batch *last, const uint8_t *boot_id,
		       char ret_text[static RUN_END_MAX]);
/* Begins this run's mark, and catches the signals of a crash. */
int run_mark_begin(int dir_fd, const uint8_t run_id[static 16]);

#endif
