/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads this host's spool while it is being written, frame after frame, up to the committed end and no
 * further; goes on where it stopped once that end has moved. (frames.h reads what lies still.)
 *
 *     follow_open(spool, run, &f)
 *     while (follow_next(f, &frame) > 0) …   all there is for now
 *     follow_wait(f)                         without polling; then follow_next() again
 */
#ifndef HALLMARK_AGENT_FOLLOW_H
#define HALLMARK_AGENT_FOLLOW_H

#include "proto/envelope.h"

struct follow;

/* -EACCES, -ENOENT: the spool directory cannot be read, or is not there. */
int follow_open(const char *spool_directory, const char *run_directory, struct follow **ret);
struct follow *follow_close(struct follow *f); /* returns NULL */
DEFINE_CLEANUP(struct follow *, follow_close)

/* 1 and a frame whose signature holds, valid until the next call; 0: no more for now. A frame is returned once;
 * void and damaged ones never are. `ret_missed`: how many sequences between this frame and the one before are
 * not there any more. While nothing is published (no agent has run since the boot) all that the spool
 * holds counts as committed: that is what the agent will start from. */
int follow_next(struct follow *f, struct frame *ret, uint64_t *ret_missed);

/* Returns 0 when something may have been published since follow_next() returned 0; -EPIPE when nobody reads
 * standard output any more. */
int follow_wait(struct follow *f);

#endif
