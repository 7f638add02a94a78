/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/faults.c"
#include "tests/unit/test.h"
#include "agent/spool.h"

#include "tests/unit/spool-bench.h"

TEST(a_frame_torn_at_any_byte_is_cut_off)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(buf_done) struct buf torn = BUF_INIT(FRAME_MAX);
	uint64_t end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 40);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	assert_int_equal(buf_append(&torn, maker_seal(&b.maker, 40)), 0);
	for (size_t n = 1; n < torn.len; n++) {
		place_write(&b.place, segment_file(1), bytes_of(torn.data, n), (off_t)end);
		assert_int_equal(bench_open(&b), 0);
		assert_int_equal(bench_check(&b), 0);
		assert_int_equal(b.damage.bytes, 0);
		assert_in_range(b.damage.cut_bytes, 1, torn.len);
		assert_int_equal(bench_nonzero_behind(&b, 1, end), 0);
		b.spool = spool_close(b.spool);
	}
	/* a later part of it reached the disk, and the first did not */
	place_write(&b.place, segment_file(1), bytes_from(buf_bytes(&torn), 100), (off_t)end + 100);
	assert_int_equal(bench_open(&b), 0);
	assert_true(b.damage.cut_bytes > 0);
	assert_int_equal(bench_nonzero_behind(&b, 1, end), 0);
	bench_fill(&b, 1, 40);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(damage_before_the_tip_is_told_and_does_not_hide_it)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t ends[6] = { 0 };

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	for (int i = 1; i <= 5; i++) {
		bench_fill(&b, 1, 500);
		ends[i] = spool_tip(b.spool)->end;
	}
	bench_flip(&b, 1, ends[1] + 200); /* content of the second, in its events: well-formed all the same */
	bench_flip(&b, 1, ends[3] + 9);   /* length of the fourth */
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 5);
	assert_int_equal(b.damage.places, 2);
	assert_int_equal(b.damage.bytes, ends[2] - ends[1] + ends[4] - ends[3]);
	assert_int_equal(b.damage.first_segment, 1);
	assert_int_equal(b.damage.first_offset, ends[1]);
	assert_int_equal(b.damage.cut_bytes, 0);
}

TEST(damage_at_the_end_of_an_older_segment_is_no_abandoned_end)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t start, end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 2, LARGE);
	start = spool_tip(b.spool)->end;
	bench_fill(&b, 1, LARGE);
	end = spool_tip(b.spool)->end;
	bench_fill(&b, 2, LARGE);
	assert_int_equal(spool_tip(b.spool)->segment, 2);
	bench_flip(&b, 1, start + 1000);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 5);
	assert_int_equal(b.damage.places, 1);
	assert_int_equal(b.damage.bytes, end - start);
	assert_int_equal(b.damage.first_segment, 1);
	assert_int_equal(b.damage.first_offset, start);
}

TEST(a_tip_with_a_wrong_signature_is_no_tip)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	bench_fill(&b, 1, 100);
	bench_flip(&b, 1, spool_tip(b.spool)->end - 1);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 3);
	assert_int_equal(spool_tip(b.spool)->end, end);
	assert_true(b.damage.cut_bytes > 0);
	assert_int_equal(bench_nonzero_behind(&b, 1, end), 0);
}

TEST(missing_frames_are_a_place_of_no_bytes)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(buf_done) struct buf all = BUF_INIT(4 * SEGMENT);
	uint64_t ends[4] = { 0 };

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	for (int i = 1; i <= 3; i++) {
		bench_fill(&b, 1, 500);
		ends[i] = spool_tip(b.spool)->end;
	}
	b.spool = spool_close(b.spool);
	assert_int_equal(read_file_at(b.place.fd, segment_file(1), true, &all), 0);
	place_write(&b.place, segment_file(1), bytes_from(buf_bytes(&all), ends[2]), (off_t)ends[1]);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 3);
	assert_int_equal(b.damage.places, 1);
	assert_int_equal(b.damage.bytes, 0);
	assert_int_equal(b.damage.first_offset, ends[1]);
}

TEST(a_page_that_cannot_be_read_is_damage_and_no_more)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 60, 500);
	b.spool = spool_close(b.spool);
	faults_set("pread:.seg:EIO:once");
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 60);
	assert_int_equal(b.damage.places, 1);
	assert_in_range(b.damage.bytes, 4096, 6000);
	assert_int_equal(b.damage.first_offset, 0);
}

TEST(a_frame_of_another_key_is_not_the_tip)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(maker_done) struct maker other;
	_cleanup_(buf_done) struct buf frame = BUF_INIT(FRAME_MAX);
	uint64_t end;

	bench_init(&b);
	maker_init(&other);
	other.sequence = 1000;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	assert_int_equal(buf_append(&frame, maker_next(&other, 100)), 0);
	place_write(&b.place, segment_file(1), buf_bytes(&frame), (off_t)end);
	place_write(&b.place, segment_file(9), buf_bytes(&frame), 0);
	/* whoever does not know the key takes the newest frame's */
	b.options.read_only = true;
	b.options.public_key = NULL;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 1001);
	b.options.read_only = false;
	b.options.public_key = b.maker.public_key;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(spool_tip(b.spool)->end, end);
	assert_int_equal(b.damage.cut_bytes, 2 * frame.len);
	assert_false(bench_has(&b, 9));
}

