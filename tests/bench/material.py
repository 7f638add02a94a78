# SPDX-License-Identifier: Apache-2.0
"""What is read in a benchmark: one log, and a journal of the same lines, both of any length.

    log, journal = make(folder, 1000000)    # what is there already, of that length, is left alone
"""
import hashlib
import itertools
import os
import re
import shutil
import zlib

import authlog
import journals

GZIP = (10.8, 11.0)  # bytes a line: what the logs had on which the bars were set
APART_MS = 6
HEADED = re.compile(r"\S+ +\S+ \S+ (\S+) ([^:\[]+)(?:\[(\d+)\])?: (.*)\n")


def entries(lines):
    """The lines as a journal has them. sudo's bear the user id of whoever called it: another one would be a contradiction."""
    boot, caller = journals.Boot("bench"), 0
    for number, line in enumerate(lines):
        host, program, pid, message = HEADED.fullmatch(line).groups()
        if program == "sudo" and "COMMAND=" in message:
            caller = 1000 + authlog.ACCOUNTS.index(message.split()[0])
        yield boot.entry(number, at_ms=number * APART_MS, _HOSTNAME=host, SYSLOG_IDENTIFIER=program, _COMM=program,
                         SYSLOG_PID=pid, _PID=pid or "4242", _UID=str(caller if program == "sudo" else 0), MESSAGE=message,
                         _EXE="/usr/sbin/" + program, _SYSTEMD_UNIT=program + ".service")


def make(folder, count):
    log, journal, made_of = folder + "/auth.log", folder + "/journal", folder + "/made-of"
    digest = hashlib.sha256(b"%d" % count)
    for module in (authlog.__file__, journals.__file__, __file__):
        with open(module, "rb") as file:
            digest.update(file.read())
    if not os.path.exists(made_of) or open(made_of, encoding="ascii").read() != digest.hexdigest():
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(journal)
        authlog.AuthLog().write(log, count)
        journals.write(journal + "/auth.journal", entries(itertools.islice(authlog.AuthLog().lines(), count)))
        with open(made_of, "w", encoding="ascii") as file:
            file.write(digest.hexdigest())
    return log, journal


def gzip_bytes(path, count):
    """Bytes a line, as gzip -6 makes them."""
    squeeze, total = zlib.compressobj(6, zlib.DEFLATED, 31), 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total += len(squeeze.compress(block))
    return (total + len(squeeze.flush())) / count


def complaint(size, count):
    """Why figures taken with a log of so many lines, of that size after gzip, do not count; or None."""
    if not GZIP[0] <= size <= GZIP[1]:
        return f"gzip -6 makes {size:.2f} bytes of a line, not {GZIP[0]} to {GZIP[1]}: these figures do not count"
    return f"{count} lines: starting weighs more than in 1000000, which the bars are for" if count < 1000000 else None
