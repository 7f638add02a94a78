/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/layout.h"

#include <arpa/inet.h>

#define PORT_MAX 65535u
#define HOST_NAME_MAX_BYTES 253u

/* --- objects ------------------------------------------------------------------------------------- */

void layout_open(struct layout *t, const char *name)
{
	if (t->depth < LAYOUT_DEPTH)
		t->open[t->depth++] = name;
}

void layout_close(struct layout *t)
{
	if (t->depth == 0)
		return;
	if (t->written == t->depth--) {
		line_add(t->line, LIT("}"));
		t->written = t->depth;
	}
}

static void write_open(struct layout *t)
{
	for (; t->written < t->depth; t->written++) {
		json_key(t->line, t->open[t->written]);
		line_add(t->line, LIT("{"));
	}
}

void layout_key(struct layout *t, const char *name)
{
	write_open(t);
	json_key(t->line, name);
}

void layout_text(struct layout *t, const char *name, struct bytes value)
{
	if (value.len == 0)
		return;
	layout_key(t, name);
	json_string(t->line, bytes_of(value.data, MIN(value.len, t->string_max)));
}

void layout_number(struct layout *t, const char *name, uint64_t value)
{
	if (value > LAYOUT_NUMBER_MAX)
		return;
	layout_key(t, name);
	line_number(t->line, value);
}

void layout_hex(struct layout *t, const char *name, struct bytes value)
{
	if (value.len == 0)
		return;
	write_open(t);
	json_hex(t->line, name, value);
}

/* --- facts --------------------------------------------------------------------------------------- */

bool layout_is_ip(struct bytes b)
{
	char text[40 + 1]; /* as long as schemas admit; only an odd spelling is longer */
	struct in6_addr address;

	if (b.len == 0 || b.len >= sizeof text || memchr(b.data, '\0', b.len))
		return false;
	(void)memcpy(text, b.data, b.len);
	text[b.len] = '\0';
	return inet_pton(memchr(b.data, ':', b.len) ? AF_INET6 : AF_INET, text, &address) == 1;
}

