/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/sender.h"

/* Nobody of whom the rule says that he may: everyone whom it names is somebody else. */
static bool rule_contradicts(const struct template_sender *rule, const struct template_match *m,
			     struct accounts *accounts, const struct provenance *p, int64_t time_us)
{
	uint64_t uid = p->uid, claimed;

	if (rule->root && uid == 0)
		return false;
	if ((rule->names || rule->accounts.n > 0) && !p->own_machine)
		return false;
	for (size_t i = 0; i < m->wording->n_fields; i++) {
		if (rule->numbers & 1u << i && (bytes_to_u64(m->values[i], &claimed) < 0 || claimed == uid))
			return false;
	}
	/* names last: they may ask the file */
	for (size_t i = 0; i < m->wording->n_fields; i++) {
		if (rule->names & 1u << i && !accounts_contradict(accounts, m->values[i], uid, time_us))
			return false;
	}
	for (size_t i = 0; i < rule->accounts.n; i++) {
		if (!accounts_contradict(accounts, rule->accounts.names[i], uid, time_us))
			return false;
	}
	return true;
}

static unsigned judge_uid(struct accounts *accounts, const struct provenance *p, int64_t time_us,
			  const struct template_match *m, const struct template_writers *w)
{
	for (size_t i = 0; i < ELEMENTSOF(w->senders); i++) {
		const struct template_sender *rule = &w->senders[i];

		if (rule->given && rule_contradicts(rule, m, accounts, p, time_us))
			return rule->root && !rule->names && !rule->numbers ? VARIETY_NOT_ROOT : VARIETY_NOT_CALLER;
	}
	return 0;
}

/* The last component, without what the kernel puts behind the path of a program that was replaced on disk. */
static struct bytes base_name(struct bytes path)
{
	static const char deleted[] = " (deleted)";
	const uint8_t *slash = path.len > 0 ? memrchr(path.data, '/', path.len) : NULL;

	if (slash)
		path = bytes_from(path, (size_t)(slash - path.data) + 1);
	if (path.len > strlen(deleted) &&
	    memcmp(path.data + path.len - strlen(deleted), deleted, strlen(deleted)) == 0)
		path.len -= strlen(deleted);
	return path;
}

#define COMM_MAX 15u /* TASK_COMM_LEN, proc_pid_comm(5) */

static bool may_be_called(struct bytes name, struct bytes sampled, bool cut)
{
	if (name.len > 0 && name.data[name.len - 1] == '*')
		return bytes_starts(sampled, bytes_of(name.data, name.len - 1));
	if (cut && name.len > COMM_MAX)
		name.len = COMM_MAX;
	return bytes_eq(name, sampled);
}

static bool is_suspect(const struct provenance *p, const struct template_writers *w)
{
	bool by_comm = p->exe.len == 0;
	struct bytes sampled = by_comm ? p->comm : base_name(p->exe);

	if (sampled.len == 0)
		return false;
	for (size_t i = 0; i < ELEMENTSOF(w->executables); i++) {
		for (size_t k = 0; k < w->executables[i].n; k++) {
			if (may_be_called(w->executables[i].names[k], sampled, by_comm))
				return false;
		}
	}
	return true;
}

unsigned sender_judge(struct accounts *accounts, const struct origin *origin, int64_t time_us,
		      const struct template_match *match)
{
	const struct provenance *p = &origin->provenance;
	_uninitialized_ struct template_writers writers;
	unsigned varieties = 0;

	if (!origin->has_provenance)
		return 0;
	template_writers(match, &writers);
	if (p->uid != EVENT_NUMBER_NONE)
		varieties |= judge_uid(accounts, p, time_us, match, &writers);
	if (is_suspect(p, &writers))
		varieties |= VARIETY_SUSPECT;
	return varieties;
}
