#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines that whoever sent them cannot have written, on a host with a real journald, sshd, sudo and su.

An ordinary user sends what sshd and sudo would say, by every way into the journal that he has; root does the same; and
between all that the host has an ordinary day, of which nothing may be called forged or suspect.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap  # noqa: E402
from journals import REMOTE  # noqa: E402
from realhost import SCENARIOS, RealHost, play  # noqa: E402
from truth import hold, message  # noqa: E402

DAY = [name for name in SCENARIOS if name != "forgery"]
CAPTURE = "tests/capture/data/bookworm-journal.export"
ALICE = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--"]
tap = Tap()


def accepted(number):
    return f"Accepted password for root from 198.51.100.99 port {number} ssh2"


def sudo_line(user, mark):
    return f"{user:>8} : PWD=/ ; USER=root ; COMMAND=/bin/echo {mark}"


# As a datagram to journald's own socket: the fields whose names begin with "_" are its own, and it drops them.
NATIVE = """
import socket, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.connect("/run/systemd/journal/socket")
    s.send(("MESSAGE=" + sys.argv[1] + "\\nSYSLOG_IDENTIFIER=sshd\\nSYSLOG_FACILITY=4\\nPRIORITY=6\\n_UID=0\\n_GID=0\\n"
            "_EXE=/usr/sbin/sshd\\n_COMM=sshd\\n_TRANSPORT=syslog\\n").encode())
time.sleep(0.3)
"""

# A line of sudo's, and the real sudo in the same process before journald looks: it waits for a password then.
RACE = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.connect("/dev/log")
    s.send(("<85>Nov 23 12:00:00 sudo: " + sys.argv[1]).encode())
os.execv("/usr/bin/sudo", ["sudo", "-S", "-p", "sent", "true"])
"""


class Inside(Agent):
    """The agent among the host's own files: its accounts and its machine id are those of the journal."""

    def __init__(self, host):
        super().__init__(sources="journal", extra=f"journal-directory = {host.journal_dir}")
        self.start(wrapper=host.prefix())

    def stop(self, timeout=30):
        """nsenter waits for the agent, and ends as it does."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as children:
            os.kill(int(children.read().split()[0]), signal.SIGTERM)
        return self.process.wait(timeout)


class Forgers:
    """Sends lines, and keeps what each of them should be called: (kind, severity, contradiction, suspicion)."""

    def __init__(self, host):
        self.host, self.expected = host, {}

    def run(self, argv, user="root"):
        done = self.host.run(argv, user)
        if done["status"] != 0:
            raise RuntimeError(f"{argv}: {done}")

    def logger(self, user, tag, text, *expected):
        """logger waits for its input to end, so that it is still there when journald looks."""
        script = '{ printf "%s\\n" "$2"; sleep 0.3; } | logger -p auth.info -t "$1"'
        self.run(["sh", "-c", script, "sh", tag, text], user)
        self.expected[text] = expected

    def native(self, user, text, *expected):
        self.run([sys.executable, "-c", NATIVE, text], user)
        self.expected[text] = expected

    def race(self, text, *expected):
        """journald is held up, as it is by whoever fills its queue, until the real sudo runs."""
        journald = self.journald()
        os.kill(journald, signal.SIGSTOP)
        try:
            forger = subprocess.Popen([*self.host.prefix(), *ALICE, sys.executable, "-c", RACE, text],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if forger.stderr.read(4) != b"sent":
                raise RuntimeError("sudo did not ask for a password")
        finally:
            os.kill(journald, signal.SIGCONT)
        self.host.sync()
        forger.stdin.close()
        forger.wait()
        self.expected[text] = expected

    def journald(self):
        """By its pid outside: the one whose mounts are the host's."""
        namespace = os.readlink(f"/proc/{self.host_pid()}/ns/mnt")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                    if comm.read().startswith("systemd-journal") and os.readlink(f"/proc/{pid}/ns/mnt") == namespace:
                        return int(pid)
            except OSError:
                pass
        raise RuntimeError("no journald")

    def host_pid(self):
        return next(word.split("=")[1] for word in self.host.prefix() if word.startswith("--target="))


def forge(forgers):
    bad = ("forged", "high", "sender-is-not-root", "executable")
    bad_caller = ("forged", "high", "sender-is-not-the-caller")
    forgers.logger("alice", "sshd", accepted(1), *bad)
    forgers.logger("bob", "sshd-session", accepted(2), *bad)
    forgers.logger("alice", "sshd", "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)", *bad[:3],
                   None)
    forgers.logger("alice", "systemd-logind", "New session 99 of user root.", *bad)
    forgers.logger("alice", "useradd", "new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/sh, from=none", *bad)
    forgers.logger("alice", "sudo", sudo_line("bob", 1), *bad_caller, None)
    forgers.native("alice", accepted(3), *bad)
    forgers.race(sudo_line("bob", 2), *bad_caller, None)
    forgers.logger("root", "sshd", accepted(4), "authentication", "medium", None, "executable")
    forgers.logger("root", "sudo", sudo_line("alice", 3), *bad_caller, None)
    # about nobody but himself, in words that sudo could use: his uid does not contradict him
    forgers.logger("alice", "sudo", sudo_line("alice", 4), "privilege", "info", None, None)
    # claims nothing that anybody knows
    forgers.logger("alice", "sshd", "Hello, I am sshd.", "log", "info", None, None)


def called(event):
    return event["kind"], event["severity"], event.get("contradiction"), event.get("suspicion")


def is_called_out(event):
    return event["kind"] == "forged" or "contradiction" in event or "suspicion" in event


def own(event):
    return event["kind"] in ("lifecycle", "evidence_loss")


