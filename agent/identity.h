/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signs: the key under STATE/key, made at the first start, and the names of this host.
 *
 * A key and its chain belong together. A new key is `new.pem` until its first frame is durable, and `key.pem`
 * from then on: so a start that was interrupted between the two is told from a key that lost its chain. A key
 * without its chain, and a chain without its key, are set aside under STATE/retired, never deleted.
 */
#ifndef HALLMARK_AGENT_IDENTITY_H
#define HALLMARK_AGENT_IDENTITY_H

#include "proto/envelope.h"

struct identity {
	struct signing_key *key;
	uint8_t public_key[PUBLIC_KEY_SIZE];
	char fingerprint[FINGERPRINT_SIZE];
	bool is_new; /* its first frame is not durable yet: identity_settle() */
	char host[256];
	uint8_t machine_id[16], boot_id[16];
	bool has_machine_id, has_boot_id;
};

/* Reads what is there: 1 a key, 0 none, negative errno (-EBADMSG: a file that is no key). Fills the host's
 * names in every case. */
int identity_load(int state_fd, struct identity *ret);
/* Makes a key: durable, mode 0600, when it returns. */
int identity_create(int state_fd, struct identity *id);
/* The key's first frame is durable. */
int identity_settle(int state_fd, struct identity *id);
/* Moves STATE/key and STATE/spool to STATE/retired/N. The spool must be closed. */
int identity_retire(int state_fd, struct identity *id);
void identity_done(struct identity *id);

#endif
