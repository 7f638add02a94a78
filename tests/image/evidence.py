# SPDX-License-Identifier: Apache-2.0
"""What a machine's disk holds once it is off, proved outside of it, and held against what its journal says.

    found = Evidence(machine)
    found.check_chain(tap); found.check_journal(tap, cut=[…boot ids…])
"""
import collections
import datetime
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402,F401
from image import Image, Unavailable  # noqa: E402

# Of these every entry must be there: said once more here, and not taken from the agent's own list.
FACILITIES = ("4", "10")
PROGRAMS = ("sshd", "sudo", "su", "systemd-logind", "useradd", "passwd")


def lines(*command):
    done = subprocess.run(command, capture_output=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode, done.stderr.decode(errors="replace")


def journal_of(directory):
    """Every entry, file by file: where the clock was set, journalctl leaves some out when it puts files together."""
    files = sorted(glob.glob(directory + "/*/*.journal") + glob.glob(directory + "/*/*.journal~"))
    return [entry for path in files for entry in lines("journalctl", "--quiet", "--output=json", "--all", "--file", path)[0]]


def text_of(value):
    """A field of journalctl's JSON: a string, or a list of bytes."""
    return bytes(value).decode("latin-1") if isinstance(value, list) else value


def microseconds(time):
    return round(datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1e6)


def unless_unavailable(main, tap):
    """Runs a test; its exit status."""
    try:
        Image.get()
    except Unavailable as reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    main()
    return tap.done()


def last_committed(machine):
    """The last event that the machine shows as committed, as `hallmark events` tells it inside."""
    return json.loads(machine.run("hallmark events --format json | tail -n 1"))


def status(machine):
    """As anybody sees it."""
    return json.loads(machine.run("setpriv --reuid=nobody --regid=nogroup --clear-groups hallmark status --format json",
                                  check=False)[0])


def check_well(tap, machine, text):
    """hallmarkd was never ended since it was started last, and by what it says all is well; soon, on a busy machine."""
    machine.wait_for("hallmark status >/dev/null", 30)
    said, restarts = status(machine), machine.run("systemctl show -P NRestarts hallmarkd.service").strip()
    tap.ok(said["verdict"] == "collecting only" and not said["stale"] and restarts == "0", text, restarts, said)


class Evidence:
    def __init__(self, machine, spool=None):
        self.top = machine.take("/var/lib/hallmark") if spool is None else None
        rows, self.code, self.said = lines(BUILD + "/hallmark", "verify", "--format", "json", "--trust-first",
                                           "--from-start", spool or self.top + "/spool")
        self.events = [row for row in rows if "kind" in row]
        self.hosts = [row for row in rows if row.get("report") == "host"]
        self.reports = [row for row in rows if "report" in row]
        self.entries = [] if spool else journal_of(machine.take("/var/log/journal"))
        self.own = [e for e in self.events if e["source"] == "hallmark"]
        self.journal = [e for e in self.events if e["source"] == "journal"]

    def of(self, **wanted):
        """Events with these facts; `raw` and `message` are patterns."""
        found = []
        for event in self.events:
            if all(re.search(value, event.get(name, "")) if name in ("raw", "message") else event.get(name) == value
                   for name, value in wanted.items()):
                found.append(event)
        return found

    def boots(self):
        """Ids in the order of the chain."""
        return list(dict.fromkeys(e["provenance"]["boot_id"] for e in self.journal))

    def booted_us(self, boot):
        """When the kernel of a boot began, by the wall clock."""
        return next((int(e["__REALTIME_TIMESTAMP"]) - int(e["__MONOTONIC_TIMESTAMP"]) for e in self.entries
                     if e["_BOOT_ID"] == boot), None)

    def monotonic(self, boot, pattern):
        """Seconds after the kernel's start at which a message came."""
        return next((int(e["__MONOTONIC_TIMESTAMP"]) / 1e6 for e in self.entries
                     if e["_BOOT_ID"] == boot and re.search(pattern, text_of(e.get("MESSAGE")) or "")), None)

    def check_chain(self, tap, text="outside the machine the chain is proved whole from its first frame on", runs=None):
        host = self.hosts[0] if self.hosts else {}
        good = self.code == 0 and len(self.hosts) == 1 and not host["losses"] and runs in (None, host.get("runs"))
        return tap.ok(good, text, self.code, self.said, *self.reports)

    def check_journal(self, tap, cut=()):
        """`cut`: boots that ended without power; of those the journal may have lost what we hold."""
        def entry_key(e):
            return e["_BOOT_ID"], int(e.get("_PID", 0)), text_of(e.get("MESSAGE")), text_of(e.get("SYSLOG_IDENTIFIER", ""))

        def event_key(e):
            return e["provenance"]["boot_id"], e.get("pid", 0), e["raw"], e.get("program", "")

        wanted = collections.Counter(entry_key(e) for e in self.entries if e.get("SYSLOG_FACILITY") in FACILITIES
                                     or e.get("SYSLOG_IDENTIFIER") in PROGRAMS)
        known = collections.Counter(entry_key(e) for e in self.entries)
        held = collections.Counter(event_key(e) for e in self.journal)
        lost = wanted - held
        tap.ok(wanted and not lost, f"all {sum(wanted.values())} entries of the journal that matter are events",
               *list(lost.items())[:10])
        more = held - known
        strange = [key for key in more if key[0] not in cut]
        tap.ok(not strange, "no event says what the journal does not", *strange[:10])
        times = collections.Counter((e["time"], *event_key(e)) for e in self.journal)
        again = [key for key, count in times.items() if count > 1]
        tap.ok(not again, "none is there twice", *again[:10])
        if more:
            print(f"# {sum(more.values())} events that the chain holds and a power cut took from the journal")

    def check_published(self, tap, told, text="what it had shown as committed before the power went is there unchanged"):
        """`told`: events as `hallmark events` showed them inside."""
        place = {(e["record"]["sequence"], e["record"]["index"]): e for e in self.events}
        pairs = [(then, place.get((then["record"]["sequence"], then["record"]["index"]))) for then in told]
        wrong = [(then, now) for then, now in pairs
                 if not now or (then["record"], then["raw"]) != (now["record"], now["raw"])]
        tap.ok(told and not wrong, text, *wrong[:3])

    def check_farewell(self, tap):
        """The end of an orderly shutdown: sshd's, the last logoff, ours."""
        last = self.events[-1] if self.events else {}
        tap.ok(self.hosts and self.hosts[0]["farewell"] and last.get("activity") == "stopped",
               "the last event is a clean stop of ours", last)
        boot = self.boots()[-1] if self.journal else None
        stops = [e for e in self.of(program="sshd", raw=r"^Received signal 15; terminating")
                 if e["provenance"]["boot_id"] == boot]
        tap.ok(len(stops) == 1, "sshd's own stop is there", *stops)
