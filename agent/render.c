/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/render.h"

#include <errno.h>
#include <inttypes.h>

#include "agent/base/text.h"
#include "agent/render_parts.h"

/* Columns of the text line: as wide as most programs and meanings; what is longer pushes the rest aside. */
#define PROGRAM_WIDTH 16u
#define MEANING_WIDTH 28u

#define DIM "\033[2m"
#define RED "\033[1;31m"
#define YELLOW "\033[33m"
#define GREEN "\033[32m"
#define ALARM "\033[1;37;41m"
#define RESET "\033[0m"

static void add_colour(struct line *l, const char *code)
{
	if (l->colour && code)
		line_add(l, bytes_str(code));
}

static const char *const format_names[] = {
	[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_OCSF] = "ocsf", [FORMAT_ECS] = "ecs",
};

static int from_name(const char *name, size_t known, enum format *ret)
{
	for (size_t i = 0; i < known; i++) {
		if (strcmp(name, format_names[i]) == 0) {
			*ret = (enum format)i;
			return 0;
		}
	}
	return -EINVAL;
}

int format_from_name(const char *name, enum format *ret)
{
	return from_name(name, FORMAT_JSON + 1, ret);
}

int event_format_from_name(const char *name, enum format *ret)
{
	return from_name(name, ELEMENTSOF(format_names), ret);
}

bool event_is_unknown(const struct event *e)
{
	return e->meaning.kind == HALLMARK__V1__KIND__KIND_LOG &&
	       (strcmp(e->template_text, "{message}") == 0 ||
		strcmp(e->template_text, "message repeated {repeat} times: [ {message}]") == 0);
}

size_t render_time(int64_t time_us, char out[static 40])
{
	char *fraction, *t;

	(void)text_time(time_us, out);
	t = strchr(out, 'T');
	if (t)
		*t = ' ';
	fraction = strchr(out, '.');
	if (fraction)
		(void)memcpy(fraction, "Z", 2);
	return strlen(out);
}

/* --- for people ---------------------------------------------------------------------------------- */

static void pad(struct line *l, size_t start, size_t width)
{
	static const char blanks[] = "                              ";
	size_t used = l->out->len - start;

	line_add(l, bytes_of(blanks, (used < width ? width - used : 0) + 2));
}

/* name=value; a value that is empty, or has a blank or a quote, stands in quotes. */
static void add_pair(struct line *l, struct bytes name, struct bytes value)
{
	bool quoted = value.len == 0 || memchr(value.data, ' ', value.len) || memchr(value.data, '"', value.len);
	const uint8_t *quote;

	line_escaped(l, name);
	line_add(l, LIT("="));
	if (!quoted) {
		line_escaped(l, value);
		return;
	}
	line_add(l, LIT("\""));
	while (value.len > 0 && (quote = memchr(value.data, '"', value.len))) {
		size_t before = (size_t)(quote - value.data);

		line_escaped(l, bytes_of(value.data, before));
		line_add(l, LIT("\\\""));
		value = bytes_from(value, before + 1);
	}
	line_escaped(l, value);
	line_add(l, LIT("\""));
}

static const char *meaning_colour(const struct meaning *m)
{
	if (m->kind == HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS)
		return ALARM;
	if (m->severity >= HALLMARK__V1__SEVERITY__SEVERITY_HIGH)
		return RED;
	if (m->severity >= HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM ||
	    m->outcome == HALLMARK__V1__OUTCOME__OUTCOME_FAILURE)
		return YELLOW;
	return m->outcome == HALLMARK__V1__OUTCOME__OUTCOME_SUCCESS ? GREEN : NULL;
}

static void text_meaning(struct line *l, const struct meaning *m)
{
	size_t start;

	add_colour(l, meaning_colour(m));
	start = l->out->len;
	if (m->kind == HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS)
		line_add(l, LIT("!! EVIDENCE LOST"));
	else
		line_add(l, bytes_str(kind_name(m->kind)));
	if (m->activity[0] && strcmp(m->activity, kind_name(m->kind)) != 0) {
		line_add(l, LIT(" "));
		line_escaped(l, bytes_str(m->activity));
	}
	if (m->outcome != HALLMARK__V1__OUTCOME__OUTCOME_NONE) {
		line_add(l, LIT(" "));
		line_add(l, bytes_str(outcome_name(m->outcome)));
	}
	/* the padding is outside of the colours, and must not count them */
	if (l->colour && meaning_colour(m)) {
		add_colour(l, RESET);
		start += sizeof RESET - 1;
	}
	pad(l, start, MEANING_WIDTH);
}

