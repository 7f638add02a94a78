/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/origins.h"

#include <errno.h>

#include "proto/wire.h"

/* After so many taken slots an origin is stored once more, without a slot. Who chooses the names that
 * programs log under can fill the slots of one hash value: it shall cost bytes, not time. */
#define PROBES_MAX 16u

static const size_t header_texts[] = {
	offsetof(struct origin, header.before),
	offsetof(struct origin, header.between),
	offsetof(struct origin, header.after),
};

static const size_t provenance_texts[] = {
	offsetof(struct origin, provenance.transport), offsetof(struct origin, provenance.boot_id),
	offsetof(struct origin, provenance.exe),       offsetof(struct origin, provenance.comm),
	offsetof(struct origin, provenance.unit),      offsetof(struct origin, provenance.message_id),
};

static inline struct bytes *text_at(const struct origin *origin, size_t offset)
{
	return (struct bytes *)((uintptr_t)origin + offset);
}

size_t origin_text_size(const struct origin *origin)
{
	size_t sum = origin->program.len + origin->host.len;

	for (size_t i = 0; origin->has_header && i < ELEMENTSOF(header_texts); i++)
		sum += text_at(origin, header_texts[i])->len;
	for (size_t i = 0; origin->has_provenance && i < ELEMENTSOF(provenance_texts); i++)
		sum += text_at(origin, provenance_texts[i])->len;
	return sum;
}

static bool header_eq(const struct header *a, const struct header *b)
{
	return a->stamp == b->stamp && a->has_pid == b->has_pid && a->utc_offset_min == b->utc_offset_min &&
	       a->fraction_digits == b->fraction_digits && bytes_eq(a->between, b->between) &&
	       bytes_eq(a->before, b->before) && bytes_eq(a->after, b->after);
}

static bool provenance_eq(const struct provenance *a, const struct provenance *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->audit_loginuid == b->audit_loginuid &&
	       a->audit_session == b->audit_session && a->syslog_pid == b->syslog_pid &&
	       a->facility == b->facility && bytes_eq(a->transport, b->transport) &&
	       bytes_eq(a->boot_id, b->boot_id) && bytes_eq(a->exe, b->exe) && bytes_eq(a->comm, b->comm) &&
	       bytes_eq(a->unit, b->unit) && bytes_eq(a->message_id, b->message_id);
}

static bool origin_eq(const struct origin *a, const struct origin *b)
{
	return a->source == b->source && a->has_header == b->has_header &&
	       a->has_provenance == b->has_provenance && bytes_eq(a->program, b->program) &&
	       bytes_eq(a->host, b->host) && (!a->has_header || header_eq(&a->header, &b->header)) &&
	       (!a->has_provenance || provenance_eq(&a->provenance, &b->provenance));
}

