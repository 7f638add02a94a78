/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign bytes as text: what is shown can be read back and is obeyed by no terminal; sizes, spans and times. */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "agent/base/text.h"
#include "tests/fuzz/fuzz.h"

static struct buf out = BUF_INIT((size_t)16 << 20), again = BUF_INIT((size_t)16 << 20);

static void check_escape(struct bytes b)
{
	buf_clear(&out);
	buf_clear(&again);
	check(text_escape(&out, b) == 0 && text_is_utf8(buf_bytes(&out)));
	for (size_t i = 0; i < out.len; i++) {
		unsigned byte = out.data[i];

		check(byte >= 0x20 && byte != 0x7f);
		if (byte == '\\' && out.data[++i] != '\\') {
			char digits[3] = { (char)out.data[i + 1], (char)out.data[i + 2], '\0' };

			check(out.data[i] == 'x' && sscanf(digits, "%2x", &byte) == 1);
			i += 2;
		}
		check(buf_byte(&again, (uint8_t)byte) == 0);
	}
	check(bytes_eq(buf_bytes(&again), b));
}

static void check_json(struct bytes b)
{
	json_t *json;

	buf_clear(&out);
	check(text_json(&out, b) == 0 && text_is_utf8(buf_bytes(&out)));
	json = json_loadb((const char *)out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	check(json_is_string(json));
	if (text_is_utf8(b))
		check(bytes_eq(bytes_of(json_string_value(json), json_string_length(json)), b));
	json_decref(json);
}

static void check_encodings(struct bytes b)
{
	buf_clear(&out);
	buf_clear(&again);
	check(text_base64(&out, b) == 0 && buf_reserve(&again, out.len + 1) == 0);
	again.len = (size_t)EVP_EncodeBlock(again.data, b.data, (int)b.len);
	check(bytes_eq(buf_bytes(&out), buf_bytes(&again)));
	buf_clear(&out);
	check(text_hex(&out, b) == 0 && out.len == 2 * b.len);
}

static void check_numbers(const char *s)
{
	uint64_t size = 7, span = 7;
	int64_t now_us = INT64_C(1795438800) * 1000000, time_us = 7, back_us;
	char text[TEXT_TIME_MAX];
	bool plain = s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
	int r = text_to_size(s, &size);

	check(r == 0 || ((r == -EINVAL || r == -ERANGE) && size == 7));
	check(!plain || (r == 0 ? size == strtoull(s, NULL, 10) : r == -ERANGE));
	r = text_to_span(s, &span);
	check(r == 0 || ((r == -EINVAL || r == -ERANGE) && span == 7));
	check(!plain || (r == 0 ? span == strtoull(s, NULL, 10) * 1000000 : r == -ERANGE));
	r = text_to_time(s, now_us, &time_us);
	check(r == 0 || ((r == -EINVAL || r == -ERANGE) && time_us == 7));
	if (r < 0)
		return;
	check(text_time(time_us, text) == strlen(text));
	if (text[0] != '@')
		check(text_to_time(text, 0, &back_us) == 0 && back_us == time_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *s = strndup((const char *)data, size);

	check(s);
	check_escape(bytes_of(data, size));
	check_json(bytes_of(data, size));
	check_encodings(bytes_of(data, size));
	check_numbers(s);
	return 0;
}
