/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#include "agent/base/io.h"
#include "agent/base/text.h"

#define STATUS_FILE "status"
#define STATUS_HEAD "hallmark status "
#define STATUS_FORM 1u
/* Each byte of a text may be escaped to four. */
#define STATUS_FILE_MAX (512u * 1024)

/* A name and where its value is: a text, or so many numbers. */
struct field {
	const char *name;
	size_t offset;
	size_t numbers; /* 0: a text */
};

#define NUMBER(type, member) { #member, offsetof(type, member), 1 }
#define TEXT(type, member) { #member, offsetof(type, member), 0 }

static const struct field fields[] = {
	TEXT(struct status, version),
	TEXT(struct status, boot_id),
	NUMBER(struct status, boot_us),
	NUMBER(struct status, wall_us),
	NUMBER(struct status, next_within_us),
	NUMBER(struct status, pid),
	NUMBER(struct status, pid_namespace),
	NUMBER(struct status, running_us),
	TEXT(struct status, stopped),
	TEXT(struct status, state_trouble),
	NUMBER(struct status, events),
	NUMBER(struct status, unknown),
	NUMBER(struct status, excluded),
	NUMBER(struct status, event_age_us),
	NUMBER(struct status, commit_age_us),
	NUMBER(struct status, sequence),
	{ "losses", offsetof(struct status, losses), STATUS_LOSS_HOURS },
	NUMBER(struct status, losses_known_us),
	NUMBER(struct status, templates),
	TEXT(struct status, templates_trouble),
	NUMBER(struct status, spool_bytes),
	NUMBER(struct status, spool_cap),
	NUMBER(struct status, spool_segments),
	NUMBER(struct status, spool_undelivered),
	NUMBER(struct status, blocked_us),
	TEXT(struct status, blocked),
	TEXT(struct status, publish_trouble),
	TEXT(struct status, fingerprint),
	TEXT(struct status, bound),
	NUMBER(struct status, key_age_us),
	NUMBER(struct status, reset_age_us),
	TEXT(struct status, reset),
	TEXT(struct status, old_fingerprint),
};

/* The first begins a source. */
static const struct field source_fields[] = {
	{ "source", offsetof(struct status_source, name), 0 },
	TEXT(struct status_source, trouble),
	NUMBER(struct status_source, reading),
	NUMBER(struct status_source, behind_bytes),
	NUMBER(struct status_source, position_age_us),
	{ "source_event_age_us", offsetof(struct status_source, event_age_us), 1 },
	{ "source_events", offsetof(struct status_source, events), 1 },
};

static const struct field *field_find(const struct field *table, size_t n, struct bytes name)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_eq(bytes_str(table[i].name), name))
			return &table[i];
	return NULL;
}

/* --- values ------------------------------------------------------------------------------------------- */

static void fields_init(const struct field *table, size_t n, void *values)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t *numbers = (void *)((char *)values + table[i].offset);

		for (size_t k = 0; k < table[i].numbers; k++)
			numbers[k] = STATUS_UNKNOWN;
		if (table[i].numbers == 0)
			((char *)values)[table[i].offset] = '\0';
	}
}

void status_source_init(struct status_source *s)
{
	fields_init(source_fields, ELEMENTSOF(source_fields), s);
}

void status_init(struct status *s)
{
	fields_init(fields, ELEMENTSOF(fields), s);
	memset(s->losses, 0, sizeof s->losses);
	s->n_sources = 0;
}

void status_set(status_text target, const char *text)
{
	(void)snprintf(target, STATUS_TEXT_MAX, "%s", text ? text : "");
}

void status_turn_losses(uint64_t losses[static STATUS_LOSS_HOURS], uint64_t hours)
{
	size_t by = MIN(hours, STATUS_LOSS_HOURS);

	memmove(losses + by, losses, (STATUS_LOSS_HOURS - by) * sizeof losses[0]);
	memset(losses, 0, by * sizeof losses[0]);
}

/* --- writing ------------------------------------------------------------------------------------------ */

static int field_format(const struct field *f, const void *values, struct buf *out)
{
	const char *text = (const char *)values + f->offset;
	const uint64_t *numbers = (const void *)text;
	int r;

	if (f->numbers > 0 ? numbers[0] == STATUS_UNKNOWN : text[0] == '\0')
		return 0;
	r = buf_str(out, f->name);
	for (size_t i = 0; i < f->numbers && r >= 0; i++)
		r = buf_printf(out, " %" PRIu64, numbers[i]);
	if (f->numbers == 0 && r >= 0)
		r = buf_byte(out, ' ');
	if (f->numbers == 0 && r >= 0)
		r = text_escape(out, bytes_str(text));
	return r < 0 ? r : buf_byte(out, '\n');
}

static int fields_format(const struct field *table, size_t n, const void *values, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = field_format(&table[i], values, out);
	return r;
}

int status_format(const struct status *s, struct buf *out)
{
	int r = buf_printf(out, STATUS_HEAD "%u\n", STATUS_FORM);

	if (r >= 0)
		r = fields_format(fields, ELEMENTSOF(fields), s, out);
	for (size_t i = 0; i < s->n_sources && r >= 0; i++)
		r = fields_format(source_fields, ELEMENTSOF(source_fields), &s->sources[i], out);
	return r < 0 ? r : buf_str(out, "end\n");
}

