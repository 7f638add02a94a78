/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target without libFuzzer: runs it over its corpus, tests/fuzz/corpus/NAME for fuzz-NAME, or over
 * the files that the command line names. One test, in TAP; the last file that is named is the one that failed.
 */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

static int is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void run(const char *directory, const char *name)
{
	_cleanup_(buf_done) struct buf input = BUF_INIT((size_t)16 << 20);
	_cleanup_(freep) char *path = NULL;
	_cleanup_(freep) uint8_t *exact = NULL;

	check(asprintf(&path, "%s%s%s", directory, directory[0] ? "/" : "", name) > 0);
	printf("# %s\n", path);
	(void)fflush(stdout);
	check(read_file_at(AT_FDCWD, path, false, &input) == 0);
	/* of just this size, so that a byte behind it is noticed */
	exact = malloc(input.len);
	check(exact || input.len == 0);
	if (input.len > 0)
		memcpy(exact, input.data, input.len);
	(void)LLVMFuzzerTestOneInput(exact, input.len);
}

int main(int argc, char **argv)
{
	_cleanup_(freep) char *corpus = NULL;
	struct dirent **names = NULL;
	int n = 0;

	for (int i = 1; i < argc; i++)
		run("", argv[i]);
	if (argc < 2) {
		check(strstr(argv[0], "fuzz-") &&
		      asprintf(&corpus, "tests/fuzz/corpus/%s", strrchr(argv[0], '/') + sizeof "fuzz-") > 0);
		n = scandir(corpus, &names, is_visible, alphasort);
		check(n > 0);
	}
	for (int i = 0; i < n; i++) {
		run(corpus, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("1..1\nok 1 - %d inputs\n", argc < 2 ? n : argc - 1);
	return 0;
}