TEST(a_spool_of_another_key_only_is_left_alone)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(maker_done) struct maker other;
	uint64_t end;

	bench_init(&b);
	maker_init(&other);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 4, LARGE);
	end = spool_tip(b.spool)->end;
	b.options.public_key = other.public_key;
	assert_int_equal(bench_open(&b), 0);
	assert_false(spool_tip(b.spool)->exists);
	assert_true(b.damage.bytes > 3 * LARGE);
	assert_int_equal(b.damage.cut_bytes, 0);
	assert_true(bench_has(&b, 1));
	assert_true(bench_nonzero_behind(&b, 2, 0) > 0);
	b.options.public_key = b.maker.public_key;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(spool_tip(b.spool)->end, end);
}

TEST(old_segments_and_frames_put_behind_new_ones_do_not_set_the_chain_back)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(buf_done) struct buf first = BUF_INIT(4 * SEGMENT), second = BUF_INIT(4 * SEGMENT);

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 11, LARGE);
	assert_int_equal(spool_tip(b.spool)->segment, 4);
	assert_int_equal(read_file_at(b.place.fd, segment_file(1), true, &first), 0);
	assert_int_equal(read_file_at(b.place.fd, segment_file(2), true, &second), 0);
	place_write(&b.place, segment_file(4), bytes_of(first.data, 20300), (off_t)spool_tip(b.spool)->end);
	place_write(&b.place, segment_file(5), buf_bytes(&first), 0);
	place_write(&b.place, segment_file(6), buf_bytes(&second), 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->segment, 4);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(b.damage.bytes, 0);
	assert_true(b.damage.cut_bytes > 7 * LARGE);
	assert_false(bench_has(&b, 5));
	assert_false(bench_has(&b, 6));
}

TEST(what_only_has_a_segments_name_is_passed_over)
{
	_cleanup_(bench_done) struct bench b;
	struct stat st;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 4, LARGE);
	assert_int_equal(renameat(b.place.fd, "spool/00000000000000000002.seg", b.place.fd,
				  "spool/00000000000000000070.seg"), 0); /* a gap */
	assert_int_equal(mkfifoat(b.place.fd, "spool/00000000000000000071.seg", 0600), 0);
	assert_int_equal(symlinkat("00000000000000000001.seg", b.place.fd, "spool/00000000000000000072.seg"), 0);
	assert_int_equal(mkdirat(b.place.fd, "spool/00000000000000000073.seg", 0700), 0);
	assert_int_equal(mkfifoat(b.place.fd, "spool/18446744073709551615.seg", 0600), 0);
	place_write(&b.place, "spool/18446744073709551614.seg", BYTES_NONE, 0);
	place_write(&b.place, "spool/18446744073709551616.seg", LIT("x"), 0);
	place_write(&b.place, "spool/0000000000000000074.seg", LIT("x"), 0);
	place_write(&b.place, "spool/00000000000000000074.seg.tmp", LIT("x"), 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->segment, 70);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 4);
	assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
	bench_fill(&b, 4, LARGE);
	assert_int_equal(spool_tip(b.spool)->segment, 74);
	assert_int_equal(fstatat(b.place.fd, "spool/00000000000000000072.seg", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 3); /* readers look into files of other names too: three times "x" */
}

TEST(junk_without_any_frame_is_kept_told_and_written_behind)
{
	_cleanup_(bench_done) struct bench b;
	uint8_t junk[300];

	bench_init(&b);
	memset(junk, 'j', sizeof junk);
	assert_int_equal(mkdirat(b.place.fd, "spool", 0700), 0);
	place_write(&b.place, segment_file(3), bytes_of(junk, sizeof junk), 0);
	place_write(&b.place, segment_file(4), BYTES_NONE, 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.bytes, sizeof junk);
	assert_int_equal(b.damage.first_segment, 3);
	assert_int_equal(b.damage.cut_bytes, 0);
	assert_true(bench_has(&b, 3));
	assert_false(bench_has(&b, 4));
	faults_set("fdatasync:.seg:EIO:once");
	assert_int_equal(bench_append(&b, 100), -EIO);
	assert_true(bench_has(&b, 3));
	bench_fill(&b, 3, 100);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.places, 0);
	assert_int_equal(bench_check(&b), 0); /* nothing is missing: an abandoned end */
}

TEST(a_newer_format_behind_the_tip_is_not_touched)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	place_write(&b.place, segment_file(1), LIT("HMRK\2\0\0\0\4\0\0\0abcd"), (off_t)end);
	assert_int_equal(bench_open(&b), -EPROTONOSUPPORT);
	assert_true(bench_nonzero_behind(&b, 1, end) > 0);
	bench_flip(&b, 1, end); /* no longer one */
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(a_reader_changes_nothing)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t end;

	bench_init(&b);
	b.options.read_only = true;
	assert_int_equal(bench_open(&b), -ENOENT);
	b.options.read_only = false;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	place_write(&b.place, segment_file(1), LIT("torn"), (off_t)end);
	place_write(&b.place, segment_file(2), BYTES_NONE, 0);
	b.options.read_only = true;
	faults_set("fsync::EIO pwrite::EIO fallocate::EIO ftruncate::EIO unlinkat::EIO rename::EIO");
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.cut_bytes, 4);
	assert_int_equal(bench_nonzero_behind(&b, 1, end), 4);
	assert_true(bench_has(&b, 2));
}
