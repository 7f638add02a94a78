#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""With a wrong configuration, a full disk, a corrupt spool or a source that hangs, people can log in as early in the
boot as they can without us."""
import statistics
import sys

from evidence import Tap, unless_unavailable
from image import Image
from machine import COMMITTED, Machine, top_directory

# Two boots of the same machine differ by as much when the host has something else to do.
FACTOR, SLACK_S = 1.35, 5
WITHOUT = "systemd.mask=hallmarkd.service"
# What the early unit of the image does to the machine, before hallmarkd is started.
CASES = {
    "with a wrong configuration": "hallmark-test=configuration",
    "on a full disk": "hallmark-test=full",
    "with a corrupt spool": "hallmark-test=corrupt",
    "with a source that hangs": "hallmark-test=hung",
    "with nothing wrong": "",
}
REACHED = """systemctl show -P ActiveEnterTimestampMonotonic ssh.service systemd-user-sessions.service | tr '\\n' ' '
systemctl show -P ActiveState -P NRestarts hallmarkd.service | tr '\\n' ' '; systemctl show -P StatusText hallmarkd.service"""
tap = Tap()


def boot(machine, prepared, words):
    """Seconds from the kernel's start until people may log in; how hallmarkd is then."""
    machine.lay(prepared)
    machine.start(words=words)
    machine.wait_control()
    machine.wait_up()
    ssh, sessions, state = machine.run(REACHED).split(maxsplit=2)
    machine.cut()
    return max(int(ssh), int(sessions)) / 1e6, " ".join(state.split())


def main():
    with top_directory(tap) as top, Machine(Image.get(), top) as machine:
        machine.start()
        machine.wait_control()
        machine.wait_up(COMMITTED)
        machine.power_off()
        prepared = machine.keep("prepared")
        without = [boot(machine, prepared, WITHOUT)[0]]
        took = {text: boot(machine, prepared, words) for text, words in CASES.items()}
        without.append(boot(machine, prepared, WITHOUT)[0])
    limit = max(without) * FACTOR + SLACK_S
    print("# without hallmarkd people can log in %s s after the kernel's start" % ", ".join(f"{s:.1f}" for s in without))
    for text, (seconds, state) in took.items():
        tap.ok(seconds < limit, f"{text} they can as early", f"{seconds:.1f} s, and {limit:.1f} s are allowed")
        print(f"# {text}: {seconds:.1f} s; hallmarkd: {state}")
    print(f"# median with us {statistics.median(s for s, _ in took.values()):.1f} s")


sys.exit(unless_unavailable(main, tap))