static uint64_t hash_number(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

static uint64_t hash_bytes(uint64_t h, struct bytes b)
{
	uint64_t word;

	h = hash_number(h, b.len);
	for (; b.len >= sizeof word; b = bytes_from(b, sizeof word)) {
		memcpy(&word, b.data, sizeof word);
		h = hash_number(h, word);
	}
	for (size_t i = 0; i < b.len; i++)
		h = hash_number(h, b.data[i]);
	return h;
}

static uint64_t origin_hash(const struct origin *origin)
{
	uint64_t h = hash_bytes(origin->source, origin->program);

	if (origin->has_header) {
		h = hash_bytes(h, origin->header.before);
		h = hash_bytes(h, origin->header.between);
	}
	if (origin->has_provenance) {
		h = hash_number(h, origin->provenance.uid);
		h = hash_number(h, origin->provenance.audit_session);
		h = hash_number(h, origin->provenance.syslog_pid);
		h = hash_bytes(h, origin->provenance.unit);
		h = hash_bytes(h, origin->provenance.exe);
		h = hash_bytes(h, origin->provenance.message_id);
	}
	return h;
}

static ProtobufCBinaryData binary(struct bytes b)
{
	return (ProtobufCBinaryData){ .len = b.len, .data = (uint8_t *)(uintptr_t)b.data };
}

static void header_message(const struct header *h, Hallmark__V1__Header *ret)
{
	hallmark__v1__header__init(ret);
	ret->before = binary(h->before);
	ret->stamp = h->stamp;
	ret->between = binary(h->between);
	ret->pid = h->has_pid;
	ret->after = binary(h->after);
	ret->utc_offset_min = h->utc_offset_min;
	ret->fraction_digits = h->fraction_digits;
}

/* EVENT_NUMBER_NONE plus 1 is 0: not there. */
static void provenance_message(const struct provenance *p, Hallmark__V1__Provenance *ret)
{
	hallmark__v1__provenance__init(ret);
	ret->uid_plus1 = p->uid + 1;
	ret->gid_plus1 = p->gid + 1;
	ret->transport = binary(p->transport);
	ret->boot_id = binary(p->boot_id);
	ret->exe = binary(p->exe);
	ret->comm = binary(p->comm);
	ret->unit = binary(p->unit);
	ret->audit_loginuid_plus1 = p->audit_loginuid + 1;
	ret->audit_session_plus1 = p->audit_session + 1;
	ret->syslog_pid_plus1 = p->syslog_pid + 1;
	/* the sender's claim, of which only numbers that syslog could mean are kept */
	ret->facility_plus1 = p->facility < UINT32_MAX ? (uint32_t)p->facility + 1 : 0;
	ret->message_id = binary(p->message_id);
}

static int pack_origin(struct buf *packed, const struct origin *origin, size_t room)
{
	Hallmark__V1__Origin message = HALLMARK__V1__ORIGIN__INIT;
	Hallmark__V1__Header header;
	Hallmark__V1__Provenance provenance;
	size_t size;
	uint8_t *p;
	int r;

	message.source = origin->source;
	message.program = binary(origin->program);
	message.host = binary(origin->host);
	if (origin->has_header) {
		header_message(&origin->header, &header);
		message.header = &header;
	}
	if (origin->has_provenance) {
		provenance_message(&origin->provenance, &provenance);
		message.provenance = &provenance;
	}
	size = hallmark__v1__origin__get_packed_size(&message);
	if (1 + WIRE_VARINT_MAX + size > room)
		return -EMSGSIZE;
	r = buf_reserve(packed, 1 + WIRE_VARINT_MAX + size);
	if (r < 0)
		return r;
	p = wire_put_head(packed->data + packed->len, 1, size);
	p += hallmark__v1__origin__pack(&message, p);
	packed->len = (size_t)(p - packed->data);
	return 0;
}

static void keep_text(struct origins *o, struct bytes *b)
{
	if (b->len > 0)
		memcpy(o->text + o->text_len, b->data, b->len);
	b->data = o->text + o->text_len;
	o->text_len += b->len;
}

/* Untouched memory costs nothing, and what does not move needs no second look. */
static int make_tables(struct origins *o)
{
	if (!o->items && !(o->items = malloc(ORIGINS_MAX * sizeof *o->items)))
		return -ENOMEM;
	if (!o->text && !(o->text = malloc(ORIGINS_TEXT_MAX)))
		return -ENOMEM;
	if (!o->slots && !(o->slots = calloc(ORIGIN_SLOTS, sizeof *o->slots)))
		return -ENOMEM;
	return 0;
}

static int add_origin(struct origins *o, const struct origin *origin, size_t room)
{
	struct origin *item;
	int r;

	if (o->n == ORIGINS_MAX || origin_text_size(origin) > ORIGINS_TEXT_MAX - o->text_len)
		return -EMSGSIZE;
	r = pack_origin(&o->packed, origin, room);
	if (r < 0)
		return r;
	item = &o->items[o->n];
	*item = *origin;
	keep_text(o, &item->program);
	keep_text(o, &item->host);
	for (size_t i = 0; origin->has_header && i < ELEMENTSOF(header_texts); i++)
		keep_text(o, text_at(item, header_texts[i]));
	for (size_t i = 0; origin->has_provenance && i < ELEMENTSOF(provenance_texts); i++)
		keep_text(o, text_at(item, provenance_texts[i]));
	return (int)o->n++;
}

int origins_place(struct origins *o, const struct origin *origin, size_t room)
{
	uint16_t *slot = NULL;
	uint64_t hash;
	int place;

	if (o->n > 0 && origin_eq(&o->items[o->last], origin))
		return (int)o->last;
	if (!o->slots) { /* the last of them */
		int r = make_tables(o);

		if (r < 0)
			return r;
	}
	hash = origin_hash(origin);
	for (size_t i = 0; i < PROBES_MAX; i++) {
		slot = &o->slots[(hash + i) % ORIGIN_SLOTS];
		if (*slot == 0)
			break;
		if (origin_eq(&o->items[*slot - 1], origin)) {
			o->last = *slot - 1;
			return (int)o->last;
		}
	}
	place = add_origin(o, origin, room);
	if (place < 0)
		return place;
	if (*slot == 0)
		*slot = (uint16_t)(place + 1);
	o->last = (size_t)place;
	return place;
}

void origins_reset(struct origins *o)
{
	buf_clear(&o->packed);
	if (o->n > 0)
		memset(o->slots, 0, ORIGIN_SLOTS * sizeof *o->slots);
	o->n = o->text_len = o->last = 0;
}

void origins_done(struct origins *o)
{
	buf_done(&o->packed);
	free(o->items);
	free(o->text);
	free(o->slots);
	*o = (struct origins)ORIGINS_INIT;
}
