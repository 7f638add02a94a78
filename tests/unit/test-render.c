/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <jansson.h>

#include "agent/render.h"

#define TIME INT64_C(1795439584123456) /* 2026-11-23T13:13:04.123456Z */

static uint8_t run_id[16] = { 0xab };
static char position_name[] = "/var/log/auth.log", host_name[] = "golden-1";
static Hallmark__V1__Position position;
static Hallmark__V1__Position *positions[] = { &position };
static Hallmark__V1__Host host;
static Hallmark__V1__Batch batch;

static const struct event_place *in_batch(void)
{
	static const struct event_place place = { .batch = &batch, .index = 3, .fingerprint = "SHA256:abc" };

	hallmark__v1__position__init(&position);
	hallmark__v1__host__init(&host);
	hallmark__v1__batch__init(&batch);
	position.source = position_name;
	host.name = host_name;
	batch.host = &host;
	batch.positions = positions;
	batch.n_positions = 1;
	batch.sequence = 12;
	batch.run_id = (ProtobufCBinaryData){ sizeof run_id, run_id };
	return &place;
}

static struct event logon(void)
{
	return (struct event){
		.time_us = TIME,
		.pid = 812,
		.origin = { .source = 1, .program = LIT("sshd"), .host = LIT("golden") },
		.meaning = { .kind = HALLMARK__V1__KIND__KIND_AUTHENTICATION, .activity = "logon",
			     .outcome = HALLMARK__V1__OUTCOME__OUTCOME_FAILURE,
			     .severity = HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM },
		.template_text = "Failed {method} for {user} from {src_ip} port {src_port} ssh2",
		.message = LIT("Failed password for root from 203.0.113.7 port 50022 ssh2"),
		.raw = LIT("sshd[812]: Failed password for root from 203.0.113.7 port 50022 ssh2"),
		.fields = { { "method", LIT("password") }, { "user", LIT("root") }, { "src_ip", LIT("203.0.113.7") },
			    { "src_port", LIT("50022") } },
		.n_fields = 4,
	};
}

static struct event unknown(struct bytes message)
{
	return (struct event){
		.time_us = TIME,
		.origin = { .source = 1, .program = LIT("cron") },
		.meaning = { .activity = "", .severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO },
		.template_text = "{message}",
		.message = message,
		.raw = message,
		.fields = { { "message", message } },
		.n_fields = 1,
	};
}

/* What an event looks like; with a NUL behind it, until the next call. */
static const char *rendered(enum format format, bool colour, const struct event *e, const struct event_place *place)
{
	static struct buf out = BUF_INIT(16u << 20);

	buf_clear(&out);
	assert_int_equal(render_event(&out, format, colour, e, place), 0);
	assert_int_equal(buf_byte(&out, '\0'), 0);
	return (const char *)out.data;
}

/* As an object: NULL-checked, without a key that is there twice. */
static json_t *parsed(const char *text)
{
	json_error_t error;
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!object)
		fail_msg("%s: %s", error.text, text);
	return object;
}

static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

TEST(a_line_for_a_person)
{
	const struct event e = logon();

	assert_string_equal(rendered(FORMAT_TEXT, false, &e, in_batch()),
			    "2026-11-23 13:13:04Z  sshd[812]         authentication logon failure  method=password user=root "
			    "src_ip=203.0.113.7 src_port=50022  medium\n");
}

TEST(columns_are_aligned_with_colour_and_without)
{
	struct event e = logon(), quiet = logon();
	const char *plain, *coloured;
	char stripped[1024];
	size_t n = 0;

	e.meaning.activity = "x";
	quiet.meaning.outcome = HALLMARK__V1__OUTCOME__OUTCOME_NONE;
	quiet.meaning.severity = HALLMARK__V1__SEVERITY__SEVERITY_INFO;
	plain = strstr(rendered(FORMAT_TEXT, false, &quiet, in_batch()), "method=");
	assert_int_equal(plain - rendered(FORMAT_TEXT, false, &quiet, in_batch()), 22 + 18 + 30);

	coloured = rendered(FORMAT_TEXT, true, &e, in_batch());
	for (; *coloured; coloured++) {
		if (*coloured == '\033')
			coloured = strchr(coloured, 'm');
		else
			stripped[n++] = *coloured;
	}
	stripped[n] = '\0';
	assert_string_equal(stripped, rendered(FORMAT_TEXT, false, &e, in_batch()));
}

