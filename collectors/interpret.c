/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/interpret.h"

#include <errno.h>

struct interpreter {
	struct template_set *templates;
};

int interpreter_new(struct interpreter **ret)
{
	_cleanup_(interpreter_freep) struct interpreter *in = calloc(1, sizeof *in);
	int r;

	if (!in)
		return -ENOMEM;
	r = template_set_new(&in->templates);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(in);
	return 0;
}

struct interpreter *interpreter_free(struct interpreter *in)
{
	if (in) {
		template_set_free(in->templates);
		free(in);
	}
	return NULL;
}

int interpreter_add_directory(struct interpreter *in, const char *path, struct buf *ret_why)
{
	return template_set_add_directory(in->templates, path, ret_why);
}

int interpreter_ready(struct interpreter *in)
{
	return template_set_ready(in->templates);
}

struct template_set *interpreter_templates(struct interpreter *in)
{
	return in->templates;
}

int interpret(struct interpreter *in, const struct origin *origin, int64_t time_us, struct bytes message,
	      struct interpretation *ret)
{
	struct template_match match;

	ret->message = message;
	if (template_match(in->templates, origin->program, message, &match)) {
		ret->wording = match.wording;
		memcpy(ret->values, match.values, match.wording->n_fields * sizeof *match.values);
	} else {
		ret->wording = &wording_unknown;
		ret->values[0] = message;
	}
	return 0;
}
