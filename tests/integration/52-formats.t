#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events in the words of others: --format ocsf and --format ecs, held against the rules of those schemas.

Whatever is recorded comes out, once, and obeys: what real programs logged, a line of every template that is shipped,
what the agent says of itself, and whatever a stranger may write.
"""
import copy
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap  # noqa: E402
from chain import Chain, Key, data, event, line, loss, number  # noqa: E402
from schemas import Ecs, Ocsf, read  # noqa: E402

tap = Tap()
JOURNAL_REMOTE = ("/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote")
CHECKS = {"ocsf": Ocsf().check, "ecs": Ecs().check}
VALUES = {"src_ip": "203.0.113.7", "dst_ip": "2001:db8::1", "src_port": "50514", "dst_port": "22", "uid": "1001", "gid": "1002",
          "by_uid": "1000", "euid": "0", "repeat": "3", "attempts": "2", "new_gid": "1003", "exit_status": "12",
          "src_host": "h.example", "service": "sshd", "method": "publickey", "serial": "7", "tty": "pts/0"}


def rows_of(path, form, *more):
    """(events, objects of the report)"""
    done = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", "--format", form, *more, path], capture_output=True)
    rows = [read(row) for row in done.stdout.split(b"\n")[:-1]]
    return [r for r in rows if "report" not in r], [r for r in rows if "report" in r]


# --- lines of every template ---

def expand(text, full):
    """A message of a template, with all of its optional parts or with none."""
    optional = re.compile(r"{\[((?:[^\[\]{}]|{[^{}]*}|\[[^\]]*\])*)\]}")
    while optional.search(text):
        text = optional.sub(lambda part: part[1] if full else "", text)
    text = re.sub(r"{:blanks}", "  ", text)
    text = re.sub(r"{([a-z_]+)(?::[a-z]+)?}", lambda field: VALUES.get(field[1], field[1].replace("_", "-")), text)
    return text.replace("{{", "{").replace("}}", "}")


def template_lines():
    for path in sorted(glob.glob("packaging/templates/*.templates")):
        with open(path, encoding="utf-8") as file:
            rows = [row.rstrip("\n").split(" | ", 2) for row in file if row.count(" | ") > 1 and not row.startswith("#")]
        for tags, _, text in rows:
            tag = tags.split(",")[0].strip(" *") or "login"
            for full in (True, False):
                yield "Nov 23 14:16:04 golden-1 %s[4242]: %s\n" % (tag, expand(text, full))


# --- what a stranger, a damaged file or a stolen key may write ---

LONG = b"x" * (64 * 1024)
BYTES = bytes(range(1, 256))
UID_1000 = number(1, 1001) + number(2, 1001)


def hostile():
    yield line(BYTES)
    yield line(LONG)
    yield line("\u20ac".encode() * 22000)
    yield line("")
    yield line(b'{"class_uid":3002}\\u0000\xed\xa0\x80', program=BYTES[:40].decode("latin-1"), host="")
    logon = dict(kind="authentication", activity="logon", outcome="success")
    yield event("Accepted {method} for {user} from {src_ip} port {src_port} ssh2",
                [BYTES, BYTES, "999.1.1.1", "70000"], **logon)
    yield event("Accepted {method} for {user} from {src_ip} port {src_port} ssh2", ["password", "", "fe80::1%eth0", "0"], **logon)
    yield event("Accepted {user} from {src_host} port {src_port}", ["a b", "not a host!", "050022"], **logon)
    yield event("Accepted {user} from {src_host}", ["a", "-x.example"], **logon)
    yield event("Accepted {user} {uid}", [LONG[:20000], "4294967295"], pid=2**31, **logon)
    yield event("{user} {uid}", ["alice", "-1"], program="", **logon)
    yield event("nobody", **logon)
    yield event("{user}{kind}{fields}{a.b}{a_b}{user}{field_0_user}", list("abcdefg"), **logon)
    yield event("{user}", ["x"], constants=[("user", "y"), ("reason", "z"), ("class_uid", "3002"), ("", "w")], **logon)
    yield event("{repeat} times {src_ip} {dst_ip} {dst_port}", ["99999999999", "1.2.3.4", "::ffff:1.2.3.4", "22"], **logon)
    yield event("{group} {gid}", ["wheel", "x"], kind="account", activity="account_change", outcome="success")
    yield event("add '{target_user}' to group '{group}'", ["", ""], kind="account", activity="account_change",
                constants=[("change", "add-member")])
    yield event("{target_user}{command}", [LONG[:30000], BYTES], kind="privilege", activity="privilege", outcome="success")
    for kind in ("log", "authentication", "session", "privilege", "account", "finding", "integrity", "evidence_loss", "lifecycle",
                 "forged"):
        for outcome in ("none", "success", "failure"):
            yield event("{detail}", [kind], kind=kind, activity=BYTES[160:].decode("latin-1"), outcome=outcome, severity=0)
    yield event("{user}", ["u"], kind="session", activity="session_open", severity=9, after_us=2**62)
    yield event("{user}", ["u"], kind="session", activity="session_close", after_us=-2**62)
    yield event("{user}", ["u"], kind="privilege", provenance=UID_1000 + data(3, BYTES) + data(4, bytes(16)))
    yield loss("rotated", 2**64 - 1)
    yield event("".join("{f%d}" % i for i in range(32)), [str(i) for i in range(32)], **logon)


FORGED = dict(kind="forged", activity="forged", severity=4, program="sshd", pid=4711, provenance=UID_1000,
              constants=[("claimed_kind", "authentication"), ("claimed_activity", "logon"), ("claimed_outcome", "success"),
                         ("contradiction", "sshd runs as root")])
CLAIM = ("Accepted {method} for {user} from {src_ip} port {src_port} ssh2", ["password", "root", "198.51.100.9", "50022"])


# --- the checks ---

def leaves(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield str(value)


OURS = {"time", "kind", "activity", "outcome", "severity", "program", "host", "pid", "source", "template", "raw", "raw_base64",
        "provenance", "record"}


def missing(plain, others):
    """The facts of an event that are nowhere in the other form."""
    said = set(leaves(others))
    return [(name, value) for name, value in plain.items() if name not in OURS and str(value) not in said] + \
        [value for value in leaves(plain.get("provenance", {})) if value not in said] + \
        [plain["raw_base64"] for key in ("raw_base64",) if key in plain and plain[key] not in said]


def uid_of(form, row):
    return row["metadata"]["uid"] if form == "ocsf" else row["event"]["id"]


def check(label, path):
    """All events of a spool or a file, in both forms; returns them."""
    plain, report = rows_of(path, "json")
    every = {}
    for form, complaints in CHECKS.items():
        rows, other_report = rows_of(path, form)
        every[form] = rows
        tap.ok(plain and len(rows) == len(plain), f"{label}: {len(plain)} events, as many in {form}", len(rows))
        bad = [(said, uid_of(form, row)) for row in rows for said in complaints(row)]
        tap.ok(not bad, f"{label}: {form} obeys its schema", *bad[:10])
        lost = [gone for ours, row in zip(plain, rows) for gone in missing(ours, row)]
        tap.ok(not lost, f"{label}: no fact is missing in {form}", *lost[:10])
        tap.ok(len({uid_of(form, row) for row in rows}) == len(rows), f"{label}: each has an id of its own in {form}")
        tap.ok(other_report == report and report, f"{label}: the report is that of json", other_report)
    early = [row for row in every["ocsf"] if row["class_uid"] == 0 and row["unmapped"]["kind"] != "evidence_loss" and
             "ocsf" in row["unmapped"]]
    tap.ok(not early, f"{label}: what lacks a class in 1.1 for want of a fact has none later", *early)
    return plain, every["ocsf"], every["ecs"]


def check_recorded():
    """What hallmarkd makes of real logs, of a line of each template, and what it says of itself."""
    with Agent() as agent:
        logs = [agent.top + "/auth.log", agent.top + "/templates.log"]
        with open(logs[0], "wb") as out:
            for path in sorted(glob.glob("tests/capture/data/*.log")):
                with open(path, "rb") as file:
                    shutil.copyfileobj(file, out)
        rows = list(template_lines())
        with open(logs[1], "w", encoding="utf-8") as out:
            out.writelines(rows)
        agent.configure(files=logs)
        _, code, complaint = agent.catch_up()
        tap.ok(code == 0, "hallmarkd reads the logs to their end", complaint)
        with open(logs[0], "wb"):
            pass  # cut off: a loss
        agent.catch_up()
        plain, ocsf, ecs = check("what was recorded", agent.state + "/spool")
        known = {e["template"] for e in plain if e["source"] == logs[1]}
        tap.ok(len(known) > len(rows) / 3, f"{len(rows)} lines of templates, of which {len(known)} differ in their words")
        kinds = {e["kind"] for e in plain}
        tap.ok(kinds >= {"log", "authentication", "session", "privilege", "account", "lifecycle", "evidence_loss"},
               "all kinds that there are", kinds)
        classes = {e["class_uid"] for e in ocsf}
        tap.ok(classes >= {0, 3001, 3002, 3004, 3006, 6002}, "all classes that there are", classes)
        done = subprocess.run([BUILD + "/hallmark", "events", *agent.options(), "--format", "ocsf"], capture_output=True)
        tap.ok([read(row) for row in done.stdout.splitlines()] == ocsf, "hallmark events shows the same", done.stderr)
        done = subprocess.run([BUILD + "/hallmark", "events", *agent.options(), "--format", "ecs"], capture_output=True)
        tap.ok([read(row) for row in done.stdout.splitlines()] == ecs, "in ECS too", done.stderr)
    return ocsf, ecs


def check_journal():
    """What real programs wrote into a journal, with the fields that journald put to it; some of it was forged."""
    remote = next((path for path in JOURNAL_REMOTE if os.access(path, os.X_OK)), None)
    if not remote:
        tap.skip("a journal", "systemd-journal-remote is not installed")
        return
    with Agent() as agent:
        journal = agent.top + "/journal"
        os.mkdir(journal)
        subprocess.run([remote, "-o", journal + "/system.journal", "tests/capture/data/bookworm-journal.export"], check=True,
                       capture_output=True, timeout=60)
        agent.configure(sources="journal", extra=f"journal-directory = {journal}")
        agent.catch_up()
        plain, ocsf, ecs = check("a journal", agent.state + "/spool")
    forged = [rows for rows in zip(plain, ocsf, ecs) if rows[0]["kind"] == "forged"]
    tap.ok(forged and all(one["class_uid"] == 2004 and other["event"]["kind"] == "alert" for _, one, other in forged),
           f"{len(forged)} forged lines of a journal are findings")


def write(path, events, host="web1"):
    chain = Chain(Key(1), host)
    with open(path, "wb") as out:
        for e in events:
            out.write(chain.add([e]))
    return path


def check_forged(path):
    plain, ocsf, ecs = check("forged lines", write(path, [event(*CLAIM, **FORGED)]))
    for row in ocsf:
        tap.ok(row["class_uid"] == 2004 and row["severity_id"] == 4 and row["status_id"] == 1 and
               row["finding_info"]["desc"] == "sshd runs as root" and
               row["evidences"] == [{"actor": {"user": {"uid": "1000"}, "process": {"pid": 4711}}}] and
               not {"user", "src_endpoint", "actor", "service"} & set(row),
               "a forged line is a finding, and shows who sent it; what it claims is nowhere taken for a fact", row)
    for row in ecs:
        tap.ok(row["event"]["kind"] == "alert" and row["event"]["category"] == ["intrusion_detection"] and
               "outcome" not in row["event"] and row["event"]["reason"] == "sshd runs as root" and
               not {"user", "source", "related"} & set(row), "an alert in ECS, without an outcome", row)


def check_manual(path):
    """The table of hallmark(1)."""
    with open("packaging/man/hallmark.1", encoding="ascii") as page:
        rows = re.findall(r"^\.It (\w+) Ta (\w+) Ta (\d+)/(\d+) Ta (.*): (.*)$", page.read(), re.MULTILINE)
    events = [event("{user}", ["u"], kind=kind, activity=activity) for kind, activity, *_ in rows]
    _, ocsf, ecs = check("the manual's table", write(path, events))
    for (kind, activity, uid, number_of, category, types), one, other in zip(rows, ocsf, ecs):
        tap.ok((one["class_uid"], one["activity_id"]) == (int(uid), int(number_of)) and other["event"]["type"] == types.split(", ") and
               other["event"].get("category", ["none"]) == category.split(", "), f"{kind} {activity} is what the manual says",
               one["class_uid"], one["activity_id"], other["event"])
    tap.ok(len(rows) == 17, "all rows that say one class", len(rows))


# --- samples ---

STAMP = "2026-11-23T14:16:04.123456+00:00 golden-1 "
SAMPLES = [
    ("sshd[1238]: Accepted publickey for alice from 203.0.113.7 port 50514 ssh2: ED25519 SHA256:abc",
     {"class_uid": 3002, "activity_id": 1, "type_uid": 300201, "category_uid": 3, "severity_id": 1, "time": 1795443364123,
      "status_id": 1, "status": "Success", "user": {"name": "alice", "credential_uid": "SHA256:abc"}, "auth_protocol_id": 99,
      "auth_protocol": "publickey", "logon_type_id": 10, "is_remote": True, "src_endpoint": {"ip": "203.0.113.7", "port": 50514},
      "service": {"name": "sshd"}, "actor": {"process": {"pid": 1238, "name": "sshd"}}},
     {"event.category": ["authentication"], "event.type": ["start"], "event.outcome": "success", "event.action": "logon",
      "user.name": "alice", "source.ip": "203.0.113.7", "source.port": 50514, "process.name": "sshd", "process.pid": 1238,
      "related.user": ["alice"], "related.ip": ["203.0.113.7"], "@timestamp": "2026-11-23T14:16:04.123456Z"}),
    ("sshd[1239]: Failed password for invalid user oracle from 203.0.113.7 port 50515 ssh2",
     {"class_uid": 3002, "type_uid": 300201, "severity_id": 2, "status_id": 2, "status": "Failure", "user": {"name": "oracle"},
      "auth_protocol_id": 99, "auth_protocol": "password", "logon_type_id": 10, "is_remote": True,
      "src_endpoint": {"ip": "203.0.113.7", "port": 50515}, "service": {"name": "sshd"}},
     {"event.category": ["authentication"], "event.type": ["start"], "event.outcome": "failure", "user.name": "oracle",
      "event.severity": 2}),
    ("sudo[4242]:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/id -u",
     {"class_uid": 3002, "activity_id": 1, "type_uid": 300201, "status_id": 1, "logon_type_id": 2, "is_remote": False,
      "user": {"name": "root"}, "service": {"name": "sudo"},
      "actor": {"user": {"name": "alice"}, "session": {"terminal": "pts/0"},
                "process": {"pid": 4242, "name": "sudo", "cmd_line": "/usr/bin/id -u"}}},
     {"event.category": ["authentication", "process"], "event.type": ["start"], "event.outcome": "success", "user.name": "alice",
      "user.effective.name": "root", "process.command_line": "/usr/bin/id -u", "process.working_directory": "/home/alice"}),
    ("useradd[4300]: new user: name=mallory, UID=1002, GID=1003, home=/home/mallory, shell=/bin/sh, from=none",
     {"class_uid": 3001, "activity_id": 1, "type_uid": 300101, "status_id": 1, "user": {"name": "mallory", "uid": "1002"},
      "actor": {"process": {"pid": 4300, "name": "useradd"}}},
     {"event.category": ["iam"], "event.type": ["user", "creation"], "user.target.name": "mallory", "user.target.id": "1002",
      "user.target.group.id": "1003"}),
    ("usermod[4301]: unlock user 'mallory' password",
     {"class_uid": 3001, "activity_id": 99, "activity_name": "Unlock", "user": {"name": "mallory"}},
     {"event.category": ["iam"], "event.type": ["user", "change"], "user.target.name": "mallory"}),
    ("useradd[4302]: add 'mallory' to group 'wheel'",
     {"class_uid": 3006, "type_uid": 300603, "group": {"name": "wheel"}, "user": {"name": "mallory"}},
     {"event.category": ["iam"], "event.type": ["group", "change"], "group.name": "wheel", "user.target.name": "mallory"}),
    ("groupadd[4303]: new group: name=ops, GID=1009",
     {"class_uid": 3004, "type_uid": 300401, "entity": {"name": "ops", "uid": "1009", "type": "Group"}},
     {"event.category": ["iam"], "event.type": ["group", "creation"], "group.name": "ops", "group.id": "1009"}),
    ("sshd[1240]: pam_unix(sshd:session): session opened for user alice(uid=1001) by (uid=0)",
     {"class_uid": 3002, "type_uid": 300201, "user": {"name": "alice", "uid": "1001"}, "service": {"name": "sshd"}},
     {"event.category": ["session"], "event.type": ["start"], "user.name": "alice", "user.id": "1001"}),
    ("sshd[1240]: pam_unix(sshd:session): session closed for user alice",
     {"class_uid": 3002, "activity_id": 2, "type_uid": 300202, "user": {"name": "alice"}},
     {"event.category": ["session"], "event.type": ["end"], "user.name": "alice"}),
    ("sshd[1241]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root",
     {"class_uid": 3002, "status_id": 2, "user": {"name": "root"}, "src_endpoint": {"ip": "203.0.113.7"}},
     {"event.outcome": "failure", "user.name": "root", "user.id": None}),
    ("sshd[1242]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7",
     {"class_uid": 0, "activity_name": "logon", "status_id": 2, "severity_id": 2},
     {"event.category": ["authentication"], "event.outcome": "failure", "source.ip": "203.0.113.7"}),
    ("nobody-knows[1]: what is this?", {"class_uid": 0, "type_uid": 99, "message": "what is this?"},
     {"event.kind": "event", "event.type": ["info"], "message": "what is this?"}),
]
LATER = {"sudo": ("1.6.0", 300207), "usermod": ("1.4.0", 300112), "groupadd": ("1.4.0", 300606)}


def at(row, path):
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def check_samples():
    with Agent(files=["auth.log"]) as agent:
        log = agent.top + "/auth.log"
        with open(log, "w", encoding="ascii") as out:
            out.writelines(STAMP + text + "\n" for text, _, _ in SAMPLES)
        agent.configure(files=[log])
        agent.catch_up()
        _, ocsf, ecs = check("samples", agent.state + "/spool")
    ocsf, ecs = {row["message"]: row for row in ocsf}, {row["message"]: row for row in ecs}
    for text, in_ocsf, in_ecs in SAMPLES:
        one, other = (rows[text.split(": ", 1)[1]] for rows in (ocsf, ecs))
        differs = {name: one.get(name) for name, value in in_ocsf.items() if name != "actor" and one.get(name) != value}
        actor = {name: at(one, "actor." + name) for name, value in in_ocsf.get("actor", {}).items()
                 if at(one, "actor." + name) != value}
        tap.ok(not differs and not actor, "OCSF: " + text, differs, actor)
        differs = {name: at(other, name) for name, value in in_ecs.items() if at(other, name) != value}
        tap.ok(not differs, "ECS: " + text, differs)
        later, program = at(one, "unmapped.ocsf") or {}, one["metadata"]["log_provider"]
        tap.ok((later.get("version"), later.get("type_uid")) == LATER.get(program, (None, None)),
               "what later versions call it stands beside", later)
    return tuple(rows[SAMPLES[0][0].split(": ", 1)[1]] for rows in (ocsf, ecs))


# --- the rules themselves: each one, broken, is noticed ---

def put(path, value):
    def change(row):
        *outer, last = path.split(".")
        for name in outer:
            row = row.setdefault(name, {})
        row[last] = value
    return change


def drop(*paths):
    def change(row):
        for path in paths:
            *outer, last = path.split(".")
            inner = row
            for name in outer:
                inner = inner[name]
            del inner[last]
    return change


BROKEN = {
    "ocsf": {
        "a class that is none": put("class_uid", 3999), "a missing required attribute": drop("severity_id"),
        "one of an object": drop("metadata.product"), "one two objects down": drop("metadata.product.vendor_name"),
        "an unknown attribute": put("colour", "red"), "one of an object's": put("user.colour", "red"),
        "a value outside of its enumeration": put("logon_type_id", 6), "another": put("severity_id", 7),
        "an activity that came later": lambda row: row.update(activity_id=7, type_uid=300207),
        "type_uid": put("type_uid", 300202), "the category": put("category_uid", 1),
        "none of service and dst_endpoint": drop("service"), "a user without a name": put("user", {"credential_uid": "x"}),
        "an endpoint of a port alone": put("src_endpoint", {"port": 22}), "a process without pid": put("actor.process", {"name": "x"}),
        "a number as a string": put("time", "1795443364123"), "a string as a number": put("user.uid", 0),
        "a truth as a number": put("is_remote", 1), "a fraction": put("severity_id", 1.5), "null": put("message", None),
        "a port of 70000": put("src_endpoint.port", 70000), "an address that is none": put("src_endpoint.ip", "203.0.113"),
        "a host name that is none": put("device.hostname", "a b"), "a pid past 32 bits": put("actor.process.pid", 2**31),
        "a string past its length": put("raw_data", "x" * 65536), "a device without its profile": put("metadata.profiles", []),
        "an array that is none": put("metadata.profiles", "host"), "an object that is none": put("user", "alice"),
        "another version": put("metadata.version", "1.8.0"),
        "a later version's word that it has not": put("unmapped.ocsf", {"version": "1.4.0", "activity_id": 7, "type_uid": 300207}),
    },
    "ecs": {
        "a missing field": drop("@timestamp"), "an unknown field": put("user.colour", "red"), "another": put("colour", "red"),
        "a category that is none": put("event.category", ["login"]), "a type that is none": put("event.type", ["begin"]),
        "a type that does not go with its category": put("event.type", ["creation"]),
        "a kind that is none": put("event.kind", "log"), "an outcome that is none": put("event.outcome", "none"),
        "a category that is no array": put("event.category", "authentication"), "an empty array": put("event.category", []),
        "an address that is none": put("source.ip", "UNKNOWN"), "a port of 0": put("source.port", 0),
        "a number as a string": put("process.pid", "1"), "a string as a number": put("user.id", 0),
        "a date that is none": put("@timestamp", "@1795443364.123456"), "another version": put("ecs.version", "1.0"),
        "an empty object": put("source", {}), "an iam event of nobody": lambda row: row["event"].update(
            category=["iam"], type=["change"]),
        "a fact that is no string": put("hallmark.fields", {"uid": 0}),
    },
}


def check_rules(samples):
    for form, changes in BROKEN.items():
        tap.ok(CHECKS[form](samples[form]) == [], f"{form}: the sample obeys")
        for label, change in changes.items():
            row = copy.deepcopy(samples[form])
            change(row)
            tap.ok(CHECKS[form](row), f"{form}: noticed: {label}")


def check_use():
    done = subprocess.run([BUILD + "/hallmark", "verify", "--format", "xml", "-"], capture_output=True, text=True, input="")
    tap.ok(done.returncode == 3 and "ocsf" in done.stderr, "an unknown format is a wrong use", done.stderr)
    done = subprocess.run([BUILD + "/hallmark", "parse", "--format", "ocsf", "-"], capture_output=True, text=True, input="")
    tap.ok(done.returncode == 3 and not done.stdout, "what is in no batch has no such form", done.stderr)


def main():
    top = tempfile.mkdtemp(prefix="hallmark-test.")
    check_recorded()
    check_journal()
    check("hostile bytes", write(top + "/hostile", hostile(), "no host\u2028name"))
    check_forged(top + "/forged")
    check_manual(top + "/manual")
    samples = dict(zip(("ocsf", "ecs"), check_samples()))
    check_rules(samples)
    check_use()
    if not tap.failed:
        shutil.rmtree(top)
    return tap.done()


sys.exit(main())
