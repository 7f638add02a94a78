/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include "agent/instance.h"
#include "tests/unit/frame-maker.h"

#define EC2_A "i-0a1b2c3d4e5f60718"
#define EC2_B "i-0ffffffffffffff00"
#define UUID_A "4c4c4544-0051-3610-8052-b4c04f4e3132"
#define UUID_A_SWAPPED "44454c4c-5100-1036-8052-b4c04f4e3132"
#define UUID_B "4c4c4544-0051-3610-8052-b4c04f4e3133"
#define ID_A "7b3f0e6d9c1a4f6a8e2d5c4b3a291807"
#define ID_B "0123456789abcdef0123456789abcdef"

static struct instance names(const char *tag, const char *uuid, const char *machine_id)
{
	struct instance i = { 0 };

	(void)snprintf(i.names[INSTANCE_ASSET_TAG], INSTANCE_NAME_SIZE, "%s", tag);
	(void)snprintf(i.names[INSTANCE_PRODUCT_UUID], INSTANCE_NAME_SIZE, "%s", uuid);
	(void)snprintf(i.names[INSTANCE_MACHINE_ID], INSTANCE_NAME_SIZE, "%s", machine_id);
	return i;
}

TEST(only_what_contradicts_makes_another_instance)
{
	static const struct {
		const char *kept[INSTANCE_NAME_MAX], *now[INSTANCE_NAME_MAX];
		enum instance_verdict verdict;
		const char *why;
	} cases[] = {
		/* nothing to compare */
		{ { "", "", "" }, { "", "", "" }, INSTANCE_UNKNOWN, "" },
		{ { "", "", "" }, { EC2_A, UUID_A, ID_A }, INSTANCE_UNKNOWN, "" },
		{ { EC2_A, UUID_A, ID_A }, { "", "", "" }, INSTANCE_UNKNOWN, "" },
		{ { EC2_A, "", "" }, { "", UUID_A, ID_A }, INSTANCE_UNKNOWN, "" },
		/* one is enough, the others may be missing or new */
		{ { EC2_A, "", "" }, { EC2_A, "", "" }, INSTANCE_SAME, "" },
		{ { EC2_A, "", ID_A }, { "", UUID_A, ID_A }, INSTANCE_SAME, "" },
		{ { "", UUID_A, "" }, { EC2_A, UUID_A, ID_A }, INSTANCE_SAME, "" },
		{ { "", UUID_A, "" }, { "", UUID_A_SWAPPED, "" }, INSTANCE_SAME, "" },
		/* EC2's id vouches for the instance */
		{ { EC2_A, UUID_A, ID_A }, { EC2_A, UUID_B, ID_B }, INSTANCE_SAME, "" },
		{ { "i-0a1b2c3d", "", ID_A }, { "i-0a1b2c3d", "", ID_B }, INSTANCE_SAME, "" },
		/* no other tag does, nor what only looks like that id */
		{ { "rack 7", UUID_A, ID_A }, { "rack 7", UUID_A, ID_B }, INSTANCE_OTHER,
		  "this is another instance: machine id " ID_A " before, " ID_B " now" },
		{ { "i-0a1b2c3", "", ID_A }, { "i-0a1b2c3", "", ID_B }, INSTANCE_OTHER,
		  "this is another instance: machine id " ID_A " before, " ID_B " now" },
		{ { EC2_A "0", "", ID_A }, { EC2_A "0", "", ID_B }, INSTANCE_OTHER,
		  "this is another instance: machine id " ID_A " before, " ID_B " now" },
		/* any contradiction is enough, whatever is equal */
		{ { EC2_A, UUID_A, ID_A }, { EC2_B, UUID_A, ID_A }, INSTANCE_OTHER,
		  "this is another instance: asset tag " EC2_A " before, " EC2_B " now" },
		{ { "rack 7", UUID_A, ID_A }, { "rack 7", UUID_B, ID_A }, INSTANCE_OTHER,
		  "this is another instance: product UUID " UUID_A " before, " UUID_B " now" },
		{ { EC2_A, "", ID_A }, { "rack 7", "", ID_A }, INSTANCE_OTHER,
		  "this is another instance: asset tag " EC2_A " before, rack 7 now" },
		{ { EC2_A, UUID_A, ID_A }, { EC2_B, UUID_B, ID_B }, INSTANCE_OTHER,
		  "this is another instance: asset tag " EC2_A " before, " EC2_B " now; product UUID " UUID_A " before, " UUID_B
		  " now; machine id " ID_A " before, " ID_B " now" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(buf_done) struct buf why = BUF_INIT(INSTANCE_WHY_MAX);
		struct instance kept = names(cases[i].kept[0], cases[i].kept[1], cases[i].kept[2]);
		struct instance now = names(cases[i].now[0], cases[i].now[1], cases[i].now[2]);

		assert_int_equal(instance_compare(&kept, &now, &why), cases[i].verdict);
		assert_int_equal(buf_byte(&why, '\0'), 0);
		assert_string_equal((const char *)why.data, cases[i].why);
	}
}

TEST(the_longest_names_fit_into_the_reason)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(INSTANCE_WHY_MAX);
	struct instance kept = names("", UUID_A, ID_A), now = names("", UUID_B, ID_B);

	memset(kept.names[INSTANCE_ASSET_TAG], 'a', INSTANCE_NAME_SIZE - 1);
	memset(now.names[INSTANCE_ASSET_TAG], 'b', INSTANCE_NAME_SIZE - 1);
	assert_int_equal(instance_compare(&kept, &now, &why), INSTANCE_OTHER);
	assert_true(why.len > 3 && memcmp(why.data + why.len - 4, " now", 4) == 0);
}

