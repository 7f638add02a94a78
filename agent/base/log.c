/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/log.h"

#include <stdarg.h>
#include <string.h>

static const char *log_program = "hallmark";
static int log_level = LOG_INFO;
static int log_prefix; /* under systemd, which says so by JOURNAL_STREAM */

void log_setup(const char *program, int level)
{
	log_program = program;
	log_level = level;
	log_prefix = getenv("JOURNAL_STREAM") != NULL;
}

static void _printf_(3, 0) log_line(int level, int r, const char *format, va_list ap)
{
	char text[2048];

	if (level > log_level)
		return;
	(void)vsnprintf(text, sizeof text, format, ap);
	if (log_prefix)
		(void)fprintf(stderr, "<%d>", level);
	else
		(void)fprintf(stderr, "%s: ", log_program);
	if (r < 0)
		(void)fprintf(stderr, "%s: %s\n", text, strerror(-r));
	else
		(void)fprintf(stderr, "%s\n", text);
}

void log_message(int level, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_line(level, 0, format, ap);
	va_end(ap);
}

int log_errno(int level, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_line(level, r, format, ap);
	va_end(ap);
	return r;
}
