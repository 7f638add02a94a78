#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whether hallmark-record(5), hallmark-templates(5) and hallmark-redactions(5) say what is so: their tables are compared
with the schema, and their examples are run. The record's example is also read here, by nothing but what the page says."""
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402
import chain  # noqa: E402

tap = Tap()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test(function):
    """Runs it at once."""
    try:
        function()
        why = []
    except Exception as error:  # whatever it is, the tests after it run
        why = [repr(error)]
    tap.ok(not why, function.__name__.replace("_", " "), *why)


def equal(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


def hallmark(*arguments, data=b""):
    return subprocess.run([BUILD + "/hallmark", *arguments], input=data, capture_output=True, timeout=60)


def plain(text):
    """A piece of mdoc without its escapes and quotes."""
    return text.replace("\\&", "").replace("\\ ", " ").replace("\\e", "\\").replace('"', "")


def section(page, heading):
    """What stands under .Sh or .Ss, up to the next of them."""
    return re.search(rf"^\.S[hs] {re.escape(heading)}\n(.*?)(?=^\.S[hs] |\Z)", page, re.S | re.M)[1]


def displays(text):
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", text, re.S | re.M)


RECORD = read("packaging/man/hallmark-record.5")
EXAMPLE = section(RECORD, "EXAMPLES")
HEX, DECODED, LINES = displays(EXAMPLE)
FRAME = bytes.fromhex(HEX)
SCHEMA = read("proto/hallmark.proto") + read("proto/submission.proto")


# --- the tables ---

@test
def the_record_page_has_every_field_of_every_message():
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", SCHEMA, re.S | re.M):
        fields = [(number, field, kind + " []" * bool(repeated)) for repeated, kind, field, number in
                  re.findall(r"^  (repeated )?(\w+) (\w+) = (\d+);", body, re.M)]
        heading = name.upper() if name in ("Batch", "Events", "Submission") else name
        rows = re.findall(r"^\.It (\d+) Ta (\w+) Ta (\w+(?: \[\])?) Ta", section(RECORD, heading), re.M)
        equal((name, rows), (name, fields))


@test
def the_record_page_has_every_value_of_every_enumeration():
    for name, body in re.findall(r"^enum (\w+) \{\n(.*?)^\}", SCHEMA, re.S | re.M):
        values = [(number, value.lower()) for value, number in
                  re.findall(rf"^  {name.upper()}_(\w+) = (\d+);", body, re.M)]
        text = re.sub(r"\.It (\d) Ta (\w+) Ta.*", r"\1 \2", section(RECORD, name))
        equal((name, re.findall(r"(?:^|, )(\d) (\w+)", text, re.M)), (name, values))


@test
def the_record_page_has_every_event_of_the_agents_own():
    source = read("collectors/intake.c")
    texts = set(re.findall(r'^\t(?:\[OWN_\w+\] = \{ )?"([^"]*\{\w+\}[^"]*)"[,;]', source, re.M))
    assert len(texts) >= 7, texts
    equal({plain(t) for t in re.findall(r"^\.It Li (.*)", section(RECORD, "THE AGENT'S OWN EVENTS"), re.M)}, texts)


@test
def the_record_page_has_every_reason_of_a_loss():
    found = set()
    for name in ("agent/recorder.c", *("collectors/" + f for f in os.listdir("collectors") if f.endswith(".c"))):
        found |= set(re.findall(r'(?:\.reason = |queue_loss\(s, |\[LOSS_\w+\] = \{ )"(\w+)"', read(name)))
    assert len(found) >= 11, found
    equal(set(re.findall(r"^\.It (\w+) Ta", section(RECORD, "Reasons of a loss"), re.M)), found)


@test
def the_record_page_has_every_problem_that_a_report_may_name():
    words = set(re.findall(r'EXIT_(?:NO|UNKNOWN), "(\w+)"', read("agent/report.c")))
    assert len(words) >= 13, words
    equal(set(re.findall(r"^\.It (\w+) Ta", section(RECORD, "Whole"), re.M)), words)


# --- the example, read by what the page says ---

def varint(b):
    value = shift = n = 0
    while True:
        value |= (b[n] & 0x7f) << shift
        shift, n = shift + 7, n + 1
        if b[n - 1] < 0x80:
            return value, b[n:]


def zigzag(n):
    return n >> 1 ^ -(n & 1)


def fields_of(b):
    """[(number, value)] of a message."""
    fields = []
    while b:
        tag, b = varint(b)
        value, b = varint(b)
        if tag & 7 == 2:
            value, b = b[:value], b[value:]
        fields.append((tag >> 3, value))
    return fields


def numbers(b):
    found = []
    while b:
        n, b = varint(b)
        found.append(n)
    return found


def unzstd(b):
    """RFC 8878, where nothing is compressed: a header with a size of 4 bytes, then raw blocks."""
    equal(b[:5], b"\x28\xb5\x2f\xfd\xa0")
    out, b, last = b"", b[9:], 0
    while not last:
        head = int.from_bytes(b[:3], "little")
        last, size = head & 1, head >> 3
        equal(head >> 1 & 3, 0)
        out, b = out + b[3:3 + size], b[3 + size:]
    return out


def take_apart():
    equal(FRAME[:8], b"HMRK\x01\x00\x00\x00")
    equal(int.from_bytes(FRAME[8:12], "little"), len(FRAME) - 12)
    kind = b"application/vnd.hallmark.batch+protobuf"
    (one, payload), (two, type_), (three, signature) = fields_of(FRAME[12:])
    equal((one, two, three, type_), (1, 2, 3, kind))
    return payload, b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), fields_of(signature)