TEST(names_are_added_to_those_that_are_kept)
{
	struct instance kept = names(EC2_A, "", ID_A), now = names("", UUID_A, ID_B);

	assert_true(instance_merge(&kept, &now));
	assert_false(instance_merge(&kept, &now));
	assert_string_equal(kept.names[INSTANCE_ASSET_TAG], EC2_A);
	assert_string_equal(kept.names[INSTANCE_PRODUCT_UUID], UUID_A);
	assert_string_equal(kept.names[INSTANCE_MACHINE_ID], ID_B);
	now = names("", "", ID_A);
	now.transient = true;
	assert_false(instance_merge(&kept, &now));
}

/* One file of DMI's directory or of /etc, and what is made of it. */
static void expect_read(enum instance_name name, struct bytes contents, const char *expected)
{
	static const char *const files[] = { "board_asset_tag", "product_uuid", "machine-id" };
	_cleanup_(place_done) struct place place;
	struct instance instance;

	place_init(&place);
	place_write(&place, files[name], contents, 0);
	instance_read(place.path, place_path(&place, "machine-id"), &instance);
	for (enum instance_name i = 0; i < INSTANCE_NAME_MAX; i++)
		assert_string_equal(instance.names[i], i == name ? expected : "");
}

TEST(a_name_is_what_has_its_form)
{
	static const char *const none[] = {
		"", "\n", " \n", "Not Specified\n", "To Be Filled By O.E.M.\n", "default string\n", "No Asset Tag\n", "........\n",
		"00000000\n", "7\n", "tag \001\n", "\377\376\n", "two\nlines\n",
		"12345678901234567890123456789012345678901234567890123456789012345\n",
	};

	for (size_t i = 0; i < ELEMENTSOF(none); i++)
		expect_read(INSTANCE_ASSET_TAG, bytes_str(none[i]), "");
	expect_read(INSTANCE_ASSET_TAG, LIT(EC2_A "\n"), EC2_A);
	expect_read(INSTANCE_ASSET_TAG, LIT("  Rack 7 \n"), "Rack 7");
	expect_read(INSTANCE_ASSET_TAG, LIT("1234567890123456789012345678901234567890123456789012345678901234"),
		    "1234567890123456789012345678901234567890123456789012345678901234");
	expect_read(INSTANCE_PRODUCT_UUID, LIT(UUID_A "\n"), UUID_A);
	expect_read(INSTANCE_PRODUCT_UUID, LIT("4C4C4544-0051-3610-8052-B4C04F4E3132\n"), UUID_A);
	expect_read(INSTANCE_PRODUCT_UUID, LIT("00000000-0000-0000-0000-000000000000\n"), "");
	expect_read(INSTANCE_PRODUCT_UUID, LIT("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\n"), "");
	expect_read(INSTANCE_PRODUCT_UUID, LIT("03000200-0400-0500-0006-000700080009\n"), "");
	expect_read(INSTANCE_PRODUCT_UUID, LIT("Not Settable\n"), "");
	expect_read(INSTANCE_PRODUCT_UUID, LIT(UUID_A "0\n"), "");
	expect_read(INSTANCE_MACHINE_ID, LIT(ID_A "\n"), ID_A);
	expect_read(INSTANCE_MACHINE_ID, LIT(ID_A), ID_A);
	expect_read(INSTANCE_MACHINE_ID, LIT(""), "");
	expect_read(INSTANCE_MACHINE_ID, LIT("uninitialized\n"), "");
	expect_read(INSTANCE_MACHINE_ID, LIT("00000000000000000000000000000000\n"), "");
	expect_read(INSTANCE_MACHINE_ID, LIT(ID_A "0\n"), "");
	expect_read(INSTANCE_MACHINE_ID, LIT("7b3f0e6d9c1a4f6a8e2d5c4b3a29180\n"), "");
}

