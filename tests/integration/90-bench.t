#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures with: the log that it makes, each of its figures from a short run, and how those are judged.
No time is asserted. (A short log, few rounds, no waiting: the figures themselves mean nothing.)"""
import collections
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "bench")]
import journals  # noqa: E402
import material  # noqa: E402
from agent import BUILD, Tap  # noqa: E402
from authlog import AuthLog  # noqa: E402
from figures import OURS, REFERENCE, ROWS, Figures  # noqa: E402

LINES = 4000
SHORT = ["--lines", str(LINES), "--rounds", "1", "--tries", "2", "--batches", "3", "--idle-seconds", "1", "--paced-seconds", "1",
         "--settle-seconds", "0"]
# Beside hallmarkd, and where rsyslog is there.
PEERLESS = {"log.gzip", "limits.read", "limits.sha256", "limits.zstd", "limits.match", "limits.walk"}
RSYSLOG = {"catch-up.speed", "catch-up.cpu", "catch-up.rss", "catch-up.bytes", "catch-up.pss", "catch-up.dirty", "idle.pss",
           "idle.dirty", "idle.wakeups", "idle.cpu", "first.median", "first.p99", "paced.median", "paced.p99"}

tap = Tap()

# --- the log -------------------------------------------------------------------------------------------

with tempfile.TemporaryDirectory() as top:
    AuthLog().write(top + "/a", 100000)
    AuthLog().write(top + "/b", 100000)
    AuthLog(seed=2).write(top + "/c", 100000)
    logs = {name: open(f"{top}/{name}", "rb").read() for name in "abc"}
    size = material.gzip_bytes(top + "/a", 100000)
    squeezed = len(subprocess.run(["gzip", "-6", "-c", top + "/a"], stdout=subprocess.PIPE, check=True).stdout)
tap.ok(logs["a"] == logs["b"] and logs["a"] != logs["c"], "the same seed gives the same log, and another one another")
mean = len(logs["a"]) / 100000
tap.ok(113 <= mean <= 116 and logs["a"].count(b"\n") == 100000, f"a line of it has 114 bytes, more or less ({mean:.1f})")
tap.ok(10.8 <= squeezed / 100000 <= 11.0, f"and 10.9 after gzip -6 ({squeezed / 100000:.2f})")
tap.ok(abs(size * 100000 / squeezed - 1) < 0.005, f"the benchmark finds the same of itself ({size:.2f})")
tap.ok("do not count" in material.complaint(10.79, 1000000) and "do not count" in material.complaint(11.01, 1000000) and
       material.complaint(10.9, 1000000) is None, "and complains of a log of another kind")
known = subprocess.run([BUILD + "/tests/bench/matcher", "packaging/templates", "/dev/stdin", "1"], input=logs["a"],
                       capture_output=True, check=False).stdout.decode()
tap.ok("100.0 % known" in known, "our templates know all of it", known)
numbered = list(itertools.islice(AuthLog().numbered(500), 5000))
named = [re.findall(r"\bzq(\d{9})\b", line) for line in numbered]
tap.ok(named == [["%09d" % n] for n in range(500, 5500)] and all(line.endswith("\n") for line in numbered),
       "each numbered line bears its number, once")

# --- the run -------------------------------------------------------------------------------------------

unshared = subprocess.run(["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--map-root-user"]) + ["true"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0
if not unshared or journals.missing():
    tap.skip("each row has a figure", journals.missing() or "no network namespace can be had")
else:
    done = subprocess.run(["tests/bench/run", *SHORT], capture_output=True, text=True, check=False)
    objects = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    figures = [o for o in objects if "name" in o]
    tap.ok(done.returncode == 0, "all could be measured", done.stderr, *(o for o in objects if "note" in o))
    subjects = collections.defaultdict(dict)
    for o in figures:
        subjects[o["name"]][o["subject"]] = o
    wanted = {key: {OURS} for key in ROWS if key not in PEERLESS}
    if shutil.which("rsyslogd", path="/usr/sbin:/sbin"):
        for key in RSYSLOG:
            wanted[key] = {OURS, REFERENCE}
    lacking = [(key, who) for key, those in wanted.items() for who in those if who not in subjects[key]]
    tap.ok(not lacking and not [key for key in ROWS if not subjects[key]], "each row has a figure of each subject", lacking,
           [key for key in ROWS if not subjects[key]])
    wrong = [o for o in figures if not all(isinstance(o[key], (int, float)) and o[key] >= 0 and o["min"] <= o[key] <= o["max"]
                                           for key in ("value", "min", "median", "max")) or not o["machine"]["cpu"]]
    tap.ok(figures and not wrong, "each is a number between the least and the most", *wrong)
    table = done.stdout.split("\n\n")[1].splitlines()
    tap.ok([line for line in table[1:] if not any(line.startswith(row.what) for row in ROWS.values())] == [] and
           len(table) == 1 + len(ROWS), "the table has a line for each row", *table)
    sizes = [subjects[key][OURS]["value"] for key in ("catch-up.bytes", "paced.bytes", "batches.bytes")]
    tap.ok(1 < sizes[0] < sizes[1] < sizes[2] < 400, "an event takes the more bytes the fewer are in a batch", sizes)
    none_of_it = [name for name in os.listdir(BUILD) if name.startswith("bench-")]
    tap.ok(not none_of_it, "nothing is left of it but the log and the journal", none_of_it)

# --- how figures are judged ------------------------------------------------------------------------------


def judged(at_home, key, ours, rsyslogs=None):
    figures = Figures()
    figures.at_home = at_home
    figures.add(key, OURS, *ours)
    if rsyslogs:
        figures.add(key, REFERENCE, *rsyslogs)
    return figures.verdict(key)


for at_home, key, ours, rsyslogs, verdict in (
        (True, "catch-up.speed", [1500000, 1700000, 1800000], None, "met"),
        (True, "catch-up.speed", [1500000, 1599999, 1800000], None, "missed"),
        (True, "catch-up.cpu", [0.59], [0.1], "met"),
        (True, "catch-up.cpu", [0.61], [100], "missed"),
        (False, "catch-up.speed", [800000], [80000], "met"),
        (False, "catch-up.speed", [1700000], [200000], "missed"),
        (False, "catch-up.speed", [1700000], None, ""),
        (False, "catch-up.bytes", [10], None, "met"),
        (False, "verify.speed", [10], None, ""),
        (True, "idle.wakeups", [0], [0], "met"),
        (True, "first.p99", [1] * 98 + [40, 40], None, "missed"),
        (True, "first.p99", [1] * 98 + [29, 40], None, "missed"),
        (True, "first.p99", [1] * 199 + [40], None, "met"),
        (True, "journal.cpu", [1], None, "")):
    found = judged(at_home, key, ours, rsyslogs)
    tap.ok(found == verdict, "%s of %s%s %s is %s" % (key, ours[-3:], "" if at_home else " elsewhere",
                                                    f"beside {rsyslogs}" if rsyslogs else "", verdict or "not judged"), found)

# --- the profile -----------------------------------------------------------------------------------------

if shutil.which("valgrind") and not journals.missing():
    done = subprocess.run(["tests/bench/profile", "100", "40"], capture_output=True, text=True, check=False)
    costs = [int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) instructions a line", done.stdout)]
    tap.ok(done.returncode == 0 and len(costs) == 3 and min(costs) > 100, "the profile counts all three", done.stderr,
           *done.stdout.splitlines()[:10])
    tap.ok("header_parse" in done.stdout and "event_writer_add" in done.stdout, "by function")
else:
    tap.skip("the profile", "no valgrind")
sys.exit(tap.done())
