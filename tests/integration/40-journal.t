#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The journal as a source: what is taken, and that a position holds through all that journald does to its files."""
import contextlib
import glob
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import journals  # noqa: E402
from agent import Agent, Tap, number_of  # noqa: E402
from journals import START_US, Boot  # noqa: E402

tap = Tap()


def numbers(rows):
    return [number_of(r) for r in rows if number_of(r) is not None]


def losses(rows):
    return [(r["loss_reason"], int(r["loss_amount"])) for r in rows if r.get("kind") == "evidence_loss"]


class JournalAgent(Agent):
    """Reads the journal files of a directory of its own."""

    def __init__(self, journal="auth", extra=""):
        super().__init__()
        self.directory = self.top + "/journal"
        os.mkdir(self.directory)
        self.file = self.directory + "/system.journal"
        self.configure(sources="journal", extra="journal = %s\njournal-directory = %s\n%s" % (
            journal, self.directory, extra))

    def catch_up_to(self, expected, text, expected_losses=()):
        """Runs to the end of the journal, and demands these numbers so far, in this order, and these losses."""
        _, code, err = self.catch_up()
        rows, _, verdict = self.verify("--from-start")
        tap.ok(code == 0 and verdict == 0 and numbers(rows) == list(expected) and losses(rows) == list(expected_losses),
               text, err, code, verdict, "numbers %s, expected %s" % (numbers(rows), list(expected)),
               "losses %s, expected %s" % (losses(rows), list(expected_losses)))
        return rows


def test_selection():
    boot = Boot("a")
    with JournalAgent() as agent:
        journals.write(agent.file, [
            boot.entry(1), boot.entry(2, SYSLOG_FACILITY="10"), boot.entry(3, SYSLOG_FACILITY="3", SYSLOG_IDENTIFIER="foo",
                                                                         _SYSTEMD_UNIT="foo.service"),
            boot.entry(4, SYSLOG_FACILITY="9", SYSLOG_IDENTIFIER="CRON", MESSAGE="(root) CMD (true)"),
            boot.entry(5, SYSLOG_FACILITY=None, SYSLOG_IDENTIFIER=None, _SYSTEMD_UNIT="systemd-logind.service",
                       _TRANSPORT="journal", MESSAGE="New session 4 of user bob."),
            boot.entry(6, MESSAGE=None), boot.entry(7)])
        rows = agent.catch_up_to([1, 2, 7], "taken: auth, authpriv, and the units and identifiers of the catalogue")
        messages = [r["raw"] for r in rows if r["program"] != "hallmark"]
        tap.ok(len(messages) == 5 and "New session 4 of user bob." in messages and "(root) CMD (true)" in messages,
               "and nothing else", messages)
        row = next(r for r in rows if number_of(r) == 1)
        known = row.get("provenance", {})
        tap.ok(row["pid"] == 812 and known.get("uid") == 0 and known.get("transport") == "syslog" and
               known.get("boot_id") == boot.id and known.get("exe") == "/usr/sbin/sshd" and
               known.get("unit") == "ssh.service", "its trusted fields are kept as provenance", row)
    with JournalAgent(journal="all") as agent:
        journals.write(agent.file, [boot.entry(1), boot.entry(2, SYSLOG_FACILITY="3", SYSLOG_IDENTIFIER="foo")])
        rows = agent.catch_up_to([1], "journal = all takes everything")
        tap.ok(len([r for r in rows if r["program"] == "foo"]) == 1, "and an unknown program's line is a log record")


def test_hostile_fields():
    boot = Boot("a")
    with JournalAgent() as agent:
        long = "x" * 1000000
        journals.write(agent.file, [
            boot.entry(1, MESSAGE=b"bytes \xff\x00\x1b[31m\nand a second line"), boot.entry(2, MESSAGE=long),
            boot.entry(3, _UID="-1", _PID="99999999999999999999", SYSLOG_FACILITY="4"),
            boot.entry(4, SYSLOG_IDENTIFIER=b"\xfe\xff tag"), boot.entry(5, MESSAGE="")])
        _, code, err = agent.catch_up()
        rows, _, verdict = agent.verify("--from-start")
        tap.ok(code == 0 and verdict == 0, "foreign bytes in every field", err)
        tap.ok(numbers(rows) == [3] and len([r for r in rows if "zq000000004" in r["raw"]]) == 1,
               "numbers that are none do no harm, and an odd tag is a log record", numbers(rows))
        tap.ok([r for r in rows if len(r.get("raw", "")) == 65536] and ("line_too_long", 1000000 - 65536) in losses(rows),
               "a message of 1 MB is cut to 64 KiB, and what was cut is declared", losses(rows))