def value_of(name):
    """What follows a name in the decoded example, its further lines with it."""
    match = re.search(rf"^{name} +(.*(?:\n {{16}}.*)*)", DECODED, re.M)
    return re.sub(r"\n +", " ", match[1])


@test
def the_example_has_the_offsets_and_sizes_that_the_page_names():
    payload = take_apart()[0]
    assert re.search(rf"^A frame of {len(FRAME)} bytes", EXAMPLE, re.M), len(FRAME)
    assert f"begins at offset {FRAME.index(payload)} and has {len(payload)} bytes." in EXAMPLE, len(payload)
    assert f'batch+protobuf {len(payload)}\\' in EXAMPLE, len(payload)


@test
def the_examples_digest_and_fingerprint_are_those_that_the_page_names():
    payload, pae, _ = take_apart()
    assert f".Li {hashlib.sha256(pae).hexdigest()}\n" in EXAMPLE, hashlib.sha256(pae).hexdigest()
    key = dict(fields_of(payload))[1]
    assert f".Li {key.hex()}\n" in EXAMPLE, key.hex()
    x = int.from_bytes(key[1:], "big")
    y = pow(x**3 - 3 * x + chain.B, (chain.P + 1) // 4, chain.P)
    y = y if y & 1 == key[0] & 1 else chain.P - y
    prefix = bytes.fromhex(displays(section(RECORD, "Keys and fingerprints"))[0])
    equal(len(prefix), 26)
    spki = prefix + b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(spki).digest()).decode().rstrip("=")
    assert f".Li {fingerprint}\n" in EXAMPLE, fingerprint


@test
def the_example_is_signed_by_its_key():
    payload, pae, signature = take_apart()
    equal(signature, [(1, chain.Key(1).sign(pae))])
    equal(dict(fields_of(payload))[1], chain.Key(1).public)


@test
def the_examples_batch_is_the_one_that_the_page_shows():
    batch = dict(fields_of(take_apart()[0]))
    equal(batch[2].hex(), value_of("run_id"))
    for number, name in ((3, "sequence"), (5, "time_us"), (7, "severity"), (8, "next_within_s"), (10, "event_count"),
                         (12, "events_size")):
        equal((name, str(batch[number])), (name, value_of(name)))
    equal('name "%s"' % dict(fields_of(batch[6]))[1].decode(), value_of("host"))
    equal('source "%s"' % dict(fields_of(batch[9]))[1].decode(), value_of("positions"))
    equal(set(batch), {1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12})
    equal(len(unzstd(batch[11])), batch[12])