TEST(an_unknown_line_is_its_message_dimmed)
{
	const struct event e = unknown(LIT("what is this?"));

	assert_true(event_is_unknown(&e));
	assert_string_equal(rendered(FORMAT_TEXT, false, &e, in_batch()),
			    "2026-11-23 13:13:04Z  cron              what is this?\n");
	assert_non_null(strstr(rendered(FORMAT_TEXT, true, &e, in_batch()), "\033[2mwhat is this?\033[0m"));
}

TEST(values_that_could_be_misread_stand_in_quotes)
{
	struct event e = logon();

	e.fields[0].value = LIT("a \"b\" c\\");
	e.fields[1].value = BYTES_NONE;
	assert_non_null(strstr(rendered(FORMAT_TEXT, false, &e, in_batch()), "method=\"a \\\"b\\\" c\\\\\" user=\"\" src_ip="));
}

TEST(lost_evidence_stands_out)
{
	struct event e = logon();

	e.meaning.kind = HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS;
	assert_non_null(strstr(rendered(FORMAT_TEXT, false, &e, in_batch()), "!! EVIDENCE LOST"));
	assert_non_null(strstr(rendered(FORMAT_TEXT, true, &e, in_batch()), "\033[1;37;41m!! EVIDENCE LOST"));
}

TEST(a_sender_that_is_not_root_is_named)
{
	struct event e = logon();

	e.origin.has_provenance = true;
	e.origin.provenance = PROVENANCE_NONE;
	assert_null(strstr(rendered(FORMAT_TEXT, false, &e, in_batch()), "sender_uid"));
	e.origin.provenance.uid = 0;
	assert_null(strstr(rendered(FORMAT_TEXT, false, &e, in_batch()), "sender_uid"));
	e.origin.provenance.uid = 1000;
	assert_non_null(strstr(rendered(FORMAT_TEXT, false, &e, in_batch()), "sender_uid=1000"));
}

TEST(hosts_are_named_where_there_are_several)
{
	struct event_place place = *in_batch();
	const struct event e = logon();

	place.show_host = true;
	assert_non_null(strstr(rendered(FORMAT_TEXT, false, &e, &place), "Z  golden-1          sshd[812]"));
}

/* Every place where foreign bytes stand, filled with what a terminal obeys. */
TEST(no_terminal_escape_passes)
{
	static const char evil[] = "\033[2J\033]0;x\007\x9b\x7f\r\n\t";
	struct event e = logon();
	struct event_place place = *in_batch();
	const char *text;

	place.show_host = true;
	host.name = (char *)evil;
	e.origin.program = e.origin.host = e.message = e.raw = bytes_str(evil);
	e.meaning.activity = evil;
	e.meaning.constants = &(struct event_constant){ evil, evil };
	e.meaning.n_constants = 1;
	for (size_t i = 0; i < e.n_fields; i++)
		e.fields[i] = (struct event_field){ evil, bytes_str(evil) };
	for (unsigned kind = 0; kind < 10; kind++)
		for (unsigned format = FORMAT_TEXT; format <= FORMAT_ECS; format++) {
			e.meaning.kind = (Hallmark__V1__Kind)kind;
			text = rendered((enum format)format, false, &e, &place);
			assert_false(has_control(text, strlen(text) - 1));
			assert_null(strchr(text, '\x9b'));
		}
}

TEST(a_flat_object_for_a_program)
{
	const struct event e = logon();

	assert_string_equal(rendered(FORMAT_JSON, true, &e, in_batch()),
			    "{\"time\":\"2026-11-23T13:13:04.123456Z\",\"kind\":\"authentication\",\"activity\":\"logon\","
			    "\"outcome\":\"failure\",\"severity\":\"medium\",\"program\":\"sshd\",\"host\":\"golden\",\"pid\":812,"
			    "\"source\":\"/var/log/auth.log\",\"method\":\"password\",\"user\":\"root\","
			    "\"src_ip\":\"203.0.113.7\",\"src_port\":50022,"
			    "\"template\":\"Failed {method} for {user} from {src_ip} port {src_port} ssh2\","
			    "\"raw\":\"sshd[812]: Failed password for root from 203.0.113.7 port 50022 ssh2\","
			    "\"record\":{\"host\":\"golden-1\",\"key_fingerprint\":\"SHA256:abc\","
			    "\"run\":\"ab000000000000000000000000000000\",\"sequence\":12,\"index\":3}}\n");
}

