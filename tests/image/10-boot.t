#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""A machine boots with the package; people log in, and others try; its power goes in the middle of it; it boots again,
and is shut down while somebody is logged in. What its disk holds then is proved outside of it."""
import random
import sys
import threading
import time

from evidence import Evidence, Tap, last_committed, microseconds, unless_unavailable
from image import Image
from machine import BOOT_S, RUNS, Machine, top_directory
from sandbox import check_sandbox

FORGED = "Accepted password for root from 192.0.2.1 port 22 ssh2"
FIGURES = """tr -s ' ' < /proc/$(systemctl show hallmarkd -P MainPID)/smaps_rollup | grep ^Pss:
systemctl show hallmarkd -p MemoryCurrent -p MemoryPeak -p StatusText"""
tap = Tap()


def first_login(machine, logins):
    """Over and over from the first moment on, until the door is open."""
    while not logins and time.monotonic() - machine.started < BOOT_S:
        if machine.ssh("alice", "true")[0] == 0:
            logins.append(time.monotonic() - machine.started)
        time.sleep(0.2)


def guess(machine, user, words, codes):
    for word in words:
        codes.append(machine.ssh(user, "true", password=word)[0])


def work(machine):
    """What is done, while somebody outside guesses passwords."""
    codes = []
    guessing = [threading.Thread(target=guess, args=(machine, user, ["letmein"], codes)) for user in ("alice", "oracle")]
    for thread in guessing:
        thread.start()
    said = [machine.ssh("alice", f"sudo -n /usr/bin/id -u; logger -t sshd '{FORGED}'"),
            machine.ssh("bob", "true", password="other-password")]
    machine.run("su bob -c /bin/true")
    machine.run("useradd --create-home carol; printf '%s\\n' new-password new-password | passwd carol")
    for thread in guessing:
        thread.join()
    tap.ok(said == [(0, "0\n"), (0, "")] and codes == [255, 255], "the right ones got in, the guessers did not",
           said, codes)


def burst(machine, boot):
    """Numbered lines until the machine ends."""
    machine.run(f"(n=0; while :; do n=$((n + 1)); logger -p authpriv.notice -t witness \"boot {boot} number $n\"; done) "
                ">/dev/null 2>&1 &")


def sleeper(machine):
    machine.ssh("alice", "sleep 600")


# What was done by hand, and as which event it must be there, how often. Each password is asked three times.
def check_deeds(found):
    failure = {"program": "sshd", "kind": "authentication", "activity": "logon", "outcome": "failure", "method": "password"}
    deeds = [
        ("three guesses of a user's password", 3, {**failure, "user": "alice"}),
        ("three guesses at a user who does not exist", 3, {**failure, "user": "oracle"}),
        ("a login with a password", 1, {"program": "sshd", "activity": "logon", "outcome": "success", "user": "bob"}),
        ("the logins with a key", 3, {"program": "sshd", "activity": "logon", "outcome": "success", "user": "alice",
                                      "method": "publickey"}),
        ("sudo", 1, {"program": "sudo", "kind": "privilege", "user": "alice", "outcome": "success",
                     "command": "/usr/bin/id -u"}),
        ("su", 1, {"program": "su", "kind": "privilege", "target_user": "bob", "outcome": "success"}),
        ("useradd", 1, {"program": "useradd", "kind": "account", "target_user": "carol", "change": "create-user"}),
        ("passwd", 1, {"program": "passwd", "kind": "account", "target_user": "carol", "change": "change-password"}),
        ("a line that was forged", 1, {"program": "sshd", "kind": "forged", "raw": "^" + FORGED}),
        ("as nothing else", 0, {"program": "sshd", "kind": "authentication", "user": "root"}),
    ]
    for text, count, facts in deeds:
        events = found.of(**facts)
        tap.ok(len(events) == count, f"{text}: {count} in the chain", facts,
               *(events or [e for e in found.events if e.get("program") == facts["program"]][:20]))


def check_start(found, boot, login_s):
    booted = found.booted_us(boot)
    first = microseconds(found.hosts[0]["first_time"])
    ssh = found.monotonic(boot, "^Server listening")
    print(f"# first event durable {(first - booted) / 1e6:.1f} s after the kernel's start; sshd listens at {ssh:.1f} s; "
          f"first login {login_s:.1f} s after power on")
    logons = [e for e in found.of(program="sshd", activity="logon", outcome="success", user="alice")
              if e["provenance"]["boot_id"] == boot]
    tap.ok(logons and microseconds(logons[0]["time"]) - booted < (ssh + 60) * 1e6, "the first login at all is there",
           *logons[:1])
    early = [e for e in found.of(program="su", kind="privilege", target_user="alice")
             if e["provenance"]["boot_id"] == boot]
    tap.ok(len(early) == 1 and microseconds(early[0]["time"]) < microseconds(found.own[0]["time"]),
           "who became somebody else before hallmarkd was started is there too", *early)
    tap.ok(found.own[0]["activity"] == "started" and (first - booted) / 1e6 < ssh + 20,
           "and all of it is durable early in the boot", first, booted, ssh)


def judge(found, told, login_s):
    first, second = found.boots()
    found.check_chain(tap)
    check_start(found, first, login_s)
    check_deeds(found)
    found.check_journal(tap, cut=[first])
    found.check_published(tap, told)
    found.check_farewell(tap)
    logoffs = [e for e in found.of(program="sshd", service="sshd", activity="session_close", user="alice")
               if e["provenance"]["boot_id"] == second]
    tap.ok(len(logoffs) == 1, "the last logoff, which the shutdown made, is there", *logoffs)
    host = found.hosts[0]
    print(f"# {len(found.events)} events in {host['frames']} frames and {host['runs']} runs; {host['verdict']}")


def main():
    logins, told = [], []
    with top_directory(tap) as top, Machine(Image.get(), top) as machine:
        machine.start()
        knocking = threading.Thread(target=first_login, args=(machine, logins))
        knocking.start()
        machine.wait_control()
        knocking.join()
        tap.ok(logins, "somebody logs in as soon as the door is open", logins)
        work(machine)
        machine.run("journalctl --sync")  # what was done up to here is in both
        burst(machine, 1)
        time.sleep(3)
        told.append(last_committed(machine))
        since = machine.writes()
        time.sleep(1)
        print("# the power cut took %d of %d writes, which were in the disk's cache" % machine.cut(random.Random(1), since))

        machine.start()
        machine.wait_control()
        machine.wait_up(RUNS)
        check_sandbox(tap, machine)
        print("# " + ", ".join(machine.run(FIGURES).strip().split("\n")))
        session = threading.Thread(target=sleeper, args=(machine,))
        session.start()
        machine.wait_for("pgrep -u alice sleep")
        machine.power_off()
        session.join()
        judge(Evidence(machine), told, logins[0])


sys.exit(unless_unavailable(main, tap))
