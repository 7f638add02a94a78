/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signs: the key under STATE/key, made at the first start, and the names of this host.
 *
 * A key and its chain belong together, and to one instance (instance.h). A new key is `new.pem` until its first
 * frame is durable, and `key.pem` from then on: so a start that was interrupted between the two is told from a key
 * that lost its chain. A key without its chain, a chain without its key, and both of them on another instance, are
 * set aside, never deleted, in steps each of which a kill may be the last before:
 *
 *     STATE/retiring/reason     why, in a sentence
 *     STATE/retiring/key        what was STATE/key, moved
 *     STATE/retiring/spool      what was STATE/spool: once it is here, all of the old state is
 *     STATE/key/instance        this instance's names, then
 *     STATE/key/new.pem         its new key
 *     STATE/spool               the new chain's first frame, which says identity_reset, and goes on where the
 *                               old chain had counted up to
 *     STATE/retired/N           what was STATE/retiring
 *
 * So until the new chain has said so, STATE/retiring tells what it has to say.
 */
#ifndef HALLMARK_AGENT_IDENTITY_H
#define HALLMARK_AGENT_IDENTITY_H

#include "agent/instance.h"
#include "proto/envelope.h"

#define IDENTITY_REASON_MAX INSTANCE_WHY_MAX

struct identity {
	struct signing_key *key;
	uint8_t public_key[PUBLIC_KEY_SIZE];
	char fingerprint[FINGERPRINT_SIZE];
	bool is_new; /* its first frame was not durable yet, also where the file is no key: identity_settle() */
	struct instance instance; /* this one's names now */
	char host[256];
	uint8_t machine_id[16], boot_id[16];
	bool has_machine_id, has_boot_id;
};

/* Reads what is there: 1 a key, 0 none, negative errno (-EBADMSG: a file that is no key). Fills the host's
 * names in every case. */
int identity_load(int state_fd, struct identity *ret);
/* Whether the key that was loaded, or was there, is at home on this instance, for all that can be known. New names
 * are kept beside it. 1: yes; 0: no, and `why` says so (INSTANCE_WHY_MAX). */
int identity_at_home(int state_fd, const struct identity *id, struct buf *why);
/* Makes a key, in place of one that has no durable frame: durable, mode 0600, when it returns. */
int identity_create(int state_fd, struct identity *id);
/* The key's first frame is durable: it is the key, and what it succeeds is retired for good. */
int identity_settle(int state_fd, struct identity *id);
/* Sets STATE/key and STATE/spool aside. The spool must be there, and closed. */
int identity_retire(int state_fd, struct identity *id, struct bytes reason);
/* Finishes an identity_retire() that was interrupted; before all else. */
int identity_resume(int state_fd);
/* The old state that the key has yet to say it succeeds: a descriptor, and the reason as a string. -ENOENT: none. */
int identity_retiring(int state_fd, char ret_reason[static IDENTITY_REASON_MAX + 1]);
void identity_done(struct identity *id);

#endif
