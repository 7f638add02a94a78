/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/render.h"

#include <errno.h>
#include <inttypes.h>

#include "agent/base/text.h"

/* Columns of the text line: as wide as most programs and meanings; what is longer pushes the rest aside. */
#define PROGRAM_WIDTH 16u
#define MEANING_WIDTH 28u

#define DIM "\033[2m"
#define RED "\033[1;31m"
#define YELLOW "\033[33m"
#define GREEN "\033[32m"
#define ALARM "\033[1;37;41m"
#define RESET "\033[0m"

/* Appends that follow one another, of which the first error is kept. */
struct line {
	struct buf *out;
	int error;
	bool colour;
};

static void add(struct line *l, struct bytes b)
{
	if (l->error == 0)
		l->error = buf_append(l->out, b);
}

static void add_escaped(struct line *l, struct bytes b)
{
	if (l->error == 0)
		l->error = text_escape(l->out, b);
}

static void add_number(struct line *l, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	add(l, bytes_of(digits + i, sizeof digits - i));
}

static void add_colour(struct line *l, const char *code)
{
	if (l->colour && code)
		add(l, bytes_str(code));
}

int format_from_name(const char *name, enum format *ret)
{
	if (strcmp(name, "text") == 0)
		*ret = FORMAT_TEXT;
	else if (strcmp(name, "json") == 0)
		*ret = FORMAT_JSON;
	else
		return -EINVAL;
	return 0;
}

bool event_is_unknown(const struct event *e)
{
	return e->meaning.kind == HALLMARK__V1__KIND__KIND_LOG && strcmp(e->template_text, "{message}") == 0;
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

	add(l, bytes_of(blanks, (used < width ? width - used : 0) + 2));
}

/* name=value; a value that is empty, or has a blank or a quote, stands in quotes. */
static void add_pair(struct line *l, struct bytes name, struct bytes value)
{
	bool quoted = value.len == 0 || memchr(value.data, ' ', value.len) || memchr(value.data, '"', value.len);
	const uint8_t *quote;

	add_escaped(l, name);
	add(l, LIT("="));
	if (!quoted) {
		add_escaped(l, value);
		return;
	}
	add(l, LIT("\""));
	while (value.len > 0 && (quote = memchr(value.data, '"', value.len))) {
		size_t before = (size_t)(quote - value.data);

		add_escaped(l, bytes_of(value.data, before));
		add(l, LIT("\\\""));
		value = bytes_from(value, before + 1);
	}
	add_escaped(l, value);
	add(l, LIT("\""));
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
		add(l, LIT("!! EVIDENCE LOST"));
	else
		add(l, bytes_str(kind_name(m->kind)));
	if (m->activity[0] && strcmp(m->activity, kind_name(m->kind)) != 0) {
		add(l, LIT(" "));
		add_escaped(l, bytes_str(m->activity));
	}
	if (m->outcome != HALLMARK__V1__OUTCOME__OUTCOME_NONE) {
		add(l, LIT(" "));
		add(l, bytes_str(outcome_name(m->outcome)));
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
		add(l, bytes_str(between));
		between = " ";
		add_pair(l, bytes_str(e->fields[i].name), e->fields[i].value);
	}
	for (size_t i = 0; i < e->meaning.n_constants; i++, between = " ") {
		add(l, bytes_str(between));
		add_pair(l, bytes_str(e->meaning.constants[i].name), bytes_str(e->meaning.constants[i].value));
	}
}

