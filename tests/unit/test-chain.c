/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>

#include "agent/chain.h"
#include "agent/commands.h"
#include "agent/report.h"
#include "agent/trust.h"

#define SECOND INT64_C(1000000)
#define START (INT64_C(1790000000) * SECOND)
#define RUN_A ((uint8_t[16]){ 1 })
#define RUN_B ((uint8_t[16]){ 2 })

static uint8_t keys[2][PUBLIC_KEY_SIZE];
static char fingerprints[2][FINGERPRINT_SIZE];

static void make_keys(void)
{
	for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
		_cleanup_(signing_key_freep) struct signing_key *key = NULL;

		if (fingerprints[i][0])
			continue;
		assert_int_equal(signing_key_generate(&key), 0);
		signing_key_public(key, keys[i]);
		assert_int_equal(public_key_fingerprint(keys[i], fingerprints[i]), 0);
	}
}

/* A frame as chain_add() sees it: its digest is what the test says, so that the test can say anything. */
struct piece {
	unsigned host;
	uint64_t sequence;
	uint32_t digest, previous; /* previous 0: the one of sequence-1 on the main line (equal numbers) */
	uint32_t next_within_s;    /* 0: 600 */
	bool farewell;
	int64_t time_s;            /* 0: 10 s for each sequence */
	const uint8_t *run;
};

static void digest_of(uint32_t number, uint8_t out[static DIGEST_SIZE])
{
	memset(out, 0, DIGEST_SIZE);
	for (size_t i = 0; i < 4; i++)
		out[i] = (uint8_t)(number >> (24 - 8 * i));
}

static int add(struct chain *c, struct piece p)
{
	Hallmark__V1__Batch b = HALLMARK__V1__BATCH__INIT;
	Hallmark__V1__Host h = HALLMARK__V1__HOST__INIT;
	struct frame f = { .batch = &b };
	uint8_t previous[DIGEST_SIZE];
	char name[] = "web0";

	digest_of(p.digest ? p.digest : (uint32_t)p.sequence, f.digest);
	digest_of(p.previous ? p.previous : (uint32_t)p.sequence - 1, previous);
	name[3] = (char)('0' + p.host);
	h.name = name;
	b.host = &h;
	b.key = (ProtobufCBinaryData){ PUBLIC_KEY_SIZE, keys[p.host] };
	b.run_id = (ProtobufCBinaryData){ 16, (uint8_t *)(p.run ? p.run : RUN_A) };
	b.sequence = p.sequence;
	if (p.sequence != 1 || p.previous)
		b.previous = (ProtobufCBinaryData){ DIGEST_SIZE, previous };
	b.time_us = START + (p.time_s ? p.time_s : (int64_t)(p.sequence * 10)) * SECOND;
	b.next_within_s = p.farewell ? 0 : p.next_within_s ? p.next_within_s : 600;
	return chain_add(c, &f);
}

static struct chain *chain_with(const struct chain_options *o)
{
	struct chain *c = NULL;

	make_keys();
	assert_int_equal(chain_new(o, &c), 0);
	return c;
}

static struct chain *run_of(const struct chain_options *o, uint64_t first, uint64_t last)
{
	struct chain *c = chain_with(o);

	for (uint64_t s = first; s <= last; s++)
		assert_int_equal(add(c, (struct piece){ .sequence = s }), CHAIN_NEW);
	return c;
}

static const struct chain_host *judged(struct chain *c)
{
	size_t n;

	assert_int_equal(chain_judge(c), 0);
	return chain_hosts(c, &n);
}

static const struct chain_options easy = { .trust_first = true };

TEST(an_unbroken_run_is_whole)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 5);
	const struct chain_host *h = judged(c);

	assert_int_equal(h->problems, 0);
	assert_int_equal(h->frames, 5);
	assert_int_equal(h->first_sequence, 1);
	assert_int_equal(h->last_sequence, 5);
	assert_true(h->from_start);
	assert_false(h->farewell);
	assert_int_equal(h->runs, 1);
	assert_string_equal(h->name, "web0");
	assert_string_equal(h->fingerprint, fingerprints[0]);
	assert_int_equal(report_exit(c), EXIT_YES);
}

