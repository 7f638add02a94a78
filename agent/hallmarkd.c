/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hallmarkd(8): reads the sources, signs what it reads, and makes it durable. One loop: a source is readable,
 * its lines go into the batch, the batch is committed when it is full or when the pace allows it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/clock_watch.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "agent/host_secret.h"
#include "agent/recorder.h"
#include "agent/sandbox.h"
#include "agent/sources.h"
#include "agent/teller.h"
#include "collectors/fingerprint.h"

#define READ_BUDGET (256u * 1024)              /* bytes of one source before the next one's turn */
#define RETRY_US (UINT64_C(1) * 1000000)       /* until the spool is tried again */
#define TELL_US (UINT64_C(1) * 1000000)        /* from one writing of the status to the next */
#define STOP_LIMIT_US (UINT64_C(5) * 1000000)  /* for what the sources still hold when we are told to stop */

struct daemon {
	struct config config;
	bool until_caught_up;

	sd_event *loop;
	sd_event_source *pump, *pace, *checkpoint, *retry, *tell;

	struct interpreter *interpreter;
	struct intake *intake;
	struct recorder *recorder;
	struct sources sources;
	struct teller teller;
	struct clock_watch clock;
	bool readable[INTAKE_SOURCES_MAX];
	bool behind[INTAKE_SOURCES_MAX];        /* not read to its end yet, since it was begun or filled a turn */
	char troubles[INTAKE_SOURCES_MAX][256]; /* what was last said of each source */

	uint64_t last_commit_us; /* CLOCK_BOOTTIME */
	uint64_t told_us;        /* the same: when the status was written */
	uint64_t put_off_us;     /* until when a commit waits for lines that are held; 0: none are */
	int opening_failed;             /* negative errno of the first try, 0: none failed */
	uint64_t opening_failed_us;     /* CLOCK_BOOTTIME */
	int exit_code;
};

static int daemon_start(struct daemon *d);

/* --- committing --------------------------------------------------------------------------------------- */

