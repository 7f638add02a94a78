#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real sshd, sudo, su and PAM on loopback, watched while it happens, and held against what was really done.

Two hosts at once. The first is as Debian makes them: journald in front of rsyslogd; one hallmarkd reads auth.log, which
is rotated meanwhile, another the journal, and both must tell the same story. The second has rsyslogd alone, with the
traditional time stamps, and an sshd that is told to be verbose.
"""
import collections
import os
import shutil
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import Agent, Tap  # noqa: E402
from realhost import RealHost, play  # noqa: E402
from truth import hold, hold_known, is_logon, is_sshd, is_unknown, message, raw  # noqa: E402

GUESSES = ["ssh-guessing"]
BEFORE_ROTATION = ["ssh-key", "sudo", "sudo-rs", "scanner"]
AFTER_ROTATION = ["ssh-password", "ssh-names", "su", "accounts"]
ON_THE_SECOND = ["ssh-key", "ssh-password", "sudo", "su", "scanner"]
tap = Tap()
top = tempfile.mkdtemp(prefix="hallmark-test.")


def journal_agent(host):
    return Agent(sources="journal", extra=f"journal-directory = {host.journal_dir}")


def file_agent(host):
    return Agent(sources="files", files=[str(host.auth_log)])


def guesses_so_far(agent, wanted):
    """The guesses are events while the host still runs."""
    def seen():
        rows = agent.verify()[0]
        return sum(is_sshd(e) and is_logon(e, "failure") and e.get("method") == "password" for e in rows) == wanted
    return agent.wait_for(seen, 10)


def end(agent):
    """(exit status, the events that are none of the agent's own, those that are, what verify said, its exit status)"""
    code = agent.stop()
    rows, report, verdict = agent.verify("--from-start")
    return (code, [e for e in rows if e["source"] != "hallmark"], [e for e in rows if e["source"] == "hallmark"],
            report, verdict)


def check_chain(label, ended):
    code, _, own, report, verdict = ended
    tap.ok(code == 0 and verdict == 0, f"{label}: a clean stop, and a chain that is whole", code, *report)
    tap.ok([e["activity"] for e in own] == ["started", "stopped"], f"{label}: the agent lost nothing and stopped itself",
           *[e for e in own if e["kind"] != "lifecycle"])


def check_lines(label, host, events):
    """The file's lines, byte for byte, in their order, once."""
    lines = []
    for path in sorted(host.out.glob("auth.log*"), reverse=True):  # auth.log.1 before auth.log
        lines += path.read_bytes().splitlines()
    found = [raw(e) for e in events]
    extra, missing = collections.Counter(found) - collections.Counter(lines), collections.Counter(lines) - collections.Counter(found)
    tap.ok(found == lines, f"{label}: all {len(lines)} lines, to the byte, once and in order",
           f"not in the log: {list(extra)[:5]}", f"not in the chain: {list(missing)[:5]}")


def check_entries(label, host, events):
    """The journal's entries of auth and authpriv, with what journald knows of who wrote them."""
    told = [(e["MESSAGE"], int(e["_PID"]), int(e["_UID"]), int(e["_GID"]), e["_TRANSPORT"], e["_BOOT_ID"])
            for e in host.entries() if e.get("SYSLOG_FACILITY") in ("4", "10")]
    found = [(message(e), e["pid"], *(e["provenance"][key] for key in ("uid", "gid", "transport", "boot_id")))
             for e in events if e["program"] != "systemd-journald"]
    tap.ok(found == told, f"{label}: all {len(told)} entries, once and in order, and by whom",
           *[pair for pair in zip(found, told) if pair[0] != pair[1]][:5], f"{len(found)} found")
    sshd = [e for e in events if is_sshd(e)]
    tap.ok(sshd and all(e["provenance"]["uid"] == 0 for e in sshd), f"{label}: what sshd wrote, root wrote")


class Debian:
    """journald in front of rsyslogd, in a zone of its own; both are watched."""

    def run(self):
        try:
            with RealHost(top + "/debian", mode="both", timezone="Asia/Kolkata") as host:
                self.watch(host)
        except Exception as error:  # pylint: disable=broad-except  # it runs in a thread
            self.error = error

    def watch(self, host):
        self.host, self.error = host, None
        with file_agent(host) as files, journal_agent(host) as journal:
            files.start(), journal.start()
            play(host, GUESSES)
            wanted = sum(f["outcome"] == "failure" for f in host.truth)
            self.live = [guesses_so_far(agent, wanted) for agent in (files, journal)]
            play(host, BEFORE_ROTATION)
            host.rotate()
            play(host, AFTER_ROTATION)
            host.stop()
            self.files, self.journal = end(files), end(journal)

    def check(self):
        if not tap.ok(self.error is None, "a host with journald and rsyslogd", repr(self.error)):
            return
        tap.ok(all(self.live), "what happens is in both chains while it goes on")
        for label, ended in (("auth.log", self.files), ("journal", self.journal)):
            check_chain(label, ended)
            hold(tap, label, self.host.truth, ended[1])
            hold_known(tap, label, ended[1])
        check_lines("auth.log", self.host, self.files[1])
        check_entries("journal", self.host, self.journal[1])


class Traditional:
    """rsyslogd alone, traditional time stamps, and a verbose sshd."""

    def run(self):
        try:
            with RealHost(top + "/traditional", log_format="traditional", sshd_options=["LogLevel VERBOSE"]) as host:
                self.watch(host)
        except Exception as error:  # pylint: disable=broad-except  # it runs in a thread
            self.error = error

    def watch(self, host):
        self.host, self.error = host, None
        with file_agent(host) as files:
            files.start()
            play(host, ON_THE_SECOND)
            host.stop()
            self.files = end(files)

    def check(self):
        label = "traditional"
        if not tap.ok(self.error is None, "a host with rsyslogd alone", repr(self.error)):
            return
        events = self.files[1]
        check_chain(label, self.files)
        hold(tap, label, self.host.truth, events)
        hold_known(tap, label, events)
        check_lines(label, self.host, events)
        offered = [f for f in self.host.truth if f.get("method") == "publickey" and f["outcome"] == "failure"]
        refused = [e for e in events if is_logon(e, "failure") and e.get("method") == "publickey"]
        tap.ok([(f["user"], f["src_ip"], f["src_port"], f["fingerprint"]) for f in offered] ==
               [(e["user"], e["src_ip"], e["src_port"], e["key_fingerprint"]) for e in refused] and offered,
               f"{label}: a verbose sshd tells of every key that it refused", *refused)


def main():
    for mode in ("both", "file"):
        reason = RealHost.unavailable(mode)
        if reason:
            print(f"1..0 # SKIP {reason}")
            return 0
    hosts = [Debian(), Traditional()]
    threads = [threading.Thread(target=host.run) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host in hosts:
        host.check()
    if not tap.failed:
        shutil.rmtree(top)
    else:
        print(f"# kept: {top}")
    return tap.done()


sys.exit(main())
