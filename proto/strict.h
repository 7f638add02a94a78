/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking of foreign protobuf bytes in the one form that hallmark-record(5), Notation, allows: so no two readers
 * can make different things of them, and no byte of them says nothing. What that form does not bound is
 * how many messages are in one: a repeated message of two bytes becomes a struct of a hundred.
 */
#ifndef HALLMARK_PROTO_STRICT_H
#define HALLMARK_PROTO_STRICT_H

#include <protobuf-c/protobuf-c.h>

#include "agent/base/bytes.h"

/* -EBADMSG for what is no such message, or not in that form, and for one with more than `max_parts` messages and
 * unknown fields in it, at any depth; -ENOMEM, which says nothing of the bytes. Takes at most 8 times the size of `b`, and
 * 512 bytes for each part. To be freed by protobuf_c_message_free_unpacked(message, NULL). */
int strict_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes b, size_t max_parts,
		  ProtobufCMessage **ret);

#endif
