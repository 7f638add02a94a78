# SPDX-License-Identifier: Apache-2.0
"""The samples of the format: one of each version that was ever written, in tests/format/VERSION, as

    state/           of a hallmarkd whose name was golden: its spool, without the zeros behind, key and secret
    auth.log         what its log file held in the end
    fingerprint      of its key, for --trust
    expected.jsonl   what `hallmark verify --format json` said of the spool

tests/format/make writes that of the version that is built; 56-format.t reads all of them. Both do so at the same place,
since positions name files by their paths.
"""
import os
import sys

TOP = "/mnt/hallmark"
MACHINE_ID = "0123456789abcdef0123456789abcdef"
ALONE = """mount -t tmpfs -o mode=755 tmpfs /mnt && echo golden >/proc/sys/kernel/hostname &&
echo %s >/mnt/machine-id && { [ ! -e /etc/machine-id ] || mount --bind /mnt/machine-id /etc/machine-id; } &&
mkdir %s && HALLMARK_ALONE=1 exec "$0" "$@" """ % (MACHINE_ID, TOP)


def be_alone():
    """Starts the program anew where TOP is empty and nobody else's, and where the host is a golden one."""
    if not os.environ.get("HALLMARK_ALONE"):
        os.execvp("unshare", ["unshare", "--mount", "--uts", "sh", "-c", ALONE, sys.executable, *sys.argv])


def cut_zeros(path):
    """Takes off a segment what is allotted and not yet written; its last frame ends where the record ends."""
    import record
    with open(path, "r+b") as file:
        last = [frame for frame in record.frames(file.read()) if isinstance(frame, record.Frame)][-1]
        file.truncate(last.offset + last.size)