def test_notices():
    """journald's own words about messages that it dropped; only journald has the transport."""
    boot, dropped = Boot("a"), "a596d6fe7bfa4994828e72309e95d61e"
    words = {"SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "systemd-journald", "_SYSTEMD_UNIT": "systemd-journald.service",
             "MESSAGE_ID": dropped, "MESSAGE": "Suppressed 42 messages from ssh.service"}
    with JournalAgent() as agent:
        journals.write(agent.file, [boot.entry(1), boot.entry(2, _TRANSPORT="driver", **words),
                                    boot.entry(3, _TRANSPORT="driver", N_DROPPED="7", **words),
                                    boot.entry(4, _TRANSPORT="journal", _UID="1000", **words)])
        agent.catch_up_to([1], "messages that journald says it dropped are a loss, with their number; a forged notice is none",
                          [("journald_dropped", 42), ("journald_dropped", 7)])


def test_power_cut():
    """The journal lost its end; the next boot reuses the numbers of the entries that are gone."""
    a, b = Boot("a"), Boot("b", START_US + 60000000)
    with JournalAgent() as agent:
        journals.write(agent.file, a.entries(range(1, 7)))
        shutil.copy(agent.file, agent.top + "/as-on-disk")
        journals.write(agent.file, a.entries(range(7, 11)))
        agent.catch_up_to(range(1, 11), "ten entries are read")
        shutil.copy(agent.top + "/as-on-disk", agent.file)
        journals.write(agent.file, b.entries(range(101, 121)))
        agent.catch_up_to([*range(1, 11), *range(101, 121)],
                          "the journal lost four of them, and reused their numbers: all of the next boot is read, and that "
                          "is no loss of ours")
    with JournalAgent() as agent:
        journals.write(agent.file, a.entries(range(1, 7)))
        agent.catch_up_to(range(1, 7), "six entries are read")
        b = Boot("b", START_US - 3600 * 1000000)
        journals.write(agent.file, b.entries(range(101, 105)))
        agent.catch_up_to([*range(1, 7), *range(101, 105)], "a boot whose clock is an hour behind is read whole")


def test_renumbered():
    """A flush copies entries into another file, with another sequence id and other numbers."""
    a = Boot("a")
    with JournalAgent() as agent:
        journals.write(agent.file, a.entries(range(1, 9)))
        agent.catch_up_to(range(1, 9), "eight entries are read")
        os.unlink(agent.file)
        journals.write(agent.directory + "/flushed.journal", a.entries(range(3, 13)))
        agent.catch_up_to(range(1, 13), "the same entries under other numbers are known again")
    with JournalAgent() as agent:
        journals.write(agent.file, a.entries(range(1, 5)))
        journals.write(agent.file, [a.entry(n, at_ms=5) for n in range(5, 9)])
        agent.catch_up_to(range(1, 9), "entries of one microsecond are told apart, …")
        journals.write(agent.file, [a.entry(n, at_ms=5) for n in range(9, 12)])
        agent.catch_up_to(range(1, 12), "… those that came later too")


def test_vacuum():
    a, b = Boot("a"), Boot("b", START_US + 60000000)
    with JournalAgent() as agent:
        journals.write(agent.file, a.entries(range(1, 6)))
        agent.catch_up_to(range(1, 6), "five entries are read")
        os.unlink(agent.file)
        journals.write(agent.directory + "/later.journal", b.entries(range(9, 12)))
        agent.catch_up_to([*range(1, 6), *range(9, 12)], "all that was read is gone: what is left is read, and the loss said",
                          [("vacuumed", 0)])
    with JournalAgent() as agent:
        old = Boot("old", START_US - 60000000)
        journals.write(agent.file, old.entries(range(1, 4)) + a.entries(range(4, 6)))
        agent.catch_up_to(range(1, 6), "two boots are read")
        os.unlink(agent.file)
        journals.write(agent.file, old.entries(range(1, 4)) + b.entries(range(9, 11)))
        agent.catch_up_to([*range(1, 6), 9, 10], "the second is gone: the first is not read again, and what came later is",
                          [("vacuumed", 0)])
    with JournalAgent() as agent:
        agent.catch_up_to([], "an empty directory")
        journals.write(agent.file, a.entries(range(1, 4)))
        agent.catch_up_to([1, 2, 3], "and a journal that comes later")


