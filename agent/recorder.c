/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/random.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"
#include "agent/identity.h"
#include "agent/run_mark.h"
#include "proto/compress.h"

struct recorder {
	const struct config *config;
	int state_fd;
	struct identity id;
	struct spool *spool;
	struct intake *intake;
	struct collector **collectors;
	size_t n_collectors;

	uint8_t run_id[16];
	uint64_t sequence; /* of the next batch */
	uint8_t previous[DIGEST_SIZE];

	/* The newest durable batch without its events: what a run starts from, and whose positions stand
	 * while no later batch is durable. */
	Hallmark__V1__Batch *last;

	struct buf plain, packed;
	struct buf frame; /* signed, and where `pending` not yet durable */
	uint8_t digest[DIGEST_SIZE];
	bool pending;
	int blocked;              /* negative errno, 0: not */
	uint64_t blocked_since_us; /* CLOCK_BOOTTIME */
	bool declared;            /* a loss of segments is in the batch that is being committed */

	/* what the first batch says */
	bool previous_clean;
	char previous_end[RUN_END_MAX];
	char old_fingerprint[FINGERPRINT_SIZE];
	const char *reset_reason; /* NULL, or `reason` */
	char reason[IDENTITY_REASON_MAX + 1];
	struct spool_damage damage;

	struct recorder_totals totals;
};

/* --- opening ------------------------------------------------------------------------------------------ */

static int recorder_spool_open(struct recorder *rec, struct spool_damage *ret_damage)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(8192);
	struct spool_options options = {
		.publish_directory = rec->config->run_directory,
		.acked_path = rec->config->acked_path,
		.cap_bytes = rec->config->spool_cap_bytes,
		.public_key = rec->id.key ? rec->id.public_key : NULL,
	};
	int r;

	r = buf_printf(&path, "%s/spool", rec->config->state_directory);
	if (r >= 0)
		r = buf_byte(&path, '\0');
	if (r < 0)
		return r;
	options.directory = (const char *)path.data;
	return spool_open(&options, &rec->spool, ret_damage);
}

/* A copy of the batch without its events. */
static int batch_without_events(const Hallmark__V1__Batch *batch, Hallmark__V1__Batch **ret)
{
	Hallmark__V1__Batch bare = *batch, *copy;
	_cleanup_(freep) uint8_t *packed = NULL;
	size_t len;

	bare.events = (ProtobufCBinaryData){ 0 };
	bare.events_size = 0;
	len = hallmark__v1__batch__get_packed_size(&bare);
	packed = malloc(len ? len : 1);
	if (!packed)
		return -ENOMEM;
	(void)hallmark__v1__batch__pack(&bare, packed);
	copy = hallmark__v1__batch__unpack(NULL, len, packed);
	if (!copy)
		return -ENOMEM;
	if (*ret)
		hallmark__v1__batch__free_unpacked(*ret, NULL);
	*ret = copy;
	return 0;
}

/* The old state is set aside, and a new chain begins. */
static int recorder_reset(struct recorder *rec, struct bytes reason)
{
	int r;

	rec->spool = spool_close(rec->spool);
	r = identity_retire(rec->state_fd, &rec->id, reason);
	return r < 0 ? r : recorder_spool_open(rec, &(struct spool_damage){ 0 });
}

/* Where an old chain was set aside, and this one has not said so yet: what it has to say. What the old one had
 * counted stays counted. */