TEST(an_authentication_of_ocsf)
{
	const struct event e = logon();

	assert_string_equal(
		rendered(FORMAT_OCSF, true, &e, in_batch()),
		"{\"category_uid\":3,\"category_name\":\"Identity & Access Management\",\"class_uid\":3002,"
		"\"class_name\":\"Authentication\",\"activity_id\":1,\"activity_name\":\"Logon\",\"type_uid\":300201,"
		"\"severity_id\":3,\"severity\":\"Medium\",\"status_id\":2,\"status\":\"Failure\",\"time\":1795439584123,"
		"\"message\":\"Failed password for root from 203.0.113.7 port 50022 ssh2\","
		"\"metadata\":{\"version\":\"1.1.0\",\"product\":{\"name\":\"hallmark\",\"vendor_name\":\"hallmark\","
		"\"version\":\"" HALLMARK_VERSION "\"},\"uid\":\"SHA256:abc/12/3\",\"sequence\":12,\"logged_time\":0,"
		"\"log_name\":\"/var/log/auth.log\",\"log_provider\":\"sshd\",\"profiles\":[\"host\"]},"
		"\"device\":{\"hostname\":\"golden-1\",\"type_id\":0,\"os\":{\"name\":\"Linux\",\"type_id\":200}},"
		"\"user\":{\"name\":\"root\"},\"auth_protocol\":\"password\",\"auth_protocol_id\":99,"
		"\"logon_type_id\":10,\"logon_type\":\"Remote Interactive\",\"is_remote\":true,"
		"\"src_endpoint\":{\"ip\":\"203.0.113.7\",\"port\":50022},\"service\":{\"name\":\"sshd\"},"
		"\"actor\":{\"process\":{\"pid\":812,\"name\":\"sshd\"}},"
		"\"raw_data\":\"sshd[812]: Failed password for root from 203.0.113.7 port 50022 ssh2\","
		"\"unmapped\":{\"kind\":\"authentication\",\"activity\":\"logon\",\"outcome\":\"failure\","
		"\"template\":\"Failed {method} for {user} from {src_ip} port {src_port} ssh2\",\"host\":\"golden\","
		"\"run\":\"ab000000000000000000000000000000\"}}\n");
}

TEST(an_authentication_of_ecs)
{
	const struct event e = logon();

	assert_string_equal(
		rendered(FORMAT_ECS, true, &e, in_batch()),
		"{\"@timestamp\":\"2026-11-23T13:13:04.123456Z\",\"ecs\":{\"version\":\"8.17.0\"},"
		"\"message\":\"Failed password for root from 203.0.113.7 port 50022 ssh2\","
		"\"event\":{\"kind\":\"event\",\"category\":[\"authentication\"],\"type\":[\"start\"],\"outcome\":\"failure\","
		"\"action\":\"logon\",\"severity\":3,\"module\":\"hallmark\",\"dataset\":\"hallmark.events\","
		"\"provider\":\"sshd\",\"id\":\"SHA256:abc/12/3\",\"sequence\":12,\"created\":\"1970-01-01T00:00:00.000000Z\","
		"\"original\":\"sshd[812]: Failed password for root from 203.0.113.7 port 50022 ssh2\"},"
		"\"host\":{\"name\":\"golden-1\",\"os\":{\"type\":\"linux\"}},"
		"\"agent\":{\"type\":\"hallmark\",\"id\":\"SHA256:abc\"},\"log\":{\"file\":{\"path\":\"/var/log/auth.log\"},"
		"\"syslog\":{\"appname\":\"sshd\",\"procid\":\"812\",\"hostname\":\"golden\"}},\"user\":{\"name\":\"root\"},"
		"\"source\":{\"ip\":\"203.0.113.7\",\"port\":50022,\"address\":\"203.0.113.7\"},"
		"\"process\":{\"pid\":812,\"name\":\"sshd\"},"
		"\"related\":{\"user\":[\"root\"],\"ip\":[\"203.0.113.7\"]},"
		"\"hallmark\":{\"kind\":\"authentication\","
		"\"template\":\"Failed {method} for {user} from {src_ip} port {src_port} ssh2\","
		"\"fields\":{\"method\":\"password\"},"
		"\"run\":\"ab000000000000000000000000000000\"}}\n");
}

