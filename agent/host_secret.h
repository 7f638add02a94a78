/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A secret that never leaves this host. Under it, digests tell that two things are the same (names that are not to be
 * recorded, the bytes before a position) without telling anybody who has the record what they are: a password of
 * eight letters is soon found from a digest that needs no key.
 *
 * It is made at the first start, and stays when the signing key is replaced, so that positions still hold. Without
 * it they fit nothing, and the sources say what that means.
 */
#ifndef HALLMARK_AGENT_HOST_SECRET_H
#define HALLMARK_AGENT_HOST_SECRET_H

#include "agent/base/bytes.h"

#define HOST_SECRET_SIZE 32u

/* The key for one purpose, which `label` names: HMAC-SHA-256 of the label under DIR/secret (mode 0600), which is made
 * where there is none, or none of that size. A negative errno where it can neither be read nor made. */
int host_secret_derive(const char *state_directory, const char *label, uint8_t ret[static HOST_SECRET_SIZE]);

#endif
