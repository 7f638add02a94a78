/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/teller.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/text.h"

#define NEVER INT64_MIN
#define HOUR_US (UINT64_C(3600) * 1000000)

static uint64_t age(const struct teller *t, int64_t since_us)
{
	int64_t now_us = (int64_t)t->status.boot_us;

	return since_us == NEVER || since_us > now_us ? STATUS_UNKNOWN : (uint64_t)(now_us - since_us);
}

/* The reverse, for what another status said. */
static int64_t since(const struct status *s, uint64_t age_us)
{
	return age_us > (uint64_t)INT64_MAX / 2 ? NEVER : (int64_t)s->boot_us - (int64_t)age_us;
}

/* --- the last day ------------------------------------------------------------------------------------- */

static void teller_take_over(struct teller *t, const struct status *before)
{
	t->loss_hour = before->boot_us / HOUR_US;
	memcpy(t->losses, before->losses, sizeof t->losses);
	t->event_us = since(before, before->event_age_us);
	t->reset_us = since(before, before->reset_age_us);
	status_set(t->status.reset, before->reset);
	status_set(t->status.old_fingerprint, before->old_fingerprint);
	if (before->losses_known_us != STATUS_UNKNOWN)
		t->counting_since_us = since(before, before->losses_known_us);
}

void teller_begin(struct teller *t, const struct config *config)
{
	_cleanup_(freep) struct status *before = malloc(sizeof *before);
	struct status *s = &t->status;
	uint64_t now_us = clock_boot_us();

	t->config = config;
	t->event_us = t->reset_us = NEVER;
	t->loss_hour = now_us / HOUR_US;
	for (size_t i = 0; i < INTAKE_SOURCES_MAX; i++)
		t->source_event_us[i] = NEVER;
	t->started_us = t->counting_since_us = (int64_t)now_us;
	status_init(s);
	status_set(s->version, HALLMARK_VERSION);
	status_boot_id(s->boot_id);
	s->pid = (uint64_t)getpid();
	s->pid_namespace = status_pid_namespace();
	if (before && s->boot_id[0] && status_read(config->run_directory, before) == 0 &&
	    strcmp(before->boot_id, s->boot_id) == 0 && before->boot_us <= now_us)
		teller_take_over(t, before);
}

/* --- gathering ---------------------------------------------------------------------------------------- */

static void look_at_source(struct teller *t, struct status_source *s, const struct teller_view *v, size_t i)
{
	struct collector *c = v->sources->list[i];
	uint64_t events = intake_counters(v->intake)->by_source[c->source];
	struct collector_lag lag = { .behind_bytes = UINT64_MAX };

	status_source_init(s);
	status_set(s->name, c->name);
	status_set(s->trouble, c->ops->trouble(c));
	s->reading = v->reading[i];
	s->events = events;
	if (events != t->source_events[i])
		t->source_event_us[i] = t->event_us = (int64_t)t->status.boot_us;
	t->source_events[i] = events;
	s->event_age_us = age(t, t->source_event_us[i]);
	if (c->ops->lag)
		c->ops->lag(c, &lag);
	s->behind_bytes = lag.behind_bytes;
	if (lag.read_to_us > 0)
		s->position_age_us = t->status.wall_us > lag.read_to_us ? t->status.wall_us - lag.read_to_us : 0;
}

static void look_at_counters(struct teller *t, const struct intake_counters *n)
{
	struct status *s = &t->status;

	status_turn_losses(t->losses, s->boot_us / HOUR_US - t->loss_hour);
	t->loss_hour = s->boot_us / HOUR_US;
	t->losses[0] += n->losses - t->losses_counted;
	t->losses_counted = n->losses;
	memcpy(s->losses, t->losses, sizeof s->losses);
	s->losses_known_us = age(t, t->counting_since_us);
	s->events = n->events;
	s->unknown = n->unknown;
	s->excluded = n->excluded;
}

/* A key is not written any more once it is made. */
static int64_t key_made_us(const char *state_directory)
{
	_cleanup_(freep) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/key/key.pem", state_directory) < 0) {
		path = NULL;
		return 0;
	}
	return stat(path, &st) < 0 ? 0 : (int64_t)st.st_mtim.tv_sec * 1000000;
}

