/* SPDX-License-Identifier: Apache-2.0 */
/* What this host's journal, or that in a directory, is good for: for choosing sources. */
#ifndef HALLMARK_COLLECTORS_JOURNAL_H
#define HALLMARK_COLLECTORS_JOURNAL_H

#include "collectors/collector.h"

struct journal_facts {
	bool present;      /* there are journal files */
	bool persistent;   /* … that outlive a boot: under /var/log/journal, or in a directory that was named */
	bool carries_auth; /* syslog(3) ends in it, or it holds entries of facility auth or authpriv */
	size_t unreadable; /* files of it that this user may not read */
	char example[256]; /* one of them */
};

/* `directory` NULL: this host's. */
int journal_inspect(const char *directory, struct journal_facts *ret);

#endif
