#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""More than the agent can take: ten times the lines that it manages, rotated every second; rotation after rotation; a
thousand files at once.

Its memory is bounded, and nothing is lost that a source still holds. It is made slow by stopping it most of the time;
what it manages like that is measured first.
"""
import json
import os
import signal
import subprocess
import sys
import threading
import time

from campaign import BUILD, Campaign
from agent import Agent
from numbered import append

MEMORY_KB = 48 << 10
RUNNING_S, STOPPED_S = 0.001, 0.4
SECONDS = 3  # for measuring what it manages

campaign = Campaign()


class Brake(threading.Thread):
    """Lets a process run a little, and again."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.over = process, threading.Event()

    def run(self):
        while not self.over.wait(RUNNING_S):
            self.process.send_signal(signal.SIGSTOP)
            self.over.wait(STOPPED_S)
            self.process.send_signal(signal.SIGCONT)

    def release(self):
        self.over.set()
        self.join()


class Log:
    """A log that is rotated by renaming, under names with a date as logrotate gives them."""

    def __init__(self, agent):
        self.path, self.count, self.rotations = agent.top + "/auth.log", 0, 0
        open(self.path, "w").close()
        agent.configure(files=[self.path])

    def write(self, lines):
        append(self.path, self.count + 1, self.count + lines)
        self.count += lines

    def rotate(self, keep=None):
        self.rotations += 1
        os.rename(self.path, self.name(self.rotations))
        open(self.path, "w").close()
        if keep and self.rotations > keep:
            os.unlink(self.name(self.rotations - keep))

    def name(self, number):
        return "%s-20261125-%07d" % (self.path, number)


def taken(agent):
    """By what the agent says of itself, which is at most a second old."""
    done = subprocess.run([BUILD + "/hallmark", "status", *agent.options(), "--format", "json"], capture_output=True)
    return sum(source["events"] for source in json.loads(done.stdout)["sources"])


def flood():
    with Agent() as agent:
        log = Log(agent)
        agent.start()
        agent.wait_sequence(1)
        brake = Brake(agent.process)
        brake.start()
        log.write(300000)
        time.sleep(1)
        before = taken(agent)
        time.sleep(SECONDS)
        rate = max(1000, int((taken(agent) - before) / SECONDS))
        begun = rotated = time.monotonic()
        first = log.count
        while time.monotonic() - begun < campaign.size(3, 60):
            log.write(max(0, int((time.monotonic() - begun) * 10 * rate) - (log.count - first)))
            if time.monotonic() - rotated > 1:
                log.rotate()
                rotated = time.monotonic()
            time.sleep(0.01)
        wanted = (log.count - first) / (time.monotonic() - begun)
        agent.note_peak()
        brake.release()
        total, behind = log.count, log.count - taken(agent)
        agent.wait_for(lambda: taken(agent) == total, 120)
        code = agent.stop(120)
        campaign.lines(agent, "flood of ten times what it takes", total, good=code == 0 and agent.peak_kb < MEMORY_KB and behind > 0,
                       rotations=log.rotations, taken_a_second=rate, written_a_second=int(wanted), behind_at_its_end=behind)


def rotations():
    """As fast as lines can be written; only the last hundred files are kept."""
    with Agent() as agent:
        log = Log(agent)
        agent.start()
        agent.wait_sequence(1)
        for _ in range(campaign.size(400, 10000)):
            log.write(20)
            log.rotate(keep=100)
        log.write(20)
        time.sleep(1)
        code = agent.stop(120)
        campaign.lines(agent, "one rotation after another", log.count, lossless=False,
                       good=code == 0 and agent.peak_kb < MEMORY_KB, rotations=log.rotations)


def thousand_files():
    """Rotated while nobody read them."""
    with Agent() as agent:
        log = Log(agent)
        log.write(20)
        agent.catch_up()
        for _ in range(1000):
            log.write(20)
            log.rotate()
        log.write(20)
        agent.start()
        time.sleep(1)
        agent.wait_for(lambda: taken(agent) == log.count - 20, 60)
        code = agent.stop(120)
        campaign.lines(agent, "a thousand files", log.count, good=code == 0 and agent.peak_kb < MEMORY_KB, files=log.rotations + 1)


def main():
    for _ in campaign.rounds():
        for attack in (flood, rotations, thousand_files):
            campaign.start()
            attack()
    return campaign.done()


sys.exit(main())
