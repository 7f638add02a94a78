/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/text.h"
#include "agent/render_parts.h"

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

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-' || c == '.';
}

static bool fact_needs_place(const struct event *e, size_t i, bool alone)
{
	const char *name = event_fact_name(e, i);

	if (name[0] == '\0')
		return true;
	for (const char *p = name; *p; p++)
		if (!is_name_byte(*p) || (alone && *p == '.'))
			return true;
	for (size_t k = 0; k < i; k++)
		if (strcmp(event_fact_name(e, k), name) == 0)
			return true;
	return false;
}

/* A name that needs no change does not begin with "field_"; one that does, or is a fixed key's, gets "field_"
 * before it; one that is there again, or is no name, its place besides: and no fixed key begins with a digit. */
void json_fact_key(struct line *l, const struct event *e, size_t i, bool alone)
{
	const char *name = event_fact_name(e, i);

	json_key(l, "field_");
	if (l->error < 0)
		return;
	l->out->len -= 2; /* the name goes on */
	if (fact_needs_place(e, i, alone)) {
		line_number(l, i);
		line_add(l, LIT("_"));
		for (const char *p = name; *p; p++)
			line_add(l, is_name_byte(*p) && !(alone && *p == '.') ? bytes_of(p, 1) : LIT("_"));
	} else {
		if (strncmp(name, "field_", 6) != 0 && (alone || !is_among(name, fixed_keys, ELEMENTSOF(fixed_keys))))
			l->out->len -= 6;
		line_add(l, bytes_str(name));
	}
	line_add(l, LIT("\":"));
}

static void json_facts(struct line *l, const struct event *e)
{
	for (size_t i = 0; i < event_facts(e); i++) {
		struct bytes value = event_fact_value(e, i);

		if (strcmp(event_fact_name(e, i), EVENT_FIELD_BLANKS) == 0)
			continue;
		json_fact_key(l, e, i, false);
		if (json_is_number(value) && is_among(event_fact_name(e, i), number_keys, ELEMENTSOF(number_keys)))
			line_add(l, value);
		else
			json_string(l, value);
	}
}

void json_provenance(struct line *l, const struct provenance *p)
{
	json_key(l, "provenance");
	line_add(l, LIT("{"));
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
	line_add(l, LIT("}"));
}

static void json_record(struct line *l, const struct event_place *place)
{
	const Hallmark__V1__Batch *b = place->batch;

	json_key(l, "record");
	line_add(l, LIT("{"));
	json_text(l, "host", bytes_str(b->host ? b->host->name : NULL));
	json_text(l, "key_fingerprint", bytes_str(place->fingerprint));
	json_hex(l, "run", bytes_of(b->run_id.data, b->run_id.len));
	json_key(l, "sequence");
	line_number(l, b->sequence); /* any number is one */
	json_number(l, "index", place->index);
	line_add(l, LIT("}"));
}

struct bytes event_source(const struct event *e, const struct event_place *place)
{
	if (!place)
		return BYTES_NONE;
	if (e->origin.source == 0)
		return LIT("hallmark");
	if (e->origin.source > place->batch->n_positions)
		return BYTES_NONE;
	return bytes_str(place->batch->positions[e->origin.source - 1]->source);
}

void render_json(struct line *l, const struct event *e, const struct event_place *place)
{
	const struct meaning *m = &e->meaning;
	char time[TEXT_TIME_MAX];

	line_add(l, LIT("{"));
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
	json_text(l, "source", event_source(e, place));
	json_facts(l, e);
	json_text(l, "template", bytes_str(e->template_text));
	json_key(l, "raw");
	json_string(l, e->raw);
	if (!text_is_utf8(e->raw))
		json_base64(l, "raw_base64", e->raw);
	if (e->origin.has_provenance)
		json_provenance(l, &e->origin.provenance);
	if (place)
		json_record(l, place);
	line_add(l, LIT("}\n"));
}
