# SPDX-License-Identifier: Apache-2.0
"""Who is measured: hallmarkd, and those peers that are installed, all through one interface, so that each is measured in
the same way. A subject runs in a directory of its own, follows one log from its beginning, and has a sink, of which it can be
seen from outside how much has arrived there.

    subject = Rsyslog(directory)
    subject.start(log)
    seconds = subject.wait_for(1000000)
    subject.end()
"""
import itertools
import json
import os
import shutil
import subprocess
import time

import agent
from figures import OURS, REFERENCE
from observe import IN_MODIFY, IN_MOVED_TO, Change

POLL_S = 0.004
QUIET_S = 0.4      # after which the sink is counted
STUCK_S = 30       # nor has anything arrived
PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
FRAME_HEADER = 12  # "HMRK", version, two bytes, length: proto/envelope.h


class Failed(Exception):
    """It did not do what is measured."""


class Subject:
    name = None

    def __init__(self, directory):
        self.directory, self.process = directory, None
        os.makedirs(directory)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @classmethod
    def missing(cls):
        """Why it cannot be measured here, or None."""

    def start(self, log, environment=None):
        """Begins at the beginning of the log. `environment`: variables beside the inherited ones."""
        self.log, self.begun = log, time.monotonic()
        self.process = self.launch(log, environment or {})

    def launch(self, log, environment):
        """Returns the process."""
        raise NotImplementedError

    def arrived(self):
        """How many events have reached the sink."""
        raise NotImplementedError

    def typed(self):
        """Whether what is in the sink are fields, and not mere lines."""
        raise NotImplementedError

    def mark(self):
        """A number that grows whenever something reaches the sink."""
        raise NotImplementedError

    def marks_of_lines(self):
        """For each line of the log, the mark from which on it is in the sink."""
        raise NotImplementedError

    def sink_size(self):
        """In bytes, at the end."""
        return os.stat(self.sink).st_size

    def change(self):
        """What wakes when something reaches the sink."""
        return Change(self.sink, IN_MODIFY)

    def stamp(self):
        try:
            found = os.stat(self.sink)
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def wait_for(self, count):
        """Until so many events are in the sink. Returns the seconds from the start until the last of them came."""
        seen, changed = None, time.monotonic()
        looked = None
        while True:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}")
            now, stamp = time.monotonic(), self.stamp()
            if stamp != seen:
                seen, changed = stamp, now
            elif now - changed > QUIET_S and (looked is None or now - looked > QUIET_S):
                looked, arrived = now, self.arrived()
                if arrived >= count and stamp:
                    return changed - self.begun
                if now - changed > STUCK_S:
                    raise Failed(f"only {arrived} of {count} reached the sink of {self.name}")
            time.sleep(POLL_S)


class Hallmarkd(Subject):
    """Its sink is the spool; what has arrived is what it publishes as committed, after the fdatasync."""
    name = OURS

    def __init__(self, directory, **sources):
        super().__init__(directory)
        self.agent = agent.Agent(top=directory)
        self.sources = sources
        self.run = self.agent.state + "/run"
        self.sink = self.run + "/committed"

    def launch(self, log, environment):
        self.agent.configure(**(self.sources or {"files": [log]}))
        return self.agent.start(env=environment)

    def status(self):
        done = subprocess.run([agent.BUILD + "/hallmark", "status", "--format", "json", "--state", self.agent.state],
                              capture_output=True, check=False)
        return json.loads(done.stdout)

    def arrived(self):
        """By the word of its status, which is written at most once a second."""
        return sum(source["events"] or 0 for source in self.status()["sources"] or [])

    def typed(self):
        return self.status()["unknown_lines"] == 0

    def mark(self):
        """The sequence of the frame that was made durable last."""
        return (self.agent.committed() or (0, 0, 0))[2]

    def marks_of_lines(self):
        events, _, code = self.agent.verify()
        if code != 0:
            raise Failed(f"hallmark verify says {code}")
        return [event["record"]["sequence"] for event in events if event["source"] == self.log]

    def change(self):
        return Change(self.run, IN_MOVED_TO)

    def frame_sizes(self):
        """Of all frames: the first is that of sequence 1."""
        sizes = []
        for path in self.agent.segments():
            with open(path, "rb") as file:
                end = 0
                while (header := file.read(FRAME_HEADER)).startswith(b"HMRK"):
                    sizes.append(FRAME_HEADER + int.from_bytes(header[8:], "little"))
                    end = file.seek(end + sizes[-1])
        if end != self.agent.committed()[1]:
            raise Failed(f"the last segment's frames end at {end}, which is not what is published")
        return sizes

    def sink_size(self):
        return sum(self.frame_sizes())


class Peer(Subject):
    """One that writes an event a line into a file. Its name in capitals is the variable that names another program, or a
    script that execs it. `files`: in peers/."""
    program = files = arguments = None

    @classmethod
    def variable(cls):
        return cls.name.upper().replace("-", "_")

    @classmethod
    def path(cls):
        return os.environ.get(cls.variable()) or shutil.which(cls.program, path=os.defpath + ":/usr/sbin:/sbin")

    @classmethod
    def missing(cls):
        return None if cls.path() else f"{cls.name} is not installed ({cls.variable()}= names one that you have)"

    def __init__(self, directory):
        super().__init__(directory)
        self.sink, self.read_to, self.lines = directory + "/out", 0, 0

    def launch(self, log, environment):
        with open(self.sink, "wb"):  # so that it can be watched before anything comes
            pass
        words = {"@LOG@": log, "@OUT@": self.sink, "@DIR@": self.directory}
        for name in self.files:
            with open(f"{PEERS}/{name}", encoding="utf-8") as file:
                text = file.read()
            for word, value in words.items():
                text = text.replace(word, value)
            with open(f"{self.directory}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        with open(self.directory + "/said", "wb") as said:
            return subprocess.Popen([self.path(), *(a.replace("@DIR@", self.directory) for a in self.arguments)],
                                    stdout=said, stderr=said, env=dict(os.environ, **environment))

    def mark(self):
        with open(self.sink, "rb") as file:
            file.seek(self.read_to)
            self.lines += sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
            self.read_to = file.tell()
        return self.lines

    def arrived(self):
        return self.mark()

    def typed(self):
        """Two thirds of the lines name an address."""
        with open(self.sink, "rb") as file:
            return sum(b'"src_ip"' in line for line in itertools.islice(file, 1000)) > 500

    def marks_of_lines(self):
        return range(1, self.lines + 1)


class Rsyslog(Peer):
    name = REFERENCE
    program = "rsyslogd"
    files = ("rsyslog.conf", "auth.rulebase")
    arguments = ("-n", "-f", "@DIR@/rsyslog.conf", "-i", "@DIR@/pid")


class SyslogNg(Peer):
    name = "syslog-ng"
    program = "syslog-ng"
    files = ("syslog-ng.conf",)
    arguments = ("--foreground", "--no-caps", "--cfgfile=@DIR@/syslog-ng.conf", "--persist-file=@DIR@/persist",
                 "--control=@DIR@/control", "--pidfile=@DIR@/pid")


class FluentBit(Peer):
    name = "fluent-bit"
    program = "fluent-bit"
    files = ("fluent-bit.conf", "parsers.conf")
    arguments = ("--config=@DIR@/fluent-bit.conf",)


PEER_KINDS = (Rsyslog, SyslogNg, FluentBit)