TEST(no_frames_at_all_cannot_be_told)
{
	_cleanup_(chain_freep) struct chain *c = chain_with(&easy);

	assert_int_equal(chain_judge(c), 0);
	assert_int_equal(report_exit(c), EXIT_UNKNOWN);
}

TEST(any_order_gives_the_same_verdict)
{
	_cleanup_(chain_freep) struct chain *c = chain_with(&easy);
	const struct chain_host *h;

	for (uint64_t s = 40; s >= 1; s--)
		assert_int_equal(add(c, (struct piece){ .sequence = s * 7 % 41 }), CHAIN_NEW);
	h = judged(c);
	assert_int_equal(h->problems, 0);
	assert_int_equal(h->last_sequence, 40);
}

TEST(a_gap_names_what_is_missing)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 3);
	const struct chain_host *h;

	add(c, (struct piece){ .sequence = 7 });
	add(c, (struct piece){ .sequence = 9 });
	h = judged(c);
	assert_int_equal(h->problems, CHAIN_GAPS);
	assert_int_equal(h->gaps.ranges, 2);
	assert_int_equal(h->gaps.sequences, 4);
	assert_int_equal(h->gaps.listed[0].first, 4);
	assert_int_equal(h->gaps.listed[0].last, 6);
	assert_int_equal(h->gaps.listed[1].first, 8);
	assert_int_equal(h->gaps.listed[1].last, 8);
	assert_int_equal(report_exit(c), EXIT_NO);
}

TEST(more_gaps_than_are_listed_are_still_counted)
{
	_cleanup_(chain_freep) struct chain *c = chain_with(&easy);
	const struct chain_host *h;

	for (uint64_t s = 1; s < 200; s += 2)
		add(c, (struct piece){ .sequence = s });
	h = judged(c);
	assert_int_equal(h->gaps.ranges, 99);
	assert_int_equal(h->gaps.listed[CHAIN_LISTED_MAX - 1].first, 2 * CHAIN_LISTED_MAX);
}

TEST(the_widest_gap_of_all_does_not_overflow)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 1);

	add(c, (struct piece){ .sequence = UINT64_MAX, .digest = 77 });
	assert_int_equal(judged(c)->gaps.sequences, UINT64_MAX - 2);
}

TEST(a_missing_head_is_told_and_counts_only_where_asked)
{
	struct chain_options strict = { .trust_first = true, .from_start = true };
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 3, 6), *d = run_of(&strict, 3, 6),
					    *e = run_of(&strict, 1, 6);
	const struct chain_host *h;

	h = judged(c);
	assert_int_equal(h->problems, 0);
	assert_false(h->from_start);
	assert_int_equal(judged(d)->problems, CHAIN_NO_START);
	assert_int_equal(judged(e)->problems, 0);
}

TEST(a_duplicate_is_dropped_and_counted)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 3);
	const struct chain_host *h;

	assert_int_equal(add(c, (struct piece){ .sequence = 2 }), CHAIN_DUPLICATE);
	assert_int_equal(add(c, (struct piece){ .sequence = 2 }), CHAIN_DUPLICATE);
	h = judged(c);
	assert_int_equal(h->problems, 0);
	assert_int_equal(h->duplicates, 2);
	assert_int_equal(h->frames, 3);
}

TEST(a_fork_is_kept_and_is_not_whole)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 5);
	const struct chain_host *h;

	/* a restored snapshot went on from sequence 3 in its own way */
	assert_int_equal(add(c, (struct piece){ .sequence = 4, .digest = 104, .previous = 3, .run = RUN_B }), CHAIN_NEW);
	assert_int_equal(add(c, (struct piece){ .sequence = 5, .digest = 105, .previous = 104, .run = RUN_B }), CHAIN_NEW);
	assert_int_equal(add(c, (struct piece){ .sequence = 6, .digest = 106, .previous = 105, .run = RUN_B }), CHAIN_NEW);
	h = judged(c);
	assert_int_equal(h->problems, CHAIN_FORKS);
	assert_int_equal(h->forks.ranges, 1);
	assert_int_equal(h->forks.listed[0].first, 4);
	assert_int_equal(h->forks.listed[0].last, 5);
	assert_int_equal(h->frames, 8);
	assert_int_equal(report_exit(c), EXIT_NO);
}

