#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full for a minute, a hallmarkd that hangs, and a clock that is an hour wrong and put right, twice."""
import sys
import time

from evidence import Evidence, Tap, check_well, microseconds, unless_unavailable
from image import Image
from machine import RUNS, Machine, top_directory

FILL = "for size in 1M 4k; do dd if=/dev/zero of=/filler.$size bs=$size 2>/dev/null; done; sync; df -k / | tail -n 1"
# The unit's own, but for that it waits two minutes.
WATCHDOG = """mkdir -p /run/systemd/system/hallmarkd.service.d
printf '[Service]\\nWatchdogSec=10s\\n' >/run/systemd/system/hallmarkd.service.d/test.conf
systemctl daemon-reload; systemctl restart hallmarkd.service"""
SAID = ["the disk is full", "the disk has room", "it hangs", "an hour late", "put right", "an hour late again",
        "put right again"]
tap = Tap()


def full_disk(machine):
    print("# full: " + machine.run(FILL, check=False)[0].strip())
    since = time.monotonic()
    machine.run("logger -p authpriv.notice -t witness the disk is full")
    codes = [machine.ssh("alice", "sudo -n true")[0], machine.ssh("oracle", "true", password="guess")[0]]
    # Without its process nothing that it holds open is of use to it.
    machine.run("systemctl kill --signal=KILL hallmarkd.service")
    time.sleep(max(0, 60 - (time.monotonic() - since)))
    print("# " + machine.run("systemctl show hallmarkd.service -P ActiveState -P NRestarts -P StatusText | tr '\\n' ' '; "
                             "journalctl -u hallmarkd.service -n 1 -o cat --no-pager").strip())
    machine.run("rm -f /filler.*; logger -p authpriv.notice -t witness the disk has room")
    tap.ok(codes == [0, 255], "on a full disk people log in as ever", codes)
    machine.wait_for("hallmark events | grep -q 'the disk has room'", 120)
    tap.ok(True, "once there is room, hallmarkd goes on without help")


def hung(machine):
    machine.run(WATCHDOG)
    machine.wait_for(RUNS)
    machine.run("systemctl kill --signal=STOP hallmarkd.service; logger -p authpriv.notice -t witness it hangs")
    machine.wait_for("hallmark events | grep -q 'it hangs'", 120)
    said = machine.run("systemctl show hallmarkd.service -P WatchdogUSec -P NRestarts").split()
    tap.ok(said == ["10s", "1"], "where it hangs, the watchdog starts it anew", said)


def wrong_clock(machine):
    machine.run(f"logger -p authpriv.notice -t witness an hour late; date -s @{time.time():.0f}; "
                "logger -p authpriv.notice -t witness put right")
    first = machine.ssh("alice", "true")[0]
    machine.run(f"date -s @{time.time() - 3600:.0f}; logger -p authpriv.notice -t witness an hour late again")
    second = machine.ssh("alice", "true")[0]
    machine.run(f"date -s @{time.time():.0f}; logger -p authpriv.notice -t witness put right again")
    tap.ok((first, second) == (0, 0), "whatever the clock says, people log in", first, second)
    check_well(tap, machine, "and hallmarkd goes on by itself")


def boot(machine, clock=None):
    machine.start(clock)
    machine.wait_control()
    machine.wait_up(RUNS)


def main():
    with top_directory(tap) as top, Machine(Image.get(), top) as machine:
        boot(machine)
        full_disk(machine)
        hung(machine)
        machine.power_off()
        boot(machine, time.time() - 3600)
        wrong_clock(machine)
        machine.power_off()
        boot(machine)
        machine.power_off()
        found = Evidence(machine)
        found.check_chain(tap)
        found.check_journal(tap)
        found.check_farewell(tap)
        said = [e["raw"] for e in found.of(program="witness")]
        tap.ok(said == SAID, "and what was said meanwhile is there, in order", said)
        steps = [round((microseconds(e["clock_after"]) - microseconds(e["clock_before"])) / 3600e6)
                 for e in found.of(activity="clock_step")]
        tap.ok(steps == [1, -1, 1], "each time that somebody set the clock is an event, by so many hours", steps)
        print(f"# times at which the host's clock went backwards, by the record: {found.hosts[0]['clock_backwards']}")


sys.exit(unless_unavailable(main, tap))
