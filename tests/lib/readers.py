# SPDX-License-Identifier: Apache-2.0
"""Both readers of the record on the same bytes: `hallmark verify --format json`, and record.py, put into the same words.

    wrong = compare(paths or bytes, options)                     [] where they agree, else what each of them says
    wrong = disagreements(rows, code, paths or bytes, options)   the same for one who has asked verify himself
"""
import base64
import codecs
import datetime
import json
import subprocess
import time

import record
from agent import BUILD
from record import WORDS, Record, fingerprint, source_of

VERDICTS = ("whole", "not whole", "could not tell")
LISTED, NAMES, REASONS, PROGRAMS, NAME, WORD, PROGRAM = 16, 64, 32, 16, 255, 64, 31
FIXED = {"time", "kind", "activity", "outcome", "severity", "program", "host", "pid", "source", "template", "raw", "raw_base64",
         "provenance", "record", "report"}
NUMBERS = {"src_port", "dst_port", "port", "uid", "gid", "by_uid", "by_gid", "target_uid", "target_gid", "pid", "leader_pid",
           "attempts", "repeat", "count", "bytes", "duration_s", "loss_amount"}
UNKNOWN = {"{message}", "message repeated {repeat} times: [ {message}]"}

# JSON knows no bytes that are not UTF-8: each is shown as U+FFFD
codecs.register_error("each", lambda error: ("\ufffd", error.start + 1))


def text(value):
    return value.decode("utf-8", "each")


