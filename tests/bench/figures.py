# SPDX-License-Identifier: Apache-2.0
"""What is measured and what was wished for, and how both are shown: as a table, and as JSON lines.

    figures = Figures()
    figures.add("catch-up.speed", "hallmarkd", 1700000)     # one sample; of each round, or of each try
    figures.show()
"""
import json
import os
import platform
import statistics
from typing import NamedTuple

OURS, REFERENCE = "hallmarkd", "rsyslog"
SAMPLES_SHOWN = 20  # more of them stand in the JSON only as count, min, median, max
EVERYWHERE = "everywhere"


def p99(samples):
    return sorted(samples)[min(len(samples) - 1, len(samples) * 99 // 100)]


class Row(NamedTuple):
    """A bar holds on the machine kind that it was set on. Elsewhere the ratio to rsyslog in the same run counts: it has to be
    as good as the bar's to `then`, which is what rsyslog did on that machine kind; other bars hold EVERYWHERE, or are none."""
    what: str
    unit: str
    wanted: str = ""  # "at least", "at most"
    bar: float = None
    then: object = None
    value: object = statistics.median  # of the samples


ROWS = {
    "log.gzip": Row("the log itself: bytes a line, gzip -6", "B"),
    "catch-up.speed": Row("catch-up of a log, typed and durable or delivered", "lines/s", "at least", 1600000, 173000),
    "catch-up.cpu": Row("CPU for a million", "s", "at most", 0.6, 7.9),
    "catch-up.rss": Row("peak RSS in it", "MB", "at most", 16, 96),
    "catch-up.bytes": Row("bytes an event, in bulk", "B", "at most", 10, EVERYWHERE),
    "catch-up.pss": Row("idle after it: PSS", "MB", "at most", 3.5, 2.4),
    "catch-up.dirty": Row("idle after it: private dirty", "MB", "at most", 1.5, 0.8),
    "verify.speed": Row("hallmark verify, on one core", "events/s", "at least", 1000000),
    "journal.speed": Row("catch-up of a journal", "entries/s", "at least", 400000),
    "journal.cpu": Row("CPU for a million", "s"),
    "journal.anonymous": Row("peak anonymous memory in it", "MB", "at most", 16, EVERYWHERE),
    "journal.mapped": Row("peak mapped memory in it", "MB", "at most", 64, EVERYWHERE),
    "idle.pss": Row("idle, fresh: PSS", "MB", "at most", 3.5, 2.4),
    "idle.dirty": Row("idle, fresh: private dirty", "MB", "at most", 1.5, 0.8),
    "idle.wakeups": Row("wake-ups in 60 s, without the watchdog's", "", "at most", 0, EVERYWHERE),
    "idle.cpu": Row("CPU in 60 s", "ms", "at most", 1, EVERYWHERE),
    "batches.bytes": Row("bytes an event, in batches of 20", "B", "at most", 50, EVERYWHERE),
    "first.median": Row("after quiet: from write to durable or delivered, median", "ms", "at most", 3, 0.3),
    "first.p99": Row("the same, p99", "ms", "at most", 30, value=p99),
    "paced.median": Row("at 2,000 lines/s: the same, median", "ms", "at most", 30, 0.5),
    "paced.p99": Row("the same, p99", "ms", "at most", 60, value=p99),
    "paced.commits": Row("fsyncs a second at that pace", "", "at most", 20, EVERYWHERE),
    "paced.bytes": Row("bytes an event at that pace", "B"),
    "limits.read": Row("limit, one core: read(2) of a million lines", "s"),
    "limits.sha256": Row("limit: SHA-256 of them", "s"),
    "limits.zstd": Row("limit: zstd -1 of them", "s"),
    "limits.match": Row("part: our header and template of them", "s"),
    "limits.walk": Row("limit: SD_JOURNAL_FOREACH_DATA alone", "entries/s"),
}


def first_match(path, beginning):
    with open(path, encoding="utf-8") as file:
        return next((line.split(beginning, 1)[1].strip(' \t\n:="') for line in file if line.startswith(beginning)), "?")


def machine():
    return {"cpu": first_match("/proc/cpuinfo", "model name"), "cpus": len(os.sched_getaffinity(0)),
            "os": first_match("/etc/os-release", "PRETTY_NAME"), "kernel": platform.release(),
            "memory": first_match("/proc/meminfo", "MemTotal"), "load": os.getloadavg()[0]}


def short(value):
    if value is None:
        return ""
    if value >= 1000 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1}f}"


