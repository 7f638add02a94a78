/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report.h"

#include <inttypes.h>

#include "agent/base/text.h"
#include "agent/commands.h"

/* Writes that follow one another, the first error of which is kept: a report is all or nothing. */
struct page {
	struct buf *out;
	int error;
	bool first; /* the next member of a JSON object is its first */
};

#define put(p, ...)                                                    \
	do {                                                           \
		if ((p)->error == 0)                                   \
			(p)->error = buf_printf((p)->out, __VA_ARGS__); \
	} while (0)

/* Which exit code a problem leads to, and its word, for programs and for people. The order is that in which
 * people are told. */
static const struct problem {
	unsigned bit;
	int exit;
	const char *word, *sentence;
} problems[CHAIN_PROBLEMS] = {
	{ CHAIN_NOT_TRUSTED, EXIT_NO, "not_trusted", "its key is not trusted" },
	{ CHAIN_FORKS, EXIT_NO, "fork", "it is forked: one sequence, two frames" },
	{ CHAIN_GAPS, EXIT_NO, "gap", "frames are missing" },
	{ CHAIN_BREAKS, EXIT_NO, "break", "the chain is broken" },
	{ CHAIN_BAD_EVENTS, EXIT_NO, "bad_events", "signed events cannot be decoded" },
	{ CHAIN_NO_START, EXIT_NO, "no_start", "its first frame is missing" },
	{ CHAIN_OVERDUE, EXIT_NO, "overdue", "it is overdue" },
	{ CHAIN_FIRST_SIGHT, EXIT_UNKNOWN, "first_sight",
	  "its key was taken on first sight: name it with --trust, or accept it with --trust-first" },
};

/* The same for what belongs to no host. */
static const struct {
	int exit;
	const char *word, *one, *many;
} troubles[CHAIN_TROUBLE_MAX] = {
	[CHAIN_DAMAGE] = { EXIT_NO, "damage", "damaged place", "damaged places" },
	[CHAIN_BAD_SIGNATURE] = { EXIT_NO, "bad_signature", "frame with a bad signature",
				  "frames with a bad signature" },
	[CHAIN_NEWER] = { EXIT_UNKNOWN, "newer", "frame of a newer format", "frames of a newer format" },
	[CHAIN_UNREADABLE] = { EXIT_UNKNOWN, "unreadable", "file that cannot be read",
			       "files that cannot be read" },
	[CHAIN_UNCHECKED] = { EXIT_UNKNOWN, "unchecked", "signature that could not be checked",
			      "signatures that could not be checked" },
};

static const char *const exit_words[] = { [EXIT_YES] = "whole", [EXIT_NO] = "not whole",
					  [EXIT_UNKNOWN] = "could not tell" };

/* Wrong outweighs unknown, and unknown outweighs right. */
static int worse(int a, int b)
{
	return a == EXIT_NO || b == EXIT_NO ? EXIT_NO : MAX(a, b);
}

static int host_exit(const struct chain_host *h)
{
	int code = EXIT_YES;

	for (size_t i = 0; i < ELEMENTSOF(problems); i++)
		if (h->problems & problems[i].bit)
			code = worse(code, problems[i].exit);
	return code;
}

int report_exit(const struct chain *c)
{
	const struct chain_stranger *s = chain_troubles(c);
	size_t n;
	const struct chain_host *hosts = chain_hosts(c, &n);
	int code = n > 0 ? EXIT_YES : EXIT_UNKNOWN;
	size_t absent = 0;

	for (size_t i = 0; i < n; i++)
		code = worse(code, host_exit(&hosts[i]));
	for (size_t i = 0; i < CHAIN_TROUBLE_MAX; i++)
		if (s[i].count > 0)
			code = worse(code, troubles[i].exit);
	/* a tail that is cut is overdue: so is one that is cut at the head */
	if (chain_asked(c)->as_of && chain_absent(c, &absent))
		code = EXIT_NO;
	return code;
}

/* --- for people ---------------------------------------------------------------------------------- */

static void put_foreign(struct page *p, const char *s)
{
	if (p->error == 0)
		p->error = text_escape(p->out, bytes_str(s));
}

static void put_label(struct page *p, const char *label)
{
	put(p, "  %-20s", label);
}

static void put_count(struct page *p, const char *label, uint64_t n)
{
	put_label(p, label);
	if (n > 0)
		put(p, "%" PRIu64 "\n", n);
	else
		put(p, "none\n");
}

static void put_time(struct page *p, int64_t time_us)
{
	char text[TEXT_TIME_MAX];

	(void)render_time(time_us, text);
	put(p, "%s", text);
}

