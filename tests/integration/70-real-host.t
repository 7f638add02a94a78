#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real sshd, sudo, su and PAM on loopback, watched while it happens, and held against what was really done.

Two hosts at once. The first is as Debian makes them: journald in front of rsyslogd; one hallmarkd reads auth.log,
which is rotated meanwhile, another the journal, and both must tell the same story. The second has rsyslogd alone, with
the traditional time stamps, and an sshd that is told to be verbose.
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
from truth import (hold, hold_entries, hold_known, hold_writers, in_order, is_logon, is_sshd, raw,  # noqa: E402
                   whole_lines)

GUESSES = ["ssh-guessing"]
BEFORE_ROTATION = ["ssh-key", "sudo", "sudo-rs"]
IN_ROTATION = ["scanner", "ssh-password"]
AFTER_ROTATION = ["ssh-names", "su", "accounts"]
ON_THE_SECOND = ["ssh-key", "ssh-password", "sudo", "su", "scanner"]
Ended = collections.namedtuple("Ended", "code verdict report own events")
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
    """Stops an agent; what it signed, and what is to be said of that."""
    code = agent.stop()
    rows, report, verdict = agent.verify("--from-start")
    own = [e for e in rows if e["kind"] in ("lifecycle", "evidence_loss")]
    return Ended(code, verdict, report, own, [e for e in rows if e["kind"] not in ("lifecycle", "evidence_loss")])


def check_chain(label, ended):
    tap.ok(ended.code == 0 and ended.verdict == 0, f"{label}: a clean stop, and a chain that is whole",
           ended.code, *ended.report)
    tap.ok([e.get("activity") for e in ended.own] == ["started", "stopped"],
           f"{label}: of itself the agent says that it started and stopped, and no more", *ended.own)


def check_lines(label, host, names, events):
    """The files' lines, byte for byte, in their order, once; what sudo wrote in parts, as one."""
    lines = whole_lines((line.decode("latin-1"),) for name in names
                        for line in (host.out / name).read_bytes().splitlines())
    found = [(raw(e).decode("latin-1"),) for e in events]
    extra = collections.Counter(found) - collections.Counter(lines)
    missing = collections.Counter(lines) - collections.Counter(found)
    tap.ok(lines and in_order(found) == in_order(lines),
           f"{label}: all {len(lines)} lines of {' and '.join(names)}, to the byte, once and in order",
           f"not in the log: {list(extra)[:5]}", f"not in the chain: {list(missing)[:5]}")


class Watched:
    """A host that runs, and what the agents made of it."""
    error = None

    def run(self):
        try:
            with RealHost(f"{top}/{self.mode}", mode=self.mode, **self.options) as host:
                self.host = host
                self.watch()
        except Exception as error:  # pylint: disable=broad-except  # this is a thread's last frame
            self.error = error


class Debian(Watched):
    """journald in front of rsyslogd, in a zone of its own; both are watched."""
    text = "a host with journald and rsyslogd"
    mode = "both"
    options = {"timezone": "Asia/Kolkata"}

    def watch(self):
        with file_agent(self.host) as files, journal_agent(self.host) as journal:
            files.start()
            journal.start()
            play(self.host, GUESSES)
            wanted = sum(fact["outcome"] == "failure" for fact in self.host.truth)
            self.live = [guesses_so_far(agent, wanted) for agent in (files, journal)]
            play(self.host, BEFORE_ROTATION)
            self.rotate_while_it_goes_on()
            play(self.host, AFTER_ROTATION)
            self.host.stop()
            self.files, self.journal = end(files), end(journal)

    def rotate_while_it_goes_on(self):
        """As logrotate does it: moves the file, makes a new one, and rsyslogd hears of it some time later."""
        self.host.auth_log.rename(self.host.out / "auth.log.1")
        self.host.auth_log.touch(0o640)
        play(self.host, IN_ROTATION)
        self.host.reopen()
        self.rotated = self.host.run(["journalctl", "--rotate"])

    def check(self):
        tap.ok(self.rotated["status"] == 0 and len(list(self.host.journal_dir.iterdir())) > 1, "both logs were rotated",
               self.rotated)
        tap.ok(all(self.live), "what happens is in both chains while it goes on", self.live)
        for label, ended in (("auth.log", self.files), ("journal", self.journal)):
            check_chain(label, ended)
            hold(tap, label, self.host.truth, ended.events)
            hold_known(tap, label, ended.events)
        check_lines("auth.log", self.host, ["auth.log.1", "auth.log"], self.files.events)
        hold_entries(tap, "journal", self.host.entries(), self.journal.events)
        hold_writers(tap, "journal", self.journal.events)


class Traditional(Watched):
    """rsyslogd alone, traditional time stamps, and a verbose sshd."""
    text = "a host with rsyslogd alone"
    mode = "file"
    options = {"log_format": "traditional", "sshd_options": ["LogLevel VERBOSE"]}

    def watch(self):
        with file_agent(self.host) as files:
            files.start()
            play(self.host, ON_THE_SECOND)
            self.host.stop()
            self.files = end(files)

    def check(self):
        label, events = "traditional", self.files.events
        check_chain(label, self.files)
        hold(tap, label, self.host.truth, events)
        hold_known(tap, label, events)
        check_lines(label, self.host, ["auth.log"], events)
        offered = [f for f in self.host.truth
                   if f.get("method") == "publickey" and f["outcome"] == "failure" and f["valid_user"]]
        refused = [e for e in events if is_logon(e, "failure") and e.get("method") == "publickey"]
        tap.ok([(f["user"], f["src_ip"], f["src_port"], f["fingerprint"]) for f in offered] ==
               [tuple(map(e.get, ("user", "src_ip", "src_port", "key_fingerprint"))) for e in refused] and offered,
               f"{label}: a verbose sshd tells of every key that it refused a user", *refused)


def main():
    hosts = [Debian(), Traditional()]
    reasons = {host: RealHost.unavailable(host.mode) for host in hosts}
    if all(reasons.values()):
        os.rmdir(top)
        print(f"1..0 # SKIP {reasons[hosts[-1]]}")
        return 0
    threads = [threading.Thread(target=host.run) for host in hosts if not reasons[host]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host in hosts:
        if reasons[host]:
            tap.skip(host.text, reasons[host])
        elif tap.ok(not host.error, f"{host.text} ran to its end", repr(host.error)):
            host.check()
    if tap.failed:
        print(f"# kept: {top}")
    else:
        shutil.rmtree(top)
    return tap.done()


sys.exit(main())
