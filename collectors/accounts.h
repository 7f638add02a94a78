/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which uids the host's own accounts have, from /etc/passwd and nothing else: the name service may ask a network,
 * and an answer that has to be waited for is none for a log reader. So only what stands there can be contradicted;
 * whatever a directory server knows is unproven.
 *
 * The file is anybody's text: one of more than ACCOUNTS_BYTES_MAX or ACCOUNTS_MAX lines says nothing at all, since
 * half of it could contradict what the other half would confirm.
 */
#ifndef HALLMARK_COLLECTORS_ACCOUNTS_H
#define HALLMARK_COLLECTORS_ACCOUNTS_H

#include "agent/base/buf.h"

#define ACCOUNTS_BYTES_MAX (4u * 1024 * 1024)
#define ACCOUNTS_MAX 100000u

struct accounts;

/* Nothing is opened before the first question. `path` is copied. */
int accounts_new(const char *path, struct accounts **ret);
struct accounts *accounts_free(struct accounts *a); /* returns NULL */
DEFINE_CLEANUP(struct accounts *, accounts_free)

/* True only if whoever was `uid` at `time_us` cannot have been called `name`: the uid has accounts of other names
 * only, or the name is an account of other uids only, and was so by then. Looks whether the file changed at most
 * once a second, and once more before it says yes to something that is newer than its last look. */
bool accounts_contradict(struct accounts *a, struct bytes name, uint64_t uid, int64_t time_us);

#endif
