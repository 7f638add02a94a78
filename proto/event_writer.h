/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the columns of one batch (message Events). Made once, used for every batch: nothing is
 * allocated for an event once the columns have grown to their usual size.
 *
 *     event_writer_new(&w)
 *     event_writer_add(w, …)            as often as it says so
 *     event_writer_finish(w, &plain)    the packed Events message
 *     event_writer_reset(w)             the next batch
 *
 * Values that stand in a line are stored once, as the columns' values; the words around them once a
 * batch, as template text. That the two together give back the line to the letter is not believed
 * but compared, for every line: where it is not so, the line is stored as it is, and not typed.
 */
#ifndef HALLMARK_PROTO_EVENT_WRITER_H
#define HALLMARK_PROTO_EVENT_WRITER_H

#include "agent/base/buf.h"
#include "proto/event.h"

struct event_writer;

/* Field names are numbers on the way in, so that no event looks up a name: event_field_id() gives
 * the same number for the same name for the life of the process. -EINVAL for what event_name_ok()
 * refuses, -ENOSPC for one name too many. */
#define EVENT_FIELD_IDS_MAX 256u
int event_field_id(const char *name);
const char *event_field_name(unsigned id);

/* One wording: a template of which optional groups are resolved, as it stands in a batch: literal,
 * field, literal, field, …, literal (n_fields + 1 literals, each may be empty). Owned by the caller;
 * the writer keeps nothing of it. `slot` is the writer's own: start with {0}. */
struct wording {
	struct meaning meaning;
	bool unknown; /* wording_unknown, or a variety of it (template.h) */
	size_t n_fields;
	const struct bytes *literals;  /* n_fields + 1 */
	const uint16_t *field_ids;     /* n_fields */
	struct {
		uint64_t batch;
		uint32_t index;
	} slot;
};

/* The wording of a line that no template knows: one field, "message". */
extern struct wording wording_unknown;

int event_writer_new(struct event_writer **ret);
struct event_writer *event_writer_free(struct event_writer *w); /* returns NULL */
DEFINE_CLEANUP(struct event_writer *, event_writer_free)

/* Adds one event. `message` is the line without its header, `values` the fields' values (n_fields
 * of the wording). Returns 0, or a negative errno with nothing added: -EMSGSIZE where the batch has
 * no room for it (finish it first; an empty one has room for any event), -ENOMEM, and -EINVAL for what no
 * batch takes: a message, a header or an origin's texts together past EVENT_RAW_MAX, or header parts that
 * do not follow one another in memory. A full batch fits a frame even where nothing in it compresses. */
int event_writer_add(struct event_writer *w, const struct origin *origin, int64_t time_us, uint32_t pid,
		     struct bytes message, struct wording *wording, const struct bytes *values);

size_t event_writer_count(const struct event_writer *w);
/* Whether `n` more events surely fit, whose lines and origins' texts come to `len` bytes: of any fields, and of
 * wordings of the usual length. */
bool event_writer_has_room(const struct event_writer *w, size_t n, size_t len);
/* Close to the size of the packed message, never below it. */
size_t event_writer_size(const struct event_writer *w);
Hallmark__V1__Severity event_writer_severity(const struct event_writer *w);
/* Events that were added with wording_unknown or a variety of it, or fell back to it. */
size_t event_writer_unknown(const struct event_writer *w);

/* The packed Events message is appended to `ret`. `batch_time_us`: the Batch's time_us, which the
 * first time is relative to. */
int event_writer_finish(struct event_writer *w, int64_t batch_time_us, struct buf *ret);
void event_writer_reset(struct event_writer *w);
/* Gives memory back after a burst, so that an idle host keeps little. */
void event_writer_trim(struct event_writer *w);

#endif
