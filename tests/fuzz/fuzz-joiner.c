/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of several processes, the first byte of each of which says whose it is and when: each comes out once, by itself
 * to the letter or joined to what it continues, and no more are held than may be. */
#include "collectors/joiner.h"
#include "tests/fuzz/fuzz.h"

struct run {
	struct joiner *joiner;
	struct bytes input;
	size_t out, joined;
};

static struct joiner_line line_of(struct bytes text)
{
	uint8_t who = text.len > 0 ? text.data[0] : 0;
	struct joiner_line line = { .origin = { .source = 1 + (who >> 7), .provenance = PROVENANCE_NONE },
				    .time_us = (who & 16) ? 0 : JOINER_APART_US + 1,
				    .pid = who & 3,
				    .message = bytes_from(text, 1) };

	line.origin.program = (who & 8) ? LIT("sshd") : (who & 4) ? LIT("sudo-rs") : LIT("sudo");
	line.origin.has_provenance = who & 32;
	line.origin.provenance.uid = (who & 64) ? 1000 : 0;
	return line;
}

static void come_out(struct run *r, const struct joiner_line *line)
{
	struct bytes m = line->message;

	r->out++;
	check(m.len <= EVENT_RAW_MAX);
	check(line->joined || m.len == 0 || memmem(r->input.data, r->input.len, m.data, m.len));
	check(joiner_line_size(line) >= m.len + line->origin.program.len);
}

static void offer(struct run *r, struct bytes text)
{
	struct joiner_line line = line_of(text);
	bool whole = text.len <= EVENT_RAW_MAX;
	const struct joiner_line *held;
	size_t count = joiner_count(r->joiner);
	int answer;

	if (!joiner_concerns(r->joiner, line.origin.program)) {
		come_out(r, &line);
		return;
	}
	for (; (answer = joiner_look(r->joiner, &line, whole, &held)) == JOINER_OUT; count--) {
		check(count > 0);
		come_out(r, held);
		joiner_drop(r->joiner, held);
	}
	check(joiner_count(r->joiner) == count && count <= JOINER_HELD_MAX);
	check(whole || answer == JOINER_OTHER);
	if (answer == JOINER_FIRST)
		check(joiner_hold(r->joiner, &line, 1) == 0);
	else if (answer == JOINER_JOINED)
		r->joined++;
	else
		come_out(r, &line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .input = { data, size } };
	struct bytes text = r.input;
	const struct joiner_line *held;
	size_t n = 0;

	check(joiner_new(&r.joiner) == 0);
	for (; text.len > 0; n++)
		offer(&r, take_line(&text));
	check((joiner_due_us(r.joiner) > 0) == (joiner_count(r.joiner) > 0));
	while ((held = joiner_oldest(r.joiner))) {
		come_out(&r, held);
		joiner_drop(r.joiner, held);
	}
	check(r.out + r.joined == n);
	joiner_free(r.joiner);
	return 0;
}