static int recorder_succeed(struct recorder *rec)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(8192);
	_cleanup_(closep) int old_fd = identity_retiring(rec->state_fd, rec->reason);
	_cleanup_(identity_done) struct identity old = { 0 };
	_cleanup_(spool_closep) struct spool *spool = NULL;
	struct spool_options options = { .cap_bytes = rec->config->spool_cap_bytes, .read_only = true };
	struct spool_damage damage = { 0 };
	const struct spool_tip *tip;
	int r;

	if (old_fd < 0)
		return old_fd == -ENOENT ? 0 : old_fd;
	r = identity_load(old_fd, &old);
	if (r >= 0 || r == -EBADMSG)
		r = buf_printf(&path, "%s/retiring/spool", rec->config->state_directory);
	if (r >= 0)
		r = buf_byte(&path, '\0');
	if (r < 0)
		return r;
	options.directory = (const char *)path.data;
	options.public_key = old.key ? old.public_key : NULL;
	r = spool_open(&options, &spool, &damage);
	if (r < 0 && r != -EPROTONOSUPPORT)
		return r;
	tip = spool ? spool_tip(spool) : NULL;
	r = 0;
	if (tip && tip->exists) {
		r = batch_without_events(tip->frame.batch, &rec->last);
		if (r >= 0)
			r = public_key_fingerprint(tip->frame.batch->key.data, rec->old_fingerprint);
	} else if (old.key) {
		memcpy(rec->old_fingerprint, old.fingerprint, sizeof rec->old_fingerprint);
	}
	/* after an interruption: what was told of it when it was the spool is lost */
	if (rec->damage.places == 0 && rec->damage.cut_bytes == 0)
		rec->damage = damage;
	rec->reset_reason = rec->reason;
	return r;
}

/* Why the state that is there cannot be gone on with: 1, in `why`. 0: it can, or nothing in it has begun. */
static int recorder_judge(const struct recorder *rec, bool key_damaged, struct buf *why)
{
	bool exists = spool_tip(rec->spool)->exists;
	int r;

	/* a key without a durable frame has signed nothing that anybody knows: another one will do */
	if (!exists && (rec->id.is_new || (!rec->id.key && !key_damaged)))
		return 0;
	r = identity_at_home(rec->state_fd, &rec->id, why);
	if (r <= 0)
		return r < 0 ? r : 1;
	if (key_damaged)
		r = buf_str(why, "the key file is damaged");
	else if (!exists)
		r = buf_str(why, "the key has lost its chain");
	else if (!rec->id.key)
		r = buf_str(why, "the chain has lost its key");
	else
		return 0;
	return r < 0 ? r : 1;
}

/* Goes on with the chain that is there, or begins one. */
static int recorder_join_chain(struct recorder *rec, bool key_damaged)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(IDENTITY_REASON_MAX);
	const struct spool_tip *tip;
	int r = 0;

	if (rec->id.key && spool_tip(rec->spool)->exists)
		r = identity_settle(rec->state_fd, &rec->id);
	if (r >= 0)
		r = recorder_judge(rec, key_damaged, &why);
	if (r > 0)
		r = recorder_reset(rec, buf_bytes(&why));
	if (r < 0)
		return r;
	tip = spool_tip(rec->spool);
	if (!tip->exists) {
		rec->sequence = 1;
		/* what is there of the first frame was never durable: nothing is lost with it */
		if (rec->id.is_new)
			rec->damage = (struct spool_damage){ 0 };
		r = recorder_succeed(rec);
		return r < 0 ? r : identity_create(rec->state_fd, &rec->id);
	}
	rec->sequence = tip->frame.batch->sequence + 1;
	memcpy(rec->previous, tip->frame.digest, sizeof rec->previous);
	return batch_without_events(tip->frame.batch, &rec->last);
}

