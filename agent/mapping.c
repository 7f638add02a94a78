/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mapping.h"

#include "agent/base/macro.h"

#define AUTHENTICATION HALLMARK__V1__KIND__KIND_AUTHENTICATION
#define SESSION HALLMARK__V1__KIND__KIND_SESSION
#define PRIVILEGE HALLMARK__V1__KIND__KIND_PRIVILEGE
#define ACCOUNT HALLMARK__V1__KIND__KIND_ACCOUNT
#define FINDING HALLMARK__V1__KIND__KIND_FINDING
#define INTEGRITY HALLMARK__V1__KIND__KIND_INTEGRITY
#define LOSS HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS
#define LIFECYCLE HALLMARK__V1__KIND__KIND_LIFECYCLE
#define FORGED HALLMARK__V1__KIND__KIND_FORGED

#define LOGON OCSF_LOGON, 1, "Logon", NULL
#define LOGOFF OCSF_LOGON, 2, "Logoff", NULL
#define LOGON_OTHER OCSF_LOGON, OCSF_ACTIVITY_OTHER, NULL, NULL
#define SWITCH                   \
	OCSF_SWITCH, 1, "Logon", \
	"\"version\":\"1.6.0\",\"activity_id\":7,\"activity_name\":\"Account Switch\",\"type_uid\":300207"
#define SWITCH_OTHER OCSF_SWITCH, OCSF_ACTIVITY_OTHER, NULL, NULL

#define ACCOUNT_CREATE OCSF_ACCOUNT, 1, "Create", NULL
#define ACCOUNT_PASSWORD OCSF_ACCOUNT, 3, "Password Change", NULL
#define ACCOUNT_DELETE OCSF_ACCOUNT, 6, "Delete", NULL
#define ACCOUNT_LOCK OCSF_ACCOUNT, 9, "Lock", NULL
#define ACCOUNT_UNLOCK                                \
	OCSF_ACCOUNT, OCSF_ACTIVITY_OTHER, "Unlock", \
	"\"version\":\"1.4.0\",\"activity_id\":12,\"activity_name\":\"Unlock\",\"type_uid\":300112"
#define ACCOUNT_OTHER OCSF_ACCOUNT, OCSF_ACTIVITY_OTHER, NULL, NULL

#define GROUP_ADD OCSF_GROUP, 3, "Add User", NULL
#define GROUP_REMOVE OCSF_GROUP, 4, "Remove User", NULL
#define GROUP_OTHER OCSF_GROUP, OCSF_ACTIVITY_OTHER, NULL, NULL
#define GROUP_LATER(id, name, type)                                                                          \
	"\"version\":\"1.4.0\",\"class_uid\":3006,\"class_name\":\"Group Management\",\"activity_id\":" #id \
	",\"activity_name\":\"" name "\",\"type_uid\":" #type
#define ENTITY_CREATE OCSF_ENTITY, 1, "Create", GROUP_LATER(6, "Create", 300606)
#define ENTITY_UPDATE OCSF_ENTITY, 3, "Update", GROUP_LATER(99, "Update", 300699)
#define ENTITY_DELETE OCSF_ENTITY, 4, "Delete", GROUP_LATER(5, "Delete", 300605)

#define APP_START OCSF_LIFECYCLE, 3, "Start", NULL
#define APP_STOP OCSF_LIFECYCLE, 4, "Stop", NULL
#define APP_OTHER OCSF_LIFECYCLE, OCSF_ACTIVITY_OTHER, NULL, NULL
#define DETECTION OCSF_DETECTION, 1, "Create", NULL
#define BASE OCSF_BASE, OCSF_ACTIVITY_OTHER, NULL, NULL
#define BASE_LOSS                                                                                           \
	OCSF_BASE, OCSF_ACTIVITY_OTHER, NULL,                                                               \
	"\"version\":\"1.3.0\",\"category_uid\":1,\"class_uid\":1008,\"class_name\":\"Event Log Activity\"," \
	"\"activity_id\":99,\"type_uid\":100899"

