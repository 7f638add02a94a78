#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real logrotate rotates, in each of its ways, a log that somebody writes numbered lines to, while the agent
runs, while it is down, and while it starts.

With renaming each line has to come back exactly once, whether it was read in place, from an older file or from a
compressed one. copytruncate loses lines by itself: there each missing one has to lie inside a declared loss.
"""
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import Agent, Tap, auth_line, number_of  # noqa: E402

RATE = 1000
WAYS = {
    "create": "create 0644",
    "create, compress": "create 0644\ncompress",
    "create, compress, delaycompress": "create 0644\ncompress\ndelaycompress",
    "zstd": "create 0644\ncompress\ncompresscmd /usr/bin/zstd\ncompressext .zst\ncompressoptions -q --rm",
    "nocreate": "nocreate\ncompress\ndelaycompress",
    "dateext, compress": "create 0644\ndateext\ndateformat -%Y%m%d-%s\ncompress",
    "copytruncate": "copytruncate",
    "copytruncate, compress": "copytruncate\ncompress",
}


class Writer(threading.Thread):
    """Writes as rsyslog does: one open file; told to open it anew (by a file, `hup`), it first writes on for a while."""

    def __init__(self, path, hup):
        super().__init__(daemon=True)
        self.path, self.hup, self.count, self.running = path, hup, 0, True

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
            while self.count < int((now - begin) * RATE):
                self.count += 1
                line = auth_line(self.count).encode()
                # the reader often meets half a line
                log.write(line[:40])
                log.write(line[40:])
            time.sleep(0.003)
        log.close()


# What is compressed at once must not be written to any more: logrotate runs postrotate before it compresses.
SIGNAL = "postrotate\n  touch %s\n%sendscript"
WAIT = "  while [ -e %s ]; do sleep 0.01; done\n"


def rotate(top):
    done = subprocess.run(["logrotate", "-f", "-s", top + "/logrotate.state", top + "/logrotate.conf"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    time.sleep(0.15)


def play(agent, way):
    """Rotations in every state of the agent; returns how many lines there were."""
    top, log, hup = agent.top, agent.top + "/auth.log", agent.top + "/hup"
    if "copytruncate" not in way:
        at_once = "compress" in way and "delaycompress" not in way
        way += "\n" + SIGNAL % (hup, WAIT % hup if at_once else "")
    with open(top + "/logrotate.conf", "w") as conf:
        conf.write("%s {\nrotate 100\nsu root root\n%s\n}\n" % (log, way))
    open(log, "w").close()
    agent.configure(files=[log])
    writer = Writer(log, hup)
    writer.start()
    # dateformat tells the seconds apart
    pause = 1.1 if "%s" in way else 0.15
    agent.start()
    for _ in range(3):  # while it runs
        time.sleep(pause)
        rotate(top)
    agent.stop()
    for _ in range(3):  # while it is down
        time.sleep(pause)
        rotate(top)
    agent.start()
    time.sleep(pause - 0.1)
    rotate(top)  # while it catches up
    agent.kill()
    time.sleep(pause)
    rotate(top)
    agent.start()
    time.sleep(0.3)
    writer.running = False
    writer.join()
    time.sleep(0.7)
    agent.stop()
    return writer.count


def judge(rows, total):
    """(missing outside a declared loss, missing inside one, repeated)"""
    numbers = [number_of(r) for r in rows]
    seen = [n for n in numbers if n is not None]
    missing = set(range(1, total + 1)) - set(seen)
    # a loss covers what lies between the line before it and the line after it in the order of the events
    covered, before = set(), 0
    for i, row in enumerate(rows):
        if numbers[i] is not None:
            before = numbers[i]
        elif row.get("kind") == "evidence_loss":
            after = next((n for n in numbers[i:] if n is not None), total + 1)
            covered |= set(range(before + 1, after))
    return len(missing - covered), len(missing & covered), len(seen) - len(set(seen))


def main():
    if not shutil.which("logrotate"):
        print("1..0 # SKIP logrotate is not installed")
        return 0
    if os.geteuid() != 0:
        print("1..0 # SKIP logrotate's su wants root")
        return 0
    tap = Tap()
    for name, way in WAYS.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        if "zstd" in way and not shutil.which("zstd"):
            tap.skip(name, "zstd is not installed")
            continue
        copies = "copytruncate" in way
        with Agent() as agent:
            total = play(agent, way)
            rows, _, code = agent.verify("--from-start")
            outside, inside, repeated = judge(rows, total)
            losses = sum(r.get("kind") == "evidence_loss" for r in rows)
            good = code == 0 and total > 500 and outside == 0 and repeated == 0 and (copies or losses == 0)
            # each truncation is declared, whether or not a line fell into it
            tap.ok(good and (not copies or losses >= 8), name + ": each line once" +
                   (", or inside a declared loss" if copies else ""),
                   "verify says %d; of %d lines %d are missing outside and %d inside one of %d losses, %d repeated" % (
                       code, total, outside, inside, losses, repeated))
            agent.keep = not good
    return tap.done()


sys.exit(main())