static void text_who(struct line *l, const struct event *e, const struct event_place *place)
{
	size_t start;

	if (place && place->show_host) {
		start = l->out->len;
		add_escaped(l, bytes_str(place->batch->host ? place->batch->host->name : ""));
		pad(l, start, PROGRAM_WIDTH);
	}
	start = l->out->len;
	if (e->origin.source == 0 && e->origin.program.len == 0 && place)
		add(l, LIT("hallmark"));
	else
		add_escaped(l, e->origin.program.len > 0 ? e->origin.program : LIT("-"));
	if (e->pid != 0) {
		add(l, LIT("["));
		add_number(l, e->pid);
		add(l, LIT("]"));
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
	add(l, bytes_str(time));
	add_colour(l, RESET);
	add(l, LIT("  "));
	text_who(l, e, place);
	if (e->meaning.kind == HALLMARK__V1__KIND__KIND_LOG) {
		add_colour(l, event_is_unknown(e) ? DIM : NULL);
		add_escaped(l, e->message);
		add_colour(l, event_is_unknown(e) ? RESET : NULL);
	} else {
		text_meaning(l, &e->meaning);
		text_details(l, e);
	}
	/* anybody can write a line in another program's name, but not as another user */
	if (e->origin.has_provenance && e->origin.provenance.uid != 0 &&
	    e->origin.provenance.uid != EVENT_NUMBER_NONE) {
		add_colour(l, DIM);
		add(l, LIT("  sender_uid="));
		add_number(l, e->origin.provenance.uid);
		add_colour(l, RESET);
	}
	if (severity >= HALLMARK__V1__SEVERITY__SEVERITY_LOW) {
		add(l, LIT("  "));
		add_colour(l, severity >= HALLMARK__V1__SEVERITY__SEVERITY_HIGH ? RED :
			      severity >= HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM ? YELLOW : NULL);
		add(l, bytes_str(severity_name(severity)));
		add_colour(l, severity >= HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM ? RESET : NULL);
	}
	add(l, LIT("\n"));
}

/* --- for programs -------------------------------------------------------------------------------- */

/* Names that a field may not have beside ours. */
static const char *const fixed_keys[] = {
	"time", "kind", "activity", "outcome", "severity", "program", "host", "pid", "source",
	"template", "raw", "raw_base64", "provenance", "record", "report",
};

/* Fields that are numbers, and stay so; every other value is a string, be it digits or not. */
static const char *const number_keys[] = {
	"src_port", "dst_port", "port", "uid", "gid", "by_uid", "by_gid", "target_uid", "target_gid", "pid",
	"leader_pid", "attempts", "repeat", "count", "bytes", "duration_s", "loss_amount",
};

static bool is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names[i][0] == name[0] && strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* A key that needs no escaping. */
static void json_key(struct line *l, const char *key)
{
	if (l->error == 0 && l->out->data[l->out->len - 1] != '{')
		add(l, LIT(","));
	add(l, LIT("\""));
	add(l, bytes_str(key));
	add(l, LIT("\":"));
}

static void json_string(struct line *l, struct bytes b)
{
	if (l->error == 0)
		l->error = text_json(l->out, b);
}

/* These leave out what is not there. */
static void json_text(struct line *l, const char *key, struct bytes value)
{
	if (value.len == 0)
		return;
	json_key(l, key);
	json_string(l, value);
}

static void json_number(struct line *l, const char *key, uint64_t value)
{
	if (value == EVENT_NUMBER_NONE)
		return;
	json_key(l, key);
	add_number(l, value);
}

static void json_hex(struct line *l, const char *key, struct bytes value)
{
	if (value.len == 0)
		return;
	json_key(l, key);
	add(l, LIT("\""));
	if (l->error == 0)
		l->error = text_hex(l->out, value);
	add(l, LIT("\""));
}

/* JSON knows no leading zeros; past 15 digits readers begin to round. */
static bool is_number(struct bytes b)
{
	if (b.len == 0 || b.len > 15 || (b.data[0] == '0' && b.len > 1))
		return false;
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] < '0' || b.data[i] > '9')
			return false;
	return true;
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-' || c == '.';
}

/* An event's facts: its fields, then its constants; `i` counts through both. */
static const char *fact_name(const struct event *e, size_t i)
{
	return i < e->n_fields ? e->fields[i].name : e->meaning.constants[i - e->n_fields].name;
}

static bool fact_needs_place(const struct event *e, size_t i)
{
	const char *name = fact_name(e, i);

	if (name[0] == '\0')
		return true;
	for (const char *p = name; *p; p++)
		if (!is_name_byte(*p))
			return true;
	for (size_t k = 0; k < i; k++)
		if (strcmp(fact_name(e, k), name) == 0)
			return true;
	return false;
}

/* No two facts get one key: a name that needs no change does not begin with "field_"; one that does, or is
 * a fixed key's, gets "field_" before it; one that is there again, or is no name, its place besides: and
 * no fixed key begins with a digit. */
static void json_fact_key(struct line *l, const struct event *e, size_t i)
{
	const char *name = fact_name(e, i);

	if (fact_needs_place(e, i)) {
		add(l, LIT(",\"field_"));
		add_number(l, i);
		add(l, LIT("_"));
		for (const char *p = name; *p; p++)
			add(l, is_name_byte(*p) ? bytes_of(p, 1) : LIT("_"));
	} else {
		add(l, LIT(",\""));
		if (strncmp(name, "field_", 6) == 0 || is_among(name, fixed_keys, ELEMENTSOF(fixed_keys)))
			add(l, LIT("field_"));
		add(l, bytes_str(name));
	}
	add(l, LIT("\":"));
}

