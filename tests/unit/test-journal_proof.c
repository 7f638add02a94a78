/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a journal file without libsystemd, held against what libsystemd reaches in it. */
#include "tests/unit/journal-host.h"

#include "collectors/journal_files.h"

#define ENTRIES 300u /* in three boots */
#define DAMAGES 1500u

static char path[128];

static void make_file(const char *name)
{
	auth_series(BOOT_A, "a", 1, ENTRIES / 3, T0);
	auth_series(BOOT_B, "b", 1, ENTRIES / 3, T0 + 100000000000);
	auth_series(BOOT_C, "c", 1, ENTRIES / 3, T0 + 200000000000);
	flush(name);
	(void)snprintf(path, sizeof path, "%s/%s", journal_dir, name);
}

static sd_journal *open_file(struct journal_boots *ret)
{
	const char *paths[] = { path, NULL };
	sd_journal *j;

	if (sd_journal_open_files(&j, paths, 0) < 0)
		return NULL;
	assert_int_equal(journal_boots_add(ret, j), 0);
	return j;
}

/* As the walk goes; from the middle of each boot on once more, with the file opened anew, as it does too. */
static size_t count(const struct journal_boots *boots)
{
	const char *paths[] = { path, NULL };
	size_t n = 0;

	for (size_t i = 0; i < boots->n; i++) {
		sd_id128_t boot = boots->list[i].first.boot;
		struct journal_place half;
		size_t m = 0;
		uint64_t us;
		sd_journal *j;

		assert_int_equal(sd_journal_open_files(&j, paths, 0), 0);
		if (journal_match_boot(j, boot) < 0 || sd_journal_seek_head(j) < 0)
			m = ENTRIES;
		for (; m < ENTRIES / 6 && sd_journal_next(j) > 0 && journal_read_time(j, boot, &us) > 0; m++)
			;
		if (m == ENTRIES / 6 && journal_place_read(j, &half) >= 0) {
			sd_journal_close(j);
			assert_int_equal(sd_journal_open_files(&j, paths, 0), 0);
			if (journal_find(j, &half) > 0)
				while (sd_journal_next(j) > 0)
					m += journal_read_time(j, boot, &us) > 0;
		}
		sd_journal_close(j);
		n += m;
	}
	return n;
}

static int prove(const struct journal_boots *boots, unsigned step, unsigned *ret_steps)
{
	struct journal_proof proof = { 0 };
	struct journal_header h;
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	assert_int_equal(pread(fd, &h, sizeof h, 0), sizeof h);
	assert_int_equal(close(fd), 0);
	*ret_steps = 0;
	do {
		r = journal_proof_step(&proof, path, h.file_id, boots, step);
		++*ret_steps;
	} while (r == 0);
	return r;
}

static void assert_proven_in_steps(void)
{
	_cleanup_(journal_boots_done) struct journal_boots boots = { 0 };
	sd_journal *j = open_file(&boots);
	unsigned steps;

	assert_non_null(j);
	sd_journal_close(j);
	assert_int_equal(count(&boots), ENTRIES);
	assert_int_equal(prove(&boots, ENTRIES, &steps), 1);
	assert_int_equal(steps, 1);
	assert_int_equal(prove(&boots, 7, &steps), 1);
	assert_int_equal(steps, (ENTRIES + 6) / 7);
	/* a boot that libsystemd does not find, and one too many */
	boots.n--;
	assert_true(prove(&boots, ENTRIES, &steps) < 0);
	boots.n++;
	boots.list = realloc(boots.list, (boots.n + 1) * sizeof *boots.list);
	boots.list[boots.n++] = (struct journal_boot){ 0 };
	assert_true(prove(&boots, ENTRIES, &steps) < 0);
}

TEST(a_whole_file_is_proven_in_any_steps)
{
	setup();
	make_file("a.journal");
	assert_proven_in_steps();
	teardown();
}

TEST(a_whole_file_with_long_offsets_is_proven_too)
{
	setup();
	assert_int_equal(setenv("SYSTEMD_JOURNAL_COMPACT", "0", 1), 0);
	make_file("a.journal");
	assert_int_equal(unsetenv("SYSTEMD_JOURNAL_COMPACT"), 0);
	assert_proven_in_steps();
	teardown();
}

static uint64_t random_below(uint64_t n)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

/* Where something stands that is not zero: words of 8 bytes. */
static size_t list_words(int fd, uint64_t **ret)
{
	struct stat st;
	uint64_t *words, *list;
	size_t n = 0;

	assert_int_equal(fstat(fd, &st), 0);
	words = malloc((size_t)st.st_size);
	list = calloc((size_t)st.st_size / 8, sizeof *list);
	assert_true(words && list);
	assert_int_equal(pread(fd, words, (size_t)st.st_size, 0), st.st_size);
	for (size_t i = 0; i < (size_t)st.st_size / 8; i++)
		if (words[i] != 0)
			list[n++] = i * 8;
	free(words);
	*ret = list;
	return n;
}

/* Puts what stands elsewhere, nothing, or a wrong bit there; returns what it was. */
static uint64_t damage_word(int fd, const uint64_t *list, size_t n, uint64_t *ret_at)
{
	uint64_t was, word;

	*ret_at = list[random_below(n)];
	assert_int_equal(pread(fd, &was, sizeof was, (off_t)*ret_at), sizeof was);
	assert_int_equal(pread(fd, &word, sizeof word, (off_t)list[random_below(n)]), sizeof word);
	switch (random_below(3)) {
	case 0:
		word = 0;
		break;
	case 1:
		word = was ^ UINT64_C(1) << random_below(64);
		break;
	}
	assert_int_equal(pwrite(fd, &word, sizeof word, (off_t)*ret_at), sizeof word);
	return was;
}

TEST(whatever_is_damaged_nothing_is_proven_that_libsystemd_does_not_reach)
{
	unsigned proven = 0, short_of = 0, steps;
	uint64_t *list;
	size_t n;
	int fd;

	setup();
	make_file("a.journal");
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	n = list_words(fd, &list);
	for (unsigned i = 0; i < DAMAGES; i++) {
		_cleanup_(journal_boots_done) struct journal_boots boots = { 0 };
		uint64_t where, was = damage_word(fd, list, n, &where);
		sd_journal *j = open_file(&boots);

		if (j) {
			size_t reached = count(&boots);
			int r = prove(&boots, ENTRIES, &steps);

			sd_journal_close(j);
			if (r > 0 && reached != ENTRIES)
				fail_msg("word %" PRIu64 " was %" PRIx64 ": proven, but %zu of %u are reached", where, was, reached, ENTRIES);
			proven += r > 0;
			short_of += reached < ENTRIES;
		}
		assert_int_equal(pwrite(fd, &was, sizeof was, (off_t)where), sizeof was);
	}
	/* both happened */
	assert_in_range(proven, DAMAGES / 10, DAMAGES);
	assert_in_range(short_of, DAMAGES / 100, DAMAGES);
	free(list);
	assert_int_equal(close(fd), 0);
	teardown();
}
