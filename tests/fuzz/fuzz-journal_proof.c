/* SPDX-License-Identifier: Apache-2.0 */
/* A journal file: what is shown of it is the same in one step and in many, and never more entries than fit into it.
 * Of which boot they are is known beforehand; test-journal_proof.c holds it against libsystemd. */
#include "collectors/journal_format.h"
#include "collectors/journal_proof.h"
#include "tests/fuzz/fuzz.h"

static int prove(const char *path, sd_id128_t id, unsigned step, struct journal_proof *ret)
{
	struct journal_boot boot = { .first.boot = SD_ID128_MAKE(aa, aa, aa, aa, aa, aa, aa, aa, aa, aa, aa, aa, aa, aa, aa, aa) };
	const struct journal_boots boots = { .list = &boot, .n = 1 };
	int r;

	*ret = (struct journal_proof){ 0 };
	while ((r = journal_proof_step(ret, path, id, &boots, step)) == 0)
		;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_proof whole, steps;
	struct journal_header h = { 0 };
	char path[64];
	int r;

	(void)input_file(bytes_of(data, size), path);
	memcpy(&h, data, MIN(size, sizeof h));
	r = prove(path, h.file_id, UINT32_MAX, &whole);
	check(prove(path, h.file_id, 1, &steps) == r);
	check(r < 0 || (steps.n_seen == whole.n_seen && steps.last_end == whole.last_end));
	check(whole.n_seen <= size / sizeof(struct journal_entry_object));
	return 0;
}
