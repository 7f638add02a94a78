/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether two templates can fit one and the same message. What is certain of a message that a template fits is how it
 * begins: the leading literal; and, where a value without blanks stands behind that, which is followed by a literal
 * with a blank in it, what stands before and behind the first blank from there on.
 */
#include "collectors/match.h"

/* What a message looks like from some place on. */
struct outlook {
	bool blank;          /* it is known what stands around the first blank: */
	bool whole;          /* `before` is all that stands between the place and the blank, not just its end */
	struct bytes before, behind;
};

static struct bytes split(struct bytes text, struct bytes *ret_behind)
{
	const uint8_t *blank = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
	size_t n = blank ? (size_t)(blank - text.data) : text.len;

	*ret_behind = bytes_from(text, n + 1);
	return bytes_of(text.data, n);
}

/* From byte `at` on, which is in the leading literal or at its end. */
static struct outlook look(const struct lead *lead, size_t at)
{
	struct bytes rest = bytes_from(lead->text, at), near = lead_near(lead);
	struct outlook o = { .whole = true };

	o.before = split(rest, &o.behind);
	o.blank = o.before.len < rest.len;
	if (!o.blank && !lead->near_blanks) {
		o.whole = false;
		o.before = split(near, &o.behind);
		o.blank = o.before.len < near.len;
	}
	return o;
}

/* Whether one of them is the end of the other. */
static bool same_end(struct bytes a, struct bytes b)
{
	size_t n = MIN(a.len, b.len);

	return n == 0 || bytes_same(a.data + a.len - n, b.data + b.len - n, n);
}

static bool same_beginning(struct bytes a, struct bytes b)
{
	return bytes_same(a.data, b.data, MIN(a.len, b.len));
}

bool leads_exclude(const struct lead *one, const struct lead *other)
{
	size_t at = MIN(one->text.len, other->text.len);
	struct outlook a, b;

	if (!same_beginning(one->text, other->text))
		return true;
	a = look(one, at);
	b = look(other, at);
	if (!a.blank || !b.blank)
		return false;
	if ((a.whole && a.before.len < b.before.len) || (b.whole && b.before.len < a.before.len))
		return true;
	return !same_end(a.before, b.before) || !same_beginning(a.behind, b.behind);
}
