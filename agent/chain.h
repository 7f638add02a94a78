/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a run of frames: whose they are, whether each continues the one before it, what is missing, what is
 * there twice. Fed one frame after another, in any order, of any number of hosts; keeps some 100 bytes for each.
 */
#ifndef HALLMARK_AGENT_CHAIN_H
#define HALLMARK_AGENT_CHAIN_H

#include "proto/envelope.h"

struct chain;

enum chain_verdict { /* of one frame */
	CHAIN_NEW = 0,
	CHAIN_DUPLICATE = 1, /* the same key, sequence and digest: to be dropped */
	CHAIN_FORK = 2,      /* the same key and sequence with another digest: kept, and not whole */
};

struct chain_options {
	const uint8_t (*trusted)[PUBLIC_KEY_SIZE];
	size_t n_trusted;
	bool trust_first; /* keys on first sight are good enough */
	bool from_start;
	int64_t as_of_us; /* 0: not asked */
};

int chain_new(struct chain **ret);
struct chain *chain_free(struct chain *c);
DEFINE_CLEANUP(struct chain *, chain_free)

/* The frame's signature has been checked by the caller, and held. Negative errno: -ENOMEM. */
int chain_add(struct chain *c, const struct frame *f);
/* What the caller met that belongs to no host: damaged bytes, a bad signature, a frame that is newer. */
void chain_note_damage(struct chain *c, uint64_t bytes);
void chain_note_bad_signature(struct chain *c);
void chain_note_newer(struct chain *c);
void chain_note_unreadable(struct chain *c);
/* Events of a frame that were printed or counted; a loss that a host declared (amount as text). */
void chain_note_events(struct chain *c, const struct frame *f, uint64_t events, uint64_t unknown, uint64_t losses);

/* Appends the report, a paragraph for each host key (text) or an object a line (JSON), and returns the exit
 * code: 0 whole, 1 not whole, 2 could not tell. */
int chain_report(struct chain *c, const struct chain_options *options, bool json, struct buf *out, int *ret_exit);

#endif
