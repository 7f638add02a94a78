# SPDX-License-Identifier: Apache-2.0
"""Numbered lines: who writes them, who rotates them away, and what has come of them in the chain.

    append(log, 1, 1000)
    writer = Writer(log); writer.start(); …; writer.stop()
    rotation = Rotation(top, log, "create 0644"); rotation.rotate()
    count = judge(rows, writer.count)
"""
import collections
import os
import subprocess
import threading
import time

from agent import auth_line, number_of

# What is compressed at once must not be written to any more: logrotate runs postrotate before it compresses.
SIGNAL = "postrotate\n  touch %s\n%sendscript"
WAIT = "  while [ -e %s ]; do sleep 0.01; done\n"


def append(path, first, last):
    """The lines of these numbers, at once."""
    with open(path, "a") as log:
        log.writelines(auth_line(number) for number in range(first, last + 1))


class Writer(threading.Thread):
    """Writes as rsyslog does: one open file; told to open it anew (by a file, `hup`), it first writes on for a while."""

    def __init__(self, path, rate=2000, halves=False):
        super().__init__(daemon=True)
        self.path, self.hup, self.rate, self.halves = path, path + ".hup", rate, halves
        self.count, self.running = 0, True
        self.wrong_by = 0  # seconds, of the clock that the lines are stamped by

    def write(self, log, number):
        line = auth_line(number, pid=1000 + number // 7, wrong_by=self.wrong_by).encode()
        if self.halves:  # the reader often meets half a line
            log.write(line[:40])
            line = line[40:]
        log.write(line)

    def run(self):
        log, begin, reopen_at = open(self.path, "ab", buffering=0), time.monotonic(), None
        while self.running or reopen_at:
            now = time.monotonic()
            if not reopen_at and os.path.exists(self.hup):
                reopen_at = now + 0.02
            if reopen_at and now >= reopen_at:
                log.close()
                log, reopen_at = open(self.path, "ab", buffering=0), None
                os.unlink(self.hup)
            while self.count < int((now - begin) * self.rate):
                self.write(log, self.count + 1)
                self.count += 1
            time.sleep(0.004)
        log.close()

    def stop(self):
        """How many lines there are."""
        self.running = False
        self.join()
        return self.count


class Rotation:
    """The real logrotate, for a log that a Writer writes."""

    def __init__(self, top, log, way):
        self.command = ["logrotate", "-f", "-s", top + "/logrotate.state", top + "/logrotate.conf"]
        if "copytruncate" not in way:
            at_once = "compress" in way and "delaycompress" not in way
            way += "\n" + SIGNAL % (log + ".hup", WAIT % (log + ".hup") if at_once else "")
        with open(top + "/logrotate.conf", "w") as conf:
            conf.write("%s {\nrotate 1000\nsu root root\n%s\n}\n" % (log, way))

    def rotate(self):
        done = subprocess.run(self.command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


# How many of the lines came; are missing outside and inside of a declared loss; came again. And the losses themselves.
Count = collections.namedtuple("Count", "came missing declared repeated losses")


def judge(rows, total, number_of=number_of):
    """Holds the events of a chain, in its order, against the lines 1 to `total`. A loss covers what lies between the
    line before it and the line after it, and one that counts entries as many more, wherever they are."""
    seen, covered = bytearray(total + 1), bytearray(total + 1)
    repeated, before, losses, open_loss = 0, 0, [], False

    def close(after):
        for number in range(before + 1, after):
            covered[number] = 1

    for row in rows:
        number = number_of(row)
        if number is None:
            if row.get("kind") == "evidence_loss":
                losses.append(row)
                open_loss = True
            continue
        if open_loss:
            close(min(number, total + 1))
            open_loss = False
        if number > total or seen[number]:
            repeated += 1  # or never written, which is no better
        else:
            seen[number] = 1
        before = number
    if open_loss:
        close(total + 1)
    came = sum(seen)
    declared = sum(1 for n in range(1, total + 1) if covered[n] and not seen[n])
    missing = total - came - declared
    counted = min(missing, sum(int(row["loss_amount"]) for row in losses if row["loss_unit"] == "entries"))
    return Count(came, missing - counted, declared + counted, repeated, losses)
