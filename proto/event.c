/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event.h"

#include <errno.h>

#include "agent/base/macro.h"
#include "agent/base/text.h"
#include "proto/event_writer.h"

struct bytes event_get(const struct event *e, const char *name)
{
	for (size_t i = 0; i < e->n_fields; i++)
		if (strcmp(e->fields[i].name, name) == 0)
			return e->fields[i].value;
	for (size_t i = 0; i < e->meaning.n_constants; i++)
		if (strcmp(e->meaning.constants[i].name, name) == 0)
			return bytes_str(e->meaning.constants[i].value);
	return BYTES_NONE;
}

/* --- names of fields ----------------------------------------------------------------------- */

bool event_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");

	return n > 0 && n <= EVENT_NAME_MAX && name[n] == '\0';
}

/* Number 0 is wording_unknown's. */
static const char *field_names[EVENT_FIELD_IDS_MAX] = { "message" };
static unsigned n_field_names = 1;

int event_field_id(const char *name)
{
	char *copy;

	for (unsigned i = 0; i < n_field_names; i++)
		if (strcmp(field_names[i], name) == 0)
			return (int)i;
	if (!event_name_ok(name))
		return -EINVAL;
	if (n_field_names == ELEMENTSOF(field_names))
		return -ENOSPC;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	field_names[n_field_names] = copy;
	return (int)n_field_names++;
}

const char *event_field_name(unsigned id)
{
	return id < n_field_names ? field_names[id] : NULL;
}

/* --- names of the enumerations ------------------------------------------------------------- */

static const char *const kind_names[] = {
	[HALLMARK__V1__KIND__KIND_LOG] = "log",
	[HALLMARK__V1__KIND__KIND_AUTHENTICATION] = "authentication",
	[HALLMARK__V1__KIND__KIND_SESSION] = "session",
	[HALLMARK__V1__KIND__KIND_PRIVILEGE] = "privilege",
	[HALLMARK__V1__KIND__KIND_ACCOUNT] = "account",
	[HALLMARK__V1__KIND__KIND_FINDING] = "finding",
	[HALLMARK__V1__KIND__KIND_INTEGRITY] = "integrity",
	[HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS] = "evidence_loss",
	[HALLMARK__V1__KIND__KIND_LIFECYCLE] = "lifecycle",
	[HALLMARK__V1__KIND__KIND_FORGED] = "forged",
};

static const char *const outcome_names[] = {
	[HALLMARK__V1__OUTCOME__OUTCOME_NONE] = "",
	[HALLMARK__V1__OUTCOME__OUTCOME_SUCCESS] = "success",
	[HALLMARK__V1__OUTCOME__OUTCOME_FAILURE] = "failure",
};

static const char *const severity_names[] = {
	[HALLMARK__V1__SEVERITY__SEVERITY_NONE] = "none",
	[HALLMARK__V1__SEVERITY__SEVERITY_INFO] = "info",
	[HALLMARK__V1__SEVERITY__SEVERITY_LOW] = "low",
	[HALLMARK__V1__SEVERITY__SEVERITY_MEDIUM] = "medium",
	[HALLMARK__V1__SEVERITY__SEVERITY_HIGH] = "high",
};

/* proto3 enumerations are open: a reader may meet a number that it has no word for. */
static const char *enum_name(const char *const *names, size_t n, unsigned value)
{
	return value < n ? names[value] : "unknown";
}

static int enum_value(const char *const *names, size_t n, struct bytes name)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_eq(name, bytes_str(names[i])))
			return (int)i;
	return -EINVAL;
}

const char *kind_name(Hallmark__V1__Kind kind)
{
	return enum_name(kind_names, ELEMENTSOF(kind_names), (unsigned)kind);
}

const char *outcome_name(Hallmark__V1__Outcome outcome)
{
	return enum_name(outcome_names, ELEMENTSOF(outcome_names), (unsigned)outcome);
}

const char *severity_name(Hallmark__V1__Severity severity)
{
	return enum_name(severity_names, ELEMENTSOF(severity_names), (unsigned)severity);
}

