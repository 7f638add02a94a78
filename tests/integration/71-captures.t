#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What real sshd, sudo, su and PAM of two Debian releases logged, held against what was really done.

The recordings and their truth are in tests/capture/data: the log files go through `hallmark parse`, the journal
through systemd-journal-remote into journal files, and from there through hallmarkd.
"""
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap  # noqa: E402
from truth import (hold, hold_entries, hold_known, hold_writers, in_order, is_logon, is_sshd, message,  # noqa: E402
                   set_forged_aside, whole_lines)

DATA = "tests/capture/data/"
TRUTH = {"bookworm-auth": "bookworm-auth-truth.jsonl", "trixie-auth": "trixie-auth-truth.jsonl",
         "bookworm-names": "bookworm-names-truth.jsonl"}
RESULT = re.compile(r"(Accepted|Failed) (\S+) for (?:invalid user )?(.*) from (\S+) port (\d+) ssh2(?:: \S+ \S+)?$")
JOURNAL_REMOTE = ("/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote")
tap = Tap()


def read_truth(name):
    with open(DATA + name, encoding="ascii") as lines:
        return [json.loads(line) for line in lines]


def parse(path):
    command = [BUILD + "/hallmark", "parse", "--templates", "packaging/templates", "--format", "json", path]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_results(label, lines, events):
    """Where there is no truth: each result line as a plain expression reads it."""
    wanted = []
    for line in lines:
        found = RESULT.search(line)
        if found:
            word, method, user, address, port = found.groups()
            wanted.append(("success" if word == "Accepted" else "failure", method, user, address, int(port)))
    said = [tuple(e.get(key) for key in ("outcome", "method", "user", "src_ip", "src_port"))
            for e in events if is_sshd(e) and is_logon(e) and "method" in e]
    tap.ok(wanted and said == wanted, f"{label}: the {len(wanted)} results of login attempts",
           *sorted(set(wanted) ^ set(said), key=str)[:20])


for path in sorted(glob.glob(DATA + "*.log")):
    name = os.path.basename(path)[:-4]
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    events = parse(path)
    tap.ok(in_order([(e["message"],) for e in events]) == in_order(whole_lines([(line.split(": ", 1)[1],) for line in lines])),
           f"{name}: every line, once")
    if name in TRUTH:
        truth = read_truth(TRUTH[name])
        events, forged = set_forged_aside(truth, events)
        lines = [line for line in lines if not any(message(e) in line for e in forged)]
        tap.ok(len(forged) == sum(f["what"] == "forgery" for f in truth),
               f"{name}: {len(forged)} forged lines, which a file cannot tell from others")
        hold(tap, name, truth, events)
    check_results(name, lines, events)
    hold_known(tap, name, events)

# --- the journal, with the fields that journald itself put to each entry

TEXT = "the journal of bookworm"


def read_export(path):
    """The entries of the journal export format (no binary field is in ours)."""
    with open(path, encoding="utf-8") as file:
        entries = file.read().strip().split("\n\n")
    return [dict(line.split("=", 1) for line in entry.splitlines()) for entry in entries]


def check_journal(program):
    truth, entries = read_truth("bookworm-journal-truth.jsonl"), read_export(DATA + "bookworm-journal.export")
    with Agent() as agent:
        journal = agent.top + "/journal"
        os.mkdir(journal)
        subprocess.run([program, "-o", journal + "/system.journal", DATA + "bookworm-journal.export"], check=True,
                       capture_output=True, timeout=60)
        agent.configure(sources="journal", extra=f"journal-directory = {journal}")
        _, code, complaint = agent.catch_up()
        tap.ok(code == 0, f"{TEXT} is read to its end", complaint)
        rows, report, code = agent.verify("--from-start")
        tap.ok(code == 0, f"{TEXT}: the chain is whole", *report)
    events = [e for e in rows if e["kind"] not in ("evidence_loss", "lifecycle")]
    tap.ok(len(rows) - len(events) == 2, f"{TEXT}: the agent says of itself that it started and ended, and no more",
           *[e for e in rows if e not in events])
    hold_entries(tap, TEXT, entries, events)
    events, forged = set_forged_aside(truth, events)
    tap.ok([e["provenance"]["uid"] for e in forged] == [f["uid"] for f in truth if f["what"] == "forgery"] and forged,
           f"{TEXT}: a forged line shows who wrote it", *forged)
    hold_writers(tap, TEXT, events)
    hold(tap, TEXT, truth, events)
    hold_known(tap, TEXT, events)


remote = next((path for path in JOURNAL_REMOTE if os.access(path, os.X_OK)), None)
if remote:
    check_journal(remote)
else:
    tap.skip(TEXT, "systemd-journal-remote is not installed")
sys.exit(tap.done())
