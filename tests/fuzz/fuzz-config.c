/* SPDX-License-Identifier: Apache-2.0 */
/* hallmark.conf: either a sentence that says what is wrong, or a configuration within its bounds. */
#include <errno.h>

#include "agent/config.h"
#include "tests/fuzz/fuzz.h"

static void check_paths(char *const *list)
{
	size_t n = 0;

	for (; list && list[n]; n++)
		check(list[n][0] == '/');
	check(list && n <= 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(config_done) struct config c = { 0 };
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	const uint64_t second = 1000000;
	char path[64];
	int r;

	(void)input_file(bytes_of(data, size), path);
	r = config_load(path, "/state", &c, &why);
	if (r < 0) {
		check(r == -EINVAL || r == -ERANGE || r == -EMSGSIZE);
		check(why.len > 0 && !c.state_directory && !c.files);
		return 0;
	}
	check(why.len == 0);
	check(c.sources <= SOURCES_BOTH);
	check(!c.journal_directory || c.journal_directory[0] == '/');
	check_paths(c.files);
	check_paths(c.template_directories);
	check(c.spool_cap_bytes >= 32u << 20);
	check(c.commits_per_second >= 1 && c.commits_per_second <= 1000);
	check(c.checkpoint_us >= second && c.checkpoint_us <= 86400 * second);
	check(strcmp(c.state_directory, "/state") == 0 && strcmp(c.run_directory, "/state/run") == 0);
	return 0;
}