class Figures:
    def __init__(self):
        self.samples = {key: {} for key in ROWS}
        self.notes = []
        self.machine = machine()
        self.at_home = self.machine["cpus"] == 2 and "GNU/Linux 12 " in self.machine["os"]

    def add(self, key, subject, *samples):
        self.samples[key].setdefault(subject, []).extend(samples)

    def note(self, text):
        """What a reader of the figures has to know."""
        if text not in self.notes:
            self.notes.append(text)

    def value(self, key, subject):
        samples = self.samples[key].get(subject)
        return ROWS[key].value(samples) if samples else None

    def ratio(self, key, subject):
        """To rsyslog, in this run."""
        value, reference = self.value(key, subject), self.value(key, REFERENCE)
        return value / reference if subject != REFERENCE and value is not None and reference else None

    def verdict(self, key):
        """"met" or "missed", or "" where there is nothing to hold ours against."""
        row, value, bar = ROWS[key], self.value(key, OURS), ROWS[key].bar
        if not self.at_home and row.then != EVERYWHERE and bar is not None:
            value, bar = self.ratio(key, OURS), bar / row.then if row.then else None
        if value is None or bar is None:
            return ""
        return "met" if (value >= bar if row.wanted == "at least" else value <= bar) else "missed"

    def objects(self):
        for key, row in ROWS.items():
            for subject, samples in self.samples[key].items():
                ours = subject == OURS
                yield {"name": key, "what": row.what, "unit": row.unit, "subject": subject,
                       "value": self.value(key, subject), "values": samples if len(samples) <= SAMPLES_SHOWN else None,
                       "count": len(samples), "min": min(samples), "median": statistics.median(samples), "max": max(samples),
                       "wanted": row.wanted or None if ours else None, "bar": row.bar if ours else None,
                       "verdict": self.verdict(key) or None if ours else None, "ratio_to_rsyslog": self.ratio(key, subject),
                       "machine": self.machine}

    def table(self):
        """A line for each row that was measured; "min - max" are ours, over all samples."""
        lines = [("what", "unit", OURS, "min - max", "bar", "", "ratio to rsyslog", "others")]
        for key, row in ROWS.items():
            samples = self.samples[key]
            ours, ratio = samples.get(OURS, ()), self.ratio(key, OURS)
            others = [f"{subject} {short(self.value(key, subject))}" for subject in samples if subject != OURS]
            if samples:
                lines.append((row.what, row.unit, short(self.value(key, OURS)),
                              f"{short(min(ours))} - {short(max(ours))}" if len(ours) > 1 else "",
                              f"{row.wanted} {short(row.bar)}" if row.bar is not None else "", self.verdict(key),
                              "x " + short(ratio) if ratio is not None else "",
                              ", ".join(others)))
        widths = [max(map(len, column)) for column in zip(*lines)]
        for line in lines:
            yield "  ".join(cell.rjust(width) if 2 <= column <= 6 else cell.ljust(width)
                            for column, (cell, width) in enumerate(zip(line, widths))).rstrip()

    def show(self):
        about = self.machine
        print(f"{about['cpus']} x {about['cpu']}, {about['os']}, Linux {about['kernel']}; "
              + ("the kind of machine that the bars were set on" if self.at_home else
                 "another kind of machine than the bars were set on: the ratio to rsyslog counts"))
        for note in self.notes:
            print("! " + note)
        print()
        for line in self.table():
            print(line)
        print()
        for found in [{"note": note} for note in self.notes] + list(self.objects()):
            print(json.dumps(found))