int recorder_open(const struct config *config, struct recorder **ret)
{
	_cleanup_(recorder_closep) struct recorder *rec = calloc(1, sizeof *rec);
	bool key_damaged;
	int r;

	if (!rec)
		return -ENOMEM;
	*rec = (struct recorder){
		.config = config,
		.state_fd = -1,
		.plain = BUF_INIT(BATCH_EXPANDED_MAX),
		.packed = BUF_INIT(BATCH_EXPANDED_MAX),
		.frame = BUF_INIT(FRAME_MAX),
	};
	rec->state_fd = open_directory(config->state_directory, 0755);
	if (rec->state_fd < 0)
		return rec->state_fd;
	r = open_directory(config->run_directory, 0755);
	if (r < 0)
		return r;
	(void)close(r);
	r = identity_resume(rec->state_fd);
	if (r < 0)
		return r;
	r = identity_load(rec->state_fd, &rec->id);
	key_damaged = r == -EBADMSG;
	if (r < 0 && !key_damaged)
		return r;
	r = recorder_spool_open(rec, &rec->damage);
	if (r == -EPROTONOSUPPORT) {
		r = recorder_reset(rec, LIT("the spool is of a newer format than this program knows"));
		key_damaged = false;
	}
	if (r >= 0)
		r = recorder_join_chain(rec, key_damaged);
	if (r < 0)
		return r;
	if (getrandom(rec->run_id, sizeof rec->run_id, 0) != (ssize_t)sizeof rec->run_id)
		return -EIO;
	rec->previous_clean = run_mark_previous(rec->state_fd, rec->last, rec->id.has_boot_id ? rec->id.boot_id : NULL,
						rec->previous_end);
	r = run_mark_begin(rec->state_fd, rec->run_id);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rec);
	return 0;
}

struct recorder *recorder_close(struct recorder *rec)
{
	if (!rec)
		return NULL;
	spool_close(rec->spool);
	identity_done(&rec->id);
	if (rec->last)
		hallmark__v1__batch__free_unpacked(rec->last, NULL);
	buf_done(&rec->plain);
	buf_done(&rec->packed);
	buf_done(&rec->frame);
	if (rec->state_fd >= 0)
		(void)close(rec->state_fd);
	free(rec);
	return NULL;
}

const Hallmark__V1__Batch *recorder_last(const struct recorder *rec)
{
	return rec->last;
}

void recorder_set_sources(struct recorder *rec, struct intake *intake, struct collector **collectors, size_t n)
{
	rec->intake = intake;
	rec->collectors = collectors;
	rec->n_collectors = n;
}

static int recorder_say_damage(struct recorder *rec)
{
	_cleanup_(buf_done) struct buf detail = BUF_INIT(512), cut = BUF_INIT(32);
	const struct spool_damage *d = &rec->damage;
	int r = 0;

	if (d->places > 0) {
		r = buf_printf(&detail, "damaged in %" PRIu64 " places, first in segment %" PRIu64 " at offset %" PRIu64,
			       d->places, d->first_segment, d->first_offset);
		if (r >= 0)
			r = buf_byte(&detail, '\0');
		if (r >= 0)
			r = intake_loss(rec->intake, 0, &(struct loss){ .reason = "spool_damage",
									.detail = (const char *)detail.data,
									.unit = "bytes",
									.amount = d->bytes });
	}
	if (r >= 0 && d->published_sequence >= rec->sequence && !rec->reset_reason) {
		buf_clear(&detail);
		r = buf_printf(&detail, "batches %" PRIu64 " to %" PRIu64 " were durable and are gone from the spool",
			       rec->sequence, d->published_sequence);
		if (r >= 0)
			r = buf_byte(&detail, '\0');
		if (r >= 0)
			r = intake_loss(rec->intake, 0, &(struct loss){ .reason = "spool_cut",
									.detail = (const char *)detail.data,
									.unit = "batches",
									.amount = d->published_sequence - rec->sequence + 1 });
	}
	if (r >= 0 && d->cut_bytes > 0) {
		r = buf_printf(&cut, "%" PRIu64, d->cut_bytes);
		if (r >= 0)
			r = intake_own(rec->intake, 0, OWN_SPOOL_CUT, (struct bytes[]){ buf_bytes(&cut) });
	}
	return r;
}