TEST(where_there_is_nothing_there_is_no_name)
{
	struct instance instance = names(EC2_A, UUID_A, ID_A);

	instance_read("/nowhere/dmi", "/nowhere/machine-id", &instance);
	for (enum instance_name i = 0; i < INSTANCE_NAME_MAX; i++)
		assert_string_equal(instance.names[i], "");
	assert_false(instance.transient);
	/* a directory and a file that never ends */
	instance_read("/dev/null", "/dev", &instance);
	instance_read("/nowhere/dmi", "/dev/zero", &instance);
	assert_string_equal(instance.names[INSTANCE_MACHINE_ID], "");
}

TEST(a_machine_id_in_memory_is_transient)
{
	_cleanup_(place_done) struct place place;
	struct instance instance;
	struct statfs fs;

	place_init(&place);
	place_write(&place, "machine-id", LIT(ID_A "\n"), 0);
	assert_int_equal(statfs(place.path, &fs), 0);
	instance_read(place.path, place_path(&place, "machine-id"), &instance);
	assert_int_equal(instance.transient, fs.f_type == TMPFS_MAGIC);
	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC) {
		instance_read(place.path, "/dev/shm", &instance);
		assert_true(instance.transient);
	}
}

TEST(what_is_stored_is_loaded_and_what_is_not_understood_is_left_out)
{
	_cleanup_(place_done) struct place place;
	struct instance stored = names("Rack 7", UUID_A, ID_A), loaded = { 0 };

	place_init(&place);
	assert_int_equal(instance_load(place.fd, &loaded), 0);
	assert_int_equal(instance_store(place.fd, &stored), 0);
	assert_int_equal(instance_load(place.fd, &loaded), 1);
	assert_memory_equal(&loaded, &stored, sizeof stored);
	stored = names("", "", ID_A);
	assert_int_equal(instance_store(place.fd, &stored), 0);
	assert_int_equal(instance_load(place.fd, &loaded), 1);
	assert_memory_equal(&loaded, &stored, sizeof stored);
	assert_int_equal(replace_file_at(place.fd, "instance",
					 LIT("serial 7\n\nasset-tag\nasset-tags 8\nproduct-uuid x\nmachine-id " ID_B), 0600, false), 0);
	assert_int_equal(instance_load(place.fd, &loaded), 1);
	stored = names("", "", ID_B);
	assert_memory_equal(&loaded, &stored, sizeof stored);
}

TEST(a_file_of_names_that_is_too_large_says_nothing)
{
	_cleanup_(place_done) struct place place;
	_cleanup_(buf_done) struct buf large = BUF_INIT(8192);
	struct instance loaded = names(EC2_A, "", ""), empty = { 0 };

	place_init(&place);
	for (int i = 0; i < 100; i++)
		assert_int_equal(buf_str(&large, "asset-tag " EC2_A "\n"), 0);
	assert_int_equal(replace_file_at(place.fd, "instance", buf_bytes(&large), 0600, false), 0);
	assert_int_equal(instance_load(place.fd, &loaded), 1);
	assert_memory_equal(&loaded, &empty, sizeof empty);
}
