/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "agent/base/io.h"
#include "agent/base/text.h"

#define MARK_FILE "run-mark"
#define MARK_ID_SIZE 32 /* the run id in hexadecimal, then " running" or " crashed NN" */

static int mark_fd = -1;

static void on_crash(int signal)
{
	char text[] = " crashed 00\n";
	ssize_t n;

	text[9] = (char)('0' + signal / 10 % 10);
	text[10] = (char)('0' + signal % 10);
	n = pwrite(mark_fd, text, sizeof text - 1, MARK_ID_SIZE);
	(void)n;
	/* SA_RESETHAND: the second time it kills, with a core dump where the host wants one */
	(void)raise(signal);
}

int run_mark_begin(int dir_fd, const uint8_t run_id[static 16])
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP };
	_cleanup_(buf_done) struct buf text = BUF_INIT(128);
	int r;

	r = text_hex(&text, bytes_of(run_id, 16));
	if (r >= 0)
		r = buf_str(&text, " running   \n");
	if (r < 0)
		return r;
	if (mark_fd < 0)
		mark_fd = openat(dir_fd, MARK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mark_fd < 0)
		return -errno;
	r = pwrite_all(mark_fd, buf_bytes(&text), 0);
	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(crashes); i++) {
		struct sigaction action = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

		if (sigaction(crashes[i], &action, NULL) < 0)
			r = -errno;
	}
	return r;
}

/* The signal that the run died of by the mark's word; 0: none. */
static unsigned mark_signal(int dir_fd, const Hallmark__V1__Batch *last)
{
	_cleanup_(buf_done) struct buf mark = BUF_INIT(128), id = BUF_INIT(128);
	uint64_t signal;
	struct bytes rest;

	if (read_file_at(dir_fd, MARK_FILE, true, &mark) < 0 ||
	    text_hex(&id, bytes_of(last->run_id.data, last->run_id.len)) < 0)
		return 0;
	if (!bytes_starts(buf_bytes(&mark), buf_bytes(&id)))
		return 0;
	rest = bytes_from(buf_bytes(&mark), id.len);
	if (!bytes_starts(rest, LIT(" crashed ")) || rest.len < 11 ||
	    bytes_to_u64(bytes_of(rest.data + 9, 2), &signal) < 0)
		return 0;
	return (unsigned)signal;
}

bool run_mark_previous(int dir_fd, const Hallmark__V1__Batch *last, const uint8_t *boot_id,
		       char ret_text[static RUN_END_MAX])
{
	unsigned signal;

	if (!last) {
		(void)snprintf(ret_text, RUN_END_MAX, "none");
		return true;
	}
	if (last->next_within_s == 0) {
		(void)snprintf(ret_text, RUN_END_MAX, "stopped");
		return true;
	}
	signal = mark_signal(dir_fd, last);
	if (signal)
		(void)snprintf(ret_text, RUN_END_MAX, "crashed (signal %u)", signal);
	else if (boot_id && last->host && last->host->boot_id.len == 16 &&
		 memcmp(last->host->boot_id.data, boot_id, 16) != 0)
		(void)snprintf(ret_text, RUN_END_MAX, "went down with the machine");
	else
		(void)snprintf(ret_text, RUN_END_MAX, "killed");
	return false;
}