def test_damaged_file():
    """libsystemd passes over a file that it cannot read, without a word: the numbers tell."""
    host = real_host()
    if not host:
        return
    with host as real, JournalAgent() as agent:
        agent.configure(sources="journal", extra="journal = all\njournal-directory = %s\n" % real.journal_dir)
        for n in range(1, 4):
            for i in range(10):
                real.forge("alice", "test[%d]: line %d of %d" % (n, i, n))
            real.sync()
            real.rotate()
        real.forge("alice", "test[9]: the last")
        real.sync()
        whole = [f for f in glob.glob(str(real.journal_dir) + "/*.journal") if "@" in f]
        copy = agent.top + "/copy"
        shutil.copytree(str(real.journal_dir), copy)
        agent.configure(sources="journal", extra="journal = all\njournal-directory = %s\n" % copy)
        agent.catch_up()
        before = [r["raw"] for r in agent.verify()[0] if r["program"] == "test"]
        tap.ok(losses(agent.verify()[0]) == [] and len(before) == 31, "four files of a real journald, rotated: no loss",
               losses(agent.verify()[0]), len(before))
        shutil.rmtree(agent.state)
        archived = sorted(glob.glob(copy + "/user-*@*.journal"), key=os.path.getmtime)[1]
        undamaged = open(archived, "rb").read()
        # behind its end, room that journald has not given back yet
        end = len(undamaged.rstrip(b"\0"))
        for text, start, length in (("its header", 0, 4096), ("its end", end - 16384, 16384)):
            with open(archived, "r+b") as f:
                f.seek(start)
                f.write(b"\0" * length)
            agent.catch_up()
            rows = agent.verify()[0]
            gone = 31 - len([r for r in rows if r["program"] == "test"])
            said = losses(rows)
            # without its header nothing says how many entries the file had: 0 is "unknown"
            tap.ok(gone > 0 and {reason for reason, _ in said} == {"journal_gap"} and
                   any(amount >= gone or start == 0 for _, amount in said),
                   "one of them has lost %s: what is missing is declared" % text, gone, said, whole)
            shutil.rmtree(agent.state)
            with open(archived, "wb") as f:
                f.write(undamaged)


def real_host(**options):
    """A host with a real journald, or None after a skipped test."""
    try:
        from realhost import RealHost
        why = RealHost.unavailable("journal")
    except ImportError as error:
        why = str(error)
    if why:
        tap.skip("a real journald", why)
        return None

    @contextlib.contextmanager
    def started():
        import tempfile
        with tempfile.TemporaryDirectory(prefix="hallmark-host.") as out, RealHost(out, mode="journal", **options) as real:
            yield real

    return started()


def test_live():
    """A real journald, while the agent reads: rotation, and a flush from /run to /var."""
    host = real_host(flushed=False)
    if not host:
        return
    with host as real, JournalAgent() as agent:
        agent.configure(sources="journal", extra="journal = all\n")
        sent = 0

        def send(count, user="root"):
            nonlocal sent
            for _ in range(count):
                sent += 1
                real.forge(user, "test[1]: number %d" % sent)
            real.sync()

        def got():
            return [int(r["raw"].split()[-1]) for r in agent.verify()[0] if r["program"] == "test"]

        def arrived():
            return agent.wait_for(lambda: got() == list(range(1, sent + 1)))

        def end():
            """The agent runs within the host, where only its wrapper is our child."""
            real.run(["pkill", "-KILL", "-x", "hallmarkd"])
            agent.process.wait(10)

        send(5)
        agent.start(wrapper=real.prefix())
        tap.ok(arrived(), "a real journald in /run is read", got(), agent.stderr())
        real.rotate()
        send(5, "bob")
        tap.ok(arrived(), "through a rotation while it runs, with a user's own files", got())
        real.flush_journal()
        send(5)
        tap.ok(arrived(), "and a flush to /var while it runs, which numbers the entries anew", got())
        end()
        send(3, "bob")
        for _ in range(3):
            real.rotate()
            send(3)
        agent.start(wrapper=real.prefix())
        tap.ok(arrived(), "and rotations while it was down", got())
        tap.ok(losses(agent.verify()[0]) == [], "with no false alarm", losses(agent.verify()[0]))
        end()


def main():
    if journals.missing():
        print("1..0 # SKIP " + journals.missing())
        return 0
    test_selection()
    test_hostile_fields()
    test_notices()
    test_power_cut()
    test_renumbered()
    test_vacuum()
    test_damaged_file()
    test_live()
    return tap.done()


sys.exit(main())
