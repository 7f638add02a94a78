#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""exclude =: what is left out is counted exactly, over kills too, and stands in every batch; nobody gets himself left
out. KILLS (10) says how often the agent is killed while it leaves lines out; SEED repeats a run."""
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import chain  # noqa: E402
import journals  # noqa: E402
from agent import BUILD, Agent, Tap, auth_line, number_of  # noqa: E402

KILLS = int(os.environ.get("KILLS", "10"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
EXCLUDE = "exclude = CRON\nexclude = sshd*: Connection closed by\nexclude = nobody\n"
tap = Tap()


def line(text, program):
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}+00:00 golden {program}[812]: {text}\n"


def write(path, *lines):
    with open(path, "a", encoding="ascii") as log:
        log.write("".join(lines))


def exclusions(report):
    return {e["what"]: e["lines"] for e in report[0]["exclusions"]}


CRON = line("(root) CMD (test -x /usr/sbin/anacron)", "CRON")
CLOSED = line("Connection closed by 192.0.2.7 port 4711 [preauth]", "sshd")


def test_counts():
    with Agent() as agent:
        log = agent.top + "/auth.log"
        hostile = [line("Failed password for invalid user Connection closed by 192.0.2.7 port 4711 from 203.0.113.9 port 5 ssh2",
                        "sshd"),
                   line("Connection closed by somebody", "sshd"), line("Connection closed by 192.0.2.7 port 4711", "su"),
                   line("what nobody knows", "CRONY")]
        write(log, CRON, auth_line(1), CLOSED, *hostile, CRON, CLOSED.replace("sshd[", "sshd-session["), CLOSED)
        agent.configure(files=[log], extra=EXCLUDE)
        out, code, complaint = agent.catch_up()
        rows, report, verdict = agent.verify("--from-start")
        tap.ok((code, verdict) == (0, 0) and out.endswith("; 5 left out\n"), "the summary says how many lines were left out",
               out, complaint)
        tap.ok(exclusions(report) == {"CRON": 2, "sshd*: Connection closed by": 3, "nobody": 0} and report[0]["excluded"] == 5,
               "every entry is in the record with its lines, also one that left out none", report[0])
        raws = [row["raw"] + "\n" for row in rows if row["kind"] != "lifecycle"]
        tap.ok(raws == [auth_line_of(raws), *hostile], "what only looks like it is an event", *raws)
        text = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", "-q", agent.state + "/spool"],
                              capture_output=True, text=True).stdout
        tap.ok("  left out            5\n    CRON: 2\n    sshd*: Connection closed by: 3\n    nobody: 0\n" in text,
               "and the report tells people", text)
        agent.configure(files=[log], extra="exclude = CRON\nexclude =\nexclude = su\n")
        write(log, CRON, hostile[2])
        agent.catch_up()
        rows, report, _ = agent.verify("--from-start")
        tap.ok(exclusions(report) == {"CRON": 2, "sshd*: Connection closed by": 3, "nobody": 0, "su": 1} and
               rows[-2]["program"] == "CRON", "an empty value takes the entries before it away; the change is in the record",
               report[0])


def auth_line_of(raws):
    return next(raw for raw in raws if "zq000000001" in raw)


def test_pace():
    with Agent() as agent:
        log = agent.top + "/auth.log"
        write(log, auth_line(1))
        agent.configure(files=[log], extra=EXCLUDE + "exclude = sudo\n", sections="[Pace]\ncheckpoint = 2s")
        agent.start()
        agent.wait_sequence(1)
        time.sleep(0.2)
        before = agent.committed()
        write(log, *[CRON] * 7)
        time.sleep(0.5)
        tap.ok(agent.committed() == before, "what is left out makes no batch due", before, agent.committed())
        agent.wait_sequence(before[2] + 1)
        report = agent.verify()[1]
        tap.ok(exclusions(report)["CRON"] == 7, "the next checkpoint says how much it was", report[0])
        before = agent.committed()
        for _ in range(10):
            write(log, line("   alice : PWD=/ ; USER=root ; COMMAND=/bin/true", "sudo"))
            time.sleep(0.35)
        tap.ok(agent.committed()[2] > before[2], "lines that are held and left out put off no checkpoint", before,
               agent.committed())
        write(log, *[CRON] * 3)
        time.sleep(0.2)
        tap.ok(agent.stop() == 0 and exclusions(agent.verify()[1])["CRON"] == 10, "and so does the farewell",
               agent.verify()[1])


class Writer(threading.Thread):
    """Lines to leave out, and one that counts among every three of them."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.count, self.running = path, 0, True

    def run(self):
        while self.running:
            self.count += 10
            write(self.path, *(CRON + CRON + auth_line(n) + CLOSED for n in range(self.count - 9, self.count + 1)))
            time.sleep(0.01)


