/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "agent/base/text.h"
#include "agent/layout.h"
#include "agent/mapping.h"

#define OCSF_VERSION "1.1.0"
#define STRING_MAX 65535u /* string_t */
#define OFFSET_MAX_MIN 1440

/* --- single members ------------------------------------------------------------------------------ */

static void put_host_name(struct layout *t, const char *name)
{
	const Hallmark__V1__Host *host = t->place ? t->place->batch->host : NULL;

	layout_put_host(t, host && layout_is_host(bytes_str(host->name)) ? name : "name");
}

static void put_sender_uid(struct layout *t, const char *name)
{
	char digits[21];

	if (t->event->origin.has_provenance && t->event->origin.provenance.uid != EVENT_NUMBER_NONE)
		layout_text(t, name, bytes_of(digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64,
								       t->event->origin.provenance.uid)));
}

static void put_service(struct layout *t, const char *name)
{
	struct bytes service = event_get(t->event, "service");

	layout_text(t, name, service.len > 0 ? service : t->event->origin.program);
	layout_take(t, "service");
}

static void put_sequence(struct layout *t, const char *name)
{
	if (t->place)
		layout_number(t, name, t->place->batch->sequence);
}

static void put_original_time(struct layout *t, const char *name)
{
	if (t->event->origin.has_header)
		layout_text(t, name, t->event->origin.header.time);
}

static void put_source(struct layout *t, const char *name)
{
	layout_text(t, name, event_source(t->event, t->place));
}

/* Milliseconds, rounded down. */
static void put_milliseconds(struct layout *t, const char *name, int64_t time_us)
{
	char digits[24];
	int64_t ms = time_us / 1000 - (time_us % 1000 < 0);

	layout_key(t, name);
	line_add(t->line, bytes_of(digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, ms)));
}

/* What the line's own time was written in; times without an offset say nothing. */
static void put_offset(struct layout *t)
{
	const struct header *h = &t->event->origin.header;
	char digits[16];

	if (!t->event->origin.has_header || h->stamp != HALLMARK__V1__STAMP__STAMP_ISO8601 ||
	    h->utc_offset_min < -OFFSET_MAX_MIN || h->utc_offset_min > OFFSET_MAX_MIN)
		return;
	layout_key(t, "timezone_offset");
	line_add(t->line, bytes_of(digits, (size_t)snprintf(digits, sizeof digits, "%d", h->utc_offset_min)));
}

static void put_logged_time(struct layout *t, const char *name)
{
	if (t->place)
		put_milliseconds(t, name, t->place->batch->time_us);
}

static const struct member device[] = {
	CALL("hostname", put_host_name),
	CALL("uid", layout_put_machine_id),
	FIXED_AFTER("type_id", "0"), /* nothing tells the agent whether this is a virtual machine */
	FIXED_AFTER("os", "{\"name\":\"Linux\",\"type_id\":200}"),
	END,
};

static void put_device(struct layout *t, const char *name)
{
	layout_open(t, name);
	layout_walk(t, device);
	layout_close(t);
}

/* Base events have no device before 1.4: who logged them says where. */
static void put_loggers(struct layout *t, const char *name)
{
	layout_key(t, name);
	line_add(t->line, LIT("[{\"name\":\"hallmark\""));
	put_device(t, "device");
	line_add(t->line, LIT("}]"));
}

#define INTERACTIVE "2,\"logon_type\":\"Interactive\""
#define BATCH "4,\"logon_type\":\"Batch\""
#define OS_SERVICE "5,\"logon_type\":\"OS Service\""
#define REMOTE "10,\"logon_type\":\"Remote Interactive\""

/* By what is logged on to. Whatever is not among them has no type: 0 would be the system itself. */
static const struct {
	const char *service, *type;
} logon_types[] = {
	{ "sshd", REMOTE },	    { "sshd-session", REMOTE },	      { "sshd-auth", REMOTE },
	{ "login", INTERACTIVE },   { "gdm-password", INTERACTIVE },  { "lightdm", INTERACTIVE },
	{ "sudo", INTERACTIVE },    { "su", INTERACTIVE },	      { "su-l", INTERACTIVE },
	{ "cron", BATCH },	    { "crond", BATCH },		      { "atd", BATCH },
	{ "systemd-user", OS_SERVICE },
};