static int timer_at(sd_event_source *timer, uint64_t at_us)
{
	int r = sd_event_source_set_time(timer, at_us);

	return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void daemon_look(struct daemon *d)
{
	teller_look(&d->teller, &(struct teller_view){ .intake = d->intake,
						       .recorder = d->recorder,
						       .sources = &d->sources,
						       .reading = d->behind,
						       .opening_failed = d->opening_failed,
						       .commit_us = (int64_t)d->last_commit_us });
}

/* For `systemctl status`: not with each commit, since it wakes the service manager. */
static void daemon_say_status(struct daemon *d)
{
	daemon_look(d);
	teller_notify(&d->teller);
}

static bool daemon_anything_readable(const struct daemon *d)
{
	for (size_t i = 0; i < d->sources.n; i++)
		if (d->readable[i])
			return true;
	return false;
}

/* What batches took, unless there is another one to be made: nobody knows when that will be. */
static void daemon_give_back_memory(struct daemon *d)
{
	if (!d->intake || !d->recorder || event_writer_count(intake_writer(d->intake)) > 0 || intake_due_us(d->intake) > 0 ||
	    daemon_anything_readable(d))
		return;
	recorder_trim(d->recorder);
	event_writer_trim(intake_writer(d->intake));
	/* what is free lies between what is not, and would stay for good */
	(void)malloc_trim(0);
}

/* For `hallmark status`: soon, but not with each commit either. */
static int daemon_tell(struct daemon *d)
{
	uint64_t now_us = clock_boot_us();

	if (now_us < d->told_us + TELL_US)
		return timer_at(d->tell, d->told_us + TELL_US);
	d->told_us = now_us;
	daemon_look(d);
	teller_write(&d->teller);
	daemon_give_back_memory(d);
	return 0;
}

static void daemon_tell_stopped(struct daemon *d, const char *reason)
{
	daemon_look(d);
	teller_stopped(&d->teller, reason);
	teller_write(&d->teller);
}

/* Keeps quiet about a blocked spool but for the first time: the event that follows says how long it was. */
static int daemon_commit(struct daemon *d, enum commit_kind kind)
{
	uint64_t batches = recorder_totals(d->recorder)->batches;
	bool was_blocked = recorder_is_blocked(d->recorder);
	int r = recorder_commit(d->recorder, kind);

	if (r == -ESTALE)
		return log_error_errno(r, "Somebody has deleted or cut what was recorded; the next start says how much");
	if (r < 0)
		return log_error_errno(r, "Cannot sign a batch");
	d->put_off_us = 0;
	/* all that was held is left out: that puts off no checkpoint */
	if (r == COMMIT_DONE && recorder_totals(d->recorder)->batches == batches)
		return 0;
	d->last_commit_us = clock_boot_us();
	if (r == COMMIT_BLOCKED) {
		if (!was_blocked) {
			log_warning_errno(recorder_blocked_reason(d->recorder),
					  "The spool takes nothing, the sources wait until it does");
			daemon_say_status(d);
		}
		r = daemon_tell(d);
		return r < 0 ? r : timer_at(d->retry, d->last_commit_us + RETRY_US);
	}
	if (was_blocked)
		log_notice("The spool can be written again");
	if (was_blocked || kind == COMMIT_CHECKPOINT)
		daemon_say_status(d);
	r = daemon_tell(d);
	return r < 0 ? r : timer_at(d->checkpoint, d->last_commit_us + d->config.checkpoint_us);
}

/* The first event after quiet is committed at once; a stream of them so many times a second. A line that may be
 * continued puts that off until it is due, though a stream of such lines does so only once. */
static int daemon_commit_paced(struct daemon *d)
{
	uint64_t due = d->last_commit_us + 1000000 / d->config.commits_per_second, held_due = intake_due_us(d->intake);

	if (held_due == 0 && event_writer_count(intake_writer(d->intake)) == 0)
		return 0;
	if (held_due == 0 || d->put_off_us == 0)
		d->put_off_us = held_due;
	due = MAX(due, d->put_off_us);
	if (clock_boot_us() >= due)
		return daemon_commit(d, COMMIT_EVENTS);
	return timer_at(d->pace, due);
}

/* --- reading ------------------------------------------------------------------------------------------ */

/* Whether what is told of a source is no longer so. */
static bool daemon_say_trouble(struct daemon *d, size_t i)
{
	struct collector *c = d->sources.list[i];
	const char *trouble = c->ops->trouble(c);

	if (!trouble)
		trouble = "";
	if (strncmp(trouble, d->troubles[i], sizeof d->troubles[i] - 1) == 0)
		return d->teller.status.sources[i].reading == 1;
	(void)snprintf(d->troubles[i], sizeof d->troubles[i], "%s", trouble);
	if (trouble[0])
		log_warning("%s", trouble);
	return true;
}

/* Before anything is read that came after it. Where there is no room for it now it is said in the next turn. */
static int daemon_say_clock_step(struct daemon *d)
{
	char before[TEXT_TIME_MAX], after[TEXT_TIME_MAX];
	int64_t before_us, after_us;
	int r;

	if (!clock_watch_look(&d->clock, &before_us, &after_us))
		return 0;
	(void)text_time(before_us, before);
	(void)text_time(after_us, after);
	r = intake_own(d->intake, 0, OWN_CLOCK_STEP, (struct bytes[]){ bytes_str(before), bytes_str(after) });
	if (r == INTAKE_OK)
		clock_watch_told(&d->clock, before_us, after_us);
	return r < 0 ? log_error_errno(r, "Cannot say that the clock was set") : 0;
}

/* One turn for each source that has something. */
static int daemon_read(struct daemon *d)
{
	for (size_t i = 0; i < d->sources.n; i++) {
		struct collector *c = d->sources.list[i];
		int r;

		if (!d->readable[i] || recorder_is_blocked(d->recorder))
			continue;
		r = c->ops->read(c, d->intake, READ_BUDGET);
		if (r < 0)
			return log_error_errno(r, "Cannot read %s", c->name);
		d->behind[i] = true;
		if (r == COLLECTOR_FULL) {
			r = daemon_commit(d, COMMIT_EVENTS);
			if (r < 0)
				return r;
		} else if (r == COLLECTOR_END) {
			d->readable[i] = d->behind[i] = false;
			/* a commit tells it too */
			if (daemon_say_trouble(d, i) && event_writer_count(intake_writer(d->intake)) == 0) {
				r = daemon_tell(d);
				if (r < 0)
					return r;
			}
		}
	}
	return 0;
}

static void daemon_print_summary(const struct daemon *d)
{
	const struct intake_counters *n = intake_counters(d->intake);
	const struct recorder_totals *t = recorder_totals(d->recorder);

	printf("%" PRIu64 " events from", n->events);
	for (size_t i = 0; i < d->sources.n; i++)
		printf("%s %s (%" PRIu64 ")", i > 0 ? "," : "", d->sources.list[i]->name, n->by_source[i + 1]);
	printf(" and the agent itself (%" PRIu64 "), in %" PRIu64 " batches of together %" PRIu64
	       " bytes; %" PRIu64 " lines that no template knew",
	       n->by_source[0], t->batches, t->bytes, n->unknown);
	if (d->config.exclude[0])
		printf("; %" PRIu64 " left out", n->excluded);
	printf("\n");
	(void)fflush(stdout);
}

static int daemon_caught_up(struct daemon *d)
{
	int r = intake_settle(d->intake);

	if (r >= 0)
		r = intake_own(d->intake, 0, OWN_STOPPED, (struct bytes[]){ LIT("caught up") });
	if (r >= 0)
		r = daemon_commit(d, COMMIT_FAREWELL);
	if (r < 0)
		return sd_event_exit(d->loop, r);
	daemon_tell_stopped(d, "it was told to stop where there was nothing more to read");
	if (recorder_is_blocked(d->recorder)) {
		d->exit_code = EXIT_UNKNOWN;
		return sd_event_exit(d->loop, 0);
	}
	daemon_print_summary(d);
	return sd_event_exit(d->loop, 0);
}

static int on_pump(sd_event_source *source, void *userdata)
{
	struct daemon *d = userdata;
	int r;

	r = sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (r >= 0 && !recorder_is_blocked(d->recorder))
		r = daemon_say_clock_step(d);
	if (r >= 0)
		r = daemon_read(d);
	if (r >= 0 && !recorder_is_blocked(d->recorder))
		r = daemon_commit_paced(d);
	if (r < 0)
		return sd_event_exit(d->loop, r);
	if (recorder_is_blocked(d->recorder))
		return d->until_caught_up ? daemon_caught_up(d) : 0;
	if (daemon_anything_readable(d))
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return d->until_caught_up ? daemon_caught_up(d) : 0;
}

static int daemon_wake(struct daemon *d, size_t i, bool tick)
{
	struct collector *c = d->sources.list[i];
	int r = c->ops->wake(c, tick);

	if (r < 0)
		return log_error_errno(r, "Cannot watch %s", c->name);
	d->readable[i] = true;
	return sd_event_source_set_enabled(d->pump, SD_EVENT_ONESHOT);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct daemon *d = userdata;

	for (size_t i = 0; i < d->sources.n; i++)
		if (d->sources.list[i]->ops->fd(d->sources.list[i]) == fd) {
			int r = daemon_wake(d, i, false);

			return r < 0 ? sd_event_exit(d->loop, r) : 0;
		}
	return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* --- timers and signals ------------------------------------------------------------------------------- */

static int on_pace(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	int r = 0;

	if (recorder_is_blocked(d->recorder))
		return 0;
	if (intake_due_us(d->intake) > 0) {
		/* journald tells of what it has written up to a quarter of a second late: the rest of a line that is held
		 * may be there, though nobody said so */
		for (size_t i = 0; i < d->sources.n && r >= 0; i++)
			r = daemon_wake(d, i, false);
		return r < 0 ? sd_event_exit(d->loop, r) : 0;
	}
	r = daemon_commit_paced(d);
	return r < 0 ? sd_event_exit(d->loop, r) : 0;
}

static int on_checkpoint(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	int r = 0;

	if (!recorder_is_blocked(d->recorder))
		r = daemon_say_clock_step(d);
	for (size_t i = 0; i < d->sources.n && r >= 0; i++)
		r = daemon_wake(d, i, true);
	if (r >= 0)
		r = daemon_commit(d, COMMIT_CHECKPOINT);
	return r < 0 ? sd_event_exit(d->loop, r) : 0;
}

static int on_clock_set(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct daemon *d = userdata;

	/* before there is a recorder the first turn says it; the descriptor has to be heard in any case */
	if (!d->recorder || recorder_is_blocked(d->recorder))
		return clock_watch_look(&d->clock, &(int64_t){ 0 }, &(int64_t){ 0 }), 0;
	return sd_event_source_set_enabled(d->pump, SD_EVENT_ONESHOT);
}

static int on_tell(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	int r = daemon_tell(d);

	return r < 0 ? sd_event_exit(d->loop, r) : 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	int r;

	if (!d->recorder)
		r = daemon_start(d);
	else
		r = daemon_commit(d, COMMIT_EVENTS);
	if (r >= 0 && d->recorder && !recorder_is_blocked(d->recorder))
		r = sd_event_source_set_enabled(d->pump, SD_EVENT_ONESHOT);
	return r < 0 ? sd_event_exit(d->loop, r) : 0;
}

static const char *signal_reason(int signal)
{
	return signal == SIGTERM ? "told to (SIGTERM)" : "told to (SIGINT)";
}

/* What the sources hold now still goes into the chain, within a bound, and then the farewell. */
static int on_stop(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct daemon *d = userdata;
	uint64_t until = clock_boot_us() + STOP_LIMIT_US;
	int r = 0;

	if (!d->recorder) {
		daemon_tell_stopped(d, signal_reason((int)si->ssi_signo));
		return sd_event_exit(d->loop, 0);
	}
	(void)sd_notify(false, "STOPPING=1");
	for (size_t i = 0; i < d->sources.n && r >= 0; i++)
		r = daemon_wake(d, i, false);
	while (r >= 0 && daemon_anything_readable(d) && !recorder_is_blocked(d->recorder) && clock_boot_us() < until)
		r = daemon_read(d);
	if (r >= 0)
		r = daemon_commit(d, COMMIT_EVENTS);
	if (r >= 0)
		r = intake_own(d->intake, 0, OWN_STOPPED, (struct bytes[]){ bytes_str(signal_reason((int)si->ssi_signo)) });
	if (r >= 0)
		r = daemon_commit(d, COMMIT_FAREWELL);
	if (r >= 0)
		daemon_tell_stopped(d, signal_reason((int)si->ssi_signo));
	return sd_event_exit(d->loop, r < 0 ? r : 0);
}

/* --- starting ----------------------------------------------------------------------------------------- */

static int daemon_watch_sources(struct daemon *d)
{
	for (size_t i = 0; i < d->sources.n; i++) {
		struct collector *c = d->sources.list[i];
		int fd = c->ops->fd(c), r = 0;

		d->behind[i] = true;
		if (fd >= 0)
			r = sd_event_add_io(d->loop, NULL, fd, EPOLLIN, on_readable, d);
		if (r >= 0)
			r = daemon_wake(d, i, false);
		if (r < 0)
			return r;
	}
	return 0;
}

static int daemon_choose_sources(struct daemon *d)
{
	int r = sources_choose(&d->config, &d->sources);

	if (r == -ENOENT && !d->until_caught_up) {
		/* a log may be created later: wait for it */
		log_notice("%s; waiting for a log file", (const char *)d->sources.reason.data);
		sources_done(&d->sources);
		d->config.sources = SOURCES_FILES;
		r = sources_choose(&d->config, &d->sources);
	}
	if (r == -ENOENT) {
		log_notice("%s", (const char *)d->sources.reason.data);
		d->exit_code = EXIT_UNKNOWN;
	} else if (r < 0) {
		log_error_errno(r, "Cannot set up the sources");
	}
	return r;
}

/* The state cannot be had now (a full disk, a read-only root early at boot): a daemon waits for it. */
static int daemon_state_failed(struct daemon *d, int r)
{
	if (r == -EBUSY)
		return log_error_errno(r, "Another hallmarkd has %s", d->config.state_directory);
	if (!d->opening_failed) {
		log_error_errno(r, "Cannot open the state in %s", d->config.state_directory);
		d->opening_failed = r;
		d->opening_failed_us = clock_boot_us();
		daemon_say_status(d);
	}
	if (d->until_caught_up)
		return r;
	r = daemon_tell(d);
	return r < 0 ? r : timer_at(d->retry, clock_boot_us() + RETRY_US);
}

static int daemon_say_opening_failed(struct daemon *d)
{
	char seconds[24];

	if (!d->opening_failed)
		return 0;
	(void)snprintf(seconds, sizeof seconds, "%" PRIu64, (clock_boot_us() - d->opening_failed_us) / 1000000);
	return intake_own(d->intake, 0, OWN_SPOOL_TROUBLE,
			  (struct bytes[]){ bytes_str(seconds), bytes_str(strerror(-d->opening_failed)) });
}

/* The same on every start, so that what is read again after a crash is recorded as it was. */
static int daemon_set_keys(struct daemon *d)
{
	uint8_t names[HOST_SECRET_SIZE], positions[HOST_SECRET_SIZE];
	int r = host_secret_derive(d->config.state_directory, "hallmark: names of unknown users", names);

	if (r >= 0)
		r = host_secret_derive(d->config.state_directory, "hallmark: bytes before a position", positions);
	if (r < 0)
		return log_error_errno(r, "Cannot get the secret in %s", d->config.state_directory);
	redactor_set_key(interpreter_redactor(d->interpreter), names);
	fingerprint_set_key(positions);
	explicit_bzero(names, sizeof names);
	explicit_bzero(positions, sizeof positions);
	return 0;
}

static int daemon_start(struct daemon *d)
{
	int r = recorder_open(&d->config, &d->recorder);

	if (r < 0)
		return daemon_state_failed(d, r);
	r = daemon_set_keys(d);
	if (r >= 0)
		r = daemon_choose_sources(d);
	if (r < 0)
		return r;
	recorder_set_sources(d->recorder, d->intake, d->sources.list, d->sources.n);
	r = sources_start(&d->sources, &d->config, recorder_last(d->recorder));
	if (r < 0)
		return log_error_errno(r, "Cannot start the sources");
	r = recorder_begin(d->recorder, (const char *)d->sources.description.data);
	if (r >= 0)
		r = daemon_say_opening_failed(d);
	if (r >= 0)
		r = daemon_watch_sources(d);
	if (r < 0)
		return log_error_errno(r, "Cannot begin");
	log_info("reading %s; key %s", (const char *)d->sources.description.data, recorder_fingerprint(d->recorder));
	daemon_say_status(d);
	return 0;
}

static int daemon_load_templates(struct daemon *d)
{
	_cleanup_(buf_done) struct buf trouble = BUF_INIT(STATUS_TEXT_MAX);
	int r = interpreter_new(&d->interpreter);

	/* before the templates: the names of the fields in our own events must not want for room */
	if (r >= 0)
		r = intake_new(d->interpreter, &d->intake);
	if (r >= 0)
		interpreter_set_redaction(d->interpreter, !d->config.secrets, d->config.unknown_users);
	for (char **directory = d->config.template_directories; *directory && r >= 0; directory++) {
		_cleanup_(buf_done) struct buf why = BUF_INIT(4096);

		/* a mistake in a template is no reason to collect nothing: its lines stay log records */
		r = interpreter_add_directory(d->interpreter, *directory, &why);
		if (r == -EINVAL) {
			log_error("%.*s", (int)why.len, (const char *)why.data);
			if (trouble.len == 0)
				(void)buf_printf(&trouble, "%.*s", (int)MIN(why.len, STATUS_TEXT_MAX / 2), (const char *)why.data);
			r = 0;
		}
	}
	for (char **entry = d->config.exclude; *entry && r >= 0; entry++)
		r = interpreter_exclude(d->interpreter, *entry);
	if (r >= 0)
		r = interpreter_ready(d->interpreter);
	if (r < 0)
		return log_error_errno(r, "Cannot load the templates");
	(void)buf_byte(&trouble, '\0');
	teller_templates(&d->teller, template_set_count(interpreter_templates(d->interpreter)), (const char *)trouble.data);
	if (template_set_count(interpreter_templates(d->interpreter)) == 0)
		log_warning("There are no templates: every line will be an untyped log record");
	if (d->config.secrets && redactor_count(interpreter_redactor(d->interpreter)) == 0)
		log_warning("There are no redactions: secrets in commands will be recorded as they are");
	return 0;
}

static int add_timer(struct daemon *d, sd_event_source **ret, sd_event_time_handler_t handler, uint64_t accuracy_us)
{
	int r = sd_event_add_time(d->loop, ret, CLOCK_BOOTTIME, 0, accuracy_us, handler, d);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int daemon_setup_loop(struct daemon *d)
{
	sigset_t stops;
	int r;

	(void)sigemptyset(&stops);
	(void)sigaddset(&stops, SIGTERM);
	(void)sigaddset(&stops, SIGINT);
	if (sigprocmask(SIG_BLOCK, &stops, NULL) < 0)
		return -errno;
	r = sd_event_new(&d->loop);
	if (r >= 0)
		r = sd_event_add_signal(d->loop, NULL, SIGTERM, on_stop, d);
	if (r >= 0)
		r = sd_event_add_signal(d->loop, NULL, SIGINT, on_stop, d);
	if (r >= 0)
		r = add_timer(d, &d->pace, on_pace, 1000);
	/* what can be read comes first: it may be the rest of a line that is held */
	if (r >= 0)
		r = sd_event_source_set_priority(d->pace, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = add_timer(d, &d->retry, on_retry, 0);
	if (r >= 0)
		r = add_timer(d, &d->tell, on_tell, 0);
	if (r >= 0)
		r = add_timer(d, &d->checkpoint, on_checkpoint, 0);
	clock_watch_begin(&d->clock);
	if (r >= 0 && d->clock.fd >= 0)
		r = sd_event_add_io(d->loop, NULL, d->clock.fd, EPOLLIN, on_clock_set, d);
	if (r >= 0)
		r = sd_event_add_defer(d->loop, &d->pump, on_pump, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->pump, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_set_watchdog(d->loop, true);
	return r;
}

static int daemon_run(struct daemon *d)
{
	int r = daemon_setup_loop(d);

	if (r < 0)
		return log_error_errno(r, "Cannot set up the event loop");
	teller_begin(&d->teller, &d->config);
	r = daemon_load_templates(d);
	if (r < 0)
		return r;
	r = sandbox_deny_exec();
	if (r < 0)
		return log_error_errno(r, "Cannot deny starting programs");
	/* before the first source is opened: nothing that we wait for may hold up a boot */
	(void)sd_notify(false, "READY=1");
	r = daemon_start(d);
	if (r < 0)
		return r;
	return sd_event_loop(d->loop);
}

static void daemon_done(struct daemon *d)
{
	sources_done(&d->sources);
	recorder_close(d->recorder);
	intake_free(d->intake);
	interpreter_free(d->interpreter);
	sd_event_source_unref(d->pump);
	sd_event_source_unref(d->pace);
	sd_event_source_unref(d->retry);
	sd_event_source_unref(d->tell);
	sd_event_source_unref(d->checkpoint);
	sd_event_unref(d->loop);
	clock_watch_end(&d->clock);
	config_done(&d->config);
}

/* --- command line ------------------------------------------------------------------------------------- */

static const char help[] =
	"hallmarkd [OPTION…]\n"
	"\n"
	"Reads auth logs and the journal, signs what it reads, and makes it durable in the spool.\n"
	"\n"
	"  --until-caught-up  stop once everything that is there has been read, and print a summary\n"
	COMMON_OPTIONS_HELP
	"  --version          the version\n";

enum { OPTION_CAUGHT_UP = 1, OPTION_VERSION };

static int print_help(void)
{
	_cleanup_(buf_done) struct buf configuration = BUF_INIT(8192);

	if (config_describe(&configuration) < 0)
		return EXIT_UNKNOWN;
	(void)fputs(help, stdout);
	(void)printf("\nConfiguration, with its defaults; see hallmark.conf(5):\n\n%.*s", (int)configuration.len,
		     (const char *)configuration.data);
	return fflush(stdout) == 0 ? EXIT_YES : EXIT_UNKNOWN;
}

/* Before anything is allocated. Large pieces of memory are mapped each by itself, so that they are given back as soon as
 * they are free. */
static void stay_small(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 32 * 1024);
	signing_without_texts();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{ "until-caught-up", no_argument, NULL, OPTION_CAUGHT_UP },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ 0 },
	};
	_cleanup_(buf_done) struct buf why = BUF_INIT(8192);
	/* static: most of it is room for more sources than there are, in pages that are never used */
	static struct daemon the_daemon;
	struct daemon *d = &the_daemon;
	const char *config_path = NULL, *state = NULL;
	int option, r;

	d->exit_code = EXIT_YES;
	d->clock.fd = -1;
	log_setup("hallmarkd", LOG_INFO);
	stay_small();
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case OPTION_CONFIG:
			config_path = optarg;
			break;
		case OPTION_STATE:
			state = optarg;
			break;
		case OPTION_CAUGHT_UP:
			d->until_caught_up = true;
			break;
		case OPTION_HELP:
			return print_help();
		case OPTION_VERSION:
			return puts("hallmarkd " HALLMARK_VERSION) < 0 ? EXIT_UNKNOWN : EXIT_YES;
		default:
			return EXIT_USAGE;
		}
	if (optind < argc) {
		log_error("there is no argument \"%s\"; see hallmarkd --help", argv[optind]);
		return EXIT_USAGE;
	}
	if (config_load(config_path, state, &d->config, &why) < 0) {
		log_error("%.*s", (int)why.len, (const char *)why.data);
		return EXIT_USAGE;
	}
	r = daemon_run(d);
	if (r < 0 && d->exit_code == EXIT_YES)
		d->exit_code = EXIT_NO;
	daemon_done(d);
	return d->exit_code;
}
