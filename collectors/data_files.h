/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of data that stand beside one another: templates, redactions. */
#ifndef HALLMARK_COLLECTORS_DATA_FILES_H
#define HALLMARK_COLLECTORS_DATA_FILES_H

#include "agent/base/buf.h"

/* Adds one file's text to `to`. `origin` names the file. Returns how many things it added, or a negative errno with a
 * sentence in `ret_why`, if that is not NULL. */
typedef int (*data_file_add)(void *to, struct bytes text, const char *origin, struct buf *ret_why);

/* Hands over every file of a directory whose name ends in `suffix`, in the order of their names; those whose name
 * begins with a dot are left out. A missing directory is no error. On an error in one file the others are added all
 * the same, and the first one's error is told. Returns how many things were added. */
int data_files_add(const char *path, const char *suffix, data_file_add add, void *to, struct buf *ret_why);

#endif