int recorder_begin(struct recorder *rec, const char *sources)
{
	const struct bytes started[] = { LIT(HALLMARK_VERSION), bytes_str(sources), bytes_str(rec->id.fingerprint),
					 bytes_str(rec->previous_end) };
	int r;

	r = intake_own(rec->intake, 0, rec->previous_clean ? OWN_STARTED : OWN_STARTED_UNCLEAN, started);
	if (r >= 0 && rec->reset_reason)
		r = intake_own(rec->intake, 0, OWN_IDENTITY_RESET,
			       (struct bytes[]){ bytes_str(rec->reset_reason), bytes_str(rec->old_fingerprint) });
	return r < 0 ? r : recorder_say_damage(rec);
}

/* --- one batch ---------------------------------------------------------------------------------------- */

static ProtobufCBinaryData binary(const void *data, size_t len)
{
	return (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)data, .len = len };
}

/* Names what is left out; `items` and `list` have room for EXCLUDE_MAX. */
static void batch_excluded(const struct intake *in, Hallmark__V1__Excluded *items, Hallmark__V1__Excluded **list,
			   Hallmark__V1__Batch *batch)
{
	struct intake_excluded e = intake_excluded(in);

	for (size_t i = 0; i < e.n; i++) {
		hallmark__v1__excluded__init(&items[i]);
		items[i].what = (char *)(uintptr_t)e.entries[i];
		items[i].count = e.counts[i];
		list[i] = &items[i];
	}
	batch->excluded = list;
	batch->n_excluded = e.n;
}

/* Signs the events that the intake has, with these positions, into `frame`. */
static int recorder_sign(struct recorder *rec, Hallmark__V1__Position **positions, size_t n_positions,
			 uint32_t next_within_s, struct buf *frame)
{
	struct event_writer *w = intake_writer(rec->intake);
	Hallmark__V1__Batch batch = HALLMARK__V1__BATCH__INIT;
	Hallmark__V1__Host host = HALLMARK__V1__HOST__INIT;
	Hallmark__V1__Excluded items[EXCLUDE_MAX], *list[EXCLUDE_MAX];
	int r;

	host.name = rec->id.host;
	host.machine_id = binary(rec->id.machine_id, rec->id.has_machine_id ? 16 : 0);
	host.boot_id = binary(rec->id.boot_id, rec->id.has_boot_id ? 16 : 0);
	batch.host = &host;
	batch.run_id = binary(rec->run_id, sizeof rec->run_id);
	batch.sequence = rec->sequence;
	batch.previous = binary(rec->previous, rec->sequence > 1 ? sizeof rec->previous : 0);
	batch.time_us = clock_wall_us();
	batch.next_within_s = next_within_s;
	batch.positions = positions;
	batch.n_positions = n_positions;
	batch.severity = event_writer_severity(w);
	batch.event_count = (uint32_t)event_writer_count(w);
	batch_excluded(rec->intake, items, list, &batch);
	buf_clear(&rec->plain);
	buf_clear(&rec->packed);
	if (batch.event_count > 0) {
		r = event_writer_finish(w, batch.time_us, &rec->plain);
		if (r >= 0)
			r = events_compress(buf_bytes(&rec->plain), &rec->packed);
		if (r < 0)
			return r;
		batch.events = binary(rec->packed.data, rec->packed.len);
		batch.events_size = (uint32_t)rec->plain.len;
	}
	buf_clear(frame);
	r = frame_seal(rec->id.key, &batch, frame, rec->digest);
	if (r < 0)
		return r;
	event_writer_reset(w);
	intake_excluded_reset(rec->intake);
	return 0;
}

/* The interval that a batch announces: a checkpoint is due by then. 0 where it is the last one. */
static uint32_t recorder_next_within_s(const struct recorder *rec, enum commit_kind kind)
{
	return kind == COMMIT_FAREWELL ? 0 : (uint32_t)((rec->config->checkpoint_us + 999999) / 1000000);
}