def clock_time(us):
    try:
        return (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"
    except OverflowError:
        return "@%d.%06d" % divmod(us, 1_000_000)


# --- an event ---

def facts(event):
    """[(key, value)]; a name that is taken gets "field_" before it, and its place where it is there twice."""
    found, before = [], set()
    pairs = event.values + [(c.name, c.value.encode()) for c in event.template.constants]
    for i, (name, value) in enumerate(pairs):
        if name != "blanks":
            key = f"field_{i}_{name}" if name in before else \
                f"field_{name}" if name in FIXED or name.startswith("field_") else name
            digits = value.isdigit() and len(value) <= 15 and (value == b"0" or value[:1] != b"0")
            found.append((key, int(value) if name in NUMBERS and digits else text(value)))
        before.add(name)
    return found


def provenance(p):
    numbers = ("uid", "gid", "audit_loginuid", "audit_session", "syslog_pid", "facility")
    shown = {name: getattr(p, name + "_plus1") - 1 for name in numbers if getattr(p, name + "_plus1")}
    shown |= {name: text(getattr(p, name)) for name in ("transport", "exe", "comm", "unit") if getattr(p, name)}
    return shown | {name: getattr(p, name).hex() for name in ("boot_id", "message_id") if getattr(p, name)}


def event_object(event):
    batch, origin, template = event.batch, event.origin, event.template
    shown = {"time": clock_time(event.time_us), "kind": WORDS["Kind"].get(template.kind, "unknown"), "activity": template.activity,
             "outcome": template.outcome and WORDS["Outcome"].get(template.outcome, "unknown"),
             "severity": template.severity and WORDS["Severity"].get(template.severity, "unknown"),
             "program": text(origin.program), "host": text(origin.host), "pid": event.pid, "source": source_of(event)}
    shown = {key: value for key, value in shown.items() if value}
    shown |= dict(facts(event)) | ({"template": template.text} if template.text else {}) | {"raw": text(event.raw)}
    if event.raw.decode("utf-8", "ignore").encode() != event.raw:
        shown["raw_base64"] = base64.b64encode(event.raw).decode()
    if origin.HasField("provenance"):
        shown["provenance"] = provenance(origin.provenance)
    place = {"host": batch.host.name, "key_fingerprint": fingerprint(batch.key), "run": batch.run_id.hex(),
             "sequence": batch.sequence, "index": event.index}
    return shown | {"record": {key: value for key, value in place.items() if value != ""}}


# --- the report ---

def ranges(pairs):
    """Sequences as the report lists them: what follows one another is one."""
    joined = []
    for first, last in pairs:
        if joined and joined[-1][1] + 1 == first:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    return {"count": len(joined), "sequences": sum(b - a + 1 for a, b in joined), "listed": joined[:LISTED]}


def tally(table, key, most):
    """The entry of a key; what comes when there is no room is counted nowhere else."""
    if key in table or len(table) < most:
        return table.setdefault(key, [0, 0])
    return [0, 0]


def fact(event, name):
    found = [value for n, value in event.values if n == name]
    return (found or [c.value.encode() for c in event.template.constants if c.name == name] or [b""])[0]


class Tally:
    """What the report counts of a host's events and batches."""

    def __init__(self):
        self.events = self.forged = self.unknown = self.losses = self.excluded = 0
        self.programs, self.reasons, self.exclusions = {}, {}, {}

    def add_event(self, event):
        kind = WORDS["Kind"].get(event.template.kind)
        self.events += 1
        self.forged += kind == "forged"
        if kind == "evidence_loss":
            self.losses += 1
            amount = fact(event, "loss_amount")
            entry = tally(self.reasons, (fact(event, "loss_reason")[:WORD], fact(event, "loss_unit")[:WORD]), REASONS)
            entry[0] += 1
            entry[1] = min(entry[1] + (int(amount) if amount.isdigit() else 0), 2**64 - 1)
        elif kind == "log" and event.template.text in UNKNOWN:
            self.unknown += 1
            tally(self.programs, event.origin.program[:PROGRAM], PROGRAMS)[0] += 1

    def add_batch(self, batch):
        for i, one in enumerate(batch.excluded):
            self.excluded += one.count
            if i < NAMES:
                tally(self.exclusions, one.what.encode()[:NAME], NAMES)[0] += one.count


# What of two batches comes first, and whose run is whose, is a matter of taste where there are forks or gaps.
IN_A_ROW = ("runs", "runs_without_farewell", "clock_backwards")


def in_a_row(links):
    pairs = list(zip(links, links[1:]))
    ends = [before for before, after in pairs if before.run_id != after.run_id]
    return dict(zip(IN_A_ROW, (1 + len(ends), sum(bool(end.next_within_s) for end in ends),
                               sum(after.time_us < before.time_us for before, after in pairs))))


def host_object(reader, chain, counted):
    links, newest = chain.links(), chain.newest()
    found = reader.findings(chain)
    code = record.exit_code(found)
    name = [reader.batch(link).host.name for link in chain.arrived if link.sequence == links[-1].sequence][-1]
    return {
        "report": "host", "host": text(name.encode()[:NAME]), "key_fingerprint": fingerprint(chain.key),
        "verdict": VERDICTS[code], "problems": sorted(found), "first_sequence": links[0].sequence,
        "last_sequence": links[-1].sequence, "first_time": clock_time(chain.oldest().time_us), "last_time": clock_time(newest.time_us),
        "from_start": links[0].sequence == 1, "farewell": not newest.next_within_s, "next_within_s": newest.next_within_s,
        **in_a_row(links), "frames": len(links), "events": counted.events, "forged": counted.forged, "unknown": counted.unknown,
        "unknown_programs": [{"program": text(p), "lines": n} for p, (n, _) in counted.programs.items()],
        "duplicates": chain.duplicates, "undecodable": chain.bad_events,
        "gaps": ranges(chain.gaps()), "breaks": ranges((n, n) for n in chain.breaks()),
        "forks": ranges((n, n) for n in chain.forks()), "losses": counted.losses,
        "loss_reasons": [{"reason": text(reason), "count": count, "amount": amount, "unit": text(unit)}
                         for (reason, unit), (count, amount) in counted.reasons.items()],
        "excluded": counted.excluded,
        "exclusions": [{"what": text(what), "lines": n} for what, (n, _) in counted.exclusions.items()]}


def second(what, trust=None, first_sight=False, from_start=False, as_of_us=None, quiet=False):
    """(objects, exit code) of record.py, as `hallmark verify --format json` shows them; `quiet`: no events."""
    reader = Record(trust, first_sight, from_start, as_of_us)
    for one in [what] if isinstance(what, (bytes, str)) else what:
        reader.read(one)
    counted = {key: Tally() for key in reader.chains}
    objects = []
    for batch, events in reader.batches():
        counted[batch.key].add_batch(batch)
        for event in events:
            counted[batch.key].add_event(event)
            objects += [] if quiet else [event_object(event)]
    objects += [host_object(reader, chain, counted[key]) for key, chain in reader.chains.items()]
    code = reader.exit_code()
    absent = {"trusted_without_frames": sorted(reader.absent())} if trust is not None else {}
    return objects + [{"report": "all", "verdict": VERDICTS[code], "exit": code, "hosts": len(reader.chains),
                       "damage_bytes": reader.damage_bytes, "unchecked": 0, **reader.troubles(), **absent}], code


# --- both ---

def plain(row):
    """Without what is a matter of taste."""
    if row.get("report") != "host":
        return row
    torn = row["forks"]["count"] or row["gaps"]["count"]
    return {**{key: value for key, value in row.items() if not torn or key not in IN_A_ROW}, "problems": sorted(row["problems"])}


def asked(options):
    """The options of verify, as record.py takes them."""
    how, options = {}, iter(options)
    for option in options:
        if option == "--trust":
            how["trust"] = how.get("trust", set()) | record.trusted_keys(next(options))
        elif option == "--as-of":
            moment = next(options)
            how["as_of_us"] = time.time_ns() // 1000 if moment == "now" else int(moment.removeprefix("@")) * 1_000_000
        else:
            how[{"--trust-first": "first_sight", "--from-start": "from_start", "-q": "quiet"}[option]] = True
    return how


def disagreements(rows, code, what, options=("--trust-first",)):
    """Where record.py says other than `rows` and `code`, which are verify's of the same bytes or paths."""
    how = asked(options)
    theirs, their_code = second(what, **how)
    wrong = [] if code == their_code else ["exit code %s, the second reader's %s" % (code, their_code)]
    rows, theirs = [plain(row) for row in rows], [plain(row) for row in theirs]
    if len(rows) != len(theirs):
        wrong.append("%d objects, the second reader's %d" % (len(rows), len(theirs)))
    for ours, other in zip(rows, theirs):
        wrong += ["%s: %s is %r, the second reader's %r" % (ours.get("report") or other.get("record"), key, ours.get(key), other.get(key))
                  for key in sorted(ours.keys() | other.keys()) if ours.get(key) != other.get(key)]
        if len(wrong) > 20:
            break
    return wrong


def verify(what, options=("--trust-first",)):
    """What `hallmark verify` says: its objects and its exit status."""
    paths, data = (["-"], what) if isinstance(what, bytes) else ([what] if isinstance(what, str) else list(what), b"")
    done = subprocess.run([BUILD + "/hallmark", "verify", "--format", "json", *options, *paths], input=data,
                          capture_output=True)
    return [json.loads(row) for row in done.stdout.splitlines()], done.returncode


def compare(what, options=("--trust-first",)):
    return disagreements(*verify(what, options), what, options)
