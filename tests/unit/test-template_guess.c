/* SPDX-License-Identifier: Apache-2.0 */
/* That messages which were matched before change nothing about the next one: what is guessed by them is what a search
 * would find. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/io.h"
#include "collectors/match.h"
#include "collectors/template.h"

#define SAMPLES_MAX 2000u
#define ROUNDS 40000u

struct sample {
	struct bytes program, message;
};

static struct sample samples[SAMPLES_MAX];
static size_t n_samples;

static struct bytes take_until(struct bytes *rest, uint8_t end)
{
	const uint8_t *p = memchr(rest->data, end, rest->len);
	struct bytes b = { rest->data, p ? (size_t)(p - rest->data) : rest->len };

	*rest = bytes_from(*rest, b.len + 1);
	return b;
}

/* The lines of the catalogue: tag|kind|activity|outcome|message. */
static void read_samples(struct buf *text)
{
	struct bytes rest;

	assert_int_equal(read_file_at(AT_FDCWD, "tests/lib/catalogue.txt", false, text), 0);
	rest = buf_bytes(text);
	for (n_samples = 0; rest.len > 0 && n_samples < SAMPLES_MAX;) {
		struct bytes line = take_until(&rest, '\n');
		struct sample *s = &samples[n_samples];

		if (line.len == 0 || line.data[0] == '#')
			continue;
		s->program = take_until(&line, '|');
		for (unsigned i = 0; i < 3; i++)
			(void)take_until(&line, '|');
		s->message = line;
		n_samples++;
	}
	assert_true(n_samples > 100);
}

static struct template_set *shipped(void)
{
	struct template_set *set = NULL;

	assert_int_equal(template_set_new(&set), 0);
	assert_true(template_set_add_directory(set, "packaging/templates", NULL) > 0);
	assert_int_equal(template_set_ready(set), 0);
	return set;
}

static uint32_t chance(uint32_t below)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % below;
}

/* A sample, or the beginning of one with the end of another. */
static struct bytes make_message(const struct sample *s, struct buf *ret)
{
	struct bytes other = samples[chance((uint32_t)n_samples)].message;
	size_t cut = chance((uint32_t)s->message.len + 1), from = chance((uint32_t)other.len + 1);

	if (chance(3) == 0)
		return s->message;
	buf_clear(ret);
	assert_int_equal(buf_append(ret, bytes_of(s->message.data, cut)), 0);
	assert_int_equal(buf_append(ret, bytes_from(other, from)), 0);
	return buf_bytes(ret);
}

static void assert_same_match(const struct template_match *a, const struct template_match *b, struct bytes message)
{
	const struct wording *v = a->wording, *w = b->wording;

	if (v->n_fields != w->n_fields || v->meaning.kind != w->meaning.kind ||
	    strcmp(v->meaning.activity, w->meaning.activity) != 0 || a->named != b->named)
		fail_msg("another template for: %.*s", (int)message.len, (const char *)message.data);
	for (size_t i = 0; i < v->n_fields; i++) {
		assert_int_equal(v->field_ids[i], w->field_ids[i]);
		assert_ptr_equal(a->values[i].data, b->values[i].data);
		assert_int_equal(a->values[i].len, b->values[i].len);
	}
}

TEST(what_was_seen_before_changes_no_answer)
{
	_cleanup_(template_set_freep) struct template_set *knowing = shipped(), *forgetful = shipped();
	_cleanup_(buf_done) struct buf text = BUF_INIT((size_t)1 << 20), made = BUF_INIT((size_t)1 << 20);
	size_t known = 0;

	read_samples(&text);
	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct sample *s = &samples[chance((uint32_t)n_samples)];
		struct bytes message = make_message(s, &made);
		struct template_match a, b;
		bool found = template_match(knowing, s->program, message, &a);

		template_set_forget(forgetful);
		if (found != template_match(forgetful, s->program, message, &b))
			fail_msg("one of them knows no: %.*s", (int)message.len, (const char *)message.data);
		if (found)
			assert_same_match(&a, &b, message);
		known += found;
	}
	assert_true(known > ROUNDS / 4);
}

