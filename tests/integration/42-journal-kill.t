#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL while a real journald writes, rotates and vacuums its files, for three users.

Where nothing is vacuumed, each entry has to come exactly once, and no loss may be claimed; where entries were
vacuumed before they were read, none may come twice, and what is missing has to be declared.
"""
import os
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import Agent, Tap  # noqa: E402

CYCLES, BATCH = 8, 400
tap = Tap()


def write(real, user, tag, first, count):
    real.run(["sh", "-c", "seq %d %d | while read n; do echo number $n %s; done | logger -t %s" % (
        first, first + count - 1, "x" * 200, tag)], user=user)


def scenario(real, agent, vacuum):
    """Writes, rotating by size, and kills the agent every other time; returns how many entries there were."""
    sent = 0

    def end(how):
        real.run(["pkill", "-" + signal.Signals(how).name[3:], "-x", "hallmarkd"])
        agent.process.wait(30)

    agent.configure(sources="journal", extra="journal = all\n")
    real.sync()
    agent.start(wrapper=real.prefix())
    for cycle in range(CYCLES):
        for user in ("alice", "bob", "root"):
            write(real, user, "test", sent + 1, BATCH)
            sent += BATCH
        if cycle % 2:
            end(signal.SIGKILL)
            if vacuum and cycle == 5:
                for k in range(12):
                    write(real, ("alice", "root")[k % 2], "gone", 1, BATCH)
            agent.start(wrapper=real.prefix())
    real.sync()
    agent.wait_for(lambda: numbers(agent)[-1:] == [sent], 20)
    time.sleep(1)
    end(signal.SIGTERM)
    return sent


def numbers(agent):
    return [int(r["raw"].split()[1]) for r in agent.verify()[0] if r["program"] == "test"]


def main():
    try:
        from realhost import RealHost
        why = RealHost.unavailable("journal")
    except ImportError as error:
        why = str(error)
    if why:
        print("1..0 # SKIP " + why)
        return 0
    for name, limit in (("rotation", "64M"), ("vacuum", "2M")):
        settings = {"SystemMaxFileSize": "512K", "SystemMaxUse": limit}
        with tempfile.TemporaryDirectory(prefix="hallmark-host.") as out, \
                RealHost(out, mode="journal", journald=settings) as real, Agent() as agent:
            sent = scenario(real, agent, name == "vacuum")
            rows, _, code = agent.verify("--from-start")
            got = numbers(agent)
            losses = [(r["loss_reason"], r["loss_amount"], r["detail"]) for r in rows if r.get("kind") == "evidence_loss"]
            print("# %s: %d sent, %d taken; declared: %s" % (name, sent, len(got), losses))
            tap.ok(code == 0, name + ": the chain is whole", code)
            tap.ok(len(set(got)) == len(got), name + ": no entry is there twice", len(got) - len(set(got)))
            if name == "rotation":
                tap.ok(len(got) == sent and not losses, name + ": none is missing, and none is said to be", len(got), losses)
            else:
                tap.ok(len(got) == sent or losses, name + ": what is missing is declared", len(got), losses)
    return tap.done()


sys.exit(main())
