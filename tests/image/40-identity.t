#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Two machines from one image have two keys, and a machine whose disk was copied from one that runs says that it is
another."""
import sys

from evidence import Evidence, Tap, unless_unavailable
from image import Image
from machine import COMMITTED, RUNS, Machine, top_directory

# What a cloud gives each of its machines: the asset tag and the system's UUID, both in DMI.
NAMES = {
    "one": {"asset": "i-0a1b2c3d4e5f60718", "uuid": "4c4c4544-0051-3610-8052-b4c04f4e3132"},
    "two": {"asset": "i-0ffffffffffffff00", "uuid": "4c4c4544-0051-3610-8052-b4c04f4e3133"},
    "copy": {"asset": "i-0123456789abcdef0", "uuid": "4c4c4544-0051-3610-8052-b4c04f4e3134"},
}
tap = Tap()


def lives(machine):
    machine.start()
    machine.wait_control()
    machine.wait_up(RUNS, COMMITTED)
    machine.ssh("alice", "true")


def judge(first, second, third, retired):
    for found, text in ((first, "the first machine's chain is whole"), (second, "the second's too"),
                        (third, "the copy's chain is whole, from a first frame of its own on")):
        found.check_chain(tap, text)
    keys = [[host["key_fingerprint"] for host in found.hosts] for found in (first, second, third)]
    tap.ok(len(keys[0]) == len(keys[1]) == 1 and keys[0] != keys[1], "two machines from one image have two keys", keys)
    resets = third.of(activity="identity_reset")
    tap.ok(len(resets) == 1 and resets[0].get("old_key_fingerprint") == keys[0][0] and keys[2] != keys[0],
           "the copy has a third, and says once that it is another machine, and whose key it found", keys, *resets)
    tap.ok([host["key_fingerprint"] for host in retired.hosts] == keys[0], "what it found is kept aside",
           retired.said, *retired.hosts)
    for event in resets:
        print("# " + event["raw"])


def main():
    with top_directory(tap) as top:
        image = Image.get()
        one, two, copy = (Machine(image, top, name, **names) for name, names in NAMES.items())
        with one, two, copy:
            lives(one)
            copy.lay(one.still_disk())
            one.power_off()
            lives(two)
            two.power_off()
            lives(copy)
            copy.power_off()
            first, second, third = Evidence(one), Evidence(two), Evidence(copy)
            retired = Evidence(copy, spool=third.top + "/retired/1/spool")
            judge(first, second, third, retired)


sys.exit(unless_unavailable(main, tap))
