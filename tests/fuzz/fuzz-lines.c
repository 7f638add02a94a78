/* SPDX-License-Identifier: Apache-2.0 */
/* The whole way of a line with the templates that are shipped: header, template, batch, and back again; what comes out
 * is the line to the letter, with the values that went in. */
#include <errno.h>

#include "collectors/header.h"
#include "collectors/template.h"
#include "proto/event_reader.h"
#include "tests/fuzz/fuzz.h"

#define NOW_US (INT64_C(1795438800) * 1000000) /* 2026-11-23 13:00:00 UTC */
#define LINES_MAX 64u

static struct template_set *set;
static struct event_writer *writer;

__attribute__((constructor)) static void make_ready(void)
{
	check(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1) == 0);
	check(template_set_new(&set) == 0 && template_set_add_directory(set, "packaging/templates", NULL) > 0 &&
	      template_set_ready(set) == 0 && event_writer_new(&writer) == 0);
}

__attribute__((destructor)) static void give_back(void)
{
	template_set_free(set);
	event_writer_free(writer);
}

struct sent {
	struct bytes line;
	struct parsed_line parsed;
	struct template_match match;
	bool known;
};

static bool send_line(struct header_clock *clock, struct sent *s)
{
	struct origin origin = { .source = 1, .has_header = true, .provenance = PROVENANCE_NONE };
	int r;

	header_parse(clock, s->line, &s->parsed);
	origin.header = s->parsed.header;
	origin.program = s->parsed.program;
	origin.host = s->parsed.host;
	s->known = template_match(set, origin.program, s->parsed.message, &s->match);
	r = event_writer_add(writer, &origin, s->parsed.has_time ? s->parsed.time_us : NOW_US, s->parsed.pid,
			     s->parsed.message, s->known ? s->match.wording : &wording_unknown,
			     s->known ? s->match.values : &s->parsed.message);
	check(r == 0 || (r == -EINVAL && s->line.len > EVENT_RAW_MAX));
	return r == 0;
}

static void check_came_back(const struct event *e, const struct sent *s)
{
	check(bytes_eq(e->raw, s->line) && bytes_eq(e->message, s->parsed.message) && e->pid == s->parsed.pid);
	check(bytes_eq(e->origin.program, s->parsed.program) && bytes_eq(e->origin.host, s->parsed.host));
	check(e->time_us == (s->parsed.has_time ? s->parsed.time_us : NOW_US));
	if (!s->known)
		return;
	check(e->meaning.kind == s->match.wording->meaning.kind && e->n_fields == s->match.wording->n_fields);
	for (size_t i = 0; i < e->n_fields; i++)
		check(strcmp(e->fields[i].name, event_field_name(s->match.wording->field_ids[i])) == 0 &&
		      bytes_eq(e->fields[i].value, s->match.values[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(event_reader_freep) struct event_reader *reader = NULL;
	_cleanup_(buf_done) struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX);
	struct header_clock clock = { .now_us = NOW_US };
	struct bytes text = { data, size };
	struct sent sent[LINES_MAX];
	struct event e;
	size_t n = 0;

	event_writer_reset(writer);
	while (text.len > 0 && n < LINES_MAX) {
		sent[n].line = take_line(&text);
		n += send_line(&clock, &sent[n]);
	}
	check(event_writer_count(writer) == n);
	check(event_writer_finish(writer, NOW_US, &plain) == 0 && plain.len <= event_writer_size(writer));
	check(event_reader_new(buf_bytes(&plain), NOW_US, &reader) == 0 && event_reader_count(reader) == n);
	for (size_t i = 0; i < n; i++) {
		check(event_reader_next(reader, &e) == 1);
		check_came_back(&e, &sent[i]);
	}
	check(event_reader_next(reader, &e) == 0);
	return 0;
}