#define ECS(category, type) "[\"" category "\"]", "[\"" type "\"]"
#define ECS_NONE NULL, "[\"info\"]"
#define ECS_IAM(target, change) "[\"iam\"]", "[\"" target "\",\"" change "\"]"

/* The first row that fits counts. Rows of one kind stand together, the most general one last. */
static const struct mapping mappings[] = {
	{ AUTHENTICATION, "logon", NULL, LOGON, ECS("authentication", "start") },
	{ AUTHENTICATION, "privilege", NULL, SWITCH, ECS("authentication", "start") },
	{ AUTHENTICATION, NULL, NULL, LOGON_OTHER, ECS("authentication", "info") },

	{ SESSION, "session_open", NULL, LOGON, ECS("session", "start") },
	{ SESSION, "session_close", NULL, LOGOFF, ECS("session", "end") },
	{ SESSION, "logoff", NULL, LOGOFF, ECS("session", "end") },
	{ SESSION, NULL, NULL, LOGON_OTHER, ECS("session", "info") },

	{ PRIVILEGE, "privilege", NULL, SWITCH, ECS("authentication\",\"process", "start") },
	{ PRIVILEGE, NULL, NULL, SWITCH_OTHER, ECS("authentication", "info") },

	{ ACCOUNT, NULL, "create-user", ACCOUNT_CREATE, ECS_IAM("user", "creation") },
	{ ACCOUNT, NULL, "delete-user", ACCOUNT_DELETE, ECS_IAM("user", "deletion") },
	{ ACCOUNT, NULL, "change-password", ACCOUNT_PASSWORD, ECS_IAM("user", "change") },
	{ ACCOUNT, NULL, "lock", ACCOUNT_LOCK, ECS_IAM("user", "change") },
	{ ACCOUNT, NULL, "unlock", ACCOUNT_UNLOCK, ECS_IAM("user", "change") },
	{ ACCOUNT, NULL, "add-member", GROUP_ADD, ECS_IAM("group", "change") },
	{ ACCOUNT, NULL, "remove-member", GROUP_REMOVE, ECS_IAM("group", "change") },
	{ ACCOUNT, NULL, "change-member", GROUP_OTHER, ECS_IAM("group", "change") },
	{ ACCOUNT, NULL, "create-group", ENTITY_CREATE, ECS_IAM("group", "creation") },
	{ ACCOUNT, NULL, "delete-group", ENTITY_DELETE, ECS_IAM("group", "deletion") },
	{ ACCOUNT, NULL, "change-group", ENTITY_UPDATE, ECS_IAM("group", "change") },
	{ ACCOUNT, NULL, NULL, ACCOUNT_OTHER, ECS_IAM("user", "change") },

	{ LIFECYCLE, "started", NULL, APP_START, ECS("host", "info") },
	{ LIFECYCLE, "stopped", NULL, APP_STOP, ECS("host", "info") },
	{ LIFECYCLE, NULL, NULL, APP_OTHER, ECS("host", "info") },

	/* whatever it claims: never a logon */
	{ FORGED, NULL, NULL, DETECTION, ECS("intrusion_detection", "info") },
	{ LOSS, NULL, NULL, BASE_LOSS, ECS("host", "info") },
	{ FINDING, NULL, NULL, BASE, ECS("configuration", "info") },
	{ INTEGRITY, NULL, NULL, BASE, ECS("host", "info") },
};

static const struct mapping base = { HALLMARK__V1__KIND__KIND_LOG, NULL, NULL, BASE, ECS_NONE };

const struct mapping *mapping_of(const struct event *e)
{
	struct bytes change = event_get(e, "change");

	for (const struct mapping *m = mappings; m < mappings + ELEMENTSOF(mappings); m++)
		if (m->kind == e->meaning.kind && (!m->activity || strcmp(m->activity, e->meaning.activity) == 0) &&
		    (!m->change || bytes_eq(change, bytes_str(m->change))))
			return m;
	return &base;
}
