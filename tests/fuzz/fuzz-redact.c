/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody's redactions, and behind an empty line messages of three values with tabs between them: what is wrong with a
 * rule is said; words and values make up the new message, only what may be changed has changed, and a value in which
 * something was found says so, within the room and the steps that redact.h promises. */
#include "collectors/redact.h"
#include "tests/fuzz/fuzz.h"

static const struct bytes literals[] = { LIT("<"), LIT("> --password \""), LIT("' pw="), LIT(">") };
static const uint16_t ids[] = { 0, 1, 2 };
static const struct wording wording = { .n_fields = 3, .literals = literals, .field_ids = ids };

static void put_together(struct buf *out, const struct bytes *values)
{
	for (size_t i = 0; i < 3; i++)
		check(buf_append(out, literals[i]) == 0 && buf_append(out, values[i]) == 0);
	check(buf_append(out, literals[3]) == 0);
}

/* The first value is text, the second a name that no account bears, the third neither. */
static void check_message(struct redactor *red, struct bytes line)
{
	_cleanup_(buf_done) struct buf before = BUF_INIT((size_t)1 << 30), after = BUF_INIT((size_t)1 << 30);
	struct bytes values[3] = { line, BYTES_NONE, BYTES_NONE }, old[3], message;
	uint64_t steps = redactor_steps(red);

	for (size_t i = 0; i < 2; i++) {
		const uint8_t *tab = values[i].len > 0 ? memchr(values[i].data, '\t', values[i].len) : NULL;

		if (!tab)
			break;
		values[i + 1] = bytes_from(values[i], (size_t)(tab - values[i].data) + 1);
		values[i].len = (size_t)(tab - values[i].data);
	}
	memcpy(old, values, sizeof old);
	put_together(&before, values);
	message = buf_bytes(&before);
	if (redact(red, &wording, 1, 2, values, &message) == 0) {
		check(memcmp(old, values, sizeof old) == 0 && message.data == before.data && message.len == before.len);
	} else {
		put_together(&after, values);
		check(bytes_eq(message, buf_bytes(&after)) && message.len <= MAX(before.len, (size_t)EVENT_RAW_MAX));
		check(bytes_eq(values[2], old[2]));
		check(bytes_eq(values[0], old[0]) ||
		      memmem(values[0].data, values[0].len, "[redacted ", strlen("[redacted ")));
		check(old[1].len == 0 || bytes_eq(values[1], LIT("[redacted unknown-user]")));
	}
	/* all that each byte may cost: itself, the window, separators and the longest key for each rule with the same
	 * words; twice, once to see and once to write */
	check(redactor_steps(red) - steps <= (redactor_count(red) + 1) * 1024 * (line.len + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *gap = size > 0 ? memmem(data, size, "\n\n", 2) : NULL;
	size_t len = gap ? (size_t)(gap - data) : size;
	struct bytes messages = bytes_from(bytes_of(data, size), len + 2);
	_cleanup_(redactor_freep) struct redactor *red = NULL;
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	int n;

	check(redactor_new(&red) == 0);
	redactor_set_unknown_users(red, UNKNOWN_USERS_DROP);
	n = redactor_add(red, bytes_of(data, len), "here", &why);
	check(redactor_count(red) == (n < 0 ? 0 : (size_t)n));
	check(n < 0 ? bytes_starts(buf_bytes(&why), LIT("here")) : why.len == 0);
	check(redactor_ready(red) == 0);
	while (messages.len > 0)
		check_message(red, take_line(&messages));
	return 0;
}
