#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments: under 2,000 numbered lines a second, with and without a rotation by the real logrotate, and
while a long log is caught up with.

Each number has to come back exactly once; with copytruncate, where logrotate itself loses lines, each missing one has
to lie inside a declared loss.
"""
import re
import shutil
import sys
import threading
import time

from campaign import Campaign
from agent import Agent
from numbered import Rotation, Writer, append

# Each takes the lines of one agent through a number of kills; None: no rotation.
STORMS = {
    "SIGKILL at random": None,
    "SIGKILL with rename rotation": "create 0644\ncompress\ndelaycompress",
    "SIGKILL with copytruncate": "copytruncate",
}
LINES_PER_KILL = 50000  # of a catch-up: what is read in a twentieth of a second

campaign = Campaign()


class Rotations(threading.Thread):
    def __init__(self, top, log, way, chance):
        super().__init__(daemon=True)
        self.rotation, self.chance, self.count, self.over = Rotation(top, log, way), chance, 0, threading.Event()

    def run(self):
        while not self.over.wait(self.chance.uniform(0.3, 1.2)):
            self.rotation.rotate()
            self.count += 1

    def stop(self):
        self.over.set()
        self.join()


def new_agent():
    agent = Agent()
    log = agent.top + "/auth.log"
    open(log, "w").close()
    agent.configure(files=[log])
    return agent, log


def storm(chance, attack, way):
    agent, log = new_agent()
    kills = campaign.size(10, 200)
    with agent:
        writer = Writer(log)
        writer.start()
        rotations = Rotations(agent.top, log, way, chance) if way else None
        if rotations:
            rotations.start()
        for _ in range(kills):
            agent.start()
            time.sleep(chance.uniform(0.02, 0.8))
            agent.kill()
        agent.start()
        time.sleep(1)
        if rotations:
            rotations.stop()
        total = writer.stop()
        time.sleep(1)
        stopped = agent.stop()
        campaign.lines(agent, attack, total, lossless=way != "copytruncate", good=stopped == 0 and total > kills * 200,
                       why=["the agent ended with %d" % stopped], kills=kills,
                       rotations=rotations and rotations.count)


def catch_up(chance):
    """Killed while it starts, or a moment after its first batch. The last start must have been left something."""
    agent, log = new_agent()
    kills = campaign.size(6, 20)
    total = kills * LINES_PER_KILL
    with agent:
        append(log, 1, total)
        for _ in range(kills):
            before = (agent.committed() or (0, 0, 0))[2]
            agent.start()
            if chance.random() < 0.5:
                agent.wait_sequence(before + 1)
            time.sleep(chance.uniform(0, chance.choice((0.03, 0.06))))
            agent.kill()
        out, code, err = agent.catch_up()
        left = int(re.search(r" %s \((\d+)\)" % log, out)[1]) if code == 0 else 0
        campaign.lines(agent, "SIGKILL during a catch-up", total, good=left > 0, why=[err], kills=kills,
                       left_behind_the_last_kill=left)


def main():
    if not shutil.which("logrotate"):
        print("1..0 # SKIP logrotate is not installed")
        return 0
    for chance in campaign.rounds():
        for attack, way in STORMS.items():
            storm(chance, attack, way)
        catch_up(chance)
    return campaign.done()


sys.exit(main())
