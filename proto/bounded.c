/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/bounded.h"

#include <stdlib.h>

/* Counts what is asked for and not what is given back: protobuf-c frees little before it is done. */
static void *bounded_alloc(void *data, size_t size)
{
	size_t *left = data;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

static void bounded_free(void *data, void *p)
{
	free(p);
}

ProtobufCMessage *bounded_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes b,
				 size_t max_bytes)
{
	ProtobufCAllocator allocator = { .alloc = bounded_alloc,
					 .free = bounded_free,
					 .allocator_data = &max_bytes };

	return protobuf_c_message_unpack(descriptor, &allocator, b.len, b.data);
}