/* The names themselves are nobody's business. */
static void look_at_instance(struct status *s, const struct instance *instance)
{
	static const char *const kinds[] = { [INSTANCE_ASSET_TAG] = "asset tag", [INSTANCE_PRODUCT_UUID] = "product UUID",
					     [INSTANCE_MACHINE_ID] = "machine-id" };
	size_t len = 0;

	s->bound[0] = '\0';
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		if (instance->names[i][0] && !(i == INSTANCE_MACHINE_ID && instance->transient))
			len += (size_t)snprintf(s->bound + len, sizeof s->bound - len, "%s%s", len > 0 ? ", " : "", kinds[i]);
}

static void look_at_identity(struct teller *t, const struct recorder_state *r)
{
	struct status *s = &t->status;

	if (t->key_made_us == 0)
		t->key_made_us = key_made_us(t->config->state_directory);
	status_set(s->fingerprint, r->fingerprint);
	look_at_instance(s, r->instance);
	s->key_age_us = STATUS_UNKNOWN;
	if (t->key_made_us > 0 && (uint64_t)t->key_made_us <= s->wall_us)
		s->key_age_us = s->wall_us - (uint64_t)t->key_made_us;
	if (r->reset_reason) {
		t->reset_us = t->started_us;
		status_set(s->reset, r->reset_reason);
		status_set(s->old_fingerprint, r->old_fingerprint);
	}
	s->reset_age_us = age(t, t->reset_us);
}

static void look_at_recorder(struct teller *t, const struct recorder *recorder)
{
	struct status *s = &t->status;
	struct recorder_state r;

	recorder_state(recorder, &r);
	s->sequence = r.sequence;
	s->spool_bytes = r.spool.bytes;
	s->spool_segments = r.spool.segments;
	s->spool_undelivered = r.spool.unacknowledged_bytes;
	s->blocked_us = r.blocked ? age(t, (int64_t)r.blocked_since_us) : STATUS_UNKNOWN;
	status_set(s->blocked, r.blocked ? strerror(-r.blocked) : NULL);
	status_set(s->publish_trouble, r.spool.publish_error ? strerror(-r.spool.publish_error) : NULL);
	look_at_identity(t, &r);
}

void teller_look(struct teller *t, const struct teller_view *v)
{
	struct status *s = &t->status;

	s->boot_us = clock_boot_us();
	s->wall_us = (uint64_t)MAX(clock_wall_us(), 0);
	s->next_within_us = t->config->checkpoint_us;
	s->spool_cap = t->config->spool_cap_bytes;
	s->running_us = age(t, t->started_us);
	status_set(s->state_trouble, v->recorder ? NULL : strerror(-v->opening_failed));
	look_at_counters(t, intake_counters(v->intake));
	t->sources = v->sources;
	s->n_sources = v->sources->n;
	for (size_t i = 0; i < s->n_sources; i++)
		look_at_source(t, &s->sources[i], v, i);
	s->event_age_us = age(t, t->event_us);
	if (v->recorder)
		look_at_recorder(t, v->recorder);
	s->commit_age_us = v->recorder && v->commit_us > 0 ? age(t, v->commit_us) : STATUS_UNKNOWN;
}

void teller_stopped(struct teller *t, const char *reason)
{
	status_set(t->status.stopped, reason);
	t->status.next_within_us = 0;
}

void teller_templates(struct teller *t, size_t count, const char *trouble)
{
	t->status.templates = count;
	status_set(t->status.templates_trouble, trouble);
}

/* --- telling ------------------------------------------------------------------------------------------ */

void teller_write(struct teller *t)
{
	int r = status_write(t->config->run_directory, &t->status);

	if (r < 0 && r != t->write_failed)
		log_warning_errno(r, "Cannot write the status in %s", t->config->run_directory);
	t->write_failed = MIN(r, 0);
}

/* With the time that it is of. */
void teller_notify(const struct teller *t)
{
	const struct status *s = &t->status;
	char now[TEXT_TIME_MAX];

	(void)text_time((int64_t)s->wall_us, now);
	if (s->state_trouble[0])
		(void)sd_notifyf(false, "STATUS=cannot open the state in %s: %s", t->config->state_directory, s->state_trouble);
	else if (s->blocked[0])
		(void)sd_notifyf(false, "STATUS=the spool takes nothing since %s: %s", now, s->blocked);
	else
		(void)sd_notifyf(false, "STATUS=reading %s; %" PRIu64 " events by %s", (const char *)t->sources->description.data,
				 s->events, now);
}
