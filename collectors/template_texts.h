/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of templates, most of which are never read again on a host: packed, they take a fifth.
 *
 *     texts_add(&t, …)       for each, in loading
 *     texts_pack(&t)         once
 *     texts_read(&t, …)      seldom: it unpacks all of them
 */
#ifndef HALLMARK_COLLECTORS_TEMPLATE_TEXTS_H
#define HALLMARK_COLLECTORS_TEMPLATE_TEXTS_H

#include "agent/base/buf.h"

#define TEXTS_MAX ((size_t)64 << 20)

struct template_texts {
	struct buf plain, packed; /* one of them is empty */
	size_t size;              /* of the plain texts */
};

#define TEMPLATE_TEXTS_INIT { .plain = { .max = TEXTS_MAX }, .packed = { .max = TEXTS_MAX } }

/* Where it was put is in `ret`. -ENOMEM; -EMSGSIZE past TEXTS_MAX. */
int texts_add(struct template_texts *t, struct bytes text, size_t *ret);
int texts_pack(struct template_texts *t);
/* Appends all texts to `ret`: each stands where texts_add() has said. */
int texts_read(const struct template_texts *t, struct buf *ret);
void texts_done(struct template_texts *t);

#endif