static int recorder_sign_positions(struct recorder *rec, enum commit_kind kind)
{
	Hallmark__V1__Position positions[INTAKE_SOURCES_MAX], *pointers[INTAKE_SOURCES_MAX];
	int r = 0;

	for (size_t i = 0; i < rec->n_collectors && r >= 0; i++) {
		struct collector *c = rec->collectors[i];

		hallmark__v1__position__init(&positions[i]);
		positions[i].source = (char *)(uintptr_t)c->name;
		pointers[i] = &positions[i];
		r = c->ops->position(c, &positions[i]);
	}
	if (r < 0)
		return r;
	return recorder_sign(rec, pointers, rec->n_collectors, recorder_next_within_s(rec, kind), &rec->frame);
}

/* The frame that was just appended is durable: the chain goes on from it. */
static int recorder_advance(struct recorder *rec, const struct buf *frame, const uint8_t digest[static DIGEST_SIZE])
{
	struct frame f;
	int r;

	rec->sequence++;
	memcpy(rec->previous, digest, DIGEST_SIZE);
	rec->totals.batches++;
	rec->totals.bytes += frame->len;
	r = frame_open(buf_bytes(frame), &f, &(const char *){ NULL });
	if (r < 0)
		return r;
	r = batch_without_events(f.batch, &rec->last);
	frame_release(&f);
	if (r >= 0 && rec->id.is_new)
		r = identity_settle(rec->state_fd, &rec->id);
	return r;
}

/*
 * No further segment can be had, and the pending batch does not go into this one. The segment's reserve takes
 * a small batch in its place, which says so and whose positions are those that were durable already; the
 * pending batch is signed again behind it.
 */
static int recorder_say_blocked(struct recorder *rec)
{
	_cleanup_(buf_done) struct buf said = BUF_INIT(SPOOL_RESERVE), again = BUF_INIT(FRAME_MAX);
	struct frame held;
	int r;

	if (!rec->last || rec->sequence == 1)
		return 0;
	r = intake_own(rec->intake, 0, OWN_SPOOL_TROUBLE, (struct bytes[]){ LIT("0"), bytes_str(strerror(-rec->blocked)) });
	if (r < 0)
		return r;
	r = recorder_sign(rec, rec->last->positions, rec->last->n_positions, recorder_next_within_s(rec, COMMIT_EVENTS),
			  &said);
	if (r < 0)
		return r;
	if (spool_append(rec->spool, buf_bytes(&said), rec->sequence, true) < 0)
		return 0;
	r = recorder_advance(rec, &said, rec->digest);
	if (r < 0)
		return r;
	r = frame_open(buf_bytes(&rec->frame), &held, &(const char *){ NULL });
	if (r < 0)
		return r;
	held.batch->sequence = rec->sequence;
	memcpy(held.batch->previous.data, rec->previous, DIGEST_SIZE);
	r = frame_seal(rec->id.key, held.batch, &again, rec->digest);
	frame_release(&held);
	if (r < 0)
		return r;
	buf_clear(&rec->frame);
	return buf_append(&rec->frame, buf_bytes(&again));
}

/* --- room --------------------------------------------------------------------------------------------- */

/* Keeps the spool a segment below its cap. Segments that nobody has acknowledged are declared lost in the batch
 * that is about to be signed, and deleted once that is durable: never the other way about. */
static int recorder_make_room(struct recorder *rec)
{
	_cleanup_(buf_done) struct buf detail = BUF_INIT(512);
	struct spool_lost lost = { 0 };
	int r = spool_make_room(rec->spool, false, &lost);

	if (r != -ENOSPC || lost.segments == 0)
		return 0;
	r = buf_printf(&detail, "the spool is at its cap: batches %" PRIu64 " to %" PRIu64 " were deleted before they were acknowledged",
		       lost.first_sequence, lost.last_sequence);
	if (r >= 0)
		r = buf_byte(&detail, '\0');
	if (r >= 0)
		r = intake_loss(rec->intake, 0, &(struct loss){ .reason = "spool_full",
								.detail = (const char *)detail.data,
								.unit = "bytes",
								.amount = lost.bytes });
	if (r < 0)
		return r;
	rec->declared = r == INTAKE_OK; /* else there is no room in this batch: the next one says it */
	return 0;
}

