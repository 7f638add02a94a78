#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines that sudo split: one event each, and each part exactly once, whatever ends the agent and whenever.

The last part is a real sudo, watched through the log file and the journal. KILLS (12) says how often the agent is
killed under a stream of such lines; SEED repeats a run.
"""
import collections
import os
import random
import re
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import journals  # noqa: E402
from agent import Agent, Tap, auth_line  # noqa: E402
from realhost import RealHost  # noqa: E402

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
tap = Tap()


def line(text, pid=4711, tag="sudo"):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return f"{stamp}.{time.time_ns() // 1000 % 1000000:06d}+00:00 golden {tag}[{pid}]: {text}\n"


def first(number, user="alice"):
    return f"{user:>8} : PWD=/ ; USER=root ; COMMAND=/bin/echo first-{number}"


def second(number, user="alice"):
    return f"{user:>8} : (command continued) second-{number}"


def write(path, *lines):
    with open(path, "a", encoding="ascii") as log:
        log.write("".join(lines))


def of_sudo(rows):
    return [row for row in rows if row.get("program") == "sudo"]


def parts(rows):
    """How often each part is there."""
    return collections.Counter(part for row in of_sudo(rows) for part in re.findall(r"(?:first|second)-\d+", row["raw"]))


def exactly_once(rows, numbers):
    return parts(rows) == collections.Counter(f"{half}-{n}" for n in numbers for half in ("first", "second"))


def commands(rows):
    return [row.get("command") for row in of_sudo(rows)]


WHOLE = "/bin/echo first-1 second-1"


def test_until_caught_up():
    with Agent() as agent:
        log = agent.top + "/auth.log"
        write(log, line(first(1)), auth_line(1), line(second(1)),
              line(second(2), pid=4712), line(first(3), pid=4713))
        agent.configure(files=[log])
        _, code, complaint = agent.catch_up()
        rows, report, verdict = agent.verify("--from-start")
        tap.ok((code, verdict) == (0, 0), "lines in parts are read to the end", complaint, *report)
        tap.ok(sorted(map(str, commands(rows))) == sorted([WHOLE, "second-2", "/bin/echo first-3"]),
               "two parts with a line between them are one event, a part without its first one is one of its own",
               *of_sudo(rows))
        joined = [row for row in of_sudo(rows) if row.get("joined") == "yes"]
        tap.ok([row.get("command") for row in joined] == [WHOLE], "and only what was joined says so", *joined)
        tap.ok(rows[-1].get("activity") == "stopped", "what was held comes before the farewell", rows[-1])


def case(before, between, after, how):
    """A first part, and its second one later; the agent is killed in between or behind. `before`: it runs already."""
    with Agent() as agent:
        log = agent.top + "/auth.log"
        write(log, line(first(0)), line(second(0)))
        agent.configure(files=[log])
        agent.start()
        agent.wait_sequence(1)
        time.sleep(0.3)
        write(log, line(first(1)))
        time.sleep(before)
        if how == "killed between":
            agent.kill()
        time.sleep(between)
        write(log, line(second(1)))
        time.sleep(after)
        if how == "killed behind":
            agent.kill()
        if how != "runs on":
            agent.start()
        time.sleep(0.4)
        stopped = agent.stop()
        rows, report, verdict = agent.verify("--from-start")
        good = stopped == 0 and verdict == 0 and exactly_once(rows, [0, 1])
        text = f"{how}, {before} s, {between} s, {after} s"
        tap.ok(good, f"{text}: each part is there once, and the chain is whole", parts(rows), *report)
        agent.keep = not good
        return WHOLE in commands(rows)


def test_kills():
    joined = collections.Counter()
    for how, before, between, after in (
            ("runs on", 0.05, 0, 0.3), ("runs on", 0.3, 0, 0.3),
            ("killed between", 0.02, 0, 0), ("killed between", 0.05, 0.3, 0), ("killed between", 0.3, 0, 0),
            ("killed behind", 0.05, 0, 0), ("killed behind", 0.05, 0, 0.3), ("killed behind", 0.3, 0, 0)):
        joined[how, before, between, after] += case(before, between, after, how)
    # killed while the first part was held: the next run finds both parts, and has to know nothing of the one before
    tap.ok(joined["killed between", 0.02, 0, 0] and joined["killed between", 0.05, 0.3, 0],
           "killed while a part is held, the agent joins what it reads again", joined)
    tap.ok(not joined["runs on", 0.3, 0, 0.3] and not joined["killed between", 0.3, 0, 0],
           "what comes too late is an event of its own, also to the run that follows", joined)
    # on a busy machine the writer itself may be late, though hardly three times
    tap.ok(joined["runs on", 0.05, 0, 0.3] or any(case(0.05, 0, 0.3, "runs on") for _ in range(5)),
           "what comes after 50 ms is joined", joined)


class Writer(threading.Thread):
    """Ten split lines a time, of processes that write at once."""

    def __init__(self, path, rng):
        super().__init__(daemon=True)
        self.path, self.rng, self.count, self.running = path, rng, 0, True

    def run(self):
        while self.running:
            numbers = range(self.count, self.count + 10)
            lines = [(first(n), n) for n in numbers], [(second(n), n) for n in numbers]
            for half in lines:
                write(self.path, *(line(text, pid=1000 + n % 10) for text, n in half))
                time.sleep(self.rng.choice((0, 0, 0.002)))
            write(self.path, auth_line(self.count))
            self.count += 10
            time.sleep(0.01)


def test_stream():
    rng = random.Random(SEED)
    print(f"# seed {SEED}, {KILLS} kills")
    with Agent() as agent:
        log = agent.top + "/auth.log"
        open(log, "w", encoding="ascii").close()
        agent.configure(files=[log])
        writer = Writer(log, rng)
        writer.start()
        for _ in range(KILLS):
            agent.start()
            time.sleep(rng.uniform(0.05, 0.5))
            agent.kill()
        agent.start()
        start = agent.wait_for(agent.committed)
        time.sleep(2)
        end = agent.committed()
        writer.running = False
        writer.join()
        time.sleep(0.5)
        stopped = agent.stop()
        rows, report, verdict = agent.verify("--from-start")
        whole = sum(row.get("joined") == "yes" for row in of_sudo(rows))
        print(f"# {writer.count} lines in two parts, {whole} of them joined")
        good = tap.ok((stopped, verdict) == (0, 0), f"the chain is whole after {KILLS} kills", *report)
        good &= tap.ok(exactly_once(rows, range(writer.count)), "and every part is there, once",
                       *(collections.Counter(f"{half}-{n}" for n in range(writer.count) for half in ("first", "second"))
                         - parts(rows)), *(p for p, n in parts(rows).items() if n > 1))
        good &= tap.ok(whole > writer.count * 0.9, "nearly all of them joined", whole, writer.count)
        tap.ok(end[2] - start[2] >= 10, "a stream of lines in parts does not keep batches from being closed", start, end)
        agent.keep = not good


def test_journal():
    if journals.missing():
        tap.skip("a forged continuation in the journal", journals.missing())
        return
    boot = journals.Boot("a")
    alice = {"SYSLOG_IDENTIFIER": "sudo", "_PID": "77", "SYSLOG_PID": "77", "_UID": "1000", "_COMM": "sudo",
             "_EXE": "/usr/bin/sudo"}
    with Agent() as agent:
        os.mkdir(agent.top + "/journal")
        journals.write(agent.top + "/journal/system.journal", [
            boot.entry(1, **dict(alice, MESSAGE=first(1))),
            boot.entry(2, **dict(alice, MESSAGE=second(2), _UID="1001")),
            boot.entry(3, **dict(alice, MESSAGE=second(3), _PID="78")),
            boot.entry(4, **dict(alice, MESSAGE=second(4), _UID=None)),
            boot.entry(5, **dict(alice, MESSAGE=second(1))),
            boot.entry(6)])
        agent.configure(sources="journal", extra=f"journal-directory = {agent.top}/journal")
        agent.catch_up()
        rows, report, verdict = agent.verify("--from-start")
        tap.ok(verdict == 0 and sum("command" in row for row in of_sudo(rows)) == 4 and WHOLE in commands(rows),
               "a continuation of another user or process is not taken for sudo's, and does not come between",
               *of_sudo(rows))
        whole = [row for row in of_sudo(rows) if row.get("command") == WHOLE]
        tap.ok([row["provenance"]["uid"] for row in whole] == [1000], "who wrote the first part, wrote the line", *whole)


ARGUMENTS = [f"argument-{number:03d}" for number in range(100)] + ["x" * 2000, "end"] + \
    [f"another-{number:03d}" for number in range(50)]


def test_real_sudo():
    reason = RealHost.unavailable("both")
    if reason:
        tap.skip("a real sudo with a command of 3000 bytes and more", reason)
        return
    with tempfile.TemporaryDirectory(prefix="hallmark-host.") as out, \
            RealHost(out, mode="both") as host, \
            Agent(sources="files", files=[str(host.auth_log)]) as files, \
            Agent(sources="journal", extra=f"journal-directory = {host.journal_dir}") as journal:
        for agent in (files, journal):
            agent.start()
        host.sudo_ok("alice", ["/usr/bin/echo", *ARGUMENTS])
        host.sudo_denied("bob", ["/usr/bin/cat", *ARGUMENTS])
        host.sync()
        host.stop()
        for agent, label in ((files, "the log file"), (journal, "the journal")):
            time.sleep(0.5)
            agent.stop()
            rows, report, verdict = agent.verify("--from-start")
            found = [row for row in of_sudo(rows) if "command" in row]
            tap.ok(verdict == 0 and commands(found) == [" ".join([program, *ARGUMENTS])
                                                        for program in ("/usr/bin/echo", "/usr/bin/cat")],
                   f"{label}: the command of a real sudo comes back to the letter", *report, *found)
            tap.ok([(row.get("user"), row.get("outcome"), row.get("joined")) for row in found] ==
                   [("alice", "success", "yes"), ("bob", "failure", "yes")], f"{label}: and whose it was", *found)


test_until_caught_up()
test_journal()
test_kills()
test_stream()
test_real_sudo()
sys.exit(tap.done())
