/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <strings.h>
#include <sys/statfs.h>

#include "agent/base/io.h"

#define NAMES_FILE "instance"
#define NAMES_FILE_MAX 1024u
#define DMI_FILE_MAX 4096u /* a page: what sysfs shows at most */

static const struct {
	const char *key;   /* in the file */
	const char *words; /* for people */
} kinds[INSTANCE_NAME_MAX] = {
	[INSTANCE_ASSET_TAG] = { "asset-tag", "asset tag" },
	[INSTANCE_PRODUCT_UUID] = { "product-uuid", "product UUID" },
	[INSTANCE_MACHINE_ID] = { "machine-id", "machine id" },
};

/* --- what is a name ----------------------------------------------------------------------------------- */

/* What makers put where a name should be, in any case. It matters little if one is missing here: equal tags prove
 * nothing, and a placeholder differs only after a new firmware. */
static const char *const placeholders[] = {
	"Asset-1234567890", "Asset Tag", "Base Board Asset Tag", "Base Board Asset Tag#", "Default", "Default string",
	"Empty", "Fill By OEM", "Invalid", "N/A", "NA", "No Asset Information", "No Asset Tag", "None",
	"Not Applicable", "Not Available", "Not Settable", "Not Specified", "Null", "O.E.M.", "OEM", "Tag 12345",
	"To be filled by O.E.M.", "To be filled by OEM", "Type2 - Board Asset Tag", "Undefined", "Unknown",
	"0123456789", "123456789", "1234567890",
	"03000200-0400-0500-0006-000700080009", /* a system UUID that is on many boards */
};

static bool is_placeholder(const char *value)
{
	size_t first = strspn(value, (char[]){ value[0], '-', '\0' });

	if (value[first] == '\0') /* nothing, zeros, dots, a UUID of nothing but F */
		return true;
	for (size_t i = 0; i < ELEMENTSOF(placeholders); i++)
		if (strcasecmp(value, placeholders[i]) == 0)
			return true;
	return false;
}

/* Whether `value` has the form: x stands for a hexadecimal digit, all else for itself. */
static bool has_form(const char *value, const char *form)
{
	for (; *form; form++, value++)
		if (*form == 'x' ? !*value || !strchr("0123456789abcdef", *value) : *value != *form)
			return false;
	return *value == '\0';
}

