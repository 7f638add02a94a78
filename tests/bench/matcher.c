/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What understanding a line costs: header_parse() and template_match() over the lines of a file, held in
 * memory, several times over.
 *
 *     matcher DIRECTORY-OF-TEMPLATES FILE [ROUNDS]
 */
#include <errno.h>
#include <fcntl.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"
#include "collectors/header.h"
#include "collectors/template.h"

struct totals {
	uint64_t lines, known, bytes, header_us, both_us;
};

static void run(struct template_set *set, struct bytes text, bool match, struct totals *t)
{
	struct header_clock clock = { .now_us = clock_wall_us() };
	uint64_t begin = clock_us(CLOCK_PROCESS_CPUTIME_ID), known = 0, lines = 0;

	while (text.len > 0) {
		const uint8_t *newline = memchr(text.data, '\n', text.len);
		struct bytes line = { text.data, newline ? (size_t)(newline - text.data) : text.len };
		struct parsed_line parsed;
		struct template_match found;

		text = bytes_from(text, line.len + 1);
		header_parse(&clock, line, &parsed);
		known += match && template_match(set, parsed.program, parsed.message, &found);
		lines++;
	}
	*(match ? &t->both_us : &t->header_us) += clock_us(CLOCK_PROCESS_CPUTIME_ID) - begin;
	t->lines += match ? lines : 0;
	t->known += known;
}

int main(int argc, char **argv)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)1 << 30), why = BUF_INIT(4096);
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	int rounds = argc > 3 ? atoi(argv[3]) : 10;
	struct totals t = { 0 };

	if (argc < 3 || template_set_new(&set) < 0)
		return 3;
	if (template_set_add_directory(set, argv[1], &why) < 0 || template_set_ready(set) < 0 ||
	    read_file_at(AT_FDCWD, argv[2], false, &text) < 0) {
		fprintf(stderr, "%.*s\n", (int)why.len, (const char *)why.data);
		return 3;
	}
	for (int i = 0; i < rounds; i++) {
		run(set, buf_bytes(&text), false, &t);
		run(set, buf_bytes(&text), true, &t);
	}
	printf("%llu templates, %llu lines, %.1f %% known, %.1f bytes and %.1f steps a line\n",
	       (unsigned long long)template_set_count(set), (unsigned long long)t.lines,
	       100.0 * (double)t.known / (double)t.lines, (double)text.len * rounds / (double)t.lines,
	       (double)template_set_steps(set) / (double)t.lines);
	printf("ns a line: %.0f splitting and header, %.0f with template\n",
	       1000.0 * (double)t.header_us / (double)t.lines, 1000.0 * (double)t.both_us / (double)t.lines);
	return 0;
}