static void put_logon_type(struct layout *t, const char *name)
{
	struct bytes service = event_get(t->event, "service");

	if (service.len == 0)
		service = t->event->origin.program;
	for (size_t i = 0; i < ELEMENTSOF(logon_types); i++) {
		if (!bytes_eq(service, bytes_str(logon_types[i].service)))
			continue;
		layout_key(t, name);
		line_add(t->line, bytes_str(logon_types[i].type));
		return;
	}
}

static void put_is_remote(struct layout *t, const char *name)
{
	if (event_get(t->event, "src_ip").len == 0 && event_get(t->event, "src_host").len == 0)
		return;
	layout_key(t, name);
	line_add(t->line, LIT("true"));
}

static const struct member sender[] = {
	OPEN("actor"),
	OPEN("user"), CALL("uid", put_sender_uid), CLOSE,
	OPEN("process"), CALL("pid", layout_put_pid), CLOSE,
	CLOSE,
	END,
};

static void put_evidences(struct layout *t, const char *name)
{
	const struct origin *o = &t->event->origin;

	if (!(o->has_provenance && o->provenance.uid != EVENT_NUMBER_NONE) &&
	    (t->event->pid == 0 || t->event->pid > LAYOUT_NUMBER_MAX))
		return;
	layout_key(t, name);
	line_add(t->line, LIT("[{"));
	layout_walk(t, sender);
	line_add(t->line, LIT("}]"));
}

/* --- classes ------------------------------------------------------------------------------------- */

#define ACTOR_PROCESS                                                                              \
	OPEN("process"), CALL("pid", layout_put_pid), CALL_AFTER("name", layout_put_program),      \
	TEXT_AFTER("cmd_line", "command", "cmdline"), CLOSE
#define COMMON                                                                                     \
	NUMBER("count", "repeat"), TEXT("status_detail", "reason", "error", "loss_reason"),        \
	TEXT("status_code", "code")

static const struct member base_members[] = { COMMON, END };

static const struct member logon_members[] = {
	OPEN("user"),
	NAME("name", "user"),
	/* beside an euid it is the uid of the program that asks */
	{ .kind = MEMBER_TEXT, .name = "uid", .facts = { "uid" }, .unless = "euid" },
	TEXT_AFTER("credential_uid", "key_fingerprint"),
	CLOSE,
	{ .kind = MEMBER_TEXT, .name = "auth_protocol", .facts = { "method" }, .text = "\"auth_protocol_id\":99" },
	CALL("logon_type_id", put_logon_type),
	CALL("is_remote", put_is_remote),
	OPEN("src_endpoint"), IP("ip", "src_ip"), HOST("hostname", "src_host"), TEXT("name", "src_host"),
	PORT_AFTER("port", "src_port"), CLOSE,
	OPEN("dst_endpoint"), IP("ip", "dst_ip"), PORT_AFTER("port", "dst_port"), CLOSE,
	OPEN("service"), CALL("name", put_service), CLOSE,
	OPEN("session"), TEXT("uid", "session"), TEXT("terminal", "tty"), CLOSE,
	OPEN("actor"),
	OPEN("user"), TEXT("name", "by_user", "ruser"), TEXT("uid", "by_uid"), CLOSE,
	ACTOR_PROCESS,
	CLOSE,
	COMMON,
	END,
};

static const struct member switch_members[] = {
	OPEN("user"), NAME("name", "target_user", "auth_user", "user"), CLOSE,
	FIXED("logon_type_id", INTERACTIVE),
	FIXED("is_remote", "false"),
	OPEN("service"), CALL("name", put_service), CLOSE,
	OPEN("actor"),
	OPEN("user"), TEXT("name", "user", "by_user", "ruser"), TEXT("uid", "by_uid"), CLOSE,
	ACTOR_PROCESS,
	OPEN("session"), TEXT("terminal", "tty"), CLOSE,
	CLOSE,
	COMMON,
	END,
};

#define ACTOR                                                                             \
	OPEN("actor"),                                                                    \
	OPEN("user"), TEXT("name", "user", "by_user"), TEXT("uid", "by_uid"), CLOSE,      \
	ACTOR_PROCESS, CLOSE

static const struct member account_members[] = {
	OPEN("user"), NAME("name", "target_user"), TEXT("uid", "uid"), CLOSE,
	OPEN("user_result"), TEXT("name", "new_name"), CLOSE,
	ACTOR, COMMON, END,
};

static const struct member group_members[] = {
	OPEN("group"), NAME("name", "group"), TEXT("uid", "gid"), CLOSE,
	OPEN("user"), NAME("name", "target_user"), TEXT("uid", "uid"), CLOSE,
	ACTOR, COMMON, END,
};

