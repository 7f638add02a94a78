/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/text.h"
#include "agent/layout.h"
#include "agent/mapping.h"

#define ECS_VERSION "8.17.0"

/* --- single members ------------------------------------------------------------------------------ */

/* A date field takes the years 1 to 9999; what is outside of them is left out. */
static bool put_date(struct layout *t, const char *name, int64_t time_us)
{
	char text[TEXT_TIME_MAX];
	size_t n = text_time(time_us, text);

	if (text[0] == '@')
		return false;
	layout_text(t, name, bytes_of(text, n));
	return true;
}

/* Without this one nothing is taken in: the batch's time, where the event's is no date. */
static void put_timestamp(struct layout *t, const char *name)
{
	if (!put_date(t, name, t->event->time_us) && !(t->place && put_date(t, name, t->place->batch->time_us)))
		(void)put_date(t, name, 0);
}

static void put_created(struct layout *t, const char *name)
{
	if (t->place)
		(void)put_date(t, name, t->place->batch->time_us);
}

static void put_sequence(struct layout *t, const char *name)
{
	if (!t->place || t->place->batch->sequence > INT64_MAX)
		return;
	layout_key(t, name);
	line_number(t->line, t->place->batch->sequence);
}

static void put_severity(struct layout *t, const char *name)
{
	Hallmark__V1__Severity severity = t->event->meaning.severity;

	if (severity > HALLMARK__V1__SEVERITY__SEVERITY_NONE && severity <= HALLMARK__V1__SEVERITY__SEVERITY_HIGH)
		layout_number(t, name, (uint64_t)severity);
}

static void put_outcome(struct layout *t, const char *name)
{
	Hallmark__V1__Outcome outcome = t->event->meaning.outcome;

	if (outcome == HALLMARK__V1__OUTCOME__OUTCOME_SUCCESS || outcome == HALLMARK__V1__OUTCOME__OUTCOME_FAILURE)
		layout_text(t, name, bytes_str(outcome_name(outcome)));
}

static void put_action(struct layout *t, const char *name)
{
	const char *own = t->event->meaning.activity;

	layout_text(t, name, bytes_str(own[0] ? own : kind_name(t->event->meaning.kind)));
}

static void put_kind(struct layout *t, const char *name)
{
	layout_text(t, name, t->event->meaning.kind == HALLMARK__V1__KIND__KIND_FORGED ? LIT("alert") : LIT("event"));
}

static void put_category(struct layout *t, const char *name)
{
	const struct mapping *m = mapping_of(t->event);

	if (m->category) {
		layout_key(t, name);
		line_add(t->line, bytes_str(m->category));
	}
	layout_key(t, "type");
	line_add(t->line, bytes_str(m->type));
}

static void put_original(struct layout *t, const char *name)
{
	layout_text(t, name, t->event->raw);
}

static void put_message(struct layout *t, const char *name)
{
	layout_text(t, name, t->event->message);
}

static void put_log_host(struct layout *t, const char *name)
{
	layout_text(t, name, t->event->origin.host);
}

static void put_procid(struct layout *t, const char *name)
{
	if (t->event->pid == 0)
		return;
	layout_key(t, name);
	line_add(t->line, LIT("\""));
	line_number(t->line, t->event->pid);
	line_add(t->line, LIT("\""));
}

static void put_facility(struct layout *t, const char *name)
{
	if (t->event->origin.has_provenance)
		layout_number(t, name, t->event->origin.provenance.facility);
}

static void put_file(struct layout *t, const char *name)
{
	struct bytes source = event_source(t->event, t->place);

	if (bytes_starts(source, LIT("/")))
		layout_text(t, name, source);
}

static void put_agent_id(struct layout *t, const char *name)
{
	layout_text(t, name, bytes_str(t->place ? t->place->fingerprint : NULL));
}

static void put_source_address(struct layout *t, const char *name)
{
	struct bytes address = event_get(t->event, "src_ip");

	layout_text(t, name, address.len > 0 ? address : event_get(t->event, "src_host"));
}

/* --- what is searched for, whatever its part in the event was ------------------------------------- */

static void put_list(struct layout *t, const char *name, const char *const *facts, bool (*fits)(struct bytes))
{
	bool begun = false;

	for (; *facts; facts++) {
		struct bytes value = event_get(t->event, *facts);

		if (value.len == 0 || (fits && !fits(value)))
			continue;
		if (begun) {
			line_add(t->line, LIT(","));
		} else {
			layout_key(t, name);
			line_add(t->line, LIT("["));
		}
		json_string(t->line, value);
		begun = true;
	}
	if (begun)
		line_add(t->line, LIT("]"));
}

static void put_related_users(struct layout *t, const char *name)
{
	static const char *const facts[] = { "user", "target_user", "auth_user", "by_user", NULL };

	put_list(t, name, facts, NULL);
}

static void put_related_addresses(struct layout *t, const char *name)
{
	static const char *const facts[] = { "src_ip", "dst_ip", NULL };

	put_list(t, name, facts, layout_is_ip);
}

static void put_related_hosts(struct layout *t, const char *name)
{
	static const char *const facts[] = { "src_host", "rhost", NULL };

	put_list(t, name, facts, NULL);
}

/* --- tables -------------------------------------------------------------------------------------- */

