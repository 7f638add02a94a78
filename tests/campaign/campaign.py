# SPDX-License-Identifier: Apache-2.0
"""What all attacks have in common: how long, how much, by which chance, and one line for each result.

    campaign = Campaign()
    for chance in campaign.rounds():
        …
        campaign.result(good, "what was done", lines=…, missing=…)
    sys.exit(campaign.done())

In the short form, which `make check` runs, there is one round of a small size. HALLMARK_TEST_MINUTES makes it the long
form: one round at least, and then as many as go into the program's share of the minutes. HALLMARK_TEST_SEED repeats a
round: its number is in each round's first line.
"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap, number_of  # noqa: E402
from numbered import judge  # noqa: E402

MINUTES = float(os.environ.get("HALLMARK_TEST_MINUTES") or 0)
SEED = os.environ.get("HALLMARK_TEST_SEED")
# Each program's part of the minutes.
SHARES = {"10-kill.t": 20, "20-journal.t": 8, "30-power-cut.t": 15, "40-calls.t": 15, "50-memory.t": 25, "60-clock.t": 2,
          "70-flood.t": 5, "80-restored.t": 4, "90-tampered.t": 6}
FAULTS = BUILD + "/tests/lib/faults.so"


class Campaign(Tap):
    def __init__(self):
        super().__init__()
        share = SHARES[os.path.basename(sys.argv[0])] / sum(SHARES.values())
        self.until = time.monotonic() + MINUTES * 60 * share
        self.begun = time.monotonic()

    def rounds(self):
        """A source of chance for each round."""
        while True:
            seed = int(SEED) if SEED else random.randrange(1 << 30)
            print("# HALLMARK_TEST_SEED=%d" % seed, flush=True)
            yield random.Random(seed)
            if SEED or time.monotonic() >= self.until:
                return

    @staticmethod
    def size(short, long):
        """How many of something."""
        return long if MINUTES else short

    def parts(self, items):
        """One after another, each with its part of what is left of the program's time; see over()."""
        items = list(items)
        for left, item in zip(range(len(items), 0, -1), items):
            now = time.monotonic()
            self.part_until = now + max(0, self.until - now) / left
            yield item

    def over(self):
        """Whether the time of the part is, in the long form."""
        return MINUTES > 0 and time.monotonic() >= self.part_until

    def start(self):
        """From here on the next result's seconds are counted."""
        self.begun = time.monotonic()

    def result(self, good, attack, *why, **counts):
        """`counts`: how many of what, in the order in which it is to be read; `why`: what to show where it is not good."""
        seconds = time.monotonic() - self.begun
        self.begun = time.monotonic()
        words = ["{:,} {}".format(count, name.replace("_", " ")) for name, count in counts.items() if count is not None]
        return self.ok(good, "%s: %s; %.0f s" % (attack, ", ".join(words), seconds), *why)

    def lines(self, agent, attack, total, *, lossless=True, good=True, why=(), number=number_of,
              **counts):
        """The result of an attack on numbered lines: each of the lines 1 to `total` came once, or, where the attack itself
        loses lines, lies inside a declared loss."""
        rows = agent.rows("--from-start")
        found = judge(rows, total, number)
        good = good and rows.code == 0 and found.missing == 0 and found.repeated == 0
        if lossless:
            good = good and found.declared == 0 and not found.losses
        agent.keep = not good
        return self.result(good, attack, *why, "verify says %s; losses: %s" % (
            rows.code, [(row["loss_reason"], row["detail"]) for row in found.losses][:20]), lines=total, came=found.came,
            missing=found.missing, missing_inside_declared_losses=None if lossless else found.declared,
            repeated=found.repeated, losses_declared=None if lossless else len(found.losses), **counts,
            kB_resident_at_most=agent.peak_kb)
