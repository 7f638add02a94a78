/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/strict.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/base/text.h"
#include "proto/wire.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };

/* Whether a number is one of the field's type. */
static bool number_fits(ProtobufCType type, uint64_t v)
{
	switch (type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		return v <= UINT32_MAX;
	case PROTOBUF_C_TYPE_BOOL:
		return v <= 1;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM: /* with its sign in 64 bits */
		return v <= INT32_MAX || v >= (uint64_t)INT32_MIN;
	default:
		return true;
	}
}

static enum wire_type wire_type_of(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_LENGTH;
	case PROTOBUF_C_TYPE_FIXED64:
		return WIRE_64BIT;
	default:
		return field->label == PROTOBUF_C_LABEL_REPEATED ? WIRE_LENGTH : WIRE_VARINT;
	}
}

static bool take_fixed(struct bytes *b, size_t size, struct bytes *ret)
{
	if (b->len < size)
		return false;
	*ret = bytes_of(b->data, size);
	*b = bytes_from(*b, size);
	return true;
}

/* The value of a field, whose tag was taken: a number, or bytes. */
static bool take_value(struct bytes *b, unsigned type, uint64_t *ret_number, struct bytes *ret)
{
	switch (type) {
	case WIRE_VARINT:
		return wire_take_varint(b, ret_number);
	case WIRE_64BIT:
		return take_fixed(b, 8, ret);
	case WIRE_LENGTH:
		return wire_take_varint(b, ret_number) && *ret_number <= b->len && take_fixed(b, (size_t)*ret_number, ret);
	case WIRE_32BIT:
		return take_fixed(b, 4, ret);
	default:
		return false;
	}
}

static bool packed_ok(ProtobufCType type, struct bytes b)
{
	uint64_t v;

	while (b.len > 0)
		if (!wire_take_varint(&b, &v) || !number_fits(type, v))
			return false;
	return true;
}

static bool message_ok(const ProtobufCMessageDescriptor *d, struct bytes b, size_t *parts);

/* Whether a value may stand in a field that the descriptor has. */
static bool value_ok(const ProtobufCFieldDescriptor *field, uint64_t number, struct bytes value, size_t *parts)
{
	static const uint8_t zeros[8];
	bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;

	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return message_ok(field->descriptor, value, parts);
	case PROTOBUF_C_TYPE_STRING:
		return (value.len > 0 || repeated) && text_is_utf8(value) &&
		       (value.len == 0 || !memchr(value.data, '\0', value.len));
	case PROTOBUF_C_TYPE_BYTES:
		return value.len > 0 || repeated;
	case PROTOBUF_C_TYPE_FIXED64:
		return memcmp(value.data, zeros, sizeof zeros) != 0;
	default:
		return repeated ? value.len > 0 && packed_ok(field->type, value) :
				  number != 0 && number_fits(field->type, number);
	}
}

static bool comes_one_by_one(const ProtobufCFieldDescriptor *field)
{
	return field->label == PROTOBUF_C_LABEL_REPEATED &&
	       (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING ||
		field->type == PROTOBUF_C_TYPE_BYTES);
}

/* `parts`: how many more there may be. As deep as the descriptors are. */
static bool message_ok(const ProtobufCMessageDescriptor *d, struct bytes b, size_t *parts)
{
	unsigned known = d->n_fields > 0 ? d->fields[d->n_fields - 1].id : 0, last = 0;

	if ((*parts)-- == 0)
		return false;
	while (b.len > 0) {
		const ProtobufCFieldDescriptor *field;
		struct bytes value = BYTES_NONE;
		uint64_t tag, n = 0;
		unsigned id;

		if (!wire_take_varint(&b, &tag) || tag > UINT32_MAX || !take_value(&b, tag & 7, &n, &value))
			return false;
		id = (unsigned)(tag >> 3);
		field = protobuf_c_message_descriptor_get_field(d, id);
		if (field) {
			if (id < last || (id == last && !comes_one_by_one(field)) ||
			    wire_type_of(field) != (tag & 7) || !value_ok(field, n, value, parts))
				return false;
		} else if (id <= known || (*parts)-- == 0) {
			return false;
		}
		last = id;
	}
	return true;
}

static void *starvable_alloc(void *starved, size_t size)
{
	void *p = malloc(size);

	*(bool *)starved |= !p;
	return p;
}

static void starvable_free(void *starved, void *p)
{
	free(p);
}

int strict_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes b, size_t max_parts,
		  ProtobufCMessage **ret)
{
	bool starved = false;
	ProtobufCAllocator allocator = { starvable_alloc, starvable_free, &starved };
	size_t parts = max_parts + 1; /* itself */
	ProtobufCMessage *m;

	if (!message_ok(descriptor, b, &parts))
		return -EBADMSG;
	m = protobuf_c_message_unpack(descriptor, &allocator, b.len, b.data);
	if (!m)
		return starved ? -ENOMEM : -EBADMSG;
	*ret = m;
	return 0;
}
