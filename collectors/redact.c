/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/redact.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sys/random.h>

#include "collectors/data_files.h"
#include "collectors/redact_rule.h"

#define HASH_SHOWN 8u /* bytes of it */
#define OUT_MAX ((size_t)1 << 30)

static const struct bytes too_long = LIT("[redacted too-long]");

struct redactor {
	struct arena arena;
	struct redact_names names;
	struct redact_rule *rules;
	size_t n, cap;
	struct redact_finder finder;

	enum unknown_users unknown_users;
	uint8_t key[REDACT_KEY_SIZE];
	EVP_MAC_CTX *mac; /* made when first needed */

	uint64_t found; /* names of the rules that took something from this message */
	struct buf out[2];
	size_t value_begin, room; /* of the value that is being written */
};

int redactor_new(struct redactor **ret)
{
	_cleanup_(redactor_freep) struct redactor *red = calloc(1, sizeof *red);

	if (!red)
		return -ENOMEM;
	if (getrandom(red->key, sizeof red->key, 0) != sizeof red->key)
		return -errno;
	red->out[0] = red->out[1] = (struct buf)BUF_INIT(OUT_MAX);
	*ret = TAKE_PTR(red);
	return 0;
}

struct redactor *redactor_free(struct redactor *red)
{
	if (red) {
		EVP_MAC_CTX_free(red->mac);
		OPENSSL_cleanse(red->key, sizeof red->key);
		buf_done(&red->out[0]);
		buf_done(&red->out[1]);
		arena_done(&red->arena);
		free(red->rules);
		free(red);
	}
	return NULL;
}

/* --- the rules ----------------------------------------------------------------------------- */

static int redactor_room(struct redactor *red)
{
	size_t cap = red->cap ? 2 * red->cap : 64;
	struct redact_rule *rules;

	if (red->n < red->cap)
		return 0;
	rules = reallocarray(red->rules, cap, sizeof *rules);
	if (!rules)
		return -ENOMEM;
	red->rules = rules;
	red->cap = cap;
	return 0;
}

int redactor_add(struct redactor *red, struct bytes text, const char *origin, struct buf *ret_why)
{
	struct data_place place = { .origin = origin, .why = ret_why };
	size_t before = red->n;

	while (text.len > 0) {
		const uint8_t *newline = memchr(text.data, '\n', text.len);
		struct bytes line = { text.data, newline ? (size_t)(newline - text.data) : text.len };
		int r = redactor_room(red);

		text = bytes_from(text, line.len + 1);
		place.line++;
		if (r == 0)
			r = redact_parse_line(&red->arena, &red->names, line, &place, &red->rules[red->n]);
		if (r < 0) {
			red->n = before;
			return r;
		}
		red->n += (size_t)r;
	}
	return (int)(red->n - before);
}

static int add_text(void *to, struct bytes text, const char *origin, struct buf *ret_why)
{
	return redactor_add(to, text, origin, ret_why);
}

int redactor_add_directory(struct redactor *red, const char *path, struct buf *ret_why)
{
	return data_files_add(path, ".redactions", add_text, red, ret_why);
}

int redactor_ready(struct redactor *red)
{
	struct redact_rule *fitting = red->n > 0 ? reallocarray(red->rules, red->n, sizeof *fitting) : NULL;

	if (fitting) {
		red->rules = fitting;
		red->cap = red->n;
	}
	arena_settle(&red->arena);
	return redact_finder_init(&red->finder, &red->arena, red->rules, red->n);
}

size_t redactor_count(const struct redactor *red)
{
	return red->n;
}

uint64_t redactor_steps(const struct redactor *red)
{
	return red->finder.steps;
}

void redactor_set_unknown_users(struct redactor *red, enum unknown_users mode)
{
	red->unknown_users = mode;
}

void redactor_set_key(struct redactor *red, const uint8_t key[static REDACT_KEY_SIZE])
{
	memcpy(red->key, key, REDACT_KEY_SIZE);
}

/* --- the new message ----------------------------------------------------------------------------- */

/* Appends to a value: 1, or 0 where it has no room for that: then it has got its end, which says so. */
static int put(struct redactor *red, struct buf *out, struct bytes b)
{
	size_t whole = out->len - red->value_begin + red->room;
	size_t kept = whole > too_long.len ? whole - too_long.len : 0;
	int r;

	if (b.len <= red->room) {
		red->room -= b.len;
		r = buf_append(out, b);
		return r < 0 ? r : 1;
	}
	r = buf_append(out, bytes_of(b.data, red->room));
	if (r < 0)
		return r;
	red->room = 0;
	out->len = red->value_begin + kept;
	return buf_append(out, bytes_of(too_long.data, whole - kept));
}

static int put_secret(struct redactor *red, struct buf *out, struct bytes v, size_t from, const struct redact_secret *s)
{
	int r = put(red, out, bytes_of(v.data + from, s->begin - from));

	red->found |= s->rule->name;
	return r > 0 ? put(red, out, s->rule->marker) : r;
}