static const struct member head[] = {
	CALL("@timestamp", put_timestamp),
	FIXED("ecs", "{\"version\":\"" ECS_VERSION "\"}"),
	CALL("message", put_message),
	OPEN("event"),
	CALL("kind", put_kind),
	CALL("category", put_category),
	CALL("outcome", put_outcome),
	CALL("action", put_action),
	TEXT("reason", "contradiction", "reason", "loss_reason"),
	CALL("severity", put_severity),
	FIXED("module", "\"hallmark\""),
	FIXED("dataset", "\"hallmark.events\""),
	CALL("provider", layout_put_program),
	CALL("id", layout_put_uid),
	CALL("sequence", put_sequence),
	CALL("created", put_created),
	CALL("original", put_original),
	CLOSE,
	OPEN("host"), CALL("name", layout_put_host), CALL("id", layout_put_machine_id),
	FIXED("os", "{\"type\":\"linux\"}"), CLOSE,
	OPEN("agent"), FIXED("type", "\"hallmark\""), CALL("id", put_agent_id), CLOSE,
	OPEN("log"),
	OPEN("file"), CALL("path", put_file), CLOSE,
	OPEN("syslog"),
	CALL("appname", layout_put_program), CALL("procid", put_procid), CALL("hostname", put_log_host),
	OPEN("facility"), CALL("code", put_facility), CLOSE,
	CLOSE,
	CLOSE,
	END,
};

#define NETWORK                                                                                       \
	OPEN("source"), IP("ip", "src_ip"), TEXT("domain", "src_host"), PORT_AFTER("port", "src_port"), \
	CALL_AFTER("address", put_source_address), CLOSE,                                             \
	OPEN("destination"), IP("ip", "dst_ip"), PORT_AFTER("port", "dst_port"), CLOSE,               \
	OPEN("error"), TEXT("message", "error"), CLOSE
#define PROCESS CALL("pid", layout_put_pid), CALL("name", layout_put_program)
#define RELATED                                                                                  \
	OPEN("related"), CALL("user", put_related_users), CALL("ip", put_related_addresses),     \
	CALL("hosts", put_related_hosts), CLOSE

static const struct member plain_members[] = {
	OPEN("user"),
	TEXT("name", "user"),
	/* beside an euid it is the uid of the program that asks */
	{ .kind = MEMBER_TEXT, .name = "id", .facts = { "uid" }, .unless = "euid" },
	CLOSE,
	NETWORK,
	OPEN("process"), PROCESS, CLOSE,
	RELATED,
	END,
};

static const struct member switch_members[] = {
	OPEN("user"),
	TEXT("name", "user", "by_user"),
	TEXT("id", "by_uid"),
	OPEN("effective"), TEXT("name", "target_user", "auth_user"), CLOSE,
	CLOSE,
	NETWORK,
	OPEN("process"), PROCESS, TEXT("command_line", "command", "cmdline"), TEXT("working_directory", "cwd"),
	NUMBER("exit_code", "exit_status"), CLOSE,
	RELATED,
	END,
};

#define WHO TEXT("name", "user", "by_user"), TEXT("id", "by_uid")
#define TARGET TEXT("name", "target_user"), TEXT("id", "uid")

static const struct member account_members[] = {
	OPEN("user"), WHO,
	OPEN("target"), TARGET, OPEN("group"), TEXT("id", "gid"), CLOSE, CLOSE,
	OPEN("changes"), TEXT("name", "new_name"), CLOSE,
	CLOSE,
	NETWORK,
	OPEN("process"), PROCESS, CLOSE,
	RELATED,
	END,
};

static const struct member group_members[] = {
	OPEN("user"), WHO, OPEN("target"), TARGET, CLOSE, CLOSE,
	OPEN("group"), TEXT("name", "group"), TEXT("id", "gid"), CLOSE,
	NETWORK,
	OPEN("process"), PROCESS, CLOSE,
	RELATED,
	END,
};

/* Nothing of what a forged line claims gets a place where somebody could take it for a fact. */
static const struct member detection_members[] = { OPEN("process"), CALL("pid", layout_put_pid), CLOSE, END };

static const struct member *const members_of[OCSF_CLASS_MAX] = {
	[OCSF_BASE] = plain_members,       [OCSF_LOGON] = plain_members,     [OCSF_SWITCH] = switch_members,
	[OCSF_ACCOUNT] = account_members,  [OCSF_GROUP] = group_members,     [OCSF_ENTITY] = group_members,
	[OCSF_LIFECYCLE] = plain_members,  [OCSF_DETECTION] = detection_members,
};

static void put_own(struct layout *t)
{
	const struct event *e = t->event;
	char time[TEXT_TIME_MAX];
	struct civil civil;

	layout_open(t, "hallmark");
	if (!civil_from_seconds(e->time_us / 1000000 - (e->time_us % 1000000 < 0), &civil)) /* @timestamp is another one */
		layout_text(t, "time", bytes_of(time, text_time(e->time_us, time)));
	layout_text(t, "kind", bytes_str(kind_name(e->meaning.kind)));
	layout_text(t, "template", bytes_str(e->template_text));
	layout_leftovers(t, "fields");
	if (e->origin.has_provenance)
		json_provenance(t->line, &e->origin.provenance);
	layout_put_batch(t);
	if (!text_is_utf8(e->raw))
		json_base64(t->line, "raw_base64", e->raw);
	layout_close(t);
}

void render_ecs(struct line *l, const struct event *e, const struct event_place *place)
{
	struct layout t = LAYOUT(l, e, place, SIZE_MAX);

	line_add(l, LIT("{"));
	layout_walk(&t, head);
	layout_walk(&t, members_of[mapping_of(e)->class]);
	put_own(&t);
	line_add(l, LIT("}\n"));
}
