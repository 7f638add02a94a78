#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Power cuts, on a disk of the test's own (tests/lib/disk.py) that drops and reorders what was not synced, tears it by
sectors, and lies after a failed sync.

Each life of the agent begins with what a cut left of the one before, runs under numbered lines, and is cut in many
places. From each of them it has to start again as if nothing had happened (states.py).
"""
import os
import shutil
import sys
import time

from campaign import Campaign
from agent import Agent
from numbered import append
from states import Recorded, survive

# What goes wrong in a life beside the power: rules of tests/lib/faults.c, with a number that chance gives.
TROUBLES = ["", "", "fdatasync:.seg:EIO:%d", "fdatasync:.seg:fail-after:%d", "fsync:spool:EIO:%d", "pwrite:.seg:short:%d",
            "pwrite:.seg:EIO:%d", "rename:committed:EIO:%d"]
LOG_BYTES = 8000
STEPS, LINES_A_STEP = 40, 20  # of a life: a hundredth of a second each

campaign = Campaign()


def live(agent, trouble, write):
    run = Recorded(agent, trouble)
    agent.start(env=run.environment)
    for _ in range(STEPS):
        write(LINES_A_STEP)
        time.sleep(0.01)
    agent.wait_for(lambda: os.path.getsize(run.log) > LOG_BYTES, 5)  # a busy machine gets less done
    agent.kill()
    run.end()
    return run


def cut(agent, run, chance, cuts, total, heir):
    """Cuts the power behind some of the operations, half of them writes of frames; one of the states becomes `heir`, unused.
    Returns how many, and what was wrong."""
    frames = [place for place, operation in enumerate(run.operations) if operation.data[:4] == b"HMRK"]
    places = sorted({*chance.choices(range(len(run.operations)), k=cuts // 2), *chance.choices(frames, k=cuts // 2)})
    chosen, wrong = chance.choice(places), []
    for place, operation in enumerate(run.operations):
        run.do(operation)
        if place not in places:
            continue
        state = "%s.cut.%d" % (heir, place)
        run.disk.power_cut(chance, state)
        if place == chosen:
            shutil.copytree(state, heir)
        found = list(survive(agent, state, run, total, killed=place in frames or chance.random() < 0.5))
        wrong += ["%s, cut behind operation %d of %d, %d published: %s" % (
            state, place, len(run.operations), run.published, text) for text in found]
        if not found:
            shutil.rmtree(state)
    return len(places), wrong


def main():
    for chance in campaign.rounds():
        with Agent() as agent:
            log, written, cuts, wrong = agent.top + "/auth.log", 0, 0, []
            agent.configure(files=[log])
            os.mkdir(agent.state)

            def write(count):
                nonlocal written
                append(log, written + 1, written + count)
                written += count

            lives = campaign.size(4, 10)
            for number in range(lives):
                trouble, heir = chance.choice(TROUBLES), "%s/state.%d" % (agent.top, number + 1)
                run = live(agent, trouble and trouble % chance.randint(1, 12), write)
                n, found = cut(agent, run, chance, campaign.size(12, 60), written, heir)
                cuts, wrong = cuts + n, wrong + found
                agent.state = heir
            agent.catch_up()
            campaign.lines(agent, "power cuts that drop, reorder and tear", written, good=not wrong, why=wrong, lives=lives,
                           cuts=cuts, cuts_not_survived=len(wrong))
    return campaign.done()


sys.exit(main())