@test
def the_examples_events_are_those_that_the_page_shows():
    batch = dict(fields_of(take_apart()[0]))
    events = fields_of(unzstd(batch[11]))
    one = dict(events)
    origin, template = dict(fields_of(one[1])), dict(fields_of(one[2]))
    header = dict(fields_of(origin[4]))
    shown = 'source %d, program "%s", host "%s", header: stamp %d, between "%s", pid %s, after "%s", utc_offset_min %d'
    equal(shown % (origin[1], origin[2].decode(), origin[3].decode(), header[2], header[3].decode(),
                   "true" if header[4] else "false", header[5].decode(), zigzag(header[6])), value_of("origins"))
    constant = dict(fields_of(template[6]))
    equal('"%s", kind %d, activity "%s", outcome %d, severity %d, %s = "%s"' % (
        template[1].decode(), template[2], template[3].decode(), template[4], template[5], constant[1].decode(),
        constant[2].decode()), value_of("templates"))
    for number, name, what in ((3, "origin", int), (4, "template", int), (5, "time_delta_us", zigzag),
                               (6, "pid_delta", zigzag)):
        equal((name, " ".join(str(what(n)) for n in numbers(one[number]))), (name, value_of(name)))
    for column in (dict(fields_of(value)) for number, value in events if number == 7):
        name = column[1].decode()
        equal((name, '%s, "%s"' % (" ".join(map(str, numbers(column[2]))), column[3].decode())), (name, value_of(name)))


