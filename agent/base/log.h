/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program has to say of itself, on standard error; under systemd with the priority prefix
 * of sd-daemon(3), so that the journal knows the level. A function either logs or returns its
 * error, never both. Text that came from a log, a file or a peer goes through escape_text() first.
 */
#ifndef HALLMARK_BASE_LOG_H
#define HALLMARK_BASE_LOG_H

#include <syslog.h>

#include "agent/base/macro.h"

/* The name that stands before each message; `level`: the least urgent one that is printed. */
void log_setup(const char *program, int level);
void log_message(int level, const char *format, ...) _printf_(2, 3);
/* Appends ": " and what the negative errno `r` means; returns `r`, for `return log_errno(...)`. */
int log_errno(int level, int r, const char *format, ...) _printf_(3, 4);

#define log_error(...) log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_message(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_error_errno(r, ...) log_errno(LOG_ERR, r, __VA_ARGS__)
#define log_warning_errno(r, ...) log_errno(LOG_WARNING, r, __VA_ARGS__)

#endif
