#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Power cuts, on a disk of the test's own (tests/lib/disk.py) that drops and reorders what was not synced, tears it by
sectors, and lies after a failed sync.

Each life of the agent begins with what a cut left of the one before, runs under numbered lines, and is cut in many
places. From each of them it has to start again: what it had published as committed is there unchanged, the chain is
whole, each line comes exactly once, and no loss is claimed.
"""
import os
import shutil
import sys
import time

from campaign import FAULTS, Campaign
from agent import Agent
from disk import Disk, read_log
from numbered import append, judge

# What goes wrong in a life beside the power: rules of tests/lib/faults.c, with a number that chance gives.
TROUBLES = ["", "", "fdatasync:.seg:EIO:%d", "fdatasync:.seg:fail-after:%d", "fsync:spool:EIO:%d", "pwrite:.seg:short:%d",
            "pwrite:.seg:EIO:%d", "rename:committed:EIO:%d"]
# Kills it before it appends anything: the first write is that of the newest frame, in its place.
RECOVERED = "pwrite:.seg:kill:2"
STEPS, LINES_A_STEP = 40, 20  # of a life: a hundredth of a second each

campaign = Campaign()


class Chain:
    """What the spool of a state holds."""

    def __init__(self, agent):
        self.rows = agent.rows("--from-start")
        self.events = list(self.rows)
        self.places = {(e["record"]["sequence"], e["record"]["index"]): e["raw"] for e in self.events}

    def wrong(self, total):
        found = judge(self.events, total)
        if self.rows.code != 0 or found.came != total or found.repeated or found.losses:
            yield "verify says %s, %s" % (self.rows.code, found)

    def wrong_against(self, before, published):
        gone = [place for place, raw in before.places.items() if place[0] <= published and self.places.get(place) != raw]
        if gone:
            yield "%d committed events are gone or changed, such as %s" % (len(gone), gone[0])


class Life:
    """One run of the agent from a state: what it did to its disk, and what was in its chain."""

    def __init__(self, agent, number, trouble, write):
        self.agent, self.number, self.trouble = agent, number, trouble
        self.disk, log = Disk(agent.state), agent.top + "/disk.log"
        agent.start(env={"LD_PRELOAD": FAULTS, "HALLMARK_FAULTS": trouble, **self.disk.environment(log)})
        for _ in range(STEPS):
            write(LINES_A_STEP)
            time.sleep(0.01)
        agent.kill()
        self.operations, self.chain = read_log(log), Chain(agent)
        os.unlink(log)

    def do(self, operation):
        """Returns the sequence that it published, or 0."""
        file = self.disk.do(operation)
        if operation.what != "r" or operation.other != "committed":
            return 0
        return int(file.seen[0].split()[2])

    def survive(self, state, published, total, killed):
        """Starts from a state, or first is `killed` where it has recovered; what was wrong with that."""
        self.agent.state = state
        if killed:
            self.agent.catch_up(env={"LD_PRELOAD": FAULTS, "HALLMARK_FAULTS": RECOVERED})
            chain = Chain(self.agent)
            if published > 0 and chain.rows.code != 0:
                yield "killed where it had recovered, verify says %s: %s" % (chain.rows.code, chain.rows.report)
            yield from chain.wrong_against(self.chain, published)
        _, code, err = self.agent.catch_up()
        if code != 0:
            yield "the agent ended with %d: %s" % (code, err)
        chain = Chain(self.agent)
        yield from chain.wrong(total)
        yield from chain.wrong_against(self.chain, published)

    def cut(self, chance, cuts, total, heir):
        """Cuts the power behind some of the operations, half of them writes; one of the states becomes `heir`, unused.
        Returns how many, and what was wrong."""
        writes = [place for place, operation in enumerate(self.operations) if operation.what == "w"]
        places = sorted({*chance.sample(range(len(self.operations)), cuts // 2), *chance.sample(writes, cuts // 2)})
        chosen, published, wrong = chance.choice(places), 0, []
        for place, operation in enumerate(self.operations):
            published = max(published, self.do(operation))
            if place not in places:
                continue
            state = "%s/cut.%d.%d" % (self.agent.top, self.number, place)
            self.disk.power_cut(chance, state)
            if place == chosen:
                shutil.copytree(state, heir)
            found = list(self.survive(state, published, total, chance.random() < 0.5))
            wrong += ["life %d (%s), cut behind operation %d of %d, %d published: %s" % (
                self.number, self.trouble, place, len(self.operations), published, text) for text in found]
            if not found:
                shutil.rmtree(state)
        return len(places), wrong


def main():
    for chance in campaign.rounds():
        with Agent() as agent:
            log, written, wrong = agent.top + "/auth.log", 0, []
            agent.configure(files=[log])
            os.mkdir(agent.state)

            def write(count):
                nonlocal written
                append(log, written + 1, written + count)
                written += count

            lives, cuts = campaign.size(4, 10), 0
            for number in range(lives):
                trouble, heir = chance.choice(TROUBLES), "%s/state.%d" % (agent.top, number + 1)
                trouble = trouble and trouble % chance.randint(1, 12)
                life = Life(agent, number, trouble, write)
                n, found = life.cut(chance, campaign.size(12, 60), written, heir)
                cuts, wrong = cuts + n, wrong + found
                agent.state = heir
            agent.catch_up()
            campaign.lines(agent, "power cuts that drop, reorder and tear", written, good=not wrong, why=wrong, lives=lives,
                           cuts=cuts, cuts_not_survived=len(wrong))
    return campaign.done()


sys.exit(main())