static bool is_alphanumeric(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool layout_is_host(struct bytes b)
{
	if (b.len == 0 || b.len > HOST_NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		bool inner = i > 0 && i + 1 < b.len;

		if (is_alphanumeric(b.data[i]))
			continue;
		if (!inner || (b.data[i] != '-' && b.data[i] != '.'))
			return false;
		/* labels begin and end with a letter or digit */
		if ((b.data[i] == '.' || b.data[i - 1] == '.') &&
		    !(is_alphanumeric(b.data[i - 1]) && is_alphanumeric(b.data[i + 1])))
			return false;
	}
	return true;
}

static bool same_name(const char *a, const char *b)
{
	return a[0] == b[0] && strcmp(a, b) == 0;
}

int layout_find(const struct layout *t, const char *name)
{
	size_t n = MIN(event_facts(t->event), (size_t)64);

	for (size_t i = 0; i < n; i++)
		if (!(t->taken >> i & 1) && same_name(event_fact_name(t->event, i), name) &&
		    event_fact_value(t->event, i).len <= t->string_max)
			return (int)i;
	return -1;
}

void layout_take(struct layout *t, const char *name)
{
	int i = layout_find(t, name);

	if (i >= 0)
		t->taken |= UINT64_C(1) << i;
}

static bool is_number_up_to(struct bytes b, uint64_t first, uint64_t last)
{
	uint64_t n;

	return json_is_number(b) && bytes_to_u64(b, &n) == 0 && n >= first && n <= last;
}

static bool fits(enum member_kind kind, struct bytes value)
{
	switch (kind) {
	case MEMBER_NAME:
		return true;
	case MEMBER_NUMBER:
		return is_number_up_to(value, 0, LAYOUT_NUMBER_MAX);
	case MEMBER_PORT:
		return is_number_up_to(value, 1, PORT_MAX);
	case MEMBER_IP:
		return layout_is_ip(value);
	case MEMBER_HOST:
		return layout_is_host(value);
	default:
		return value.len > 0;
	}
}

static void put_fact(struct layout *t, const struct member *m)
{
	for (size_t k = 0; k < LAYOUT_FACTS && m->facts[k]; k++) {
		int i = layout_find(t, m->facts[k]);
		struct bytes value;

		if (i < 0)
			continue;
		value = event_fact_value(t->event, (size_t)i);
		if (!fits(m->kind, value))
			continue;
		t->taken |= UINT64_C(1) << i;
		layout_key(t, m->name);
		if (m->kind == MEMBER_NUMBER || m->kind == MEMBER_PORT)
			line_add(t->line, value);
		else
			json_string(t->line, value);
		if (m->text) {
			line_add(t->line, LIT(","));
			line_add(t->line, bytes_str(m->text));
		}
		return;
	}
}

/* --- tables -------------------------------------------------------------------------------------- */

static void put(struct layout *t, const struct member *m)
{
	if ((m->after && t->written < t->depth) || (m->unless && layout_find(t, m->unless) >= 0))
		return;
	if (m->kind == MEMBER_CALL) {
		m->call(t, m->name);
	} else if (m->kind == MEMBER_FIXED) {
		layout_key(t, m->name);
		line_add(t->line, bytes_str(m->text));
	} else {
		put_fact(t, m);
	}
}

void layout_walk(struct layout *t, const struct member *members)
{
	for (const struct member *m = members; m->kind != MEMBER_END; m++) {
		if (m->kind == MEMBER_OPEN)
			layout_open(t, m->name);
		else if (m->kind == MEMBER_CLOSE)
			layout_close(t);
		else
			put(t, m);
	}
}

void layout_leftovers(struct layout *t, const char *name)
{
	layout_open(t, name);
	for (size_t i = 0; i < event_facts(t->event); i++) {
		if ((i < 64 && (t->taken >> i & 1)) || same_name(event_fact_name(t->event, i), EVENT_FIELD_BLANKS))
			continue;
		write_open(t);
		json_fact_key(t->line, t->event, i, true);
		json_string(t->line, event_fact_value(t->event, i));
	}
	layout_close(t);
}

/* --- members that every schema has ---------------------------------------------------------------- */

void layout_put_pid(struct layout *t, const char *name)
{
	if (t->event->pid != 0)
		layout_number(t, name, t->event->pid);
}

void layout_put_program(struct layout *t, const char *name)
{
	layout_text(t, name, t->event->origin.program);
}

void layout_put_host(struct layout *t, const char *name)
{
	if (t->place && t->place->batch->host)
		layout_text(t, name, bytes_str(t->place->batch->host->name));
}

void layout_put_machine_id(struct layout *t, const char *name)
{
	const Hallmark__V1__Host *host = t->place ? t->place->batch->host : NULL;

	if (host)
		layout_hex(t, name, bytes_of(host->machine_id.data, host->machine_id.len));
}

void layout_put_uid(struct layout *t, const char *name)
{
	layout_key(t, name);
	line_add(t->line, LIT("\""));
	if (t->place) {
		/* in base64, with nothing to escape */
		line_add(t->line, bytes_str(t->place->fingerprint));
		line_add(t->line, LIT("/"));
		line_number(t->line, t->place->batch->sequence);
		line_add(t->line, LIT("/"));
	}
	line_number(t->line, t->place ? t->place->index : 0);
	line_add(t->line, LIT("\""));
}

void layout_put_batch(struct layout *t)
{
	const Hallmark__V1__Batch *b = t->place ? t->place->batch : NULL;

	if (b)
		layout_hex(t, "run", bytes_of(b->run_id.data, b->run_id.len));
	if (b && b->host)
		layout_hex(t, "boot_id", bytes_of(b->host->boot_id.data, b->host->boot_id.len));
}
