/* SPDX-License-Identifier: Apache-2.0 */
/* The status that hallmarkd leaves for everybody: what is taken of it is written as it was read, and can be judged. */
#include <errno.h>

#include "agent/verdict.h"
#include "tests/fuzz/fuzz.h"

static struct status once, again;

static void check_verdict(uint64_t boot_us)
{
	static struct config config = { .state_directory = (char *)"/state", .run_directory = (char *)"/run" };
	struct verdict_facts facts = { .status = &once, .config = &config, .options = "", .boot_us = boot_us };
	struct verdict v;

	memcpy(facts.boot_id, once.boot_id, sizeof facts.boot_id);
	verdict_judge(&facts, &v);
	check(v.error == 0);
	/* whatever it says, what is late is not well, and what is wrong is said */
	if (boot_us < once.boot_us || boot_us - once.boot_us > 2 * once.next_within_us)
		check(v.word != VERDICT_COLLECTING_ONLY);
	check((v.word == VERDICT_COLLECTING_ONLY) == (v.n == 0));
	for (size_t i = 0; i < v.n; i++)
		for (const char *c = v.problems[i].mend; c && *c; c++)
			check(*c >= ' ' && *c < 0x7f);
	verdict_done(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20), copy = BUF_INIT(1 << 20);
	int r = status_parse(bytes_of(data, size), &once);

	if (r < 0) {
		check(r == -EBADMSG || r == -EPROTONOSUPPORT);
		return 0;
	}
	check(status_format(&once, &text) == 0);
	check(status_parse(buf_bytes(&text), &again) == 0);
	check(status_format(&again, &copy) == 0 && bytes_eq(buf_bytes(&text), buf_bytes(&copy)));
	check_verdict(once.boot_us);
	check_verdict(once.boot_us + 1);
	check_verdict(UINT64_MAX);
	check_verdict(0);
	return 0;
}
