/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trust.h"

#include <errno.h>

#define PEM_BEGIN LIT("-----BEGIN PUBLIC KEY-----")
#define PEM_END LIT("-----END PUBLIC KEY-----")
#define FINGERPRINT_PREFIX LIT("SHA256:")

void trust_done(struct trust *t)
{
	free(t->fingerprints);
	*t = (struct trust){ 0 };
}

static int add_fingerprint(struct trust *t, const char *fingerprint)
{
	if (t->n == t->max) {
		size_t max = MAX(t->max * 2, 8u);
		void *p = reallocarray(t->fingerprints, max, FINGERPRINT_SIZE);

		if (!p)
			return -ENOMEM;
		t->fingerprints = p;
		t->max = max;
	}
	memcpy(t->fingerprints[t->n++], fingerprint, FINGERPRINT_SIZE);
	return 0;
}

static int add_pem(struct trust *t, struct bytes pem)
{
	uint8_t key[PUBLIC_KEY_SIZE];
	char fingerprint[FINGERPRINT_SIZE];
	int r;

	r = public_key_from_pem(pem, key);
	if (r == 0)
		r = public_key_fingerprint(key, fingerprint);
	return r == 0 ? add_fingerprint(t, fingerprint) : r == -ENOMEM ? r : -EBADMSG;
}

static bool is_base64(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
	       c == '/';
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int add_word(struct trust *t, struct bytes line)
{
	char fingerprint[FINGERPRINT_SIZE];
	size_t len = FINGERPRINT_SIZE - 1;

	if (!bytes_starts(line, FINGERPRINT_PREFIX) || line.len < len ||
	    (line.len > len && !is_blank(line.data[len])))
		return -EBADMSG;
	for (size_t i = FINGERPRINT_PREFIX.len; i < len; i++)
		if (!is_base64(line.data[i]))
			return -EBADMSG;
	memcpy(fingerprint, line.data, len);
	fingerprint[len] = '\0';
	return add_fingerprint(t, fingerprint);
}

/* The next line of `text`, without blanks around it. */
static struct bytes take_line(struct bytes *text)
{
	const uint8_t *newline = memchr(text->data, '\n', text->len);
	struct bytes line = { text->data, newline ? (size_t)(newline - text->data) : text->len };

	*text = bytes_from(*text, line.len + 1);
	while (line.len > 0 && is_blank(line.data[0]))
		line = bytes_from(line, 1);
	while (line.len > 0 && is_blank(line.data[line.len - 1]))
		line.len--;
	return line;
}

int trust_add(struct trust *t, struct bytes text, unsigned *ret_line)
{
	const uint8_t *pem = NULL;
	unsigned number = 0, pem_number = 0;
	int r = 0;

	while (r == 0 && text.len > 0) {
		struct bytes line = take_line(&text);

		number++;
		if (pem) {
			if (bytes_eq(line, PEM_END)) {
				r = add_pem(t, bytes_of(pem, (size_t)(line.data + line.len - pem)));
				pem = NULL;
			}
		} else if (bytes_eq(line, PEM_BEGIN)) {
			pem = line.data;
			pem_number = number;
		} else if (line.len > 0 && line.data[0] != '#') {
			r = add_word(t, line);
		}
	}
	if (r == 0 && pem) {
		r = -EBADMSG;
		number = pem_number;
	}
	if (r == -EBADMSG)
		*ret_line = number;
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

void trust_sort(struct trust *t)
{
	size_t n = 0;

	if (t->n == 0)
		return;
	qsort(t->fingerprints, t->n, FINGERPRINT_SIZE, compare);
	for (size_t i = 0; i < t->n; i++)
		if (n == 0 || strcmp(t->fingerprints[i], t->fingerprints[n - 1]) != 0)
			memmove(t->fingerprints[n++], t->fingerprints[i], FINGERPRINT_SIZE);
	t->n = n;
}
