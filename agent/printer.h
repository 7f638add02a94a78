/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the events of frames to standard output, through one buffer; what `hallmark verify` and `hallmark
 * events` have in common. */
#ifndef HALLMARK_AGENT_PRINTER_H
#define HALLMARK_AGENT_PRINTER_H

#include "agent/chain.h"
#include "agent/render.h"

struct printer {
	enum format format;
	bool colour;      /* printer_colour() knows */
	bool quiet;       /* no events, but what they come to */
	bool show_host;
	int64_t since_us; /* earlier events are passed over; INT64_MIN: none */
	struct buf out;   /* of what is printed; whoever adds to it calls printer_flush() */
	struct buf plain;
};

#define PRINTER_INIT                                             \
	{                                                        \
		.since_us = INT64_MIN, .out = BUF_INIT(64u << 20), \
		.plain = BUF_INIT(BATCH_EXPANDED_MAX)            \
	}

void printer_done(struct printer *p);

/* Standard output is a terminal, and nobody asked for no colour (NO_COLOR, a dumb terminal). */
bool printer_colour(void);

/* The events of a frame whose signature holds: all of them are decoded before the first is printed.
 * -EBADMSG: they do not decode, or are not as many as the batch says; -EPROTONOSUPPORT: they need a newer
 * dictionary than this program has; nothing of them was printed. What they come to is noted in `c`, if that is
 * not NULL. `fingerprint`: of the frame's key. */
int printer_frame(struct printer *p, const struct frame *f, const char *fingerprint, struct chain *c);

/* Writes out what has gathered, if it is much, or if it is to be seen `now`. */
int printer_flush(struct printer *p, bool now);

#endif
