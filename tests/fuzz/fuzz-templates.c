/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody's templates, and messages behind an empty line: what is wrong with a template is said; where one fits, its
 * words and values are the message to the letter, within the steps that template.h promises. */
#include "collectors/template.h"
#include "tests/fuzz/fuzz.h"

/* Names of fields are numbered once for the whole process: these are there however many others were met. */
__attribute__((constructor)) static void name_fields(void)
{
	static const char *const names[] = { "src_ip", "src_port", "pid", "uid", "host", "user" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		check(event_field_id(names[i]) > 0);
	for (char c = 'a'; c <= 'z'; c++)
		check(event_field_id((const char[]){ c, '\0' }) > 0);
}

static void check_match(const struct template_match *m, struct bytes rest)
{
	const struct wording *w = m->wording;

	check(w->n_fields <= EVENT_FIELDS_MAX);
	for (size_t i = 0; i < w->n_fields; i++) {
		check(bytes_starts(rest, w->literals[i]));
		rest = bytes_from(rest, w->literals[i].len);
		check(bytes_starts(rest, m->values[i]) && event_field_name(w->field_ids[i]));
		rest = bytes_from(rest, m->values[i].len);
	}
	check(bytes_eq(rest, w->literals[w->n_fields]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *gap = size > 0 ? memmem(data, size, "\n\n", 2) : NULL;
	size_t len = gap ? (size_t)(gap - data) : size;
	struct bytes messages = bytes_from(bytes_of(data, size), len + 2);
	_cleanup_(template_set_freep) struct template_set *set = NULL;
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	int n;

	check(template_set_new(&set) == 0);
	n = template_set_add(set, bytes_of(data, len), "here", &why);
	check(template_set_count(set) == (n < 0 ? 0 : (size_t)n));
	check(n < 0 ? bytes_starts(buf_bytes(&why), LIT("here")) : why.len == 0);
	check(template_set_ready(set) == 0);
	while (messages.len > 0) {
		struct bytes message = take_line(&messages);
		uint64_t before = template_set_steps(set);
		struct template_match m;

		if (template_match(set, LIT("p"), message, &m)) {
			check(n > 0);
			check_match(&m, message);
		}
		check(template_set_steps(set) - before <= ((size_t)n + 1) * (8192 + 80 * message.len));
	}
	return 0;
}
