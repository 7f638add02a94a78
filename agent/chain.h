/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges frames: whose they are, whether each continues the one before it, what is missing, what is there
 * twice. Fed one frame after another, in any order, of any number of hosts; keeps some 100 bytes for each.
 *
 *     chain_new(&options, &c)
 *     chain_add(c, frame)       each frame whose signature holds; then, unless it is a duplicate or not
 *     chain_note_…(c, …)        trusted, what its events came to; and what belongs to no host
 *     chain_judge(c)            once, after the last frame
 *     chain_hosts(c, &n)        what was found (report.h puts it into words)
 *
 * Frames and their keys may be chosen by somebody who wants this to be slow: tables have a random seed, and
 * everything is linear in the number of frames, but for one sort.
 */
#ifndef HALLMARK_AGENT_CHAIN_H
#define HALLMARK_AGENT_CHAIN_H

#include "proto/envelope.h"

struct chain;

enum chain_verdict { /* of one frame */
	CHAIN_NEW = 0,
	CHAIN_DUPLICATE = 1, /* the same key, sequence and digest: to be dropped */
	CHAIN_UNTRUSTED = 2, /* of a key that is not among the trusted ones: its events are nobody's word */
};

struct chain_options {
	const char (*trusted)[FINGERPRINT_SIZE]; /* ascending (strcmp), without repetitions; borrowed */
	size_t n_trusted;
	bool trust_given; /* a key that is not in `trusted` is wrong, not just unknown */
	bool trust_first; /* keys on first sight are good enough */
	bool from_start;
	bool as_of; /* demanded for the time as_of_us */
	int64_t as_of_us;
};

/* What is wrong with a host's evidence: bits. */
enum chain_problem {
	CHAIN_GAPS = 1 << 0,
	CHAIN_BREAKS = 1 << 1,       /* a frame does not name the one before it */
	CHAIN_FORKS = 1 << 2,        /* two frames with one sequence */
	CHAIN_BAD_EVENTS = 1 << 3,   /* signed, but not to be decoded */
	CHAIN_NO_START = 1 << 4,     /* only where from_start is asked */
	CHAIN_OVERDUE = 1 << 5,      /* only where as_of_us is asked */
	CHAIN_NOT_TRUSTED = 1 << 6,
	CHAIN_FIRST_SIGHT = 1 << 7,  /* not wrong, but cannot be told */
};
#define CHAIN_PROBLEMS 8

/* Sequences, of which the first few ranges are kept by name. */
#define CHAIN_LISTED_MAX 16u
struct chain_list {
	uint64_t ranges, sequences;
	struct chain_range {
		uint64_t first, last;
	} *listed; /* MIN(ranges, CHAIN_LISTED_MAX); NULL while there are none */
};

#define CHAIN_PROGRAMS_MAX 16u
#define CHAIN_PROGRAM_NAME 32u
/* Lines of one program that no template knew. */
struct chain_program {
	char name[CHAIN_PROGRAM_NAME];
	uint64_t lines;
};

#define CHAIN_REASONS_MAX 32u
struct chain_loss {
	char *reason, *unit;
	uint64_t count, amount; /* amount: saturates; 0 where the host does not know it */
};

#define CHAIN_EXCLUDED_MAX 64u
/* Lines that the host was told to leave out of the record. */
struct chain_excluded {
	char *what; /* the entry of its configuration */
	uint64_t lines;
};

#define CHAIN_NAME_MAX 255u

struct chain_host {
	uint8_t key[PUBLIC_KEY_SIZE];
	char fingerprint[FINGERPRINT_SIZE];
	bool trusted;
	char *name; /* as the newest frame gives it; foreign bytes, at most CHAIN_NAME_MAX */
	uint64_t name_sequence;

	/* counted while frames are added */
	uint64_t frames, duplicates, events, unknown, forged, bad_events;
	struct chain_program *programs; /* with unknown lines; what is more than CHAIN_PROGRAMS_MAX counts in `unknown` only */
	size_t n_programs;
	uint64_t losses;
	struct chain_loss *reasons; /* by reason and unit; what is more than CHAIN_REASONS_MAX counts in `losses` only */
	size_t n_reasons;
	uint64_t excluded;
	struct chain_excluded *exclusions; /* also of no lines; those past CHAIN_EXCLUDED_MAX count in `excluded` only */
	size_t n_exclusions;

	/* found by chain_judge() */
	unsigned problems; /* enum chain_problem */
	uint64_t first_sequence, last_sequence;
	int64_t first_time_us, last_time_us;
	bool from_start; /* begins with the chain's first frame */
	bool farewell;   /* the last frame is one */
	uint32_t next_within_s;
	uint64_t runs, runs_cut; /* …which ended without farewell, and another began */
	uint64_t backwards;      /* batches that are older than the one before them */
	struct chain_list gaps, breaks, forks;
};

/* What belongs to no host, since nothing proves it. */
enum chain_trouble {
	CHAIN_DAMAGE,        /* bytes that are no frame */
	CHAIN_BAD_SIGNATURE, /* the signature is not that of the key that the frame names */
	CHAIN_NEWER,         /* of a format or with a dictionary that is newer than this program */
	CHAIN_UNREADABLE,    /* a file that cannot be read */
	CHAIN_UNCHECKED,     /* a signature that could not be checked */
	CHAIN_TROUBLE_MAX
};
struct chain_stranger {
	uint64_t count, bytes;
};

/* `options` must outlive the chain. */
int chain_new(const struct chain_options *options, struct chain **ret);
struct chain *chain_free(struct chain *c); /* returns NULL */
DEFINE_CLEANUP(struct chain *, chain_free)

/* The frame's signature has been checked by the caller, and held. An enum chain_verdict, or -ENOMEM. */
int chain_add(struct chain *c, const struct frame *f);

/* For a frame that was added: what its events came to; that they could not be decoded; a loss that the host
 * declares in one of them (foreign bytes, of which the first 64 are kept; amount in decimal). */
void chain_note_events(struct chain *c, const struct frame *f, uint64_t events, uint64_t unknown, uint64_t forged);
void chain_note_bad_events(struct chain *c, const struct frame *f);
int chain_note_unknown(struct chain *c, const struct frame *f, struct bytes program);
int chain_note_loss(struct chain *c, const struct frame *f, struct bytes reason, struct bytes amount,
		    struct bytes unit);
/* …and what its batch says was left out. */
int chain_note_excluded(struct chain *c, const struct frame *f);
void chain_note_trouble(struct chain *c, enum chain_trouble which, uint64_t bytes);

int chain_judge(struct chain *c);
const struct chain_host *chain_hosts(const struct chain *c, size_t *ret_n); /* in the order of first sight */
const struct chain_stranger *chain_troubles(const struct chain *c);         /* [CHAIN_TROUBLE_MAX] */
const struct chain_options *chain_asked(const struct chain *c);
/* The trusted keys of which there is no frame: the first at or behind place `*i` of `trusted`, which is set to the
 * place behind it; NULL at the end. */
const char *chain_absent(const struct chain *c, size_t *i);

/* The fingerprint of the key of a frame that was added. */
const char *chain_fingerprint(const struct chain *c, const struct frame *f);

#endif
