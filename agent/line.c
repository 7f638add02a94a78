/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/line.h"

#include "agent/base/text.h"

void line_escaped(struct line *l, struct bytes b)
{
	if (l->error == 0)
		l->error = text_escape(l->out, b);
}

void line_number(struct line *l, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	line_add(l, bytes_of(digits + i, sizeof digits - i));
}

void json_key(struct line *l, const char *key)
{
	size_t len = strlen(key);
	uint8_t *p;

	if (l->error == 0)
		l->error = buf_reserve(l->out, len + 4);
	if (l->error < 0)
		return;
	p = l->out->data + l->out->len;
	if (p[-1] != '{')
		*p++ = ',';
	*p++ = '"';
	(void)memcpy(p, key, len);
	(void)memcpy(p + len, "\":", 2);
	l->out->len = (size_t)(p + len + 2 - l->out->data);
}

void json_string(struct line *l, struct bytes b)
{
	if (l->error == 0)
		l->error = text_json(l->out, b);
}

void json_text(struct line *l, const char *key, struct bytes value)
{
	if (value.len == 0)
		return;
	json_key(l, key);
	json_string(l, value);
}

void json_number(struct line *l, const char *key, uint64_t value)
{
	if (value == UINT64_MAX)
		return;
	json_key(l, key);
	line_number(l, value);
}

void json_hex(struct line *l, const char *key, struct bytes value)
{
	if (value.len == 0)
		return;
	json_key(l, key);
	line_add(l, LIT("\""));
	if (l->error == 0)
		l->error = text_hex(l->out, value);
	line_add(l, LIT("\""));
}

void json_base64(struct line *l, const char *key, struct bytes value)
{
	json_key(l, key);
	line_add(l, LIT("\""));
	if (l->error == 0)
		l->error = text_base64(l->out, value);
	line_add(l, LIT("\""));
}

bool json_is_number(struct bytes b)
{
	if (b.len == 0 || b.len > 15 || (b.data[0] == '0' && b.len > 1))
		return false;
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] < '0' || b.data[i] > '9')
			return false;
	return true;
}
