# SPDX-License-Identifier: Apache-2.0
"""The agent under test, for tests in Python: a state of its own, started and ended in every way, and read back.

    with Agent(files=[log]) as agent:
        agent.start(); …; agent.stop()
        rows, report, code = agent.verify()
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("HALLMARK_BUILD", "build"))


def for_everybody(program, directory):
    """A copy of the program where any user may run it: the tree may be in somebody's home."""
    copy = shutil.copy(BUILD + "/" + program, directory)
    os.chmod(copy, 0o755)
    return copy


class Tap:
    """ok() lines; done() prints the plan at the end and gives the exit status."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, text, *why):
        self.count += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, text), flush=True)
        if not good:
            for line in why:
                print("# %s" % (line,), flush=True)
        return good

    def skip(self, text, why):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, text, why), flush=True)

    def done(self):
        print("1..%d" % self.count)
        return 1 if self.failed else 0


def read_words(path):
    """None of them where there is no such file (any more)."""
    try:
        with open(path) as file:
            return file.read().split()
    except OSError:
        return []


class Agent:
    def __init__(self, top=None, sources="files", files=(), extra="", sections=""):
        self.top = top or tempfile.mkdtemp(prefix="hallmark-test.")
        os.chmod(self.top, 0o755)
        self.state, self.process, self.keep = self.top + "/state", None, False
        self.peak_kb = 0  # resident, of all processes that were ended
        # beside the program's copy: another user, or a test host with homes of its own, may not see the tree
        shutil.copytree("packaging/templates", self.top + "/templates", dirs_exist_ok=True)
        self.program = for_everybody("hallmarkd", self.top)
        self.configure(sources, files, extra, sections)

    def configure(self, sources="files", files=(), extra="", sections=""):
        """`extra`: further lines of [Sources]; `sections`: further sections."""
        with open(self.top + "/hallmark.conf", "w") as conf:
            conf.write("[Sources]\nsources = %s\n%stemplates = %s\n%s\n%s\n" % (
                sources, "files = %s\n" % " ".join(files) if files else "", self.top + "/templates",
                extra, sections))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind or self.keep:
            print("# kept: " + self.top)
        else:
            shutil.rmtree(self.top, ignore_errors=True)

    def options(self):
        return ["--config", self.top + "/hallmark.conf", "--state", self.state]

    def start(self, *arguments, env=None, wrapper=()):
        self.process = subprocess.Popen([*wrapper, self.program, *self.options(), *arguments],
                                        stderr=open(self.top + "/stderr", "ab"), stdout=open(self.top + "/stdout", "ab"),
                                        env=dict(os.environ, **(env or {})))
        return self.process

    def note_peak(self):
        """Not what wait4() tells, which counts what Python had when it forked. A wrapper's child is the agent."""
        for pid in [self.process.pid, *read_words("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid))]:
            words = read_words("/proc/%s/status" % pid)
            if "VmHWM:" in words:
                self.peak_kb = max(self.peak_kb, int(words[words.index("VmHWM:") + 1]))

    def stop(self, timeout=30):
        self.note_peak()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self, how=signal.SIGKILL):
        self.note_peak()
        self.process.send_signal(how)
        return self.process.wait()

    def catch_up(self, env=None):
        """Reads what is there and ends; returns what it printed and its exit status."""
        done = subprocess.run([self.program, *self.options(), "--until-caught-up"], capture_output=True, text=True,
                              env=dict(os.environ, **(env or {})), timeout=300)
        return done.stdout, done.returncode, done.stderr

    def stderr(self):
        with open(self.top + "/stderr", errors="replace") as text:
            return text.read()

    def verify(self, *arguments, path=None):
        """(events in the order of the chain, report objects, exit status)"""
        rows = self.rows(*arguments, path=path)
        return list(rows), rows.report, rows.code

    def rows(self, *arguments, path=None):
        return Rows(path or self.state + "/spool", arguments)

    def committed(self):
        """(segment, offset, sequence), or None."""
        try:
            with open(self.state + "/run/committed") as text:
                return tuple(int(word) for word in text.read().split())
        except OSError:
            return None

    def segments(self):
        return sorted(glob.glob(self.state + "/spool/*.seg"))

    def wait_for(self, condition, timeout=10):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        return None

    def wait_sequence(self, sequence, timeout=10):
        return self.wait_for(lambda: (self.committed() or (0, 0, 0))[2] >= sequence, timeout)


class Rows:
    """The events that verify() gives, one after another and never all of them in memory; then `report` and `code`."""

    def __init__(self, paths, arguments=()):
        paths = [paths] if isinstance(paths, str) else paths
        self.command = [BUILD + "/hallmark", "verify", "--format", "json", "--trust-first", *arguments, *paths]
        self.report, self.code = [], None

    def __iter__(self):
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in process.stdout:
            row = json.loads(line)
            if "kind" in row:
                yield row
            else:
                self.report.append(row)
        self.code = process.wait()


def auth_line(number, host="golden", program="sshd", pid=812, wrong_by=0):
    """A line as rsyslog writes it, whose user name carries a number; `wrong_by`: seconds, of its clock."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + wrong_by))
    return "%s.%06d+00:00 %s %s[%d]: Failed password for invalid user zq%09d from 203.0.113.9 port %d ssh2\n" % (
        stamp, number % 1000000, host, program, pid, number, 1024 + number % 60000)


def number_of(event):
    user = str(event.get("user", ""))
    return int(user[2:]) if user.startswith("zq") and user[2:].isdigit() else None
