/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/exclude.h"

#include <errno.h>

#include "agent/base/text.h"

int exclusion_parse(const char *entry, struct exclusion *ret)
{
	struct exclusion e = { .tag = bytes_of(entry, strcspn(entry, ": ,")) };
	struct bytes rest = bytes_from(bytes_str(entry), e.tag.len);

	if (strlen(entry) > EXCLUDE_TEXT_MAX || !text_is_utf8(bytes_str(entry)))
		return -EINVAL;
	if (rest.len > 0 && (rest.len < 3 || !bytes_starts(rest, LIT(": "))))
		return -EINVAL;
	e.text = bytes_from(rest, 2);
	if (e.tag.len > 0 && e.tag.data[e.tag.len - 1] == '*') {
		e.tag_begins = true;
		e.tag.len--;
	}
	/* every line of every program: that is no record */
	if (e.tag.len == 0 && (!e.tag_begins || e.text.len == 0))
		return -EINVAL;
	*ret = e;
	return 0;
}

/* Takes `part` off the front of `rest`, as far as both go; false where they differ. */
static bool take(struct bytes *rest, struct bytes part)
{
	size_t n = MIN(rest->len, part.len);

	if (n > 0 && memcmp(rest->data, part.data, n) != 0)
		return false;
	*rest = bytes_from(*rest, n);
	return true;
}

/* Whether the wording's text, as a batch carries it (Template.text in hallmark.proto), begins so. */
static bool wording_begins(const struct wording *w, struct bytes text)
{
	for (size_t i = 0; i <= w->n_fields && text.len > 0; i++) {
		for (size_t k = 0; k < w->literals[i].len && text.len > 0; k++) {
			uint8_t c = w->literals[i].data[k];

			if (!take(&text, bytes_of((uint8_t[]){ c, c }, c == '{' || c == '}' ? 2 : 1)))
				return false;
		}
		if (i < w->n_fields &&
		    (!take(&text, LIT("{")) || !take(&text, bytes_str(event_field_name(w->field_ids[i]))) ||
		     !take(&text, LIT("}"))))
			return false;
	}
	return text.len == 0;
}

bool exclusion_covers(const struct exclusion *e, struct bytes program, const struct wording *wording)
{
	if (!bytes_starts(program, e->tag) || (!e->tag_begins && program.len != e->tag.len))
		return false;
	return e->text.len == 0 || (!wording->unknown && wording_begins(wording, e->text));
}
