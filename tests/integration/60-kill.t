#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments under 2,000 lines a second, while the real logrotate rotates the log.

Every line carries a number. With rename rotation each number has to come back exactly once; with copytruncate,
where logrotate itself loses lines, each missing number has to lie inside a loss that was declared.
KILLS (20) says how often, SEED repeats a run.
"""
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import Agent, Tap, auth_line, number_of  # noqa: E402

KILLS = int(os.environ.get("KILLS", "20"))
RATE = 2000
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))


class Writer(threading.Thread):
    """Writes numbered lines as a syslog daemon does: one open file, opened anew when it is told to."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.count, self.running, self.reopen = path, 0, True, threading.Event()

    def run(self):
        log = open(self.path, "ab", buffering=0)
        start = time.monotonic()
        while self.running:
            if self.reopen.is_set():
                self.reopen.clear()
                log.close()
                log = open(self.path, "ab", buffering=0)
            due = int((time.monotonic() - start) * RATE)
            while self.count < due:
                self.count += 1
                log.write(auth_line(self.count, pid=1000 + self.count // 7).encode())
            time.sleep(0.005)
        log.close()


def rotate(top):
    subprocess.run(["logrotate", "-f", "-s", top + "/logrotate.state", top + "/logrotate.conf"], check=True,
                   stderr=subprocess.DEVNULL)


def scenario(agent, log, how, rng):
    """Returns how many lines were written, and how the agent ended."""
    top = agent.top
    with open(top + "/logrotate.conf", "w") as conf:
        conf.write("%s {\n  rotate 200\n  size 1\n  su root root\n  %s\n}\n" % (
            log, {"rename": "create 0644\n  compress\n  delaycompress", "copytruncate": "copytruncate"}[how]))
    writer = Writer(log)
    writer.start()
    stop_rotating = threading.Event()

    def rotations():
        while not stop_rotating.wait(rng.uniform(0.3, 1.2)):
            rotate(top)
            writer.reopen.set()

    rotator = threading.Thread(target=rotations, daemon=True)
    rotator.start()
    for _ in range(KILLS):
        agent.start()
        time.sleep(rng.uniform(0.02, 0.8))
        agent.kill()
    agent.start()
    time.sleep(1)
    stop_rotating.set()
    rotator.join()
    writer.running = False
    writer.join()
    time.sleep(1)
    return writer.count, agent.stop()


def judge(rows, total, allow_declared):
    """(lost outside a declared loss, lost inside one, repeated)."""
    seen, undeclared, declared, loss, last, repeated = set(), 0, 0, False, 0, 0
    for row in rows:
        if row.get("kind") == "evidence_loss":
            loss = True
        n = number_of(row)
        if n is None:
            continue
        if n in seen:
            repeated += 1
            continue
        if n > last + 1:
            if loss and allow_declared:
                declared += n - last - 1
            else:
                undeclared += n - last - 1
        elif n < last:
            undeclared -= 1  # it came, though later
        seen.add(n)
        last, loss = max(last, n), False
    if total > last:
        if loss and allow_declared:
            declared += total - last
        else:
            undeclared += total - last
    return undeclared, declared, repeated


def main():
    if not shutil.which("logrotate"):
        print("1..0 # SKIP logrotate is not installed")
        return 0
    rng, tap = random.Random(SEED), Tap()
    print("# seed %d, %d kills" % (SEED, KILLS))
    for how in ("rename", "copytruncate"):
        with Agent() as agent:
            log = agent.top + "/auth.log"
            open(log, "w").close()
            agent.configure(files=[log])
            total, stopped = scenario(agent, log, how, rng)
            rows, _, code = agent.verify("--from-start")
            undeclared, declared, repeated = judge(rows, total, how == "copytruncate")
            print("# %s: %d lines, %d events; %d missing outside and %d inside a declared loss, %d repeated" % (
                how, total, len(rows), undeclared, declared, repeated))
            tap.ok(code == 0 and stopped == 0, how + ": the chain is whole after %d kills" % KILLS,
                   "verify says %d, the agent ended with %d" % (code, stopped))
            tap.ok(total > KILLS * 100, how + ": there was a stream of lines")
            tap.ok(undeclared == 0, how + ": no line is missing" + (" outside a declared loss" if how != "rename" else ""))
            tap.ok(repeated == 0, how + ": no line is there twice")
            agent.keep = tap.failed > 0
    return tap.done()


sys.exit(main())
