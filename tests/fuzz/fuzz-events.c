/* SPDX-License-Identifier: Apache-2.0 */
/* An Events message: every event is the line that its parts make up, what belongs to no event is refused, and what is
 * shown of an event is one line of text or one JSON object. */
#include <errno.h>
#include <jansson.h>

#include "agent/base/text.h"
#include "agent/render.h"
#include "proto/event_reader.h"
#include "tests/fuzz/fuzz.h"

static Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;
static const struct event_place place = { .batch = &batch };
static struct buf out = BUF_INIT((size_t)64 << 20);

static void check_shown(const struct event *e)
{
	json_t *json;

	buf_clear(&out);
	check(render_event(&out, FORMAT_TEXT, false, e, &place) == 0 && text_is_utf8(buf_bytes(&out)));
	for (size_t i = 0; i < out.len; i++)
		check(out.data[i] == '\n' ? i + 1 == out.len : out.data[i] >= 0x20 && out.data[i] != 0x7f);
	for (unsigned format = FORMAT_JSON; format <= FORMAT_ECS; format++) {
		buf_clear(&out);
		check(render_event(&out, (enum format)format, false, e, &place) == 0 && out.len > 0);
		check(memchr(out.data, '\n', out.len) == out.data + out.len - 1);
		json = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		check(json_is_object(json));
		json_decref(json);
	}
}

/* The template's words and the fields, in their order, are the message. */
static void check_text(const char *text, const struct event *e, struct bytes rest)
{
	size_t n = 0;

	while (*text != '\0') {
		struct bytes piece = { (const uint8_t *)text, 1 };

		if ((text[0] == '{' || text[0] == '}') && text[1] == text[0]) {
			text += 2;
		} else if (text[0] == '{') {
			check(n < e->n_fields && event_name_ok(e->fields[n].name));
			text += 1 + strlen(e->fields[n].name);
			check(*text++ == '}');
			piece = e->fields[n++].value;
		} else {
			text++;
		}
		check(bytes_starts(rest, piece));
		rest = bytes_from(rest, piece.len);
	}
	check(rest.len == 0 && n == e->n_fields);
}

static void check_event(const struct event *e)
{
	const struct header *h = &e->origin.header;
	const struct bytes parts[] = { h->before, h->time, h->between, h->pid_text, h->after };
	struct bytes rest = e->raw;

	check(e->raw.len <= 2 * EVENT_RAW_MAX && e->n_fields <= EVENT_FIELDS_MAX);
	for (size_t i = 0; e->origin.has_header && i < ELEMENTSOF(parts); i++) {
		check(bytes_starts(rest, parts[i]));
		rest = bytes_from(rest, parts[i].len);
	}
	check(bytes_eq(rest, e->message));
	check_text(e->template_text, e, rest);
	check(e->meaning.activity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(event_reader_freep) struct event_reader *r = NULL;
	size_t n = 0, shown = 0;
	struct event e;
	int k = event_reader_new(bytes_of(data, size), INT64_C(1790000000000000), &r);

	if (k < 0) {
		check(k == -EBADMSG && !r);
		return 0;
	}
	while ((k = event_reader_next(r, &e)) == 1) {
		check_event(&e);
		/* a message of few bytes may hold very many events */
		shown += e.raw.len + event_burden(&e, &place);
		if (n++ < 100 && shown < 1u << 20)
			check_shown(&e);
	}
	check(k == 0 ? n == event_reader_count(r) : k == -EBADMSG && n <= event_reader_count(r));
	check(event_reader_next(r, &e) == k);
	return 0;
}
