# SPDX-License-Identifier: Apache-2.0
"""States of an agent: what a run made of one, on which disk, and what has to be true of it afterwards.

    run = Recorded(agent, rules); … the agent runs …; run.end()
    for operation in run.operations: run.do(operation)
    run.disk.power_cut(chance, state)
    wrong = list(survive(agent, state, run, total))
"""
import os

from campaign import FAULTS
from disk import Disk, read_log
from numbered import judge

# Kills it before it appends anything: the first write is that of the newest frame, in its place.
RECOVERED = {"LD_PRELOAD": FAULTS, "HALLMARK_FAULTS": "pwrite:.seg:kill:2"}


class Chain:
    """What the spool of the agent's state holds."""

    def __init__(self, agent):
        self.rows = agent.rows("--from-start")
        self.events = list(self.rows)
        self.places = {(e["record"]["sequence"], e["record"]["index"]): e["raw"] for e in self.events}

    def wrong(self, total, lossless=True):
        found = judge(self.events, total)
        if self.rows.code != 0 or found.came != total or found.repeated or (found.losses and lossless):
            yield "verify says %s, %s" % (self.rows.code, found)

    def wrong_against(self, before, published):
        gone = [place for place, raw in before.places.items() if place[0] <= published and self.places.get(place) != raw]
        if gone:
            yield "%d committed events are gone or changed, such as %s" % (len(gone), gone[0])


class Recorded:
    """What a run does to its disk. `environment` is to be given to it."""

    def __init__(self, agent, rules=""):
        self.agent, self.disk, self.log = agent, Disk(agent.state), agent.top + "/disk.log"
        self.environment = {"LD_PRELOAD": FAULTS, "HALLMARK_FAULTS": rules, **self.disk.environment(self.log)}
        self.published = 0

    def end(self):
        self.operations, self.chain = read_log(self.log), Chain(self.agent)
        os.unlink(self.log)

    def do(self, operation):
        """Follows it, and keeps what was published."""
        file = self.disk.do(operation)
        if operation.what == "r" and operation.other == "committed":
            self.published = max(self.published, int(file.seen[0].split()[2]))


def frames_of(segment):
    """Where its frames begin, and where the last one ends."""
    with open(segment, "rb") as file:
        data = file.read()
    at, frames = 0, []
    while data[at:at + 4] == b"HMRK":
        frames.append(at)
        at += 12 + int.from_bytes(data[at + 8:at + 12], "little")
    return frames, at


def survive(agent, state, run, total, killed=False, lossless=True):
    """Starts the agent from what is left of a run, or first has it killed where it has recovered. What was wrong: what
    the run had published has to be there unchanged, the chain whole, each line there once, and no loss claimed, where
    there was none."""
    agent.state = state
    if killed:
        agent.catch_up(env=RECOVERED)
        chain = Chain(agent)
        if run.published > 0 and chain.rows.code != 0:
            yield "killed where it had recovered, verify says %s: %s" % (chain.rows.code, chain.rows.report)
        yield from chain.wrong_against(run.chain, run.published)
    _, code, err = agent.catch_up()
    if code != 0:
        yield "the agent ended with %d: %s" % (code, err)
    chain = Chain(agent)
    yield from chain.wrong(total, lossless)
    yield from chain.wrong_against(run.chain, run.published)