static const struct member entity_members[] = {
	OPEN("entity"), NAME("name", "group"), TEXT("uid", "gid"), FIXED("type", "\"Group\""), CLOSE,
	OPEN("entity_result"), TEXT("name", "new_name"), TEXT("uid", "new_gid"), FIXED_AFTER("type", "\"Group\""),
	CLOSE,
	ACTOR, COMMON, END,
};

static const struct member lifecycle_members[] = {
	OPEN("app"), FIXED("name", "\"hallmark\""), FIXED("vendor_name", "\"hallmark\""), TEXT("version", "version"),
	CLOSE,
	COMMON, END,
};

/* Nothing of what a forged line claims gets a place where somebody could take it for a fact. */
static const struct member detection_members[] = {
	OPEN("finding_info"),
	CALL("uid", layout_put_uid),
	FIXED("title", "\"Forged log line\""),
	FIXED("types", "[\"forged\"]"),
	TEXT("desc", "contradiction"),
	CLOSE,
	CALL("evidences", put_evidences),
	END,
};

#define IAM(uid, name) 3, "Identity & Access Management", uid, name
#define APPLICATION(uid, name) 6, "Application Activity", uid, name
#define FINDINGS(uid, name) 2, "Findings", uid, name
#define UNCATEGORIZED(uid, name) 0, "Uncategorized", uid, name

static const struct ocsf_schema {
	unsigned category;
	const char *category_name;
	unsigned uid;
	const char *name;
	const struct member *members;
	const char *needs[2][3]; /* one fact of each row must be there, or it is a base event */
	bool needs_service;
} schemas[OCSF_CLASS_MAX] = {
	[OCSF_BASE] = { UNCATEGORIZED(0, "Base Event"), base_members, { { NULL } }, false },
	[OCSF_LOGON] = { IAM(3002, "Authentication"), logon_members, { { "user" } }, true },
	[OCSF_SWITCH] = { IAM(3002, "Authentication"), switch_members, { { "target_user", "auth_user", "user" } }, true },
	[OCSF_ACCOUNT] = { IAM(3001, "Account Change"), account_members, { { "target_user" } }, false },
	[OCSF_GROUP] = { IAM(3006, "Group Management"), group_members, { { "group" }, { "target_user" } }, false },
	[OCSF_ENTITY] = { IAM(3004, "Entity Management"), entity_members, { { "group" } }, false },
	[OCSF_LIFECYCLE] = { APPLICATION(6002, "Application Lifecycle"), lifecycle_members, { { NULL } }, false },
	[OCSF_DETECTION] = { FINDINGS(2004, "Detection Finding"), detection_members, { { NULL } }, false },
};

static bool schema_holds(const struct ocsf_schema *s, const struct layout *t)
{
	for (size_t i = 0; i < ELEMENTSOF(s->needs) && s->needs[i][0]; i++) {
		bool found = false;

		for (size_t k = 0; k < ELEMENTSOF(s->needs[i]) && s->needs[i][k] && !found; k++)
			found = layout_find(t, s->needs[i][k]) >= 0;
		if (!found)
			return false;
	}
	return !s->needs_service || t->event->origin.program.len > 0 || event_get(t->event, "service").len > 0;
}

/* --- the whole ----------------------------------------------------------------------------------- */

static void put_class(struct layout *t, const struct mapping *m, const struct ocsf_schema *s)
{
	bool as_mapped = s == &schemas[m->class];
	unsigned activity = as_mapped ? m->activity_id : OCSF_ACTIVITY_OTHER;
	const char *own = t->event->meaning.activity;

	layout_number(t, "category_uid", s->category);
	layout_text(t, "category_name", bytes_str(s->category_name));
	layout_number(t, "class_uid", s->uid);
	layout_text(t, "class_name", bytes_str(s->name));
	layout_number(t, "activity_id", activity);
	layout_text(t, "activity_name", bytes_str(as_mapped && m->activity_name ? m->activity_name :
						  own[0] ? own : kind_name(t->event->meaning.kind)));
	layout_number(t, "type_uid", s->uid * 100 + activity);
}

static const char *const severities[] = {
	[HALLMARK__V1__SEVERITY__SEVERITY_NONE] = "0,\"severity\":\"Unknown\"",
	[HALLMARK__V1__SEVERITY__SEVERITY_INFO] = "1,\"severity\":\"Informational\"",
	[HALLMARK__V1__SEVERITY__SEVERITY_LOW] = "2,\"severity\":\"Low\"",
	[HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM] = "3,\"severity\":\"Medium\"",
	[HALLMARK__V1__SEVERITY__SEVERITY_HIGH] = "4,\"severity\":\"High\"",
};