static bool is_well_formed(enum instance_name name, const char *value)
{
	switch (name) {
	case INSTANCE_PRODUCT_UUID:
		return has_form(value, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
	case INSTANCE_MACHINE_ID: /* also `uninitialized` is none */
		return has_form(value, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	default:
		return true;
	}
}

static bool is_ec2_id(const char *tag)
{
	return has_form(tag, "i-xxxxxxxxxxxxxxxxx") || has_form(tag, "i-xxxxxxxx");
}

/* Takes the value if it is a name. */
static void take_name(struct instance *instance, enum instance_name name, struct bytes value)
{
	char text[INSTANCE_NAME_SIZE];

	while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
		value = bytes_from(value, 1);
	while (value.len > 0 && strchr(" \t\n", value.data[value.len - 1]))
		value.len--;
	if (value.len >= sizeof text)
		return;
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		if (c < ' ' || c > '~')
			return;
		text[i] = (char)(name != INSTANCE_ASSET_TAG && c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
	}
	text[value.len] = '\0';
	if (!is_placeholder(text) && is_well_formed(name, text))
		memcpy(instance->names[name], text, value.len + 1);
}

/* --- this machine ------------------------------------------------------------------------------------- */

static void read_name(int dir_fd, const char *path, enum instance_name name, struct instance *ret)
{
	_cleanup_(buf_done) struct buf value = BUF_INIT(DMI_FILE_MAX);

	/* what cannot be read is not there */
	if (read_file_at(dir_fd, path, false, &value) >= 0)
		take_name(ret, name, buf_bytes(&value));
}

void instance_read(const char *dmi, const char *machine_id, struct instance *ret)
{
	_cleanup_(closep) int fd = open(dmi, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	*ret = (struct instance){ 0 };
	if (fd >= 0) {
		read_name(fd, "board_asset_tag", INSTANCE_ASSET_TAG, ret);
		read_name(fd, "product_uuid", INSTANCE_PRODUCT_UUID, ret);
	}
	read_name(AT_FDCWD, machine_id, INSTANCE_MACHINE_ID, ret);
	ret->transient = statfs(machine_id, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* --- comparing ---------------------------------------------------------------------------------------- */

/* The same UUID as firmwares and kernels before and after SMBIOS 2.6 show it: its first three parts are numbers, in
 * either byte order. An instance that changes its type may see both. */
static bool is_swapped_uuid(const char *a, const char *b)
{
	static const unsigned char order[] = { 6, 4, 2, 0, 11, 9, 16, 14 }; /* where a's pairs of digits are in b */
	static const unsigned char pairs[] = { 0, 2, 4, 6, 9, 11, 14, 16 };

	for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
		if (memcmp(a + pairs[i], b + order[i], 2) != 0)
			return false;
	return strcmp(a + 18, b + 18) == 0;
}

static bool names_equal(enum instance_name name, const char *a, const char *b)
{
	return strcmp(a, b) == 0 || (name == INSTANCE_PRODUCT_UUID && is_swapped_uuid(a, b));
}

enum instance_verdict instance_compare(const struct instance *kept, const struct instance *now, struct buf *why)
{
	enum instance_verdict verdict = INSTANCE_UNKNOWN;
	const char *tag = now->names[INSTANCE_ASSET_TAG];

	if (is_ec2_id(tag) && strcmp(tag, kept->names[INSTANCE_ASSET_TAG]) == 0)
		return INSTANCE_SAME;
	for (enum instance_name i = 0; i < INSTANCE_NAME_MAX; i++) {
		const char *a = kept->names[i], *b = now->names[i];

		if (!*a || !*b)
			continue;
		if (names_equal(i, a, b)) {
			verdict = verdict == INSTANCE_OTHER ? INSTANCE_OTHER : INSTANCE_SAME;
			continue;
		}
		(void)buf_printf(why, "%s %s %s before, %s now",
				 verdict == INSTANCE_OTHER ? ";" : "this is another instance:", kinds[i].words, a, b);
		verdict = INSTANCE_OTHER;
	}
	return verdict;
}

bool instance_merge(struct instance *kept, const struct instance *now)
{
	bool changed = false;

	for (enum instance_name i = 0; i < INSTANCE_NAME_MAX; i++) {
		if (!*now->names[i] || (i == INSTANCE_MACHINE_ID && now->transient) ||
		    strcmp(kept->names[i], now->names[i]) == 0)
			continue;
		memcpy(kept->names[i], now->names[i], sizeof kept->names[i]);
		changed = true;
	}
	return changed;
}

/* --- beside the key ----------------------------------------------------------------------------------- */

static void parse_line(struct bytes line, struct instance *ret)
{
	for (enum instance_name i = 0; i < INSTANCE_NAME_MAX; i++) {
		struct bytes key = bytes_str(kinds[i].key);

		if (bytes_starts(line, key) && line.len > key.len && line.data[key.len] == ' ')
			take_name(ret, i, bytes_from(line, key.len));
	}
}

int instance_load(int key_fd, struct instance *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(NAMES_FILE_MAX);
	struct bytes rest;
	int r = read_file_at(key_fd, NAMES_FILE, true, &text);

	if (r < 0 && r != -EMSGSIZE)
		return r == -ENOENT ? 0 : r;
	*ret = (struct instance){ 0 };
	rest = buf_bytes(&text);
	while (rest.len > 0) {
		const uint8_t *end = memchr(rest.data, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.data) : rest.len;

		parse_line(bytes_of(rest.data, len), ret);
		rest = bytes_from(rest, len + 1);
	}
	return 1;
}

int instance_store(int key_fd, const struct instance *instance)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(NAMES_FILE_MAX);
	int r = 0;

	for (enum instance_name i = 0; i < INSTANCE_NAME_MAX && r >= 0; i++)
		if (*instance->names[i])
			r = buf_printf(&text, "%s %s\n", kinds[i].key, instance->names[i]);
	return r < 0 ? r : replace_file_at(key_fd, NAMES_FILE, buf_bytes(&text), 0600, true);
}
