/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/field_type.h"

#include <errno.h>

#include "agent/base/macro.h"

enum {
	W = 1 << TYPE_WORD,
	H = W | 1 << TYPE_HOST | 1 << TYPE_IP,
	D = H | 1 << TYPE_PORT | 1 << TYPE_INT,
};

/* The last ranges that overlap an earlier one would win; none does. */
const uint8_t field_type_classes[256] = {
	[0x00 ... 0x08] = W, [0x0e ... 0x1f] = W, [' '] = 1 << TYPE_BLANKS,
	['!' ... '$'] = W,   ['%'] = H,		  ['&' ... ','] = W,
	['-' ... '.'] = H,   ['/'] = W,		  ['0' ... '9'] = D,
	[':'] = H,	     [';' ... '@'] = W,	  ['A' ... 'Z'] = H,
	['[' ... '^'] = W,   ['_'] = H,		  ['`'] = W,
	['a' ... 'z'] = H,   ['{' ... 0xff] = W,
};

#define IP_MAX 64u /* an IPv6 address with an embedded IPv4 is 45 bytes, an interface name 15 */

static const char *const type_names[TYPE_MAX] = {
	[TYPE_TEXT] = "text", [TYPE_WORD] = "word", [TYPE_HOST] = "host",     [TYPE_IP] = "ip",
	[TYPE_PORT] = "port", [TYPE_INT] = "int",   [TYPE_BLANKS] = "blanks",
};

static const struct {
	const char *name;
	enum field_type type;
} well_known[] = {
	{ "attempts", TYPE_INT },     { "blanks", TYPE_BLANKS },      { "by_uid", TYPE_INT },
	{ "by_user", TYPE_TEXT },     { "command", TYPE_TEXT },       { "cwd", TYPE_TEXT },
	{ "dst_ip", TYPE_IP },        { "dst_port", TYPE_PORT },      { "error", TYPE_TEXT },
	{ "euid", TYPE_INT },         { "exe", TYPE_TEXT },           { "gid", TYPE_INT },
	{ "group", TYPE_TEXT },       { "key_fingerprint", TYPE_WORD }, { "key_type", TYPE_WORD },
	{ "logname", TYPE_WORD },     { "method", TYPE_WORD },        { "pid", TYPE_INT },
	{ "reason", TYPE_TEXT },      { "repeat", TYPE_INT },         { "ruser", TYPE_TEXT },
	{ "service", TYPE_WORD },     { "session", TYPE_WORD },       { "src_host", TYPE_HOST },
	{ "src_ip", TYPE_IP },        { "src_port", TYPE_PORT },      { "target_gid", TYPE_INT },
	{ "target_uid", TYPE_INT },   { "target_user", TYPE_TEXT },   { "tty", TYPE_WORD },
	{ "uid", TYPE_INT },          { "user", TYPE_TEXT },
};

int field_type_from_name(struct bytes name, enum field_type *ret)
{
	for (unsigned i = 0; i < TYPE_MAX; i++) {
		if (bytes_eq(name, bytes_str(type_names[i]))) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

enum field_type field_type_of_name(struct bytes name)
{
	for (size_t i = 0; i < ELEMENTSOF(well_known); i++) {
		if (bytes_eq(name, bytes_str(well_known[i].name)))
			return well_known[i].type;
	}
	return TYPE_TEXT;
}

bool field_type_is_number(enum field_type type)
{
	return type == TYPE_PORT || type == TYPE_INT;
}

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_hex(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

#define IPV4_MAX 15u

/* How many of the bytes at `p` are an IPv4 address; 0 for none. */
static size_t ipv4_len(const uint8_t *p, size_t len)
{
	uint8_t padded[IPV4_MAX + 1] = { 0 };
	const uint8_t *at = p;

	/* with a byte behind the longest one no end has to be looked out for */
	if (len <= IPV4_MAX) {
		memcpy(padded, p, len);
		at = p = padded;
	}
	for (unsigned part = 0; part < 4; part++) {
		unsigned value = 0, n = 0;

		if (part > 0 && *at++ != '.')
			return 0;
		for (; n < 3 && is_digit(at[n]); n++)
			value = value * 10 + (at[n] - '0');
		at += n;
		if (n == 0 || value > 255 || is_digit(*at))
			return 0;
	}
	return (size_t)(at - p);
}

static bool ipv4_valid(const uint8_t *p, size_t len)
{
	return len > 0 && ipv4_len(p, len) == len;
}

static bool ipv6_valid(const uint8_t *p, size_t len)
{
	unsigned groups = 0;
	bool gap = false;
	size_t i = 0;

	if (len >= 2 && p[0] == ':' && p[1] == ':') {
		gap = true;
		i = 2;
	}
	while (i < len) {
		size_t begin = i;

		while (i < len && is_hex(p[i]))
			i++;
		if (i < len && p[i] == '.') {
			groups += 2;
			return ipv4_valid(p + begin, len - begin) && (gap ? groups < 8 : groups == 8);
		}
		if (i == begin || i - begin > 4)
			return false;
		groups++;
		if (i == len)
			break;
		if (p[i] != ':' || ++i == len)
			return false;
		if (p[i] == ':') {
			if (gap)
				return false;
			gap = true;
			i++;
		}
	}
	return gap ? groups < 8 : groups == 8;
}

bool ip_valid(struct bytes value)
{
	const uint8_t *zone;

	if (value.len < 2 || value.len > IP_MAX)
		return false;
	if (ipv4_valid(value.data, value.len))
		return true;
	zone = memchr(value.data, '%', value.len);
	if (zone) {
		size_t before = (size_t)(zone - value.data), after = value.len - before - 1;

		if (after == 0 || memchr(zone + 1, '%', after) || memchr(zone + 1, ':', after))
			return false;
		value.len = before;
	}
	return ipv6_valid(value.data, value.len);
}

static bool port_valid(struct bytes value)
{
	unsigned n = 0;

	if (value.len == 0 || value.len > 5)
		return false;
	for (size_t i = 0; i < value.len; i++)
		n = n * 10 + (value.data[i] - '0');
	return n >= 1 && n <= 65535;
}

bool field_type_valid_slow(enum field_type type, struct bytes value)
{
	uint64_t n;

	switch (type) {
	case TYPE_IP:
		return ip_valid(value);
	case TYPE_INT:
		return bytes_to_u64(value, &n) == 0;
	case TYPE_PORT:
		return port_valid(value);
	default:
		return true;
	}
}

bool field_type_take(enum field_type type, const uint8_t *data, size_t at, size_t stop, size_t *ret_end)
{
	/* nearly every address is an IPv4 address */
	if (type == TYPE_IP) {
		size_t end = *ret_end = at + ipv4_len(data + at, stop - at);

		if (end > at && (end == stop || !field_type_holds(type, data[end])))
			return true;
	}
	*ret_end = field_type_span(type, data, at, stop);
	return field_type_valid(type, bytes_of(data + at, *ret_end - at));
}