def test_kills():
    rng = random.Random(SEED)
    print(f"# seed {SEED}, {KILLS} kills")
    with Agent() as agent:
        log = agent.top + "/auth.log"
        open(log, "w", encoding="ascii").close()
        agent.configure(files=[log], extra=EXCLUDE, sections="[Pace]\ncheckpoint = 1s")
        writer = Writer(log)
        writer.start()
        for _ in range(KILLS):
            agent.start()
            time.sleep(rng.uniform(0.02, 0.6))
            agent.kill()
        writer.running = False
        writer.join()
        agent.start()
        time.sleep(0.5)
        stopped = agent.stop()
        rows, report, verdict = agent.verify("--from-start")
        numbers = [number_of(row) for row in rows if number_of(row) is not None]
        good = tap.ok((stopped, verdict) == (0, 0) and numbers == list(range(1, writer.count + 1)),
                      f"after {KILLS} kills every event is there once", report, len(numbers), writer.count)
        good &= tap.ok(exclusions(report) == {"CRON": 2 * writer.count, "sshd*: Connection closed by": writer.count,
                                              "nobody": 0},
                       f"and of {3 * writer.count} lines that were left out each was counted once", report[0])
        agent.keep = not good


def test_never_left_out():
    if journals.missing():
        tap.skip("a forged line is never left out", journals.missing())
        return
    boot = journals.Boot("a")
    text = {"MESSAGE": "Accepted password for root from 192.0.2.7 port 4711 ssh2"}
    with Agent() as agent:
        os.mkdir(agent.top + "/journal")
        journals.write(agent.top + "/journal/system.journal", [
            boot.entry(1, **text), boot.entry(2, _UID="1000", _PID="99", SYSLOG_PID="99", **text), boot.entry(3)])
        agent.configure(sources="journal", extra=f"journal-directory = {agent.top}/journal\nexclude = sshd\nexclude = hallmark\n")
        agent.catch_up()
        rows, report, _ = agent.verify("--from-start")
        tap.ok([(row["kind"], row["provenance"]["uid"]) for row in rows if row["program"] == "sshd"] == [("forged", 1000)] and
               exclusions(report) == {"sshd": 2, "hallmark": 0}, "a forged line is never left out", *rows, report[0])
        tap.ok([row["activity"] for row in rows if row["program"] == "hallmark"] == ["started", "stopped"],
               "neither is what the agent says itself", *rows)


def test_configuration():
    for value in ("*", "sshd:", "sshd:x", ": x", "two words", "a,b", "x" * 161):
        with Agent() as agent:
            agent.configure(extra=f"exclude = {value}\n")
            _, code, complaint = agent.catch_up()
            tap.ok(code == 3 and f'hallmark.conf:4: exclude = "{value}" is not ' in complaint,
                   f"exclude = {value[:20]}: a sentence with file and line, and exit code 3", code, complaint)
    with Agent() as agent:
        agent.configure(extra="".join(f"exclude = x{n}\n" for n in range(65)))
        _, code, complaint = agent.catch_up()
        tap.ok(code == 3 and ":68: " in complaint, "the 65th entry is one too many", code, complaint)


def test_foreign_record():
    """By another writer of the format: added up over batches, and within bounds."""
    key = chain.Key(1)
    record = chain.Chain(key)
    frames = [record.add(more=chain.excluded("CRON", 2**64 - 5) + chain.excluded("\x1b[31m", 1)),
              record.add([chain.line("x")], more=chain.excluded("CRON", 7)),
              record.add(more=b"".join(chain.excluded(f"x{n}", 1) for n in range(1000)), farewell=True)]
    with Agent() as agent:
        path = agent.top + "/frames"
        with open(path, "wb") as file:
            file.write(b"".join([*frames, frames[0]]))
        report, verdict = agent.verify("--from-start", path=path)[1:]
        found = exclusions(report)
        tap.ok(verdict == 0 and found["CRON"] == 2**64 - 1 and report[0]["excluded"] == 2**64 - 1 and len(found) == 64,
               "the counts of a record are added up, its duplicates left aside, and bounded", report[0])
        text = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", "-q", path], capture_output=True).stdout
        tap.ok(b"\x1b" not in text, "what a record calls them is escaped")


test_counts()
test_pace()
test_kills()
test_never_left_out()
test_configuration()
test_foreign_record()
sys.exit(tap.done())