static void text_details(struct line *l, const struct event *e)
{
	const char *between = "";

	for (size_t i = 0; i < e->n_fields; i++) {
		if (strcmp(e->fields[i].name, EVENT_FIELD_BLANKS) == 0)
			continue;
		line_add(l, bytes_str(between));
		between = " ";
		add_pair(l, bytes_str(e->fields[i].name), e->fields[i].value);
	}
	for (size_t i = 0; i < e->meaning.n_constants; i++, between = " ") {
		line_add(l, bytes_str(between));
		add_pair(l, bytes_str(e->meaning.constants[i].name), bytes_str(e->meaning.constants[i].value));
	}
}

static void text_who(struct line *l, const struct event *e, const struct event_place *place)
{
	size_t start;

	if (place && place->show_host) {
		start = l->out->len;
		line_escaped(l, bytes_str(place->batch->host ? place->batch->host->name : ""));
		pad(l, start, PROGRAM_WIDTH);
	}
	start = l->out->len;
	if (e->origin.source == 0 && e->origin.program.len == 0 && place)
		line_add(l, LIT("hallmark"));
	else
		line_escaped(l, e->origin.program.len > 0 ? e->origin.program : LIT("-"));
	if (e->pid != 0) {
		line_add(l, LIT("["));
		line_number(l, e->pid);
		line_add(l, LIT("]"));
	}
	pad(l, start, PROGRAM_WIDTH);
}

static void text_event(struct line *l, const struct event *e, const struct event_place *place)
{
	Hallmark__V1__Severity severity = e->meaning.severity;
	char time[TEXT_TIME_MAX] = "-                   ";

	if (place || e->time_us != 0)
		(void)render_time(e->time_us, time);
	add_colour(l, DIM);
	line_add(l, bytes_str(time));
	add_colour(l, RESET);
	line_add(l, LIT("  "));
	text_who(l, e, place);
	if (e->meaning.kind == HALLMARK__V1__KIND__KIND_LOG) {
		add_colour(l, event_is_unknown(e) ? DIM : NULL);
		line_escaped(l, e->message);
		add_colour(l, event_is_unknown(e) ? RESET : NULL);
	} else {
		text_meaning(l, &e->meaning);
		text_details(l, e);
	}
	/* anybody can write a line in another program's name, but not as another user */
	if (e->origin.has_provenance && e->origin.provenance.uid != 0 &&
	    e->origin.provenance.uid != EVENT_NUMBER_NONE) {
		add_colour(l, DIM);
		line_add(l, LIT("  sender_uid="));
		line_number(l, e->origin.provenance.uid);
		add_colour(l, RESET);
	}
	if (severity >= HALLMARK__V1__SEVERITY__SEVERITY_LOW) {
		line_add(l, LIT("  "));
		add_colour(l, severity >= HALLMARK__V1__SEVERITY__SEVERITY_HIGH ? RED :
			      severity >= HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM ? YELLOW : NULL);
		line_add(l, bytes_str(severity_name(severity)));
		add_colour(l, severity >= HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM ? RESET : NULL);
	}
	line_add(l, LIT("\n"));
}

/* --- all of them ---------------------------------------------------------------------------------- */

size_t event_burden(const struct event *e, const struct event_place *place)
{
	const struct provenance *p = &e->origin.provenance;
	size_t n = strlen(e->template_text) + strlen(e->meaning.activity);

	n += e->origin.program.len + e->origin.host.len;
	for (size_t i = 0; i < e->meaning.n_constants; i++)
		n += strlen(e->meaning.constants[i].name) + strlen(e->meaning.constants[i].value);
	if (e->origin.has_provenance)
		n += p->transport.len + p->boot_id.len + p->exe.len + p->comm.len + p->unit.len +
		     p->message_id.len;
	n += event_source(e, place).len;
	return n + (place && place->batch->host ? strlen(place->batch->host->name) : 0);
}

int render_event(struct buf *out, enum format format, bool colour, const struct event *e,
		 const struct event_place *place)
{
	struct line l = { .out = out, .colour = colour };
	size_t before = out->len;

	if (format == FORMAT_TEXT)
		text_event(&l, e, place);
	else if (format == FORMAT_JSON)
		render_json(&l, e, place);
	else if (format == FORMAT_OCSF)
		render_ocsf(&l, e, place);
	else
		render_ecs(&l, e, place);
	if (l.error < 0)
		out->len = before;
	return l.error;
}
