/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether whoever sent a message can have written it. Anybody can write any words under any tag into syslog; but
 * the kernel tells journald the sender's real uid with each message (`_UID`), and templates say who may write what.
 *
 * Forged needs a contradiction: a uid that is known, a rule that holds for the message, and that none of those whom
 * the rule names can be. Whatever is missing is unproven, and the message stays what it is; so are names in a journal
 * that another machine wrote. What journald samples
 * later (`_EXE`, `_COMM`) a local user can race: it only ever adds suspicion.
 */
#ifndef HALLMARK_COLLECTORS_SENDER_H
#define HALLMARK_COLLECTORS_SENDER_H

#include "collectors/accounts.h"
#include "collectors/template.h"

/* VARIETY_NOT_ROOT, VARIETY_NOT_CALLER, VARIETY_SUSPECT: those that apply, or 0. */
unsigned sender_judge(struct accounts *accounts, const struct origin *origin, int64_t time_us,
		      const struct template_match *match);

#endif
