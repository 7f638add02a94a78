/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether libsystemd can reach each entry of a journal file, shown without it: counting them with it costs an eighth of
 * reading them. It goes to a boot's entries by the chain of its _BOOT_ID. So if it knows the boots, their chains are
 * whole, each link of them is a whole entry of that boot and comes after the one before by place, number and time, and
 * together they are as many as the file says that it holds, then none is out of reach. Whatever is not just so proves nothing: then they are to be counted.
 */
#ifndef HALLMARK_COLLECTORS_JOURNAL_PROOF_H
#define HALLMARK_COLLECTORS_JOURNAL_PROOF_H

#include "collectors/journal_boots.h"

/* A place in a chain of arrays of entries. */
struct journal_chain {
	uint64_t array, item;
};

/* Zero-initialised; its own. */
struct journal_proof {
	uint64_t n_seen; /* entries, of this boot and those before it */
	size_t n_boots;
	sd_id128_t boot;
	uint64_t left; /* entries of the boot that are to be looked at */
	struct journal_chain of_boot, of_all;
	uint64_t last_end, last_seqnum, last_us; /* the one before: where it ends, its number and its time */
};

/* Looks at `entries` more of the file of that id. `boots` are those in it that libsystemd knows. 1: all n_seen can be
 * reached; 0: call again; -EBADMSG, or another errno: that is not shown. */
int journal_proof_step(struct journal_proof *p, const char *path, sd_id128_t id, const struct journal_boots *boots,
		       unsigned entries);

#endif