TEST(of_a_forked_beginning_the_earliest_counts_and_of_a_forked_end_the_latest)
{
	/* their digests in either order: which of them sorts first shall not decide */
	for (unsigned swap = 0; swap < 2; swap++) {
		_cleanup_(chain_freep) struct chain *c = chain_with(&easy);
		const struct chain_host *h;

		add(c, (struct piece){ .sequence = 1, .digest = swap ? 9 : 1, .time_s = 20 });
		add(c, (struct piece){ .sequence = 1, .digest = swap ? 1 : 9, .time_s = 30, .run = RUN_B });
		h = judged(c);
		assert_true(h->last_time_us - h->first_time_us == 10 * INT64_C(1000000));
	}
}

TEST(a_frame_that_names_another_forerunner_breaks_the_chain)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 3);
	const struct chain_host *h;

	add(c, (struct piece){ .sequence = 4, .previous = 99 });
	h = judged(c);
	assert_int_equal(h->problems, CHAIN_BREAKS);
	assert_int_equal(h->breaks.listed[0].first, 4);
}

TEST(only_the_first_frame_has_no_forerunner)
{
	_cleanup_(chain_freep) struct chain *c = chain_with(&easy);
	const struct chain_host *h;

	add(c, (struct piece){ .sequence = 1, .previous = 99 });
	h = judged(c);
	assert_int_equal(h->problems, CHAIN_BREAKS);
	assert_false(h->from_start);
}

TEST(two_hosts_are_judged_apart)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 3);
	const struct chain_host *h;
	size_t n;

	add(c, (struct piece){ .host = 1, .sequence = 2, .digest = 1002, .previous = 1001 });
	add(c, (struct piece){ .host = 1, .sequence = 4, .digest = 1004, .previous = 1003 });
	assert_int_equal(chain_judge(c), 0);
	h = chain_hosts(c, &n);
	assert_int_equal(n, 2);
	assert_int_equal(h[0].problems, 0);
	assert_int_equal(h[1].problems, CHAIN_GAPS);
	assert_string_equal(h[1].name, "web1");
}

TEST(a_new_run_after_a_farewell_is_normal_and_one_without_is_told)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 2);
	const struct chain_host *h;

	add(c, (struct piece){ .sequence = 3, .farewell = true });
	add(c, (struct piece){ .sequence = 4, .run = RUN_B });
	add(c, (struct piece){ .sequence = 5, .run = RUN_A });
	h = judged(c);
	assert_int_equal(h->problems, 0);
	assert_int_equal(h->runs, 3);
	assert_int_equal(h->runs_cut, 1);
}

TEST(a_clock_that_goes_back_is_noted_and_not_failed)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 2);
	const struct chain_host *h;

	add(c, (struct piece){ .sequence = 3, .time_s = 5 });
	h = judged(c);
	assert_int_equal(h->problems, 0);
	assert_int_equal(h->backwards, 1);
}

TEST(overdue_is_later_than_twice_the_announced_interval)
{
	const struct {
		int64_t as_of_s;
		bool farewell;
		unsigned problems;
	} cases[] = {
		{ 30 + 1200, false, 0 },         { 30 + 1201, false, CHAIN_OVERDUE },
		{ 30 + 1201, true, 0 },          { 5, false, 0 },
		{ 1000000000, true, 0 },         { 1000000000, false, CHAIN_OVERDUE },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct chain_options o = { .trust_first = true, .as_of = true,
					   .as_of_us = START + cases[i].as_of_s * SECOND };
		_cleanup_(chain_freep) struct chain *c = run_of(&o, 1, 2);

		add(c, (struct piece){ .sequence = 3, .farewell = cases[i].farewell });
		assert_int_equal(judged(c)->problems, cases[i].problems);
	}
}

