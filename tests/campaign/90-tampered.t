#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""A spool at its cap, and one in which somebody else deletes, cuts or changes segments, acknowledged or not, while the
agent is down and while it runs.

The agent goes on, nothing comes twice, and each line that is missing was in batches that a declared loss names or that
verify shows as missing.
"""
import base64
import os
import sys
import time

from campaign import Campaign
from agent import Agent, number_of
from numbered import Writer, append
from states import frames_of

campaign = Campaign()


def patch(segment, at, data):
    with open(segment, "r+b") as file:
        file.seek(at)
        file.write(data)


def flip(segment, chance):
    frames, end = frames_of(segment)
    at = chance.randrange(frames[len(frames) // 2] + 12, end)
    with open(segment, "rb") as file:
        file.seek(at)
        byte = file.read(1)[0]
    patch(segment, at, bytes([byte ^ 1 << chance.randrange(8)]))


def garbage(segment, chance):
    patch(segment, frames_of(segment)[1], chance.randbytes(700))


def tear(segment, _):
    frames, end = frames_of(segment)
    patch(segment, frames[-1] + 100, bytes(end - frames[-1] - 100))


def take_last_two(segment, _):
    frames, end = frames_of(segment)
    patch(segment, frames[-2], bytes(end - frames[-2]))


def halve(segment, _):
    os.truncate(segment, frames_of(segment)[1] // 2)


def empty(segment, _):
    os.truncate(segment, 0)


def delete(segment, _):
    os.unlink(segment)


HARM = [flip, garbage, tear, take_last_two, halve, empty, delete]


class Host:
    """An agent with a chain of several segments, under numbered lines; those to fill it are not counted."""

    def __init__(self, chance, cap="64M"):
        self.agent, self.chance = Agent(), chance
        self.log = self.agent.top + "/auth.log"
        open(self.log, "w").close()
        self.agent.configure(files=[self.log], sections="[Spool]\ncap = %s\n" % cap)
        self.writer, self.places = Writer(self.log, rate=500), {}

    def write_filler(self, lines):
        """Lines that no compression makes much smaller."""
        with open(self.log, "a") as log:
            for _ in range(lines):
                log.write("golden filler: %s\n" % base64.b64encode(self.chance.randbytes(45000)).decode())

    def fill(self, segments):
        """Until there are so many segments."""
        while len(self.agent.segments()) < segments:
            self.write_filler(20)
            self.agent.wait_sequence(self.agent.committed()[2] + 1)

    def acknowledge(self):
        os.makedirs(self.agent.state + "/forward", exist_ok=True)
        with open(self.agent.state + "/forward/acked", "w") as acked:
            acked.write("%d\n" % self.agent.committed()[2])

    def note_places(self):
        """Which line was in which batch, before anything is done to them."""
        for row in self.agent.rows():
            if number_of(row):
                self.places.setdefault(number_of(row), row["record"]["sequence"])


def explained(host, rows, report, total):
    """(lines that came, missing without a word, missing as is said, repeated)"""
    numbers = [number_of(row) for row in rows if number_of(row)]
    missing = set(range(1, total + 1)) - set(numbers)
    gaps = [(0, report["first_sequence"] - 1)] + report["gaps"]["listed"]
    said = any(row.get("loss_reason", "").startswith("spool_") for row in rows)
    mute = [n for n in missing if not said and not any(a <= host.places.get(n, -1) <= b for a, b in gaps)]
    return len(set(numbers)), mute, len(missing) - len(mute), len(numbers) - len(set(numbers))


def tampered(chance, harm, which, running):
    """`which`: of three segments."""
    host = Host(chance)
    with host.agent as agent:
        agent.start()
        agent.wait_sequence(1)
        host.writer.start()
        host.fill(2)
        time.sleep(0.3)
        host.fill(3)
        time.sleep(0.3)
        if chance.random() < 0.5:
            host.acknowledge()
        if not running:
            agent.kill()
        host.note_places()
        harm(agent.segments()[which], chance)
        if running:
            time.sleep(chance.uniform(0.1, 0.5))
            ended = agent.process.poll() is not None
            host.note_places()
            agent.kill()
        agent.start()
        time.sleep(0.4)
        total = host.writer.stop()
        time.sleep(0.5)
        code = agent.stop()
        rows = agent.rows()
        events = list(rows)
        came, mute, said, repeated = explained(host, events, rows.report[0], total)
        told = any("spool_" in row.get("loss_reason", "") + row.get("activity", "") for row in events)
        text = "%s, segment %d of 3, %s" % (harm.__name__.replace("_", " "), which % 3 + 1, "running" if running else "down")
        # what it looks at when it starts it has to say itself
        good = code == 0 and not mute and not repeated and came > total / 4 and (running or which != -1 or told)
        agent.keep = not good
        campaign.result(good, text, "the agent ended with %d; %s" % (code, rows.report), "ended by itself: %s" % (
            running and ended), "missing without a word: %s" % mute[:20], [r["detail"] for r in events if "loss_reason" in r],
            lines=total, came=came, missing=len(mute), missing_as_is_said=said, repeated=repeated)


def at_cap(chance):
    """What has to go unacknowledged is declared, in the chain and before it goes; what is acknowledged goes without a word."""
    host = Host(chance, cap="32M")
    with host.agent as agent:
        agent.start()
        agent.wait_sequence(1)
        host.writer.start()
        host.fill(3)
        kills = 0
        for _ in range(campaign.size(8, 30)):
            before = agent.committed()[2]
            host.write_filler(60)
            agent.wait_sequence(before + chance.randint(1, 3))
            if chance.random() < 0.5:
                agent.kill()
                kills += 1
                agent.start()
            host.note_places()
        total = host.writer.stop()
        time.sleep(1)
        code = agent.stop()
        rows = agent.rows()
        events = list(rows)
        came, mute, said, repeated = explained(host, events, rows.report[0], total)
        sizes = sum(os.stat(f).st_blocks * 512 for f in agent.segments())
        declared = max((int(row["detail"].split(" to ")[1].split()[0]) for row in events
                        if row.get("loss_reason") == "spool_full"), default=0)
        first = rows.report[0]["first_sequence"]
        good = code == 0 and rows.code == 0 and not mute and not repeated and sizes <= 32 << 20 and 1 < first <= declared + 1
        campaign.result(good, "spool at its cap, unacknowledged", rows.report, "first %d, declared up to %d" % (first, declared),
                        lines=total, came=came, missing=len(mute), missing_inside_declared_losses=said, repeated=repeated,
                        kills=kills, bytes_of_spool=sizes, kB_resident_at_most=agent.peak_kb)
        host.acknowledge()
        losses = len([row for row in events if row["kind"] == "evidence_loss"])
        host.write_filler(300)
        append(host.log, total + 1, total + 1)
        code = agent.catch_up()[1]
        after = list(agent.rows())
        more = len([row for row in after if row["kind"] == "evidence_loss"]) - losses
        campaign.result(code == 0 and more <= 0 and any(number_of(row) == total + 1 for row in after),
                        "spool at its cap, acknowledged", losses_declared=max(more, 0))


def main():
    for chance in campaign.rounds():
        if campaign.size(0, 1):
            cases = [(harm, which, running) for harm in HARM for which in (0, 1, -1) for running in (False, True)]
        else:
            cases = [(harm, -1, False) for harm in chance.sample(HARM, 3)]
            cases += [(harm, chance.choice((0, 1, -1)), True) for harm in chance.sample(HARM, 3)]
        for case in cases:
            tampered(chance, *case)
        at_cap(chance)
    return campaign.done()


sys.exit(main())