TEST(a_message_like_the_last_one_costs_less)
{
	_cleanup_(template_set_freep) struct template_set *set = shipped();
	static const struct {
		const char *first, *second;
	} cases[] = {
		{ "pam_unix(sshd:auth): check pass; user unknown", "pam_unix(sshd:auth): check pass; user unknown" },
		{ "Failed password for root from 192.0.2.7 port 22 ssh2", "Failed password for bin from 192.0.2.8 port 9 ssh2" },
		{ "Connection closed by 192.0.2.7 port 22", "Connection closed by 192.0.2.8 port 23" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct template_match m;
		uint64_t begin = template_set_steps(set), first;

		assert_true(template_match(set, LIT("sshd"), bytes_str(cases[i].first), &m));
		first = template_set_steps(set) - begin;
		assert_true(template_match(set, LIT("sshd"), bytes_str(cases[i].second), &m));
		assert_true(template_set_steps(set) - begin - first < first);
	}
}

/* --- which templates exclude each other ------------------------------------------------------------------ */

static bool excludes(const char *one, const char *other)
{
	struct arena arena = { 0 };
	struct template_texts text = TEMPLATE_TEXTS_INIT;
	struct data_place place = { .origin = "test" };
	struct template t[2] = { 0 };
	const char *texts[] = { one, other };
	bool answer;

	for (size_t i = 0; i < 2; i++) {
		_cleanup_(buf_done) struct buf line = BUF_INIT(4096);

		assert_int_equal(buf_printf(&line, "p | log | %s", texts[i]), 0);
		assert_int_equal(template_parse_line(&arena, &text, buf_bytes(&line), &place, &t[i]), 1);
	}
	answer = leads_exclude(t[0].leads, t[1].leads);
	assert_int_equal(answer, leads_exclude(t[1].leads, t[0].leads));
	for (size_t i = 0; i < 2; i++)
		free((void *)(uintptr_t)t[i].tokens);
	texts_done(&text);
	arena_done(&arena);
	return answer;
}

TEST(templates_exclude_each_other_only_where_their_beginnings_contradict)
{
	static const struct {
		const char *one, *other;
		bool excluded;
	} cases[] = {
		{ "Failed {a}", "Accepted {a}", true },
		{ "Failed {a}", "Failed password {a}", false },
		{ "Failed {a}", "{a} password", false },
		/* by what stands around the first blank */
		{ "x({a:word}:auth): check", "x({a:word}:auth): fail", true },
		{ "x({a:word}:auth): check", "x({a:word}:auth): check pass", false },
		{ "x({a:word}:auth): check", "x({a:word}:session): check", true },
		{ "x({a:word}:auth): check", "{b:word}: check", false },
		{ "x({a:word}:auth): check", "{b:word}: fail", true },
		{ "x({a:word}:auth): check", "{b:word}; check", true },
		{ "x y: check", "{b:word} y: check", false },
		{ "x y: check", "{b:word} z: check", true },
		{ "x y: check", "xx{b:word} y: check", true },
		{ "x y: check", "x{b:word}y y: check", true },
		{ "xy y: check", "x{b:word}y y: check", false },
		/* nothing is known of what may hold blanks, or may be absent */
		{ "x({a}:auth): check", "x({a}:auth): fail", false },
		{ "x({:blanks}a b", "x({a:word}a c", false },
		{ "x({a:word}{[:auth]}: check", "x({a:word}: fail", false },
		{ "x({a:word}:", "x({a:word}; b", false },
		{ "{a:ip} port 1", "{b:ip} port 2", true },
		{ "{a:ip} port 1", "{b:ip}: port 1", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		if (excludes(cases[i].one, cases[i].other) != cases[i].excluded)
			fail_msg("%s / %s", cases[i].one, cases[i].other);
}