def hour_minute_second(us):
    return "%02d:%02d:%02d" % (us // 3_600_000_000 % 24, us // 60_000_000 % 60, us // 1_000_000 % 60)


@test
def the_examples_lines_are_put_together_by_the_rules_of_the_page():
    batch = dict(fields_of(take_apart()[0]))
    events = fields_of(unzstd(batch[11]))
    one = dict(events)
    header, text = dict(fields_of(dict(fields_of(one[1]))[4])), dict(fields_of(one[2]))[1].decode()
    columns = {}
    for column in (dict(fields_of(value)) for number, value in events if number == 7):
        values, rest = [""], column[3].decode()
        for n in numbers(column[2]):
            values.append(rest[:n - 1] if n else values[-1])
            rest = rest[n - 1:] if n else rest
        equal(rest, "")
        columns[column[1].decode()] = iter(values[1:])
    time, pid, lines = batch[5], 0, []
    for time_delta, pid_delta in zip(numbers(one[5]), numbers(one[6])):
        time, pid = time + zigzag(time_delta), pid + zigzag(pid_delta)
        stamp = "Nov 23 " + hour_minute_second(time + zigzag(header[6]) * 60_000_000)
        message = re.sub(r"\{(\w+)\}", lambda m: next(columns[m[1]]), text)
        lines.append(stamp + header[3].decode() + str(pid) + header[5].decode() + message)
    equal(lines, LINES.splitlines())
    equal([list(rest) for rest in columns.values()], [[], [], []])


@test
def hallmark_verify_finds_the_example_whole_and_shows_what_the_page_says():
    run = hallmark("verify", "--trust-first", "--from-start", "--format", "json", "-", data=FRAME)
    equal((run.returncode, run.stderr), (0, b""))
    *events, host, _ = map(json.loads, run.stdout.splitlines())
    equal([e["raw"] for e in events], LINES.splitlines())
    equal((host["verdict"], host["last_sequence"], host["next_within_s"]), ("whole", 1, 300))
    assert f".Li {host['key_fingerprint']}\n" in EXAMPLE, host
    equal([(e["kind"], e["activity"], e["outcome"], e["severity"], e["method"], e["pid"]) for e in events],
          [("authentication", "logon", "failure", "low", "password", 4711)] * 2)


@test
def no_byte_of_the_example_can_change_without_being_noticed():
    for i in range(len(FRAME)):
        changed = FRAME[:i] + bytes([FRAME[i] ^ 1]) + FRAME[i + 1:]
        code = hallmark("verify", "--trust-first", "-q", "-", data=changed).returncode
        assert code in (1, 2), f"byte {i}: exit {code}"


# --- the examples of hallmark-templates(5) ---

TEMPLATES = read("packaging/man/hallmark-templates.5")


def parse(template, program, line):
    with tempfile.TemporaryDirectory(prefix="hallmark-test.") as directory:
        with open(directory + "/own.templates", "w", encoding="utf-8") as file:
            file.write(template)
        return hallmark("parse", "--templates", directory, "--program", program, data=line.encode() + b"\n")


@test
def the_examples_of_the_templates_page_give_what_it_says():
    shown = [text.replace("\\e", "\\") for text in displays(section(TEMPLATES, "EXAMPLES"))]
    count = 0
    for template, results in zip(shown[::2], shown[1::2]):
        template = re.sub(r"\\\n +", "", template)
        program = re.split("[,| ]", template)[0]
        for line, said in re.findall(r"^(\S.*)\n((?:    \S.*\n)+)", results, re.M):
            run = parse(template, program, line)
            equal((run.returncode, run.stderr), (0, b""))
            equal(run.stdout.decode(), f"{program} {' '.join(said.split())} | {line}\n")
            count += 1
    equal((count, len(shown) % 2), (len(re.findall(r"^\S", "".join(shown[1::2]), re.M)), 0))
    assert count >= 6, count


@test
def the_templates_page_has_every_type_well_known_name_kind_and_activity():
    types = read("collectors/field_type.c")
    names = {n: t.lower() for n, t in re.findall(r'\{ "(\w+)", TYPE_(\w+) \}', types)}
    rows = re.findall(r"^\.It (\w+) Ta (.*)", section(TEMPLATES, "Well-known names"), re.M)
    equal({name: kind for kind, text in rows for name in text.split()}, names)
    equal(set(re.findall(r"^\.It Li (\w+) Ta", section(TEMPLATES, "Text"), re.M)),
          set(re.findall(r'\[TYPE_\w+\] = "(\w+)"', types)))
    meaning = section(TEMPLATES, "Meaning")
    listed = {item: set(re.findall(r"\w+", " ".join(re.findall(r"^\.Li(.*)", text, re.M))))
              for item, text in re.findall(r"^\.It (\w+)\n(.*?)(?=^\.It|^\.El)", meaning, re.S | re.M)}
    activities = re.search(r"activities\[\] = \{(.*?)\}", read("collectors/template_parse.c"), re.S)[1]
    equal(listed["activity"], set(re.findall(r'"(\w+)"', activities)))
    equal(listed["kind"], {k.lower() for k in re.findall(r"^  KIND_(\w+)", SCHEMA, re.M)})


@test
def what_the_templates_page_says_is_wrong_is_refused_in_the_words_that_it_gives():
    rows = re.findall(r"^\.It Li (.*)\n((?:[^.].*\n)+)", section(TEMPLATES, "DIAGNOSTICS"), re.M)
    assert len(rows) >= 10, rows
    for text, said in rows:
        template = plain(text)
        run = parse(template.replace("\\", ""), "p", "x")
        words = plain(said).replace("\n", " ").strip().rstrip(".")
        assert run.returncode == 3 and f":1: {words}\n" in run.stderr.decode().replace('"', ""), \
            f"{template!r}: {run.returncode} {run.stderr!r}, not {words!r}"


# --- those of hallmark-redactions(5) ---

REDACTIONS = read("packaging/man/hallmark-redactions.5")


def redact(rule, line):
    with tempfile.TemporaryDirectory(prefix="hallmark-test.") as directory:
        with open(directory + "/own.redactions", "w", encoding="utf-8") as file:
            file.write(rule + "\n")
        return hallmark("parse", "--templates", directory, "--program", "p", data=line.encode() + b"\n")


@test
def the_examples_of_the_redactions_page_give_what_it_says():
    shown = displays(section(REDACTIONS, "EXAMPLES"))
    count = 0
    for rule, results in zip(shown[::2], shown[1::2]):
        for line, said in re.findall(r"^(\S.*)\n    (\S.*)\n", results, re.M):
            run = redact(rule, line)
            equal((run.returncode, run.stderr), (0, b""))
            equal(run.stdout.decode(), f"p unknown{' redacted=yes' * (line != said)} | {said}\n")
            count += 1
    equal((count, len(shown) % 2), (len(re.findall(r"^\S", "".join(shown[1::2]), re.M)), 0))
    assert count >= 10, count


@test
def what_the_redactions_page_says_is_wrong_is_refused_in_the_words_that_it_gives():
    rows = re.findall(r"^\.It Li (.*)\n((?:[^.].*\n)+)", section(REDACTIONS, "DIAGNOSTICS"), re.M)
    assert len(rows) >= 10, rows
    for text, said in rows:
        run = redact(plain(text), "x")
        words = plain(said).replace("\n", " ").strip()
        assert run.returncode == 3 and f":1: {words}\n" in run.stderr.decode().replace('"', ""), \
            f"{text!r}: {run.returncode} {run.stderr!r}, not {words!r}"


sys.exit(tap.done())
