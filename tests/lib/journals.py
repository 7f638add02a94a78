# SPDX-License-Identifier: Apache-2.0
"""Real journal files, written by systemd-journal-remote out of the export format, of which every field can be chosen.

    Boot("a") gives entries; write(path, entries) makes or continues a journal file.
"""
import hashlib
import os
import re
import shutil
import subprocess

REMOTE = next((p for p in ("/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote")
               if os.path.exists(p)), shutil.which("systemd-journal-remote"))
START_US = 1790000000 * 1000000
PLAIN = re.compile(rb"[ -~]*")


class Boot:
    """Entries of one boot. `clock_us`: what the wall clock says when it begins."""

    def __init__(self, name, clock_us=START_US):
        self.id = hashlib.md5(name.encode()).hexdigest()
        self.clock_us = clock_us

    def entry(self, number, at_ms=None, **fields):
        """A failed login whose user name carries a number, `at_ms` after the boot began."""
        at_us = (number if at_ms is None else at_ms) * 1000
        entry = {
            "__REALTIME_TIMESTAMP": str(self.clock_us + at_us), "__MONOTONIC_TIMESTAMP": str(at_us), "_BOOT_ID": self.id,
            "_TRANSPORT": "syslog", "PRIORITY": "6", "SYSLOG_FACILITY": "4", "SYSLOG_IDENTIFIER": "sshd",
            "SYSLOG_PID": "812", "_PID": "812", "_UID": "0", "_GID": "0", "_COMM": "sshd", "_EXE": "/usr/sbin/sshd",
            "_SYSTEMD_UNIT": "ssh.service", "_HOSTNAME": "golden", "_MACHINE_ID": "0123456789abcdef0123456789abcdef",
            "MESSAGE": "Failed password for invalid user zq%09d from 203.0.113.9 port 4022 ssh2" % number}
        entry.update(fields)
        return {name: value for name, value in entry.items() if value is not None}

    def entries(self, numbers, **fields):
        return [self.entry(n, **fields) for n in numbers]


def export(entry):
    """One entry in the journal export format; a value with other than plain text in it is written with its length."""
    out = bytearray()
    for name, value in entry.items():
        data = value if isinstance(value, bytes) else value.encode()
        if PLAIN.fullmatch(data):
            out += name.encode() + b"=" + data + b"\n"
        else:
            out += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return bytes(out + b"\n")


def write(path, entries):
    """Appends to the journal file, which is made where there is none."""
    command = [REMOTE, "-o", path, "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as remote:
        remote.stdin.writelines(map(export, entries))
    if remote.returncode:
        raise subprocess.CalledProcessError(remote.returncode, command)


def missing():
    """Why there can be no such files here, or None."""
    return None if REMOTE else "systemd-journal-remote is not installed"