/* --- committing --------------------------------------------------------------------------------------- */

static int recorder_unblock(struct recorder *rec)
{
	char seconds[24];
	int reason = rec->blocked;

	(void)snprintf(seconds, sizeof seconds, "%" PRIu64, (clock_boot_us() - rec->blocked_since_us) / 1000000);
	rec->blocked = 0;
	return intake_own(rec->intake, 0, OWN_SPOOL_TROUBLE,
			  (struct bytes[]){ bytes_str(seconds), bytes_str(strerror(-reason)) });
}

static void recorder_tell_committed(struct recorder *rec)
{
	for (size_t i = 0; i < rec->n_collectors; i++)
		if (rec->collectors[i]->ops->committed)
			rec->collectors[i]->ops->committed(rec->collectors[i]);
}

/* Makes the pending frame durable: a commit_result, or an error. */
static int recorder_append(struct recorder *rec)
{
	int r = spool_append(rec->spool, buf_bytes(&rec->frame), rec->sequence, false);

	/* no waiting helps: whoever starts next reads again what is gone, and says so */
	if (r == -ESTALE)
		return r;
	/* the segment was abandoned: a new one may well take it */
	if (r < 0 && r != -ENOSPC && !rec->blocked)
		r = spool_append(rec->spool, buf_bytes(&rec->frame), rec->sequence, false);
	if (r < 0) {
		bool first = !rec->blocked;

		rec->blocked = r;
		if (first) {
			rec->blocked_since_us = clock_boot_us();
			r = recorder_say_blocked(rec);
			if (r < 0)
				return r;
		}
		return COMMIT_BLOCKED;
	}
	rec->pending = false;
	r = recorder_advance(rec, &rec->frame, rec->digest);
	if (r >= 0)
		recorder_tell_committed(rec);
	if (r >= 0 && rec->declared) {
		rec->declared = false;
		(void)spool_make_room(rec->spool, true, &(struct spool_lost){ 0 });
	}
	if (r >= 0 && rec->blocked)
		r = recorder_unblock(rec);
	return r < 0 ? r : COMMIT_DONE;
}

int recorder_commit(struct recorder *rec, enum commit_kind kind)
{
	int r;

	if (rec->pending) {
		r = recorder_append(rec);
		if (r != COMMIT_DONE)
			return r;
	}
	r = recorder_make_room(rec);
	/* the positions are past what the intake holds */
	if (r >= 0)
		r = intake_settle(rec->intake);
	if (r < 0)
		return r;
	if (kind == COMMIT_EVENTS && event_writer_count(intake_writer(rec->intake)) == 0)
		return COMMIT_DONE;
	r = recorder_sign_positions(rec, kind);
	if (r < 0)
		return r;
	rec->pending = true;
	return recorder_append(rec);
}

void recorder_trim(struct recorder *rec)
{
	events_compress_trim();
	buf_done(&rec->plain);
	buf_done(&rec->packed);
	if (!rec->pending)
		buf_done(&rec->frame);
}

bool recorder_is_blocked(const struct recorder *rec)
{
	return rec->pending;
}

int recorder_blocked_reason(const struct recorder *rec)
{
	return rec->blocked;
}

const struct recorder_totals *recorder_totals(const struct recorder *rec)
{
	return &rec->totals;
}

void recorder_state(const struct recorder *rec, struct recorder_state *ret)
{
	*ret = (struct recorder_state){
		.sequence = rec->sequence - 1,
		.blocked = rec->pending ? rec->blocked : 0,
		.blocked_since_us = rec->blocked_since_us,
		.fingerprint = rec->id.fingerprint,
		.reset_reason = rec->reset_reason,
		.old_fingerprint = rec->old_fingerprint,
		.instance = &rec->id.instance,
	};
	spool_usage(rec->spool, &ret->spool);
}

const char *recorder_fingerprint(const struct recorder *rec)
{
	return rec->id.fingerprint;
}
