#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The power of a machine goes again and again while people log in and lines are written: in the middle of the work, in
the middle of a boot, in the middle of what the last cut left to be put right."""
import os
import random
import sys
import time

from evidence import Evidence, Tap, last_committed, unless_unavailable
from image import Image
from machine import COMMITTED, RUNS, Machine, top_directory

CUTS = int(os.environ.get("HALLMARK_TEST_CUTS", "20"))
tap = Tap()

WORK = """(n=0; while :; do n=$((n + 1)); logger -p authpriv.notice -t witness "boot {boot} number $n"
[ $((n % 40)) -ne 0 ] || su alice -c 'sudo -n /bin/true'; done) >/dev/null 2>&1 &"""


def one(machine, number, chance, told):
    """One boot and its end; where hallmarkd had come to by then."""
    machine.start()
    machine.wait_control()
    boot = machine.run("cat /proc/sys/kernel/random/boot_id").strip().replace("-", "")
    machine.run(WORK.format(boot=number))
    if number % 4 == 3:
        time.sleep(chance.uniform(0, 12))
        where, since = "in the boot", 0
    else:
        machine.wait_up(COMMITTED)
        time.sleep(chance.uniform(0, 4))
        told.append(last_committed(machine))
        since = machine.writes()
        time.sleep(chance.uniform(0, 1))
        where = f"after frame {told[-1]['record']['sequence']}"
    lost, writes = machine.cut(chance, since)
    print(f"# cut {number}, {where}, {time.monotonic() - machine.started:.0f} s after power on: "
          f"{lost} of {writes} writes were in the disk's cache and are lost", flush=True)
    return boot


def judge(found, cut, told):
    found.check_chain(tap)
    found.check_journal(tap, cut)
    found.check_published(tap, told)
    found.check_farewell(tap)
    witness = [e["raw"] for e in found.of(program="witness")]
    host = found.hosts[0]
    print(f"# {len(found.events)} events, of which {len(witness)} are the witness's, in {host['frames']} frames and "
          f"{host['runs']} runs, of which {host['runs_without_farewell']} ended without a farewell")


def main():
    seed = int(os.environ.get("HALLMARK_TEST_SEED", str(int(time.time()))))
    print(f"# HALLMARK_TEST_SEED={seed}")
    chance, told = random.Random(seed), []
    with top_directory(tap) as top, Machine(Image.get(), top) as machine:
        cut = [one(machine, number, chance, told) for number in range(1, CUTS + 1)]
        machine.start()
        machine.wait_control()
        machine.wait_up(RUNS)
        tap.ok(machine.ssh("alice", "true")[0] == 0, f"after {CUTS} power cuts the machine is there")
        time.sleep(2)
        machine.power_off()
        judge(Evidence(machine), cut, told)


sys.exit(unless_unavailable(main, tap))