static bool find(struct redactor *red, struct bytes v, bool near, struct redact_cursor *c,
		 struct redact_secret *ret)
{
	return near ? redact_find_near(&red->finder, v, red->found, c, ret) :
		      redact_find_words(&red->finder, v, c, ret);
}

static int put_value(struct redactor *red, struct buf *out, struct bytes v, bool near)
{
	struct redact_secret s = { 0 }, next;
	struct redact_cursor c = { 0 };
	size_t from = 0;
	int r = 1;

	while (r > 0 && find(red, v, near, &c, &next)) {
		if (s.rule && next.begin < s.end) {
			red->found |= next.rule->name;
			s.end = MAX(s.end, next.end);
			continue;
		}
		if (s.rule) {
			r = put_secret(red, out, v, from, &s);
			from = s.end;
		}
		s = next;
	}
	if (r > 0 && s.rule) {
		r = put_secret(red, out, v, from, &s);
		from = s.end;
	}
	return r > 0 ? put(red, out, bytes_from(v, from)) : r;
}

static int hash_name(struct redactor *red, struct bytes name, uint8_t ret[static 32])
{
	size_t len = 0;

	if (!red->mac) {
		OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", (char[]){ "SHA256" }, 0),
					OSSL_PARAM_construct_end() };
		EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

		red->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
		EVP_MAC_free(mac);
		if (!red->mac || EVP_MAC_CTX_set_params(red->mac, params) != 1)
			return -EIO;
	}
	if (EVP_MAC_init(red->mac, red->key, sizeof red->key, NULL) != 1 ||
	    EVP_MAC_update(red->mac, name.data, name.len) != 1 || EVP_MAC_final(red->mac, ret, &len, 32) != 1)
		return -EIO;
	return 0;
}

static int put_unknown_user(struct redactor *red, struct buf *out, struct bytes name)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(64);
	uint8_t hash[32];
	int r;

	if (red->unknown_users == UNKNOWN_USERS_DROP)
		return put(red, out, LIT("[redacted unknown-user]"));
	r = hash_name(red, name, hash);
	if (r < 0)
		return r;
	r = buf_str(&text, "[redacted unknown-user ");
	for (size_t i = 0; i < HASH_SHOWN && r >= 0; i++)
		r = buf_printf(&text, "%02x", hash[i]);
	if (r >= 0)
		r = buf_byte(&text, ']');
	return r < 0 ? r : put(red, out, buf_bytes(&text));
}

/* Which values are what in the message that is being made. */
struct kinds {
	uint32_t text, names;
	bool near;
};

/* Puts the message together anew. Each value may take the room that the values and words behind it leave. */
static int rebuild(struct redactor *red, struct buf *out, const struct wording *w, struct kinds k,
		   struct bytes *values, struct bytes *message)
{
	size_t limit = MAX((size_t)EVENT_RAW_MAX, message->len), rest = message->len;
	size_t begins[EVENT_FIELDS_MAX], ends[EVENT_FIELDS_MAX];
	int r;

	buf_clear(out);
	for (size_t i = 0; i < w->n_fields; i++) {
		rest -= w->literals[i].len + values[i].len;
		r = buf_append(out, w->literals[i]);
		if (r < 0)
			return r;
		begins[i] = red->value_begin = out->len;
		red->room = limit - rest - out->len;
		if (k.names & 1u << i)
			r = put_unknown_user(red, out, values[i]);
		else if (k.text & 1u << i)
			r = put_value(red, out, values[i], k.near);
		else
			r = buf_append(out, values[i]);
		if (r < 0)
			return r;
		ends[i] = out->len;
	}
	r = buf_append(out, w->literals[w->n_fields]);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->n_fields; i++)
		values[i] = bytes_of(out->data + begins[i], ends[i] - begins[i]);
	*message = buf_bytes(out);
	return 1;
}

static bool holds_secret(struct redactor *red, struct bytes v)
{
	struct redact_cursor c = { 0 };
	struct redact_secret s;

	return v.len >= red->finder.least && redact_find_words(&red->finder, v, &c, &s);
}

int redact(struct redactor *red, const struct wording *wording, uint32_t text, uint32_t unknown,
	   struct bytes *values, struct bytes *message)
{
	struct kinds k = { .names = red->unknown_users == UNKNOWN_USERS_KEEP ? 0 : unknown };
	int r;

	for (uint32_t left = text | k.names; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		if (values[i].len == 0)
			k.names &= ~(1u << i);
		else if (!(k.names & 1u << i) && holds_secret(red, values[i]))
			k.text |= 1u << i;
	}
	if (!(k.names | k.text))
		return 0;
	red->found = 0;
	r = rebuild(red, &red->out[0], wording, k, values, message);
	if (r < 0 || !(red->finder.near_names & red->found))
		return r;
	k = (struct kinds){ .text = text & ~k.names, .near = true };
	return rebuild(red, &red->out[1], wording, k, values, message);
}