def check_forgeries(host, expected, events):
    for text, wanted in expected.items():
        found = [e for e in events if message(e) == text]
        tap.ok([called(e) for e in found] == [wanted], f"{' '.join(map(str, wanted))}: {text[:70].strip()}", *found)
    claim = next(e for e in events if message(e) == accepted(1))
    tap.ok((claim["claimed_kind"], claim["claimed_activity"], claim["claimed_outcome"], claim.get("activity"),
            claim.get("outcome"), claim["user"], claim["src_ip"], claim["method"], claim["provenance"]["uid"]) ==
           ("authentication", "logon", "success", None, None, "root", "198.51.100.99", "password", 1000),
           "a forged line keeps its fields, and what it claims is told as a claim", claim)
    native = next(e for e in events if message(e) == accepted(3))
    tap.ok(native["provenance"]["uid"] == 1000 and native["provenance"]["transport"] == "journal",
           "journald's own socket takes nobody's word for who he is", native)
    race = next(e for e in events if message(e) == sudo_line("bob", 2))
    tap.ok(race["provenance"].get("exe") == "/usr/bin/sudo", "the race was won: journald took the forger for sudo", race)
    tap.ok(host["forged"] == sum(e["kind"] == "forged" for e in events) and host["verdict"] == "whole",
           "the report counts forged lines; its verdict is about the chain", host)


def check_text(agent):
    run = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", agent.state + "/spool"], capture_output=True,
                         text=True, check=False)
    line = next((line for line in run.stdout.splitlines() if "claimed_kind=authentication" in line), "")
    tap.ok(run.returncode == 0 and " forged" in line and "contradiction=sender-is-not-root" in line and
           re.search(r"^  forged lines +\d+$", run.stdout, re.M),
           "and for the eye: the kind, the contradiction, and how many there are", line, *run.stdout.splitlines()[-25:])


def real_host(top):
    reason = RealHost.unavailable("journal")
    if reason:
        tap.skip("forgeries on a real host", reason)
        return
    with RealHost(top + "/host", mode="journal") as host, Inside(host) as agent:
        time.sleep(1.1)  # what is as old as the accounts themselves is not held against them
        forgers = Forgers(host)
        play(host, ["ssh-key", "sudo"])
        forge(forgers)
        play(host, DAY)
        host.sync()
        agent.wait_for(lambda: any(message(e).startswith("delete user") for e in agent.verify()[0]))
        code = agent.stop()
        rows, report, verdict = agent.verify("--from-start")
        tap.ok(code == 0 and verdict == 0, "a clean stop, and a chain that is whole", code, *report)
        events = [e for e in rows if not own(e)]
        check_forgeries(report[0], forgers.expected, events)
        check_text(agent)
        ordinary = [e for e in events if message(e) not in forgers.expected]
        tap.ok(len(ordinary) > 300 and not any(map(is_called_out, ordinary)),
               f"of {len(ordinary)} lines of an ordinary day none is forged, and none suspect",
               *filter(is_called_out, ordinary))
        hold(tap, "and what was done is told as before", host.truth, ordinary)


def capture(top):
    """The recording as if it were this machine's, of a time when the accounts were what they are."""
    passwd, journal = top + "/passwd", top + "/journal"
    os.mkdir(journal)
    with open(passwd, "w", encoding="ascii") as file:
        for name, uid in (("root", 0), ("alice", 1000), ("bob", 1001), ("carol", 1002)):
            file.write(f"{name}:x:{uid}:{uid}::/:/bin/sh\n")
    with open("/etc/machine-id", encoding="ascii") as file:
        machine = file.read().strip()
    with open(CAPTURE, encoding="utf-8") as file:
        text = file.read()
    first = int(re.search(r"^__REALTIME_TIMESTAMP=(\d+)", text, re.M)[1])
    later = int(time.time() + 3600) * 1000000 - first
    text = re.sub(r"(?m)^__REALTIME_TIMESTAMP=(\d+)", lambda m: f"__REALTIME_TIMESTAMP={int(m[1]) + later}", text)
    text = re.sub(r"(?m)^_MACHINE_ID=.*", f"_MACHINE_ID={machine}", text)
    subprocess.run([REMOTE, "-o", journal + "/system.journal", "-"], input=text.encode(), check=True,
                   capture_output=True)
    with Agent(sources="journal", extra=f"journal-directory = {journal}") as agent:
        run = subprocess.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', passwd,
                              agent.program, *agent.options(), "--until-caught-up"], capture_output=True, check=False)
        rows, report, code = agent.verify("--from-start")
        events = [e for e in rows if not own(e)]
        sent = [e for e in events if e["provenance"].get("exe", "").startswith("/usr/bin/python3")]
        tap.ok(run.returncode == 0 and code == 0 and len(events) > 100, "a recorded journal is read", run.stderr, *report)
        tap.ok(sorted(called(e) for e in sent if is_called_out(e)) ==
               [("forged", "high", "sender-is-not-root", "executable")] and len(sent) == 2,
               "of what was forged in it, what was about another is called so", *sent)
        rest = [e for e in events if e not in sent]
        tap.ok(not any(map(is_called_out, rest)), f"and none of its {len(rest)} other lines",
               *filter(is_called_out, rest))


def main():
    top = tempfile.mkdtemp(prefix="hallmark-test.")
    os.chmod(top, 0o755)
    try:
        real_host(top)
        if not REMOTE or os.geteuid() != 0:
            tap.skip("a recorded journal", "systemd-journal-remote is not installed, or this is not root")
        elif subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
            tap.skip("a recorded journal", "no mounts of its own can be made here")
        else:
            capture(top)
    finally:
        if tap.failed:
            print(f"# kept: {top}")
        else:
            shutil.rmtree(top)
    return tap.done()


sys.exit(main())
