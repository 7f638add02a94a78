/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells a log file's collector that something changed (inotify(7)): its directory, or while that is
 * missing the deepest of those above it that is there, and the files that it holds open.
 *
 * A directory that is removed while we hold a file that was in it does not tell so itself (its inode lives
 * on); the one above it does, and is watched too.
 */
#ifndef HALLMARK_COLLECTORS_LOGFILE_WATCH_H
#define HALLMARK_COLLECTORS_LOGFILE_WATCH_H

#include <inotifytools/inotify.h>

#include "agent/base/bytes.h"
#include "agent/base/macro.h"

struct watch {
	int fd;
	int directory_wd;  /* -1: none could be watched */
	int above_wd;      /* of the directory above the log's own, once that is there; or -1 */
	bool is_parent;    /* directory_wd is of the log's own directory, not of one above it */
	char *path;        /* the log's */
	struct bytes base, directory; /* its last component, and the one before that */
};

#define WATCH_INIT { .fd = -1, .directory_wd = -1, .above_wd = -1 }

int watch_init(struct watch *w, const char *path);
void watch_done(struct watch *w);

/* Looks anew which directory is to be watched. After it any change from the state that is then looked at
 * makes the descriptor readable. A negative errno where none can be watched. */
int watch_directory(struct watch *w);
/* Returns a watch descriptor, or -1: then only a directory event or the tick will tell. */
int watch_file(struct watch *w, int fd);
void watch_drop(struct watch *w, int wd);

/* Hands the events that are pending to `take`; stops after some hundred, the rest comes next time. */
int watch_read(struct watch *w, void (*take)(void *context, const struct inotify_event *e), void *context);
/* Whether an event says that the files of the log should be looked at again. */
bool watch_concerns(struct watch *w, const struct inotify_event *e);

#endif