/* "3: 4 to 9, 12 (7 frames)" */
static void put_list(struct page *p, const char *label, const struct chain_list *list, const char *what)
{
	size_t listed = MIN(list->ranges, (uint64_t)CHAIN_LISTED_MAX);

	put_label(p, label);
	if (list->ranges == 0) {
		put(p, "none\n");
		return;
	}
	put(p, "%" PRIu64 ": sequence ", list->ranges);
	for (size_t i = 0; i < listed; i++) {
		put(p, "%s%" PRIu64, i > 0 ? ", " : "", list->listed[i].first);
		if (list->listed[i].last != list->listed[i].first)
			put(p, " to %" PRIu64, list->listed[i].last);
	}
	if (list->ranges > listed)
		put(p, ", and %" PRIu64 " more", list->ranges - listed);
	put(p, " (%" PRIu64 " %s)\n", list->sequences, what);
}

/* Programs whose lines no template knew: for whoever writes the next one. */
static void put_unknown(struct page *p, const struct chain_host *h)
{
	put_count(p, "unknown lines", h->unknown);
	for (size_t i = 0; i < h->n_programs; i++) {
		put(p, "    ");
		put_foreign(p, h->programs[i].name[0] ? h->programs[i].name : "no program");
		put(p, ": %" PRIu64 "\n", h->programs[i].lines);
	}
}

static void put_losses(struct page *p, const struct chain_host *h)
{
	put_count(p, "declared losses", h->losses);
	for (size_t i = 0; i < h->n_reasons; i++) {
		const struct chain_loss *l = &h->reasons[i];

		put(p, "    ");
		put_foreign(p, l->reason[0] ? l->reason : "no reason given");
		put(p, ": %" PRIu64 " time%s, ", l->count, l->count == 1 ? "" : "s");
		if (l->amount > 0) {
			put(p, "%" PRIu64 " ", l->amount);
			put_foreign(p, l->unit);
			put(p, "\n");
		} else {
			put(p, "amount unknown\n");
		}
	}
}

/* Also what left nothing out so far: it says what this host would not report. */
static void put_excluded(struct page *p, const struct chain_host *h)
{
	put_count(p, "left out", h->excluded);
	for (size_t i = 0; i < h->n_exclusions; i++) {
		put(p, "    ");
		put_foreign(p, h->exclusions[i].what);
		put(p, ": %" PRIu64 "\n", h->exclusions[i].lines);
	}
}

static void put_ends(struct page *p, const struct chain_host *h)
{
	put_label(p, "begins");
	put(p, "sequence %" PRIu64 ", ", h->first_sequence);
	put_time(p, h->first_time_us);
	put(p, h->from_start ? ", the chain's first frame\n" :
			       "; the evidence does not begin at the chain's first frame\n");
	put_label(p, "ends");
	put(p, "sequence %" PRIu64 ", ", h->last_sequence);
	put_time(p, h->last_time_us);
	if (h->farewell)
		put(p, ", with a farewell\n");
	else
		put(p, ", without a farewell; promised the next within %" PRIu32 " s\n", h->next_within_s);
	put_label(p, "last proof of life");
	put_time(p, h->last_time_us);
	put(p, "%s\n", h->problems & CHAIN_OVERDUE ? ": overdue" : "");
}

static void put_verdict(struct page *p, const char *who, int code, bool colour)
{
	static const char *const colours[] = { [EXIT_YES] = "\033[32m", [EXIT_NO] = "\033[1;31m",
					       [EXIT_UNKNOWN] = "\033[33m" };

	put(p, "%s%s%s%s", who, colour ? colours[code] : "", exit_words[code], colour ? "\033[0m" : "");
}

