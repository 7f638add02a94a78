#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Each system call in the agent's state fails in turn, once or from then on, in each way in which it can (EINTR only
once: it is tried again).

What the agent makes of that is its own affair: it may go on or give up. But the next start, on the disk as it was left
and on one that lost its power then, has to find all that was published, and every line comes once (states.py).
"""
import os
import shutil
import sys

from campaign import FAULTS, Campaign
from agent import Agent
from numbered import append
from states import Recorded, survive

WAYS = {
    "pwrite": ["EIO", "ENOSPC", "EROFS", "EINTR", "short", "fail-after"],
    "write": ["EIO", "ENOSPC", "EINTR", "short", "fail-after"],
    "fdatasync": ["EIO", "ENOSPC", "EINTR", "fail-after"],
    "fsync": ["EIO", "ENOSPC", "EINTR", "fail-after"],
    "fallocate": ["EIO", "ENOSPC", "EDQUOT", "EINTR", "EOPNOTSUPP"],
    "ftruncate": ["EIO", "EINTR"],
    "rename": ["EIO", "ENOSPC", "fail-after"],
    "unlinkat": ["EIO", "EROFS"],
    "mkdir": ["ENOSPC", "EROFS"],
    "openat": ["EIO", "ENOSPC", "EROFS", "EINTR"],
    "pread": ["EIO", "EINTR", "short"],
}
DECLARED = "pread:%s:EIO"  # what cannot be read counts as damage
LINES = 40  # before, and with the fault

campaign = Campaign()


def base(agent, name, written, torn):
    """A state with a chain of several segments, which a failed sync leaves; its tail torn, or nothing at all yet."""
    agent.state = "%s/%s" % (agent.top, name)
    os.mkdir(agent.state)
    if written:
        agent.catch_up(env={"LD_PRELOAD": FAULTS, "HALLMARK_FAULTS": "fdatasync:.seg:EIO:2"})
    if torn:
        with open(agent.segments()[-1], "r+b") as segment:
            segment.seek(agent.committed()[1])
            segment.write(b"HMRK\1\0\0\0torn")
    return agent.state


def case(agent, chance, origin, rule, total):
    """Whether the rule was followed, and what was wrong then."""
    hit, states = agent.top + "/hit", [agent.top + "/left", agent.top + "/cut"]
    agent.state = states[0]
    shutil.copytree(origin, agent.state)
    run = Recorded(agent, rule)
    agent.catch_up(env=dict(run.environment, HALLMARK_FAULTS_HIT=hit))
    run.end()
    for operation in run.operations:
        run.do(operation)
    wrong = []
    if os.path.exists(hit):
        os.unlink(hit)
        run.disk.power_cut(chance, states[1])
        for state in states:
            wrong += ["%s: %s: %s" % (rule, os.path.basename(state), text) for text in survive(
                agent, state, run, total, lossless=not rule.startswith(DECLARED % agent.top))]
    elif not run.operations:
        wrong.append("%s: nothing was recorded" % rule)
    hit = os.path.exists(states[1])
    for state in states:
        shutil.rmtree(state, ignore_errors=True)
    return hit, wrong


def somewhere(chance, origins, whens, met):
    """The first that is met will do."""
    tries = [(origin, chance.choice(whens) % n) for origin in origins for n in (chance.randint(1, 4), 1)]
    any(met(origin, when) for origin, when in chance.sample(tries, len(tries)))


def everywhere(_, origins, whens, met):
    """All of them, as far as the time goes: the first of each kind, then the second, …"""
    kinds, n = [(origin, when) for origin in origins for when in whens], 0
    while kinds and not (n and campaign.over()):
        n += 1
        kinds = [(origin, when) for origin, when in kinds if met(origin, when % n)]


def fail_in_turn(agent, chance, origins, call, total):
    cases, wrong = 0, []
    for way in WAYS[call]:
        def met(origin, when, way=way):
            nonlocal cases, wrong
            hit, found = case(agent, chance, origin, "%s:%s:%s:%s" % (call, agent.top, way, when), total)
            cases, wrong = cases + hit, wrong + found
            return hit

        whens = ["%d"] if way == "EINTR" else ["%d", "%d+"]
        campaign.size(somewhere, everywhere)(chance, origins, whens, met)
    agent.keep = agent.keep or bool(wrong)
    campaign.result(cases >= len(WAYS[call]) and not wrong, "%s fails: %s" % (call, ", ".join(WAYS[call])), *wrong,
                    cases=cases, wrong=len(wrong))


def main():
    for chance in campaign.rounds():
        with Agent() as agent:
            log, total = agent.top + "/auth.log", 2 * LINES
            agent.configure(files=[log])
            append(log, 1, LINES)
            origins = [base(agent, "new", 0, False), base(agent, "old", LINES, False), base(agent, "torn", LINES, True)]
            append(log, LINES + 1, total)
            campaign.start()
            for call in campaign.parts(WAYS):
                fail_in_turn(agent, chance, origins, call, total)
    return campaign.done()


sys.exit(main())