TEST(a_key_on_first_sight_cannot_be_told)
{
	struct chain_options o = { 0 };
	_cleanup_(chain_freep) struct chain *c = run_of(&o, 1, 3);

	assert_int_equal(judged(c)->problems, CHAIN_FIRST_SIGHT);
	assert_int_equal(report_exit(c), EXIT_UNKNOWN);
}

TEST(what_is_wrong_outweighs_what_cannot_be_told)
{
	struct chain_options o = { 0 };
	_cleanup_(chain_freep) struct chain *c = run_of(&o, 1, 3);

	add(c, (struct piece){ .sequence = 5 });
	(void)judged(c);
	chain_note_trouble(c, CHAIN_NEWER, 0);
	assert_int_equal(report_exit(c), EXIT_NO);
}

TEST(a_key_that_is_not_among_the_trusted_ones_is_wrong)
{
	struct chain_options o = { .trust_given = true, .n_trusted = 1 };
	_cleanup_(chain_freep) struct chain *c = NULL;
	const struct chain_host *h;
	size_t n;

	make_keys();
	o.trusted = (const char (*)[FINGERPRINT_SIZE])&fingerprints[1];
	c = chain_with(&o);
	assert_int_equal(add(c, (struct piece){ .host = 1, .sequence = 1, .digest = 1001 }), CHAIN_NEW);
	assert_int_equal(add(c, (struct piece){ .host = 0, .sequence = 1 }), CHAIN_UNTRUSTED);
	assert_int_equal(chain_judge(c), 0);
	h = chain_hosts(c, &n);
	assert_int_equal(h[0].problems, 0);
	assert_int_equal(h[1].problems, CHAIN_NOT_TRUSTED);
	assert_int_equal(report_exit(c), EXIT_NO);
}

TEST(a_trusted_key_without_a_frame_is_overdue_where_life_is_demanded)
{
	struct chain_options o = { .trust_given = true, .n_trusted = 2 };
	char sorted[2][FINGERPRINT_SIZE];
	_cleanup_(chain_freep) struct chain *c = NULL;
	bool swap;
	size_t i = 0;

	make_keys();
	swap = strcmp(fingerprints[0], fingerprints[1]) > 0;
	memcpy(sorted[swap], fingerprints[0], FINGERPRINT_SIZE);
	memcpy(sorted[!swap], fingerprints[1], FINGERPRINT_SIZE);
	o.trusted = (const char (*)[FINGERPRINT_SIZE])sorted;
	c = chain_with(&o);
	assert_int_equal(add(c, (struct piece){ .host = 1, .sequence = 1 }), CHAIN_NEW);
	assert_int_equal(chain_judge(c), 0);
	assert_string_equal(chain_absent(c, &i), fingerprints[0]);
	assert_null(chain_absent(c, &i));
	assert_int_equal(report_exit(c), EXIT_YES);
	o.as_of = true;
	assert_int_equal(report_exit(c), EXIT_NO);
}

TEST(each_trouble_leads_to_its_exit_code)
{
	const int codes[CHAIN_TROUBLE_MAX] = { [CHAIN_DAMAGE] = EXIT_NO, [CHAIN_BAD_SIGNATURE] = EXIT_NO,
					       [CHAIN_NEWER] = EXIT_UNKNOWN, [CHAIN_UNREADABLE] = EXIT_UNKNOWN,
					       [CHAIN_UNCHECKED] = EXIT_UNKNOWN };

	for (unsigned i = 0; i < CHAIN_TROUBLE_MAX; i++) {
		_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 3);

		(void)judged(c);
		chain_note_trouble(c, i, 1);
		assert_int_equal(report_exit(c), codes[i]);
	}
}

