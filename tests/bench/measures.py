# SPDX-License-Identifier: Apache-2.0
"""The measurements: each function of GROUPS measures some rows of figures.py. A Bench (see run) has the log, the options and
the figures."""
import bisect
import concurrent.futures
import contextlib
import http.server
import itertools
import os
import re
import socket
import subprocess
import threading
import time

import agent
from authlog import AuthLog
from observe import Peaks, cpu_s, memory, quantities, wakeups
from subjects import Failed, Hallmarkd

QUIET_S = 1.1
A_SECOND = 2000
BATCH = 20
STUCK_S = 60
MATCHED = re.compile(r"([0-9.]+) with template")
UPLOAD = ("/lib/systemd/systemd-journal-upload", "/usr/lib/systemd/systemd-journal-upload")


def lines_of(seed, count):
    return [line.encode() for line in itertools.islice(AuthLog(seed).lines(), count)]


# --- catching up ---------------------------------------------------------------------------------------


def catch_up(bench):
    """Reading a log that is there: how fast, at which cost, and what is left of it in memory afterwards."""
    for kind in bench.in_turns():
        with bench.failures(kind.name), bench.running(kind, bench.log) as subject:
            seconds = subject.wait_for(bench.lines)
            cpu, rss = cpu_s(subject.process.pid), quantities(f"/proc/{subject.process.pid}/status")["VmHWM"]
            if not subject.typed():
                raise Failed("what it delivers is not typed")
            time.sleep(bench.options.settle_seconds)
            idle = memory(subject.process.pid)
            bench.add(kind, {"catch-up.speed": bench.lines / seconds, "catch-up.cpu": cpu * 1e6 / bench.lines,
                             "catch-up.rss": rss, "catch-up.bytes": subject.sink_size() / bench.lines,
                             "catch-up.pss": idle["Pss"], "catch-up.dirty": idle["Private_Dirty"]})


