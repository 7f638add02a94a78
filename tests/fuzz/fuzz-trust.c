/* SPDX-License-Identifier: Apache-2.0 */
/* Files of trusted keys: what was understood can be written down, and is understood the same again. */
#include <errno.h>

#include "agent/trust.h"
#include "tests/fuzz/fuzz.h"

static void check_fingerprints(const struct trust *t)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < t->n; i++) {
		check(bytes_starts(bytes_str(t->fingerprints[i]), LIT("SHA256:")));
		check(strspn(t->fingerprints[i] + 7, digits) == FINGERPRINT_SIZE - 8);
		check(i == 0 || strcmp(t->fingerprints[i - 1], t->fingerprints[i]) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(trust_done) struct trust t = { 0 }, again = { 0 };
	_cleanup_(buf_done) struct buf text = BUF_INIT(2 * TRUST_FILE_MAX);
	unsigned line = 0, lines = 1;
	int r = trust_add(&t, bytes_of(data, size), &line);

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	check(r == 0 ? line == 0 : r == -EBADMSG && line >= 1 && line <= lines);
	trust_sort(&t);
	check_fingerprints(&t);
	for (size_t i = 0; i < t.n; i++)
		check(buf_printf(&text, "%s a note\n", t.fingerprints[i]) == 0);
	check(trust_add(&again, buf_bytes(&text), &line) == 0);
	trust_sort(&again);
	check(again.n == t.n);
	for (size_t i = 0; i < t.n; i++)
		check(strcmp(t.fingerprints[i], again.fingerprints[i]) == 0);
	return 0;
}
