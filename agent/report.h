/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a chain was found to be, in words: a paragraph for each host key (text), or an object a line (JSON, each
 * with a "report" key, which no event has); at last the verdict over all.
 */
#ifndef HALLMARK_AGENT_REPORT_H
#define HALLMARK_AGENT_REPORT_H

#include "agent/chain.h"
#include "agent/render.h"

/* After chain_judge(). Each appends to `out`. */
int report_host(const struct chain_host *h, enum format format, bool colour, struct buf *out);
int report_all(const struct chain *c, enum format format, bool colour, struct buf *out);
/* The exit code (commands.h): whole, not whole, could not tell. */
int report_exit(const struct chain *c);

#endif