int status_write(const char *directory, const struct status *s)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(STATUS_FILE_MAX);
	_cleanup_(closep) int fd = -1;
	int r = status_format(s, &text);

	if (r < 0)
		return r;
	fd = open_directory(directory, 0755);
	return fd < 0 ? fd : replace_file_at(fd, STATUS_FILE, buf_bytes(&text), 0644, false);
}

/* --- reading ------------------------------------------------------------------------------------------ */

/* The bytes up to `separator`, which goes with them; all that is left where there is none. */
static struct bytes take_until(struct bytes *rest, char separator)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
	struct bytes taken = bytes_of(rest->data, end ? (size_t)(end - rest->data) : rest->len);

	*rest = bytes_from(*rest, taken.len + 1);
	return taken;
}

static int hex_digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What text_escape() made of a string. */
static int parse_text(struct bytes b, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];

		if (c == '\\' && i + 1 < b.len && b.data[i + 1] == '\\') {
			i++;
		} else if (c == '\\') {
			int high = i + 3 < b.len && b.data[i + 1] == 'x' ? hex_digit(b.data[i + 2]) : -1;
			int low = high >= 0 ? hex_digit(b.data[i + 3]) : -1;

			if (low < 0)
				return -EBADMSG;
			c = (uint8_t)(high << 4 | low);
			i += 3;
		}
		if (c == '\0' || len == STATUS_TEXT_MAX - 1)
			return -EBADMSG;
		out[len++] = (char)c;
	}
	out[len] = '\0';
	return 0;
}

static int field_parse(const struct field *f, struct bytes value, void *values)
{
	char *text = (char *)values + f->offset;
	uint64_t *numbers = (void *)text;

	if (f->numbers == 0)
		return parse_text(value, text);
	for (size_t i = 0; i < f->numbers; i++)
		if (bytes_to_u64(take_until(&value, ' '), &numbers[i]) < 0)
			return -EBADMSG;
	return value.len == 0 ? 0 : -EBADMSG;
}

static int line_parse(struct status *s, struct bytes line)
{
	struct bytes name = take_until(&line, ' ');
	const struct field *f = field_find(fields, ELEMENTSOF(fields), name);

	if (f)
		return field_parse(f, line, s);
	f = field_find(source_fields, ELEMENTSOF(source_fields), name);
	if (!f)
		return 0;
	if (f == source_fields) {
		if (s->n_sources == STATUS_SOURCES_MAX)
			return -EBADMSG;
		status_source_init(&s->sources[s->n_sources++]);
	}
	return s->n_sources > 0 ? field_parse(f, line, &s->sources[s->n_sources - 1]) : -EBADMSG;
}

/* What a reader reckons with: times that can be added to, and counts whose sum is one. */
static bool status_is_sane(const struct status *s)
{
	const uint64_t limit = (uint64_t)INT64_MAX / 2;

	if (s->boot_us > limit || s->wall_us > limit || s->next_within_us > limit)
		return false;
	for (size_t i = 0; i < STATUS_LOSS_HOURS; i++)
		if (s->losses[i] > limit / STATUS_LOSS_HOURS)
			return false;
	for (size_t i = 0; i < s->n_sources; i++)
		if (s->sources[i].name[0] == '\0')
			return false;
	return true;
}

int status_parse(struct bytes text, struct status *s)
{
	struct bytes line, head = LIT(STATUS_HEAD);
	uint64_t form;
	int r;

	if (text.len == 0 || text.data[text.len - 1] != '\n')
		return -EBADMSG;
	line = take_until(&text, '\n');
	if (!bytes_starts(line, head) || bytes_to_u64(bytes_from(line, head.len), &form) < 0)
		return -EBADMSG;
	if (form != STATUS_FORM)
		return -EPROTONOSUPPORT;
	status_init(s);
	while (text.len > 0) {
		line = take_until(&text, '\n');
		if (bytes_eq(line, LIT("end")))
			return text.len == 0 && status_is_sane(s) ? 0 : -EBADMSG;
		r = line_parse(s, line);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}

int status_read(const char *directory, struct status *s)
{
	_cleanup_(closep) int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	_cleanup_(buf_done) struct buf text = BUF_INIT(STATUS_FILE_MAX);
	struct stat st;
	ssize_t n;
	int r;

	if (dir_fd < 0)
		return -errno;
	fd = openat(dir_fd, STATUS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > STATUS_FILE_MAX)
		return -EBADMSG;
	r = buf_reserve(&text, (size_t)st.st_size + 1);
	if (r < 0)
		return r == -EMSGSIZE ? -EBADMSG : r;
	n = pread_all(fd, text.data, (size_t)st.st_size, 0);
	return n < 0 ? (int)n : status_parse(bytes_of(text.data, (size_t)n), s);
}

/* --- whose boot, whose processes ---------------------------------------------------------------------- */

void status_boot_id(status_text ret)
{
	sd_id128_t id;

	ret[0] = '\0';
	if (sd_id128_get_boot(&id) >= 0)
		(void)sd_id128_to_string(id, ret);
}

uint64_t status_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 ? 0 : (uint64_t)st.st_ino;
}
