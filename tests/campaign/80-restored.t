#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What was sent, and then lost at home; and keys and chains that have lost each other. SIGKILL in all of it.

A receiver that has both histories must be shown every event of both, drop nothing as a duplicate but what is one, and
be told of the fork; while each chain by itself is whole, with each line once.
"""
import os
import shutil
import sys
import time

from campaign import Campaign
from agent import Agent, Rows
from numbered import Writer, judge
from states import frames_of

campaign = Campaign()


def lose_frames(agent, chance, _):
    """The disk has lied about the last frames, and says so no more than a power cut would."""
    segment = agent.segments()[-1]
    frames, end = frames_of(segment)
    kept = frames[-chance.randint(1, min(5, len(frames) - 1))]
    with open(segment, "r+b") as file:
        file.seek(kept)
        file.write(bytes(end - kept))


def restore(agent, _, snapshot):
    """All of the state is what it was once."""
    shutil.rmtree(agent.state)
    shutil.copytree(snapshot, agent.state)


HISTORIES = {
    "a frame sent, and lost in a power cut": (lose_frames, "spool_cut"),
    "a spool restored from an older snapshot": (restore, None),
}
SEPARATED = {"a key without its chain": "spool", "a chain without its key": "key"}


def facts(rows):
    return {(e["record"]["run"], e["record"]["sequence"], e["record"]["index"], e["raw"]) for e in rows}


def new_agent():
    agent = Agent()
    log = agent.top + "/auth.log"
    open(log, "w").close()
    agent.configure(files=[log])
    writer = Writer(log)
    writer.start()
    return agent, writer


def run_and_kill(agent, chance, times):
    for _ in range(times):
        agent.start()
        agent.wait_sequence((agent.committed() or (0, 0, 0))[2] + chance.randint(2, 6), 5)
        time.sleep(chance.uniform(0, 0.2))
        agent.kill()
    return times


def end(agent, writer):
    agent.start()
    time.sleep(0.5)
    total = writer.stop()
    time.sleep(0.7)
    return total, agent.stop()


def two_histories(chance, attack):
    change, reason = HISTORIES[attack]
    agent, writer = new_agent()
    with agent:
        kills = run_and_kill(agent, chance, 2)
        snapshot = shutil.copytree(agent.state, agent.top + "/snapshot")
        kills += run_and_kill(agent, chance, 2)
        sent = shutil.copytree(agent.state + "/spool", agent.top + "/sent")
        change(agent, chance, snapshot)
        kills += run_and_kill(agent, chance, 2)
        total, code = end(agent, writer)
        ours, theirs = list(agent.rows()), list(Rows(sent))
        both = Rows([sent, agent.state + "/spool"])
        together = list(both)
        host = both.report[0]
        shared = facts(ours) & facts(theirs)
        losses = {row["loss_reason"] for row in ours if row["kind"] == "evidence_loss"}
        lost = (facts(ours) | facts(theirs)) - facts(together)
        good = (code == 0 and not lost and len(together) == len(ours) + len(theirs) - len(shared) and
                "fork" in host["problems"] and host["forks"]["sequences"] > 0 and losses == ({reason} if reason else set()))
        campaign.lines(agent, attack, total, lossless=not reason, good=good, why=[host, "losses: %s" % losses, sorted(lost)[:3]],
                       kills=kills, events_of_both=len(together), dropped_as_duplicates=len(shared), wrongly_dropped=len(lost),
                       forked_sequences=host["forks"]["sequences"])


def separated(chance, attack):
    agent, writer = new_agent()
    with agent:
        kills = run_and_kill(agent, chance, 2)
        shutil.rmtree("%s/%s" % (agent.state, SEPARATED[attack]))
        for _ in range(campaign.size(4, 20)):  # in the middle of the succession
            agent.start()
            time.sleep(chance.uniform(0.005, 0.06))
            agent.kill()
            kills += 1
        total, code = end(agent, writer)
        retired = [d for d in ["%s/retired/1/spool" % agent.state] if os.path.exists(d)]
        chains = [list(Rows(d)) for d in retired] + [list(agent.rows("--from-start"))]
        said = [row for row in chains[-1] if row.get("activity") == "identity_reset"]
        found = judge([row for chain in chains for row in chain], total)
        # without its chain the new one reads all again: then each line is in it
        alone = judge(chains[-1], total)
        good = code == 0 and len(said) == 1 and (alone if SEPARATED[attack] == "spool" else found)[:4] == (total, 0, 0, 0)
        agent.keep = not good
        campaign.result(good, attack, found, alone, said, lines=total, came=found.came, repeated=found.repeated, kills=kills,
                        said=len(said), kB_resident_at_most=agent.peak_kb)


def main():
    for chance in campaign.rounds():
        for _ in range(campaign.size(1, 5)):
            for attack in HISTORIES:
                two_histories(chance, attack)
            for attack in SEPARATED:
                separated(chance, attack)
    return campaign.done()


sys.exit(main())