static void put_host(struct page *p, const struct chain_host *h, bool colour)
{
	const char *between = ": ";

	put_foreign(p, h->name[0] ? h->name : "(no name)");
	put(p, "  %s\n", h->fingerprint);
	put_label(p, "verdict");
	put_verdict(p, "", host_exit(h), colour);
	for (size_t i = 0; i < ELEMENTSOF(problems); i++)
		if (h->problems & problems[i].bit) {
			put(p, "%s%s", between, problems[i].sentence);
			between = "; ";
		}
	put(p, "\n");
	put_ends(p, h);
	put_label(p, "frames");
	put(p, "%" PRIu64 " in %" PRIu64 " run%s", h->frames, h->runs, h->runs == 1 ? "" : "s");
	if (h->runs_cut > 0)
		put(p, ", of which %" PRIu64 " ended without a farewell", h->runs_cut);
	put(p, "\n");
	if (h->problems & CHAIN_NOT_TRUSTED) {
		put_label(p, "events");
		put(p, "not counted: the key is not trusted\n");
	} else {
		put_count(p, "events", h->events);
		put_count(p, "forged lines", h->forged);
		put_unknown(p, h);
		put_losses(p, h);
		put_excluded(p, h);
	}
	put_list(p, "gaps", &h->gaps, h->gaps.sequences == 1 ? "frame is missing" : "frames are missing");
	put_list(p, "chain breaks", &h->breaks, h->breaks.sequences == 1 ? "frame" : "frames");
	put_list(p, "forks", &h->forks, h->forks.sequences == 1 ? "sequence" : "sequences");
	put_count(p, "duplicates dropped", h->duplicates);
	if (h->bad_events > 0)
		put_count(p, "undecodable frames", h->bad_events);
	if (h->backwards > 0) {
		put_label(p, "clock");
		put(p, "went backwards %" PRIu64 " time%s\n", h->backwards, h->backwards == 1 ? "" : "s");
	}
	put(p, "\n");
}

static size_t count_absent(const struct chain *c)
{
	size_t n = 0;

	for (size_t i = 0; chain_absent(c, &i);)
		n++;
	return n;
}

static void put_absent(struct page *p, const struct chain *c)
{
	size_t n = count_absent(c), i = 0;

	if (n == 0)
		return;
	put(p, "%s%zu of the %zu trusted keys have no frames here:", chain_asked(c)->as_of ? "overdue: " : "note: ", n,
	    chain_asked(c)->n_trusted);
	for (size_t listed = 0; listed < MIN(n, (size_t)CHAIN_LISTED_MAX); listed++)
		put(p, " %s", chain_absent(c, &i));
	if (n > CHAIN_LISTED_MAX)
		put(p, ", and %zu more", n - CHAIN_LISTED_MAX);
	put(p, "\n");
}

static void put_all(struct page *p, const struct chain *c, bool colour)
{
	const struct chain_stranger *s = chain_troubles(c);
	size_t n;

	(void)chain_hosts(c, &n);
	put_absent(p, c);
	put_verdict(p, "verify: ", report_exit(c), colour);
	put(p, ", %zu host key%s", n, n == 1 ? "" : "s");
	if (n == 0)
		put(p, ", no frames at all");
	for (size_t i = 0; i < CHAIN_TROUBLE_MAX; i++) {
		if (s[i].count == 0)
			continue;
		put(p, "; %" PRIu64 " %s", s[i].count, s[i].count == 1 ? troubles[i].one : troubles[i].many);
		if (s[i].bytes > 0)
			put(p, " (%" PRIu64 " bytes)", s[i].bytes);
	}
	put(p, "\n");
}

/* --- for programs -------------------------------------------------------------------------------- */

static void json_key(struct page *p, const char *key)
{
	put(p, "%s\"%s\":", p->first ? "" : ",", key);
	p->first = false;
}

static void json_number(struct page *p, const char *key, uint64_t n)
{
	json_key(p, key);
	put(p, "%" PRIu64, n);
}

static void json_bool(struct page *p, const char *key, bool b)
{
	json_key(p, key);
	put(p, b ? "true" : "false");
}

static void json_string(struct page *p, const char *key, const char *s)
{
	json_key(p, key);
	if (p->error == 0)
		p->error = text_json(p->out, bytes_str(s));
}

static void json_time(struct page *p, const char *key, int64_t time_us)
{
	char text[TEXT_TIME_MAX];

	(void)text_time(time_us, text);
	json_string(p, key, text);
}

static void json_begin(struct page *p, const char *report)
{
	put(p, "{");
	p->first = true;
	json_string(p, "report", report);
}

static void json_list(struct page *p, const char *key, const struct chain_list *list)
{
	size_t listed = MIN(list->ranges, (uint64_t)CHAIN_LISTED_MAX);

	json_key(p, key);
	put(p, "{\"count\":%" PRIu64 ",\"sequences\":%" PRIu64 ",\"listed\":[", list->ranges, list->sequences);
	for (size_t i = 0; i < listed; i++)
		put(p, "%s[%" PRIu64 ",%" PRIu64 "]", i > 0 ? "," : "", list->listed[i].first,
		    list->listed[i].last);
	put(p, "]}");
}

