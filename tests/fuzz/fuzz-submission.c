/* SPDX-License-Identifier: Apache-2.0 */
/* A submission: what is taken goes into a batch whole, and comes back from it to the letter, with all that was said
 * of it; what is not has a reason. */
#include <errno.h>

#include "agent/base/text.h"
#include "proto/event_reader.h"
#include "proto/submission.h"
#include "tests/fuzz/fuzz.h"

static struct event_writer *writer;
static struct buf plain = BUF_INIT(BATCH_EXPANDED_MAX), message = BUF_INIT(EVENT_RAW_MAX);

__attribute__((constructor)) static void make_writer(void)
{
	check(event_writer_new(&writer) == 0);
}

__attribute__((destructor)) static void give_back(void)
{
	event_writer_free(writer);
	buf_done(&plain);
	buf_done(&message);
}

static void add(const struct submitted *e)
{
	struct origin origin = { .source = 1, .program = LIT("p"), .provenance = PROVENANCE_NONE };

	buf_clear(&message);
	for (size_t i = 0; i < e->wording->n_fields; i++)
		check(buf_append(&message, e->wording->literals[i]) == 0 && buf_append(&message, e->values[i]) == 0);
	check(buf_append(&message, e->wording->literals[e->wording->n_fields]) == 0);
	check(event_writer_add(writer, &origin, e->time_us, 0, buf_bytes(&message), e->wording, e->values) == 0);
}

static void check_event(const struct event *found, const struct submitted *e)
{
	check(found->time_us == e->time_us && found->meaning.kind == e->wording->meaning.kind);
	check(found->n_fields == e->wording->n_fields);
	for (size_t i = 0; i < found->n_fields; i++)
		check(bytes_eq(found->fields[i].value, e->values[i]) && text_is_utf8(e->values[i]) &&
		      strcmp(found->fields[i].name, event_field_name(e->wording->field_ids[i])) == 0);
	check(bytes_eq(event_get(found, "drill"), LIT("yes")));
	check(strcmp(found->meaning.activity, e->wording->meaning.activity) == 0);
}

static void check_taken(const struct submission *s)
{
	struct event_reader *reader = NULL;
	struct event e;

	check(s->n_events >= 1 && s->n_events <= SUBMISSION_EVENTS_MAX);
	buf_clear(&plain);
	for (size_t i = 0; i < s->n_events; i++)
		add(&s->events[i]);
	check(event_writer_unknown(writer) == 0 && event_writer_finish(writer, 1, &plain) == 0);
	check(event_reader_new(buf_bytes(&plain), 1, &reader) == 0);
	for (size_t i = 0; i < s->n_events; i++) {
		check(event_reader_next(reader, &e) == 1);
		check_event(&e, &s->events[i]);
	}
	check(event_reader_next(reader, &e) == 0);
	event_reader_free(reader);
	event_writer_reset(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct submission_rights rights = { ~0u, { "drill", "yes" }, 8 };
	struct submission *s = NULL;
	const char *why = NULL;
	int r = submission_read(bytes_of(data, size), &rights, &s, &why);

	check(r == 0 ? s && !why : r == -EBADMSG && why && !s);
	if (s)
		check_taken(s);
	submission_free(s);
	return 0;
}
