/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's files one by one. libsystemd passes over in silence a file that it cannot open, and the rest
 * of one that is damaged. So each file is read once by itself, and what can be reached is held against what its
 * header says that it holds, unless that is shown in a cheaper way (journal_proof.h).
 */
#ifndef HALLMARK_COLLECTORS_JOURNAL_FILES_H
#define HALLMARK_COLLECTORS_JOURNAL_FILES_H

#include "collectors/journal_format.h"
#include "collectors/journal_proof.h"

struct journal_file {
	char *path;
	int error; /* 0, or why it cannot be read: -EACCES, …; -EBADMSG: its header is damaged */
	sd_id128_t id;
	uint8_t state;
	uint64_t n_entries;
	struct journal_place tail; /* of its last entry, without the hash; where the header is damaged, only a time */

	bool audited;
	uint8_t audited_state; /* the state that it had then */
	uint64_t said;         /* how many of its entries are said to be missing */
};

struct journal_files {
	struct journal_file *list;
	size_t n;
};

/* Looks at all files of the journal (`directory` NULL: this host's); keeps what the audit knows of them. A directory
 * that may not be read stands in the list like a file. */
int journal_files_list(const char *directory, struct journal_files *f);
void journal_files_done(struct journal_files *f);

/* Opens the journal (`directory` NULL: this host's) as libsystemd does. */
int journal_open(const char *directory, sd_journal **ret);

/* One file after another; zero-initialised. */
struct journal_audit {
	struct journal_file *file; /* borrowed from the list: to be ended before that is made anew */
	struct journal_boots boots;
	struct journal_proof proof;
	bool unproven; /* its entries are counted: */
	size_t boot; /* which of them it has come to */
	bool within; /* … and in it, as far as `last` */
	struct journal_place last;
	uint64_t reached;
};

/* Reads about `entries` entries more of what is to be audited: every file that holds something after `place` (may
 * be NULL) and since `from_us`, once, and once more when it is archived. 1 and the file, when it is done with one, with
 * how many entries of it cannot be reached beyond those that were said; 0: call again; -ENOENT: nothing is left to do. */
int journal_audit_step(struct journal_audit *a, struct journal_files *f, const struct journal_place *place,
		       uint64_t from_us, unsigned entries, struct journal_file **ret, uint64_t *ret_missing);
void journal_audit_end(struct journal_audit *a);

#endif
