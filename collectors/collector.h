/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one interface of everything that is read from: a log file with its rotations, the journal, the inbox.
 *
 * A collector is started with the position that the last durable batch names (or NULL), says through a
 * file descriptor that there may be more, hands lines to the intake, and tells its position when a batch
 * is closed. It counts a line only once the intake has taken it: what position() says is always the state
 * after the last line that the intake took. It never blocks, never waits, and keeps no thread.
 *
 *     collector->ops->start(c, position)
 *     loop:  poll(fd) → wake(c); while (read(c, in, budget) == COLLECTOR_MORE) …
 *     batch closed:  position(c, &p);   batch durable: committed(c)
 */
#ifndef HALLMARK_COLLECTORS_COLLECTOR_H
#define HALLMARK_COLLECTORS_COLLECTOR_H

#include "collectors/intake.h"

enum collector_result {
	COLLECTOR_END = 0,  /* nothing more for now */
	COLLECTOR_MORE = 1, /* the budget is used up: call again */
	COLLECTOR_FULL = 2, /* the batch is full: commit it, then call again */
};

/* Where to begin when there is no position: entries that are older are no evidence of ours. */
struct collector_start {
	int64_t since_us; /* 0: from the beginning; INT64_MAX: only what comes from now on */
	int64_t stopped_us; /* when the last batch was closed; 0 at the first start */
};

struct collector {
	const struct collector_ops *ops;
	const char *name; /* Position.source; a path, "journal" or "inbox" */
	uint32_t source;  /* struct origin's source; set by whoever owns the list */
};

/* How far the position that was told last has come. */
struct collector_lag {
	uint64_t behind_bytes; /* that are there and not read yet; UINT64_MAX: cannot be told */
	uint64_t read_to_us;   /* the wall clock's time of the entry read last; 0: cannot be told */
};

struct collector_ops {
	/* Opens what is there; what is missing or unreadable is no error, but is said by an event and tried
	 * again. A position that cannot be found again becomes a loss. Both are put to the intake by read(). */
	int (*start)(struct collector *c, const struct collector_start *start,
		     const Hallmark__V1__Position *position);
	/* To be polled for reading; -1 where there is nothing to poll. */
	int (*fd)(struct collector *c);
	/* The descriptor is readable, or a checkpoint is due (`tick`): takes note of
	 * what changed, reads no lines. */
	int (*wake)(struct collector *c, bool tick);
	/* Hands about `budget` bytes of lines to the intake. A negative errno is for what no later call will
	 * mend; everything else is an event. */
	int (*read)(struct collector *c, struct intake *in, size_t budget);
	/* Fills `ret`, which is initialised; what it points to stays the collector's, valid until its next call. */
	int (*position)(struct collector *c, Hallmark__V1__Position *ret);
	/* The batch with the position that was told last is durable. NULL for a source that need not know. */
	void (*committed)(struct collector *c);
	/* One sentence for a person where something cannot be read, with the reason; NULL where all is well. */
	const char *(*trouble)(struct collector *c);
	/* NULL where it cannot be told. Cheap: it is asked for each second while events come. */
	void (*lag)(struct collector *c, struct collector_lag *ret);
	struct collector *(*free)(struct collector *c); /* returns NULL */
};

/* A log file: `path` as configured; it need not exist. */
int logfile_new(const char *path, struct collector **ret);

/* journald. `directory` NULL: this host's own journal. `all`: every entry; else what journal_selects() takes. */
int journal_new(const char *directory, bool all, struct collector **ret);

/* The inbox in the state directory, which need not be there: what other parts of hallmark hand in. */
int inbox_new(const char *state_directory, struct collector **ret);

#endif
