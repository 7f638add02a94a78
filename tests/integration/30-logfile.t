#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real logrotate rotates, in each of its ways, a log that somebody writes numbered lines to, while the agent
runs, while it is down, and while it starts.

With renaming each line has to come back exactly once, whether it was read in place, from an older file or from a
compressed one. copytruncate loses lines by itself: there each missing one has to lie inside a declared loss.
"""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import Agent, Tap  # noqa: E402
from numbered import Rotation, Writer, judge  # noqa: E402

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


def play(agent, way):
    """Rotations in every state of the agent; returns how many lines there were."""
    log = agent.top + "/auth.log"
    open(log, "w").close()
    agent.configure(files=[log])
    rotation, writer = Rotation(agent.top, log, way), Writer(log, RATE, halves=True)
    writer.start()

    def rotate():
        rotation.rotate()
        time.sleep(0.15)

    # dateformat tells the seconds apart
    pause = 1.1 if "%s" in way else 0.15
    agent.start()
    for _ in range(3):  # while it runs
        time.sleep(pause)
        rotate()
    agent.stop()
    for _ in range(3):  # while it is down
        time.sleep(pause)
        rotate()
    agent.start()
    time.sleep(pause - 0.1)
    rotate()  # while it catches up
    agent.kill()
    time.sleep(pause)
    rotate()
    agent.start()
    time.sleep(0.3)
    total = writer.stop()
    time.sleep(0.7)
    agent.stop()
    return total


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
            found = judge(rows, total)
            good = code == 0 and total > 500 and found.missing == 0 and found.repeated == 0 and (copies or not found.losses)
            # each truncation is declared, whether or not a line fell into it
            tap.ok(good and (not copies or len(found.losses) >= 8), name + ": each line once" +
                   (", or inside a declared loss" if copies else ""),
                   "verify says %d; of %d lines %d are missing outside and %d inside one of %d losses, %d repeated" % (
                       code, total, found.missing, found.declared, len(found.losses), found.repeated))
            agent.keep = not good
    return tap.done()


sys.exit(main())