def verify(bench):
    """Proving a spool on one core."""
    with bench.running(Hallmarkd, bench.log) as subject:
        subject.wait_for(bench.lines)
        for _ in range(bench.rounds):
            begun = time.monotonic()
            subprocess.run([agent.BUILD + "/hallmark", "verify", "--trust-first", "--report-only",
                            subject.agent.state + "/spool"], stdout=subprocess.DEVNULL, check=True,
                           preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
            bench.add(Hallmarkd, {"verify.speed": bench.lines / (time.monotonic() - begun)})


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what systemd-journal-upload sends, and counts entries."""
    protocol_version = "HTTP/1.1"
    entries = 0

    def do_POST(self):
        tail = b""
        while size := int(self.rfile.readline(), 16):
            data = tail + self.rfile.read(size)
            Receiver.entries += data.count(b"\n__REALTIME_TIMESTAMP=")
            tail = data[-len(b"__REALTIME_TIMESTAMP="):]
            self.rfile.readline()
        self.rfile.readline()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def journal_upload(bench, program):
    """One run of it: raw entries into a receiver that only counts them."""
    Receiver.entries = 0
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        begun = time.monotonic()
        process = subprocess.Popen([program, "--url", "http://127.0.0.1:%d" % server.server_port, "-D", bench.journal,
                                    "--follow=no", "--save-state=" + bench.work + "/upload-state"], stderr=subprocess.DEVNULL)
        peaks = Peaks(process.pid)
        status = process.wait(timeout=STUCK_S)
        seconds, highest = time.monotonic() - begun, peaks.stop()
        server.shutdown()
    os.unlink(bench.work + "/upload-state")
    if status or Receiver.entries != bench.lines:
        raise Failed(f"systemd-journal-upload sent {Receiver.entries} of {bench.lines} and ended with {status}")
    bench.figures.add("journal.speed", "journal-upload", bench.lines / seconds)
    bench.figures.add("journal.anonymous", "journal-upload", highest["RssAnon"])
    bench.figures.add("journal.mapped", "journal-upload", highest["RssFile"])


def journal(bench):
    """The same lines from a journal, of which the end counts only if all entries came."""
    upload = next((path for path in UPLOAD if os.path.exists(path)), None)
    if not upload:
        bench.figures.note("systemd-journal-upload is not installed")
    extra = "journal = all\njournal-directory = " + bench.journal
    for _ in range(bench.rounds):
        with bench.running(Hallmarkd, None, sources="journal", extra=extra) as subject:
            peaks = Peaks(subject.process.pid)
            seconds = subject.wait_for(bench.lines)
            highest = peaks.stop()
            bench.add(Hallmarkd, {"journal.speed": bench.lines / seconds, "journal.anonymous": highest["RssAnon"],
                                  "journal.cpu": cpu_s(subject.process.pid) * 1e6 / bench.lines,
                                  "journal.mapped": highest["RssFile"]})
        if upload:
            with bench.failures("systemd-journal-upload"):
                journal_upload(bench, upload)


# --- living --------------------------------------------------------------------------------------------


def idle(bench):
    """Having nothing to do: memory, wake-ups and CPU."""
    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind("\0hallmark-bench-%d" % os.getpid())
        manager.setblocking(False)
        watched = {"NOTIFY_SOCKET": "@hallmark-bench-%d" % os.getpid(), "WATCHDOG_USEC": "120000000"}
        subjects = [stack.enter_context(bench.running(kind, bench.own_log(kind), watched if kind is Hallmarkd else None))
                    for kind in bench.kinds]
        bench.settle(*subjects)
        pings(manager)
        before = [(subject, wakeups(subject.process.pid), cpu_s(subject.process.pid)) for subject in subjects]
        time.sleep(bench.options.idle_seconds)
        for subject, woken, cpu in before:
            pid = subject.process.pid
            used = memory(pid)
            bench.add(type(subject), {
                "idle.pss": used["Pss"], "idle.dirty": used["Private_Dirty"], "idle.cpu": (cpu_s(pid) - cpu) * 1000,
                "idle.wakeups": wakeups(pid) - woken - (pings(manager) if isinstance(subject, Hallmarkd) else 0)})
    if bench.options.idle_seconds != 60:
        bench.figures.note(f"idle: {bench.options.idle_seconds} s instead of 60")


def pings(manager):
    """How often the watchdog was told, since the last call."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            count += b"WATCHDOG=1" in manager.recv(4096)
    return count


def batches(bench):
    """Twenty lines and their commit, and again: bytes an event."""
    with bench.running(Hallmarkd, bench.own_log(Hallmarkd)) as subject, open(subject.log, "ab", buffering=0) as log:
        bench.settle(subject)
        change = subject.change()
        lines = iter(lines_of(3, BATCH * bench.options.batches))
        for _ in range(bench.options.batches):
            before = subject.mark()
            log.write(b"".join(itertools.islice(lines, BATCH)))
            while subject.mark() == before:
                if not change.wait(10):
                    raise Failed("a batch was not committed")
        change.close()
        subject.wait_for(BATCH * bench.options.batches)
        sizes, marks = subject.frame_sizes(), subject.marks_of_lines()
        whole = [sequence for sequence, events in itertools.groupby(marks) if len(list(events)) == BATCH]
        if not whole:
            raise Failed("no batch had 20 lines")
        bench.add(Hallmarkd, {"batches.bytes": sum(sizes[n - 1] for n in whole) / (BATCH * len(whole))})


def deliver(subject, lines, pauses):
    """Writes each line after its pause. Returns for each how many milliseconds after its write it was in the sink, and the
    sink's mark that it came with."""
    written, seen = [], []
    change = subject.change()
    with open(subject.log, "ab", buffering=0) as log:
        due = time.monotonic()
        for line, pause in zip(lines, pauses):
            due += pause
            while change.wait(left := due - time.monotonic()) or left > 0:
                seen.append((time.monotonic(), subject.mark()))
            written.append(time.monotonic())
            log.write(line)
    until = time.monotonic() + STUCK_S
    while change.wait(QUIET_S) or (subject.arrived() < len(written) and time.monotonic() < until):
        seen.append((time.monotonic(), subject.mark()))
    seen.append((time.monotonic(), subject.mark()))
    change.close()
    marks = list(subject.marks_of_lines())
    if len(marks) != len(written):
        raise Failed(f"{len(marks)} of {len(written)} lines reached the sink of {subject.name}")
    reached = [mark for _, mark in seen]
    return [(seen[bisect.bisect_left(reached, mark)][0] - at) * 1000 for mark, at in zip(marks, written)], marks


def first(bench):
    """The first line after quiet, of all subjects beside one another, and never at the same moment."""
    def follow(subject):
        time.sleep(QUIET_S * subjects.index(subject) / len(subjects))
        with bench.failures(subject.name):
            samples, _ = deliver(subject, lines_of(4, bench.options.tries), itertools.repeat(QUIET_S))
            bench.figures.add("first.median", subject.name, *samples)
            bench.figures.add("first.p99", subject.name, *samples)

    with contextlib.ExitStack() as stack:
        subjects = [stack.enter_context(bench.running(kind, bench.own_log(kind))) for kind in bench.kinds]
        bench.settle(*subjects)
        with concurrent.futures.ThreadPoolExecutor(len(subjects)) as pool:
            list(pool.map(follow, subjects))


def paced(bench):
    """A steady stream of lines, each in a write of its own."""
    for kind in bench.kinds:
        with bench.failures(kind.name), bench.running(kind, bench.own_log(kind)) as subject:
            bench.settle(subject)
            samples, marks = deliver(subject, lines_of(5, A_SECOND * bench.options.paced_seconds), itertools.repeat(1 / A_SECOND))
            bench.figures.add("paced.median", kind.name, *samples)
            bench.figures.add("paced.p99", kind.name, *samples)
            if kind is Hallmarkd:
                sizes, used = subject.frame_sizes(), sorted(set(marks))
                bench.add(kind, {"paced.commits": len(used) / bench.options.paced_seconds,
                                 "paced.bytes": sum(sizes[n - 1] for n in used) / len(marks)})


# --- what there is to compare with ---------------------------------------------------------------------


def limits(bench):
    """What one core needs for the least that has to be done with the same bytes."""
    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    folder = agent.BUILD + "/tests/bench/"
    for _ in range(bench.rounds):
        for line in run(folder + "limits", bench.log).splitlines():
            what, seconds, _ = line.split()
            bench.figures.add("limits." + what, "one core", float(seconds) * 1e6 / bench.lines)
        nanoseconds = MATCHED.search(run(folder + "matcher", "packaging/templates", bench.log, "1"))[1]
        bench.figures.add("limits.match", "one core", float(nanoseconds) / 1000)
        _, seconds, entries = run(folder + "limits", "--journal", bench.journal).split()
        bench.figures.add("limits.walk", "one core", int(entries) / float(seconds))


GROUPS = {function.__name__.replace("_", "-"): function
          for function in (limits, catch_up, verify, journal, idle, batches, first, paced)}
