#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL while a real journald writes for three users and rotates its files by size; and while the agent is down,
journald vacuums them, or somebody deletes those that it has archived.

Where nothing goes unread each entry has to come exactly once, and no loss may be claimed; else none may come twice,
and each that is missing lies inside a declared loss.
"""
import signal
import sys
import tempfile

from campaign import Campaign
from agent import Agent
from realhost import RealHost

BATCH = 400
DELETE = "journalctl --rotate && rm -f /var/log/journal/*/*@*"

campaign = Campaign()


def number_of_entry(event):
    return int(event["raw"].split()[1]) if event["program"] == "test" else None


class Scene:
    """One journald, one agent."""

    def __init__(self, real, agent, chance):
        self.real, self.agent, self.chance, self.sent, self.kills = real, agent, chance, 0, 0

    def write(self, user, tag="test", first=1, count=BATCH):
        self.real.run(["sh", "-c", "seq %d %d | while read n; do echo number $n %s; done | logger -t %s" % (
            first, first + count - 1, "x" * 200, tag)], user=user)

    def write_all(self):
        for user in ("alice", "bob", "root"):
            self.write(user, first=self.sent + 1)
            self.sent += BATCH

    def end(self, how):
        self.agent.note_peak()
        self.real.run(["pkill", "-" + signal.Signals(how).name[3:], "-x", "hallmarkd"])
        self.agent.process.wait(30)

    def start(self):
        self.agent.start(wrapper=self.real.prefix())

    def play(self, while_down):
        self.agent.configure(sources="journal", extra="journal = all\n")
        self.real.sync()
        self.start()
        for cycle in range(campaign.size(4, 30)):
            self.write_all()
            if self.chance.random() < 0.5:
                self.write_all()
            self.end(signal.SIGKILL)
            self.kills += 1
            if cycle % 3 == 1:
                while_down(self)
            self.start()
        self.real.sync()
        self.agent.wait_for(lambda: [number_of_entry(r) for r in self.agent.rows()][-1] == self.sent, 20)
        self.end(signal.SIGTERM)


def nothing(_):
    pass


def crowd_out(scene):
    """More than journald keeps."""
    scene.write_all()
    for k in range(12):
        scene.write(("alice", "root")[k % 2], tag="gone")


def delete(scene):
    scene.write_all()
    scene.real.run(["sh", "-c", DELETE])


# What happens while the agent is down, and how much journald keeps.
SCENES = {
    "journal rotated while killed": (nothing, "64M"),
    "journal vacuumed while killed": (crowd_out, "2M"),
    "journal files deleted while killed": (delete, "64M"),
}


def main():
    why = RealHost.unavailable("journal")
    if why:
        print("1..0 # SKIP " + why)
        return 0
    for chance in campaign.rounds():
        for attack, (while_down, limit) in SCENES.items():
            settings = {"SystemMaxFileSize": "512K", "SystemMaxUse": limit}
            with tempfile.TemporaryDirectory(prefix="hallmark-host.") as out, \
                    RealHost(out, mode="journal", journald=settings) as real, Agent() as agent:
                scene = Scene(real, agent, chance)
                scene.play(while_down)
                campaign.lines(agent, attack, scene.sent, lossless=while_down is nothing, number=number_of_entry, kills=scene.kills)
    return campaign.done()


sys.exit(main())
