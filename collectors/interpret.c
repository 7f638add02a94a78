/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/interpret.h"

#include <errno.h>

#include "collectors/redact.h"
#include "collectors/sender.h"

struct interpreter {
	struct template_set *templates;
	struct accounts *accounts;
	struct redactor *redactor;
	bool keep_secrets;
	struct exclusion exclusions[EXCLUDE_MAX];
	const char *entries[EXCLUDE_MAX];
	size_t n_exclusions;
};

int interpreter_new(struct interpreter **ret)
{
	_cleanup_(interpreter_freep) struct interpreter *in = calloc(1, sizeof *in);
	int r;

	if (!in)
		return -ENOMEM;
	r = template_set_new(&in->templates);
	if (r == 0)
		r = accounts_new("/etc/passwd", &in->accounts);
	if (r == 0)
		r = redactor_new(&in->redactor);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(in);
	return 0;
}

struct interpreter *interpreter_free(struct interpreter *in)
{
	if (in) {
		template_set_free(in->templates);
		accounts_free(in->accounts);
		redactor_free(in->redactor);
		free(in);
	}
	return NULL;
}

int interpreter_add_directory(struct interpreter *in, const char *path, struct buf *ret_why)
{
	int r = template_set_add_directory(in->templates, path, ret_why), s = 0;

	/* of both that are wrong the first is told */
	if (!in->keep_secrets)
		s = redactor_add_directory(in->redactor, path, r < 0 ? NULL : ret_why);
	return r < 0 || s >= 0 ? r : s;
}

void interpreter_set_redaction(struct interpreter *in, bool keep_secrets, enum unknown_users unknown_users)
{
	in->keep_secrets = keep_secrets;
	redactor_set_unknown_users(in->redactor, unknown_users);
}

struct redactor *interpreter_redactor(struct interpreter *in)
{
	return in->redactor;
}

int interpreter_ready(struct interpreter *in)
{
	int r = template_set_ready(in->templates);

	return r < 0 ? r : redactor_ready(in->redactor);
}

struct template_set *interpreter_templates(struct interpreter *in)
{
	return in->templates;
}

int interpreter_exclude(struct interpreter *in, const char *entry)
{
	int r;

	if (in->n_exclusions == EXCLUDE_MAX)
		return -E2BIG;
	r = exclusion_parse(entry, &in->exclusions[in->n_exclusions]);
	if (r >= 0)
		in->entries[in->n_exclusions++] = entry;
	return r;
}

const char *const *interpreter_excluded(const struct interpreter *in, size_t *ret_n)
{
	*ret_n = in->n_exclusions;
	return in->entries;
}

#define REPEATED LIT("message repeated ")
#define REPEATED_TIMES LIT(" times: [ ")

/* What stands between the brackets of "message repeated 5 times: [ … ]", and the number. A repetition in there is
 * none that rsyslog made: it stays as it is. */
static bool unpack_repeated(struct bytes message, struct bytes *ret_number, struct bytes *ret_inner)
{
	struct bytes number = bytes_from(message, REPEATED.len), inner;
	uint64_t n;

	/* most lines are told from one by their first byte */
	if (message.len == 0 || message.data[0] != REPEATED.data[0] || !bytes_starts(message, REPEATED) || message.data[message.len - 1] != ']')
		return false;
	number.len = 0;
	while (REPEATED.len + number.len < message.len && number.data[number.len] >= '0' && number.data[number.len] <= '9')
		number.len++;
	inner = bytes_from(message, REPEATED.len + number.len);
	if (bytes_to_u64(number, &n) < 0 || !bytes_starts(inner, REPEATED_TIMES))
		return false;
	inner = bytes_from(inner, REPEATED_TIMES.len);
	if (inner.len == 0 || bytes_starts(inner, REPEATED))
		return false;
	inner.len--;
	*ret_number = number;
	*ret_inner = inner;
	return true;
}

/* Which of the values may hold secrets, and which are names that no account bears: a bit for each. */
struct delicate {
	uint32_t text, unknown;
};

/* The wording that knows the message, without its varieties, and the values in their places. */
static struct wording *find_wording(struct interpreter *in, const struct origin *origin, int64_t time_us,
				    struct bytes message, struct bytes *values, struct delicate *delicate,
				    unsigned *varieties)
{
	struct bytes program = origin->program, number, inner;
	_uninitialized_ struct template_match match;
	unsigned before = 0;

	if (unpack_repeated(message, &number, &inner) && template_match(in->templates, program, inner, &match) &&
	    match.wording->n_fields < EVENT_FIELDS_MAX) {
		*varieties |= VARIETY_REPEATED;
		*values++ = number;
		before = 1;
	} else if (!template_match(in->templates, program, message, &match)) {
		values[0] = message;
		*delicate = (struct delicate){ .text = 1 };
		return &wording_unknown;
	}
	*varieties |= sender_judge(in->accounts, origin, time_us, &match);
	memcpy(values, match.values, match.wording->n_fields * sizeof *match.values);
	*delicate = (struct delicate){ match.text << before, match.unknown << before };
	return match.wording;
}

/* Which entry leaves the line out, or -1. */
static int find_exclusion(const struct interpreter *in, struct bytes program, const struct wording *wording,
			  unsigned varieties)
{
	if (varieties & (VARIETY_SUSPECT | VARIETY_NOT_ROOT | VARIETY_NOT_CALLER) ||
	    wording->meaning.kind == HALLMARK__V1__KIND__KIND_EVIDENCE_LOSS)
		return -1;
	for (size_t i = 0; i < in->n_exclusions; i++)
		if (exclusion_covers(&in->exclusions[i], program, wording))
			return (int)i;
	return -1;
}

int interpret(struct interpreter *in, const struct origin *origin, int64_t time_us, struct bytes message,
	      unsigned varieties, struct interpretation *ret)
{
	struct delicate delicate;
	struct wording *wording =
		find_wording(in, origin, time_us, message, ret->values, &delicate, &varieties), *varied;
	int r;

	ret->message = message;
	ret->excluded = find_exclusion(in, origin->program, wording, varieties);
	varied = template_vary(in->templates, wording, varieties);
	if (!varied)
		return -ENOMEM;
	r = redact(in->redactor, varied, delicate.text, delicate.unknown, ret->values, &ret->message);
	if (r > 0) {
		varieties |= VARIETY_REDACTED;
		varied = template_vary(in->templates, wording, varieties);
	}
	ret->wording = varied;
	ret->varieties = varieties;
	return r < 0 || varied ? MIN(r, 0) : -ENOMEM;
}