int kind_from_name(struct bytes name, Hallmark__V1__Kind *ret)
{
	int v = enum_value(kind_names, ELEMENTSOF(kind_names), name);

	if (v < 0)
		return v;
	*ret = (Hallmark__V1__Kind)v;
	return 0;
}

int outcome_from_name(struct bytes name, Hallmark__V1__Outcome *ret)
{
	int v = enum_value(outcome_names, ELEMENTSOF(outcome_names), name);

	if (v < 0)
		return v;
	*ret = (Hallmark__V1__Outcome)v;
	return 0;
}

int severity_from_name(struct bytes name, Hallmark__V1__Severity *ret)
{
	int v = enum_value(severity_names, ELEMENTSOF(severity_names), name);

	if (v < 0)
		return v;
	*ret = (Hallmark__V1__Severity)v;
	return 0;
}

/* --- stamps -------------------------------------------------------------------------------- */

/* RFC 3164 §4.1.2: "Mmm dd hh:mm:ss", a day below 10 with a space before it. */
static char *put_rfc3164(char *p, const struct civil *c)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	memcpy(p, &months[3 * (c->month - 1)], 3);
	p[3] = ' ';
	p = text_digits(p + 4, (unsigned)c->day, 2);
	if (c->day < 10)
		p[-2] = ' ';
	*p++ = ' ';
	return p;
}

static char *put_iso_date(char *p, const struct civil *c)
{
	p = text_digits(p, (unsigned)c->year, 4);
	*p++ = '-';
	p = text_digits(p, (unsigned)c->month, 2);
	*p++ = '-';
	p = text_digits(p, (unsigned)c->day, 2);
	*p++ = 'T';
	return p;
}

static char *put_clock(char *p, const struct civil *c)
{
	p = text_digits(p, (unsigned)c->hour, 2);
	*p++ = ':';
	p = text_digits(p, (unsigned)c->minute, 2);
	*p++ = ':';
	return text_digits(p, (unsigned)c->second, 2);
}

static char *put_offset(char *p, int offset_min)
{
	unsigned minutes = (unsigned)(offset_min < 0 ? -offset_min : offset_min);

	*p++ = offset_min < 0 ? '-' : '+';
	p = text_digits(p, minutes / 60, 2);
	*p++ = ':';
	return text_digits(p, minutes % 60, 2);
}

/* The fraction as text, 1 to 9 digits; false where `us` is finer than that. */
static bool fraction_text(unsigned us, unsigned digits, char out[static 9])
{
	text_digits(out, us, 6);
	memcpy(out + 6, "000", 3);
	for (unsigned i = digits; i < 6; i++)
		if (out[i] != '0')
			return false;
	return true;
}

size_t stamp_render(Hallmark__V1__Stamp stamp, unsigned fraction_digits, int utc_offset_min, int64_t time_us,
		    char out[static STAMP_TEXT_MAX])
{
	bool zulu = stamp == HALLMARK__V1__STAMP__STAMP_ISO8601_Z;
	bool iso = zulu || stamp == HALLMARK__V1__STAMP__STAMP_ISO8601;
	int64_t seconds = time_us / 1000000, us = time_us % 1000000;
	char fraction[9], *p = out;
	struct civil c;

	if (us < 0) {
		seconds--;
		us += 1000000;
	}
	if ((!iso && stamp != HALLMARK__V1__STAMP__STAMP_RFC3164) || (zulu && utc_offset_min != 0) ||
	    utc_offset_min <= -1440 || utc_offset_min >= 1440 ||
	    fraction_digits > (iso ? sizeof fraction : 0))
		return 0;
	if (!fraction_text((unsigned)us, fraction_digits, fraction) ||
	    !civil_from_seconds(seconds + INT64_C(60) * utc_offset_min, &c))
		return 0;
	p = put_clock(iso ? put_iso_date(p, &c) : put_rfc3164(p, &c), &c);
	if (fraction_digits > 0) {
		*p++ = '.';
		memcpy(p, fraction, fraction_digits);
		p += fraction_digits;
	}
	if (zulu)
		*p++ = 'Z';
	else if (iso)
		p = put_offset(p, utc_offset_min);
	return (size_t)(p - out);
}