static void json_losses(struct page *p, const struct chain_host *h)
{
	json_number(p, "losses", h->losses);
	json_key(p, "loss_reasons");
	put(p, "[");
	for (size_t i = 0; i < h->n_reasons; i++) {
		put(p, i > 0 ? ",{" : "{");
		p->first = true;
		json_string(p, "reason", h->reasons[i].reason);
		json_number(p, "count", h->reasons[i].count);
		json_number(p, "amount", h->reasons[i].amount);
		json_string(p, "unit", h->reasons[i].unit);
		put(p, "}");
	}
	put(p, "]");
	p->first = false;
}

static void json_programs(struct page *p, const struct chain_host *h)
{
	json_key(p, "unknown_programs");
	put(p, "[");
	for (size_t i = 0; i < h->n_programs; i++) {
		put(p, i > 0 ? ",{" : "{");
		p->first = true;
		json_string(p, "program", h->programs[i].name);
		json_number(p, "lines", h->programs[i].lines);
		put(p, "}");
	}
	put(p, "]");
	p->first = false;
}

static void json_excluded(struct page *p, const struct chain_host *h)
{
	json_number(p, "excluded", h->excluded);
	json_key(p, "exclusions");
	put(p, "[");
	for (size_t i = 0; i < h->n_exclusions; i++) {
		put(p, i > 0 ? ",{" : "{");
		p->first = true;
		json_string(p, "what", h->exclusions[i].what);
		json_number(p, "lines", h->exclusions[i].lines);
		put(p, "}");
	}
	put(p, "]");
	p->first = false;
}

static void json_host(struct page *p, const struct chain_host *h)
{
	const char *between = "";

	json_begin(p, "host");
	json_string(p, "host", h->name);
	json_string(p, "key_fingerprint", h->fingerprint);
	json_string(p, "verdict", exit_words[host_exit(h)]);
	json_key(p, "problems");
	put(p, "[");
	for (size_t i = 0; i < ELEMENTSOF(problems); i++)
		if (h->problems & problems[i].bit) {
			put(p, "%s\"%s\"", between, problems[i].word);
			between = ",";
		}
	put(p, "]");
	json_number(p, "first_sequence", h->first_sequence);
	json_number(p, "last_sequence", h->last_sequence);
	json_time(p, "first_time", h->first_time_us);
	json_time(p, "last_time", h->last_time_us);
	json_bool(p, "from_start", h->from_start);
	json_bool(p, "farewell", h->farewell);
	json_number(p, "next_within_s", h->next_within_s);
	json_number(p, "frames", h->frames);
	json_number(p, "runs", h->runs);
	json_number(p, "runs_without_farewell", h->runs_cut);
	json_number(p, "events", h->events);
	json_number(p, "forged", h->forged);
	json_number(p, "unknown", h->unknown);
	json_programs(p, h);
	json_number(p, "duplicates", h->duplicates);
	json_number(p, "undecodable", h->bad_events);
	json_number(p, "clock_backwards", h->backwards);
	json_list(p, "gaps", &h->gaps);
	json_list(p, "breaks", &h->breaks);
	json_list(p, "forks", &h->forks);
	json_losses(p, h);
	json_excluded(p, h);
	put(p, "}\n");
}

static void json_absent(struct page *p, const struct chain *c)
{
	const char *key, *between = "";
	size_t i = 0;

	json_key(p, "trusted_without_frames");
	put(p, "[");
	for (; (key = chain_absent(c, &i)); between = ",")
		put(p, "%s\"%s\"", between, key);
	put(p, "]");
}

static void json_all(struct page *p, const struct chain *c)
{
	const struct chain_stranger *s = chain_troubles(c);
	size_t n;

	(void)chain_hosts(c, &n);
	json_begin(p, "all");
	json_string(p, "verdict", exit_words[report_exit(c)]);
	json_number(p, "exit", (unsigned)report_exit(c));
	json_number(p, "hosts", n);
	if (chain_asked(c)->trust_given)
		json_absent(p, c);
	for (size_t i = 0; i < CHAIN_TROUBLE_MAX; i++)
		json_number(p, troubles[i].word, s[i].count);
	json_number(p, "damage_bytes", s[CHAIN_DAMAGE].bytes);
	put(p, "}\n");
}

int report_host(const struct chain_host *h, enum format format, bool colour, struct buf *out)
{
	struct page p = { .out = out };

	if (format == FORMAT_JSON)
		json_host(&p, h);
	else
		put_host(&p, h, colour);
	return p.error;
}

int report_all(const struct chain *c, enum format format, bool colour, struct buf *out)
{
	struct page p = { .out = out };

	if (format == FORMAT_JSON)
		json_all(&p, c);
	else
		put_all(&p, c, colour);
	return p.error;
}
