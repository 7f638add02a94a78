/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/bytes.h"

#include <errno.h>

#include "agent/base/macro.h"

int bytes_to_u64(struct bytes b, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (b.len == 0)
		return -EINVAL;
	/* so many digits always fit */
	for (; i < MIN(b.len, 19u); i++) {
		unsigned d = (unsigned)b.data[i] - '0';

		if (d > 9)
			return -EINVAL;
		v = v * 10 + d;
	}
	for (; i < b.len; i++) {
		unsigned d = (unsigned)b.data[i] - '0';

		if (d > 9)
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}
