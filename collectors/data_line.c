/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/data_line.h"

#include <errno.h>
#include <stdarg.h>

int data_wrong(const struct data_place *place, const char *format, ...)
{
	va_list args;
	char text[256];

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (place->why)
		(void)buf_printf(place->why, "%s:%u: %s", place->origin, place->line, text);
	return -EINVAL;
}

const char *data_shown(struct bytes b, char out[static 64])
{
	size_t n = MIN(b.len, 60u);

	for (size_t i = 0; i < n; i++)
		out[i] = b.data[i] < 0x20 || b.data[i] >= 0x7f ? '?' : (char)b.data[i];
	out[n] = '\0';
	return out;
}

static bool is_gap(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct bytes data_trim(struct bytes b)
{
	while (b.len > 0 && is_gap(b.data[0]))
		b = bytes_from(b, 1);
	while (b.len > 0 && is_gap(b.data[b.len - 1]))
		b.len--;
	return b;
}

struct bytes data_split(struct bytes *rest, uint8_t c)
{
	const uint8_t *p = rest->len > 0 ? memchr(rest->data, c, rest->len) : NULL;
	struct bytes part = { rest->data, p ? (size_t)(p - rest->data) : rest->len };

	*rest = bytes_from(*rest, part.len + 1);
	return part;
}