TEST(times_before_1970_and_outside_of_the_calendar)
{
	struct event e = logon();

	e.time_us = -1;
	assert_non_null(strstr(rendered(FORMAT_OCSF, false, &e, in_batch()), "\"time\":-1,"));
	assert_non_null(strstr(rendered(FORMAT_ECS, false, &e, in_batch()), "\"@timestamp\":\"1969-12-31T23:59:59.999999Z\""));
	e.time_us = INT64_MIN;
	assert_non_null(strstr(rendered(FORMAT_OCSF, false, &e, in_batch()), "\"time\":-9223372036854776,"));
	assert_non_null(strstr(rendered(FORMAT_ECS, false, &e, in_batch()), "{\"@timestamp\":\"1970-01-01T00:00:00.000000Z\""));
	assert_non_null(strstr(rendered(FORMAT_ECS, false, &e, in_batch()), "\"hallmark\":{\"time\":\"@-"));
}

TEST(outside_of_a_batch_foreign_schemas_are_served_as_well)
{
	struct event e = logon();

	for (unsigned kind = 0; kind < 12; kind++)
		for (unsigned format = FORMAT_OCSF; format <= FORMAT_ECS; format++) {
			e.meaning.kind = (Hallmark__V1__Kind)kind;
			json_decref(parsed(rendered((enum format)format, false, &e, NULL)));
			assert_null(strstr(rendered((enum format)format, false, &e, NULL), "device"));
		}
}

TEST(outside_of_a_batch_there_is_no_record)
{
	struct event e = logon();

	assert_null(strstr(rendered(FORMAT_JSON, false, &e, NULL), "record"));
	assert_null(strstr(rendered(FORMAT_JSON, false, &e, NULL), "\"source\""));
	e.time_us = 0;
	assert_memory_equal(rendered(FORMAT_JSON, false, &e, NULL), "{\"kind\"", 7);
	assert_memory_equal(rendered(FORMAT_TEXT, false, &e, NULL), "-                     sshd[812]", 31);
}

TEST(only_well_known_numbers_are_numbers)
{
	static const struct {
		const char *name, *value, *json;
	} cases[] = {
		{ "src_port", "0", "\"src_port\":0," },
		{ "uid", "1000", "\"uid\":1000," },
		{ "uid", "01000", "\"uid\":\"01000\"," },
		{ "uid", "-1", "\"uid\":\"-1\"," },
		{ "uid", "", "\"uid\":\"\"," },
		{ "uid", "4294967295", "\"uid\":4294967295," },
		{ "uid", "1234567890123456", "\"uid\":\"1234567890123456\"," },
		{ "user", "1000", "\"user\":\"1000\"," },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct event e = logon();

		e.fields[0] = (struct event_field){ cases[i].name, bytes_str(cases[i].value) };
		e.n_fields = 1;
		assert_non_null(strstr(rendered(FORMAT_JSON, false, &e, in_batch()), cases[i].json));
	}
}

TEST(no_key_occurs_twice)
{
	static const char *const names[] = { "time",	  "user",  "user", "field_time", "field_1_user", "field_field_time",
					     "raw_base64", "report", "a b",  "a_b",	     "",		 "record" };
	static const struct event_constant constants[] = { { "user", "constant" }, { "kind", "constant" } };
	struct event e = logon();
	json_t *object;

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		e.fields[i] = (struct event_field){ names[i], LIT("value") };
	e.n_fields = ELEMENTSOF(names);
	e.meaning.constants = constants;
	e.meaning.n_constants = ELEMENTSOF(constants);
	object = parsed(rendered(FORMAT_JSON, false, &e, in_batch()));
	assert_string_equal(json_string_value(json_object_get(object, "field_time")), "value");
	assert_string_equal(json_string_value(json_object_get(object, "user")), "value");
	assert_string_equal(json_string_value(json_object_get(object, "field_2_user")), "value");
	assert_string_equal(json_string_value(json_object_get(object, "field_12_user")), "constant");
	assert_string_equal(json_string_value(json_object_get(object, "kind")), "authentication");
	json_decref(object);
}

