#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""A machine is suspended for longer than the watchdog waits, and then hibernates for an hour, while lines are written."""
import sys
import time

from evidence import Evidence, Tap, check_well, status, unless_unavailable
from image import Image
from machine import COMMITTED, RUNS, Machine, top_directory

SUSPENDED_S = 150  # longer than WatchdogSec
HIBERNATED_S = 3600
CHECKPOINT_S = 20
CONFIGURE = f"""mkdir -p /etc/hallmark/hallmark.conf.d
printf '[Pace]\\ncheckpoint = {CHECKPOINT_S}s\\n' >/etc/hallmark/hallmark.conf.d/test.conf
systemctl restart hallmarkd.service"""
WRITTEN = "cat /run/witness"
# Its numbers go on from one sleep to the next.
WITNESS = """systemd-run --quiet --unit=witness -p KillMode=mixed sh -c 'trap end=1 TERM; n=$(cat /run/witness || echo 0)
while [ -z "$end" ]; do n=$((n + 1)); logger -p authpriv.notice -t witness "number $n"; echo $n >/run/witness
sleep 0.1; done'"""
tap = Tap()


def number(machine, script):
    return int(machine.run(script))


def check_checkpoints(machine):
    """Nothing happens, and the chain grows all the same, in time."""
    first = status(machine)
    time.sleep(2 * CHECKPOINT_S)
    last = status(machine)
    tap.ok(last["sequence"] > first["sequence"] and last["events"] == first["events"] and
           last["last_commit_age_s"] <= CHECKPOINT_S + 1, "and keeps its promise of a checkpoint", first, last)


def check_sleep(machine, how, sleep, seconds):
    machine.run(WITNESS)
    time.sleep(1)
    before, clock = number(machine, WRITTEN), number(machine, "date +%s")
    sleep()
    after, slept_s = number(machine, WRITTEN), number(machine, "date +%s") - clock
    time.sleep(1)
    machine.run("systemctl stop witness.service")
    last = number(machine, WRITTEN)
    tap.ok(slept_s >= seconds and before < last, f"{how} for {seconds} s, and lines are written again", slept_s, before,
           last)
    check_well(tap, machine, f"hallmarkd, which {how} with it, goes on by itself")
    check_checkpoints(machine)
    tap.ok(machine.ssh("alice", "true")[0] == 0, "and people log in")
    print(f"# {how} for {slept_s} s, within the lines {before} to {after} of {last}")


def main():
    with top_directory(tap) as top, Machine(Image.get(), top) as machine:
        machine.start()
        machine.wait_control()
        machine.wait_up(RUNS, COMMITTED)
        machine.run(CONFIGURE)
        check_sleep(machine, "slept in memory", lambda: machine.suspend(SUSPENDED_S), SUSPENDED_S)
        check_sleep(machine, "slept on the disk", lambda: machine.hibernate(time.time() + HIBERNATED_S), HIBERNATED_S)
        lines = number(machine, WRITTEN)
        machine.power_off()
        found = Evidence(machine)
        found.check_chain(tap, runs=2)
        found.check_journal(tap)
        found.check_farewell(tap)
        said = [e["raw"] for e in found.of(program="witness")]
        tap.ok(said == [f"number {n}" for n in range(1, lines + 1)], "what was said meanwhile is there once, in order", said)


sys.exit(unless_unavailable(main, tap))
