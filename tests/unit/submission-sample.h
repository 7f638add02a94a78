/* SPDX-License-Identifier: Apache-2.0 */
/* A submission that is right, for tests to take a step away from. */
#ifndef HALLMARK_TESTS_UNIT_SUBMISSION_SAMPLE_H
#define HALLMARK_TESTS_UNIT_SUBMISSION_SAMPLE_H

#include "proto/submission.h"
#include "proto/submission.pb-c.h"

struct sample {
	Hallmark__V1__Submission submission;
	Hallmark__V1__Template templates[65], *template_list[65];
	Hallmark__V1__Constant constants[17], *constant_list[17];
	Hallmark__V1__SubmittedEvent events[257], *event_list[257];
	char *values[33];
	struct buf packed;
};

static struct sample *sample_new(void)
{
	struct sample *s = calloc(1, sizeof *s);

	assert_non_null(s);
	hallmark__v1__submission__init(&s->submission);
	s->packed.max = 4u << 20;
	for (size_t i = 0; i < ELEMENTSOF(s->templates); i++) {
		hallmark__v1__template__init(&s->templates[i]);
		s->template_list[i] = &s->templates[i];
		s->templates[i].text = (char *)(uintptr_t)"no fields";
		s->templates[i].kind = HALLMARK__V1__KIND__KIND_FINDING;
		s->templates[i].severity = HALLMARK__V1__SEVERITY__SEVERITY_LOW;
		s->templates[i].constants = s->constant_list;
	}
	for (size_t i = 0; i < ELEMENTSOF(s->constants); i++) {
		hallmark__v1__constant__init(&s->constants[i]);
		s->constant_list[i] = &s->constants[i];
		s->constants[i].value = (char *)(uintptr_t)"v";
		assert_true(asprintf(&s->constants[i].name, "c%zu", i) > 0);
	}
	for (size_t i = 0; i < ELEMENTSOF(s->events); i++) {
		hallmark__v1__submitted_event__init(&s->events[i]);
		s->event_list[i] = &s->events[i];
		s->events[i].values = s->values;
	}
	s->submission.version = 1;
	s->submission.time_us = 1795431604000000;
	s->submission.templates = s->template_list;
	s->submission.n_templates = 2;
	s->submission.events = s->event_list;
	s->submission.n_events = 2;
	s->templates[0].text = (char *)(uintptr_t)"check {check} {{is}}: {reason}";
	s->templates[0].activity = (char *)(uintptr_t)"check";
	s->templates[0].n_constants = 1;
	s->values[0] = (char *)(uintptr_t)"ssh";
	s->values[1] = (char *)(uintptr_t)"caf\xc3\xa9";
	s->events[0].n_values = 2;
	s->events[1].template_ = 1;
	s->events[1].time_us = 7;
	return s;
}

static void sample_free(struct sample *s)
{
	for (size_t i = 0; i < ELEMENTSOF(s->constants); i++)
		free(s->constants[i].name);
	buf_done(&s->packed);
	free(s);
}

static struct bytes sample_pack(struct sample *s)
{
	size_t size = hallmark__v1__submission__get_packed_size(&s->submission);

	buf_clear(&s->packed);
	assert_int_equal(buf_reserve(&s->packed, size + 1), 0);
	s->packed.len = hallmark__v1__submission__pack(&s->submission, s->packed.data);
	return buf_bytes(&s->packed);
}

#endif
