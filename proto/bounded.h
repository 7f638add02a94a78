/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking of foreign protobuf bytes within bounded memory: a repeated message of two bytes becomes a
 * struct of a hundred, so that without a bound eight megabytes become half a gigabyte.
 */
#ifndef HALLMARK_PROTO_BOUNDED_H
#define HALLMARK_PROTO_BOUNDED_H

#include <protobuf-c/protobuf-c.h>

#include "agent/base/bytes.h"

/* NULL for what is no such message, and for one that would take more than `max_bytes` of memory. To be
 * freed by protobuf_c_message_free_unpacked(message, NULL). */
ProtobufCMessage *bounded_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes b,
				 size_t max_bytes);

#endif