TEST(what_is_not_utf8_is_there_to_the_letter)
{
	const struct event bad = unknown(LIT("x\xff\n")), good = unknown(LIT("x\xc3\xa4\n"));
	json_t *object = parsed(rendered(FORMAT_JSON, false, &bad, in_batch()));

	assert_string_equal(json_string_value(json_object_get(object, "raw")), "x\xef\xbf\xbd\n");
	assert_string_equal(json_string_value(json_object_get(object, "raw_base64")), "eP8K");
	json_decref(object);
	assert_null(strstr(rendered(FORMAT_JSON, false, &good, in_batch()), "raw_base64"));
}

TEST(provenance_is_an_object_of_what_is_there)
{
	struct event e = logon();

	e.origin.has_provenance = true;
	e.origin.provenance = PROVENANCE_NONE;
	assert_non_null(strstr(rendered(FORMAT_JSON, false, &e, in_batch()), "\"provenance\":{},"));
	e.origin.provenance.uid = 0;
	e.origin.provenance.exe = LIT("/usr/sbin/sshd");
	e.origin.provenance.message_id = LIT("\x01\xff");
	assert_non_null(strstr(rendered(FORMAT_JSON, false, &e, in_batch()),
			       "\"provenance\":{\"uid\":0,\"exe\":\"/usr/sbin/sshd\",\"message_id\":\"01ff\"},"));
}

TEST(a_source_that_the_batch_does_not_name_is_left_out)
{
	struct event e = logon();

	e.origin.source = 2;
	assert_null(strstr(rendered(FORMAT_JSON, false, &e, in_batch()), "\"source\""));
	e.origin.source = 0;
	assert_non_null(strstr(rendered(FORMAT_JSON, false, &e, in_batch()), "\"source\":\"hallmark\""));
}

TEST(any_bytes_become_one_valid_object_and_one_clean_line)
{
	static const char *const some_names[] = { "user", "time", "pid", "uid", "field_user" };
	unsigned seed = 7;
	uint8_t bytes[64];

	for (unsigned round = 0; round < 3000; round++) {
		struct event e = logon();
		const char *text;
		json_t *object;

		for (size_t i = 0; i < sizeof bytes; i++) /* half of them from the corners of the range */
			bytes[i] = (uint8_t)(rand_r(&seed) % 2 ? rand_r(&seed) : "\0\x1b\"\\\x7f\xc2\x9b\xff"[rand_r(&seed) % 8]);
		e.raw = e.message = bytes_of(bytes, (size_t)rand_r(&seed) % sizeof bytes);
		e.origin.program = bytes_of(bytes + 20, (size_t)rand_r(&seed) % 20);
		e.n_fields = (size_t)rand_r(&seed) % EVENT_FIELDS_MAX;
		for (size_t i = 0; i < e.n_fields; i++)
			e.fields[i] = (struct event_field){ some_names[rand_r(&seed) % 5],
							    bytes_of(bytes + i, (size_t)rand_r(&seed) % 9) };
		e.meaning.kind = (Hallmark__V1__Kind)(rand_r(&seed) % 12);
		for (unsigned format = FORMAT_JSON; format <= FORMAT_ECS; format++) {
			object = parsed(rendered((enum format)format, false, &e, in_batch()));
			json_decref(object);
		}
		text = rendered(FORMAT_TEXT, false, &e, in_batch());
		assert_false(has_control(text, strlen(text) - 1));
	}
}

TEST(an_event_that_does_not_fit_leaves_nothing_behind)
{
	const struct event e = logon();

	for (size_t max = 1; max < 4 * 1800; max++) {
		_cleanup_(buf_done) struct buf out = { .max = max / 4 };
		int r = render_event(&out, (enum format)(max % 4), false, &e, in_batch());

		assert_true(r == 0 || r == -EMSGSIZE);
		if (r < 0)
			assert_int_equal(out.len, 0);
	}
}