static const char *const statuses[] = {
	[HALLMARK__V1__OUTCOME__OUTCOME_SUCCESS] = "1,\"status\":\"Success\"",
	[HALLMARK__V1__OUTCOME__OUTCOME_FAILURE] = "2,\"status\":\"Failure\"",
};

static void put_verdict(struct layout *t, const struct ocsf_schema *s)
{
	unsigned severity = t->event->meaning.severity, outcome = t->event->meaning.outcome;
	const char *status = outcome < ELEMENTSOF(statuses) ? statuses[outcome] : NULL;

	if (s == &schemas[OCSF_DETECTION]) /* a finding's status is no outcome */
		status = "1,\"status\":\"New\"";
	layout_key(t, "severity_id");
	line_add(t->line, bytes_str(severities[severity < ELEMENTSOF(severities) ? severity : 0]));
	if (status) {
		layout_key(t, "status_id");
		line_add(t->line, bytes_str(status));
	}
}

static const struct member metadata[] = {
	FIXED("version", "\"" OCSF_VERSION "\""),
	FIXED("product", "{\"name\":\"hallmark\",\"vendor_name\":\"hallmark\",\"version\":\"" HALLMARK_VERSION "\"}"),
	CALL("uid", layout_put_uid),
	CALL("sequence", put_sequence),
	CALL("original_time", put_original_time),
	CALL("logged_time", put_logged_time),
	CALL("log_name", put_source),
	CALL("log_provider", layout_put_program),
	END,
};

static void put_metadata(struct layout *t, const struct ocsf_schema *s)
{
	layout_open(t, "metadata");
	layout_walk(t, metadata);
	if (s == &schemas[OCSF_BASE]) {
		put_loggers(t, "loggers");
	} else {
		layout_key(t, "profiles");
		line_add(t->line, LIT("[\"host\"]"));
	}
	layout_close(t);
	if (s != &schemas[OCSF_BASE])
		put_device(t, "device");
}

static void put_unmapped(struct layout *t, const struct mapping *m, const struct ocsf_schema *s)
{
	const struct event *e = t->event;
	bool exact = e->raw.len <= STRING_MAX && text_is_utf8(e->raw);

	json_key(t->line, "unmapped");
	line_add(t->line, LIT("{"));
	json_text(t->line, "kind", bytes_str(kind_name(e->meaning.kind)));
	json_text(t->line, "activity", bytes_str(e->meaning.activity));
	if (e->meaning.outcome != HALLMARK__V1__OUTCOME__OUTCOME_NONE)
		json_text(t->line, "outcome", bytes_str(outcome_name(e->meaning.outcome)));
	json_text(t->line, "template", bytes_str(e->template_text));
	json_text(t->line, "host", e->origin.host);
	if (e->pid != 0 && (s == &schemas[OCSF_BASE] || s == &schemas[OCSF_LIFECYCLE] || e->pid > LAYOUT_NUMBER_MAX))
		json_number(t->line, "pid", e->pid);
	layout_leftovers(t, "fields");
	if (e->origin.has_provenance)
		json_provenance(t->line, &e->origin.provenance);
	layout_put_batch(t);
	if (m->later && s == &schemas[m->class]) {
		json_key(t->line, "ocsf");
		line_add(t->line, LIT("{"));
		line_add(t->line, bytes_str(m->later));
		line_add(t->line, LIT("}"));
	}
	if (!exact)
		json_base64(t->line, "raw_base64", e->raw);
	line_add(t->line, LIT("}"));
}

void render_ocsf(struct line *l, const struct event *e, const struct event_place *place)
{
	struct layout t = LAYOUT(l, e, place, STRING_MAX);
	const struct mapping *m = mapping_of(e);
	const struct ocsf_schema *s = &schemas[m->class];

	if (!schema_holds(s, &t))
		s = &schemas[OCSF_BASE];
	line_add(l, LIT("{"));
	put_class(&t, m, s);
	put_verdict(&t, s);
	put_milliseconds(&t, "time", e->time_us);
	put_offset(&t);
	layout_text(&t, "message", e->message);
	put_metadata(&t, s);
	layout_walk(&t, s->members);
	layout_text(&t, "raw_data", e->raw);
	put_unmapped(&t, m, s);
	line_add(l, LIT("}\n"));
}