TEST(losses_are_summed_by_reason)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 1);
	Hallmark__V1__Batch b = HALLMARK__V1__BATCH__INIT;
	struct frame f = { .batch = &b };
	const struct chain_host *h;

	b.key = (ProtobufCBinaryData){ PUBLIC_KEY_SIZE, keys[0] };
	assert_int_equal(chain_note_loss(c, &f, LIT("truncated"), LIT("40"), LIT("bytes")), 0);
	assert_int_equal(chain_note_loss(c, &f, LIT("vacuumed"), BYTES_NONE, LIT("entries")), 0);
	assert_int_equal(chain_note_loss(c, &f, LIT("truncated"), LIT("2"), LIT("bytes")), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(chain_note_loss(c, &f, bytes_of(&i, sizeof i), LIT("9"), BYTES_NONE), 0);
	h = judged(c);
	assert_int_equal(h->losses, 103);
	assert_string_equal(h->reasons[0].reason, "truncated");
	assert_int_equal(h->reasons[0].count, 2);
	assert_int_equal(h->reasons[0].amount, 42);
	assert_int_equal(h->n_reasons, CHAIN_REASONS_MAX);
	assert_int_equal(chain_note_loss(c, &f, LIT("truncated"), LIT("99999999999999999999999"), LIT("bytes")), 0);
	assert_int_equal(h->reasons[0].amount, UINT64_MAX);
}

/* A hundred thousand forks of one sequence, each followed by one that names it: a list that is walked for each
 * of them would take minutes. */
TEST(a_flood_of_forks_is_judged_in_no_time)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 1, 1);
	const struct chain_host *h;

	for (uint32_t i = 0; i < 100000; i++) {
		add(c, (struct piece){ .sequence = 2, .digest = 1000000 + i, .previous = 1 });
		add(c, (struct piece){ .sequence = 3, .digest = 2000000 + i, .previous = 1000000 + i });
	}
	h = judged(c);
	assert_int_equal(h->problems, CHAIN_FORKS);
	assert_int_equal(h->frames, 200001);
	assert_int_equal(h->breaks.ranges, 0);
}

TEST(reports_tell_gaps_and_escape_names)
{
	_cleanup_(chain_freep) struct chain *c = run_of(&easy, 2, 3);
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct chain_host h;

	add(c, (struct piece){ .sequence = 6 });
	h = *judged(c);
	h.name = (char[]){ "a\033[2Jb" };
	assert_int_equal(report_host(&h, FORMAT_TEXT, false, &text), 0);
	assert_int_equal(report_host(&h, FORMAT_JSON, false, &text), 0);
	assert_int_equal(report_all(c, FORMAT_TEXT, false, &text), 0);
	assert_int_equal(buf_byte(&text, 0), 0);
	assert_null(memchr(text.data, '\033', text.len));
	assert_non_null(strstr((char *)text.data, "4 to 5 (2 frames are missing)"));
	assert_non_null(strstr((char *)text.data, "\"gaps\":{\"count\":1,\"sequences\":2,\"listed\":[[4,5]]}"));
	assert_non_null(strstr((char *)text.data, "does not begin at the chain's first frame"));
	assert_non_null(strstr((char *)text.data, "verify: not whole"));
}

TEST(a_trust_file_holds_keys_fingerprints_and_comments)
{
	_cleanup_(trust_done) struct trust t = { 0 };
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 16);
	unsigned line = 0;

	make_keys();
	assert_int_equal(buf_printf(&text, "# ours\n\n%s  web1, \r\n%s\n", fingerprints[1], fingerprints[1]), 0);
	assert_int_equal(public_key_to_pem(keys[0], &text), 0);
	assert_int_equal(trust_add(&t, buf_bytes(&text), &line), 0);
	trust_sort(&t);
	assert_int_equal(t.n, 2);
	assert_true(strcmp(t.fingerprints[0], t.fingerprints[1]) < 0);
}

TEST(a_trust_file_names_the_line_that_is_wrong)
{
	static const struct {
		const char *text;
		unsigned line;
	} cases[] = {
		{ "# x\nSHA256:short\n", 2 },
		{ "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", 1 },
		{ "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA*\n", 1 },
		{ "\n-----BEGIN PUBLIC KEY-----\nAAAA\n", 2 },
		{ "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 3 },
		{ "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 1 },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(trust_done) struct trust t = { 0 };
		unsigned line = 0;

		assert_int_equal(trust_add(&t, bytes_str(cases[i].text), &line), -EBADMSG);
		assert_int_equal(line, cases[i].line);
	}
}