static void json_facts(struct line *l, const struct event *e)
{
	for (size_t i = 0; i < e->n_fields + e->meaning.n_constants; i++) {
		struct bytes value = i < e->n_fields ? e->fields[i].value :
						       bytes_str(e->meaning.constants[i - e->n_fields].value);

		if (strcmp(fact_name(e, i), EVENT_FIELD_BLANKS) == 0)
			continue;
		json_fact_key(l, e, i);
		if (is_number(value) && is_among(fact_name(e, i), number_keys, ELEMENTSOF(number_keys)))
			add(l, value);
		else
			json_string(l, value);
	}
}

static void json_provenance(struct line *l, const struct provenance *p)
{
	add(l, LIT(",\"provenance\":{"));
	json_number(l, "uid", p->uid);
	json_number(l, "gid", p->gid);
	json_text(l, "transport", p->transport);
	json_hex(l, "boot_id", p->boot_id);
	json_text(l, "exe", p->exe);
	json_text(l, "comm", p->comm);
	json_text(l, "unit", p->unit);
	json_number(l, "audit_loginuid", p->audit_loginuid);
	json_number(l, "audit_session", p->audit_session);
	json_number(l, "syslog_pid", p->syslog_pid);
	json_number(l, "facility", p->facility);
	json_hex(l, "message_id", p->message_id);
	add(l, LIT("}"));
}

static void json_record(struct line *l, const struct event_place *place)
{
	const Hallmark__V1__Batch *b = place->batch;

	add(l, LIT(",\"record\":{"));
	json_text(l, "host", bytes_str(b->host ? b->host->name : NULL));
	json_text(l, "key_fingerprint", bytes_str(place->fingerprint));
	json_hex(l, "run", bytes_of(b->run_id.data, b->run_id.len));
	json_number(l, "sequence", b->sequence);
	json_number(l, "index", place->index);
	add(l, LIT("}"));
}

static struct bytes source_name(const struct event *e, const struct event_place *place)
{
	if (!place)
		return BYTES_NONE;
	if (e->origin.source == 0)
		return LIT("hallmark");
	if (e->origin.source > place->batch->n_positions)
		return BYTES_NONE;
	return bytes_str(place->batch->positions[e->origin.source - 1]->source);
}

static void json_event(struct line *l, const struct event *e, const struct event_place *place)
{
	const struct meaning *m = &e->meaning;
	char time[TEXT_TIME_MAX];

	add(l, LIT("{"));
	if (place || e->time_us != 0)
		json_text(l, "time", bytes_of(time, text_time(e->time_us, time)));
	json_text(l, "kind", bytes_str(kind_name(m->kind)));
	json_text(l, "activity", bytes_str(m->activity));
	if (m->outcome != HALLMARK__V1__OUTCOME__OUTCOME_NONE)
		json_text(l, "outcome", bytes_str(outcome_name(m->outcome)));
	if (m->severity != HALLMARK__V1__SEVERITY__SEVERITY_NONE)
		json_text(l, "severity", bytes_str(severity_name(m->severity)));
	json_text(l, "program", e->origin.program);
	json_text(l, "host", e->origin.host);
	json_number(l, "pid", e->pid != 0 ? e->pid : EVENT_NUMBER_NONE);
	json_text(l, "source", source_name(e, place));
	json_facts(l, e);
	json_text(l, "template", bytes_str(e->template_text));
	json_key(l, "raw");
	json_string(l, e->raw);
	if (!text_is_utf8(e->raw)) {
		add(l, LIT(",\"raw_base64\":\""));
		if (l->error == 0)
			l->error = text_base64(l->out, e->raw);
		add(l, LIT("\""));
	}
	if (e->origin.has_provenance)
		json_provenance(l, &e->origin.provenance);
	if (place)
		json_record(l, place);
	add(l, LIT("}\n"));
}

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
	n += source_name(e, place).len;
	return n + (place && place->batch->host ? strlen(place->batch->host->name) : 0);
}

int render_event(struct buf *out, enum format format, bool colour, const struct event *e,
		 const struct event_place *place)
{
	struct line l = { .out = out, .colour = colour };
	size_t before = out->len;

	if (format == FORMAT_JSON)
		json_event(&l, e, place);
	else
		text_event(&l, e, place);
	if (l.error < 0)
		out->len = before;
	return l.error;
}
