#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The wall clock steps by an hour, by a year, to 1970 and back, while numbered lines come and the agent is killed.

The lines' own times step with it. Each comes once, in order, in a whole chain; and each step that the agent lived
through is an event between the lines of before and after it. (The clock is one of the test's own, see
tests/lib/faults.c: the machine's is not touched. What the kernel tells of a step is in tests/image.)
"""
import datetime
import sys
import time

from campaign import FAULTS, Campaign
from agent import Agent, number_of
from numbered import Writer

HOUR, YEAR = 3600, 365 * 86400

campaign = Campaign()


def steps(chance):
    """By how many seconds the clock is wrong, one after another."""
    places = [HOUR, -HOUR, YEAR, -YEAR, 86400 - int(time.time())]
    chance.shuffle(places)
    for place in places:
        yield place
        if chance.random() < 0.5:
            yield 0
    yield 0


def told(rows):
    """The steps in the chain, in seconds."""
    when = [[datetime.datetime.fromisoformat(row[name].replace("Z", "+00:00")).timestamp()
             for name in ("clock_before", "clock_after")] for row in rows if row.get("activity") == "clock_step"]
    return [round(after - before) for before, after in when]


def main():
    for chance in campaign.rounds():
        with Agent() as agent:
            log, clock, wanted, kills, wrong = agent.top + "/auth.log", agent.top + "/clock", [], 0, 0

            def set_clock(seconds):
                with open(clock, "w") as file:
                    file.write("%d" % seconds)
                writer.wrong_by = seconds

            agent.configure(files=[log])
            writer = Writer(log)
            set_clock(0)
            writer.start()
            environment = {"LD_PRELOAD": FAULTS, "HALLMARK_CLOCK_FILE": clock}
            agent.start(env=environment)
            agent.wait_sequence(1)
            for _ in range(campaign.size(1, 10)):
                for place in steps(chance):
                    if place == wrong:
                        continue
                    wanted.append(place - wrong)
                    wrong = place
                    set_clock(wrong)
                    agent.wait_for(lambda: len(told(agent.rows("--from-start"))) == len(wanted), 5)
                    time.sleep(chance.uniform(0, 0.3))
                    if chance.random() < 0.3:
                        agent.kill()
                        kills += 1
                        agent.start(env=environment)
                        before = agent.committed()[2]
                        agent.wait_sequence(before + 1)
            total = writer.stop()
            time.sleep(0.5)
            agent.stop()
            rows = list(agent.rows())
            numbers = [number_of(row) for row in rows if number_of(row) is not None]
            found = told(rows)
            campaign.lines(agent, "clock steps", total, good=found == wanted and numbers == sorted(numbers),
                           why=["steps: %s" % wanted, "told:  %s" % found], steps=len(wanted), told=len(found), kills=kills)
    return campaign.done()


sys.exit(main())
