#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whether hallmark-record(5), hallmark-templates(5) and hallmark-redactions(5) say what is so: their tables are compared
with the schema, and their examples are run. The record's example is also read by what the page says (record.py)."""
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import chain  # noqa: E402
import manual  # noqa: E402
import record  # noqa: E402
from agent import BUILD, Tap  # noqa: E402
from manual import displays, plain, section  # noqa: E402

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


RECORD = manual.read("hallmark-record.5")
EXAMPLE = section(RECORD, "EXAMPLES")
HEX, DECODED, LINES = displays(EXAMPLE)
FRAME = bytes.fromhex(HEX)
SCHEMA = read("proto/hallmark.proto") + read("proto/submission.proto")


# --- the tables ---

@test
def the_record_page_has_every_field_of_every_message():
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", SCHEMA, re.S | re.M):
        fields = [(int(number), field, kind + " []" * bool(repeated)) for repeated, kind, field, number in
                  re.findall(r"^  (repeated )?(\w+) (\w+) = (\d+);", body, re.M)]
        equal((name, manual.fields(RECORD, name)), (name, fields))


@test
def the_record_page_has_every_value_of_every_enumeration():
    for name, body in re.findall(r"^enum (\w+) \{\n(.*?)^\}", SCHEMA, re.S | re.M):
        values = [(int(number), value.lower()) for value, number in
                  re.findall(rf"^  {name.upper()}_(\w+) = (\d+);", body, re.M)]
        equal((name, manual.values(RECORD, name)), (name, values))


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


@test
def the_record_page_has_every_dictionary():
    there = {}
    for name in os.listdir("proto/dictionaries"):
        with open("proto/dictionaries/" + name, "rb") as file:
            data = file.read()
        equal((name, data[:4], int.from_bytes(data[4:8], "little")), (name, b"\x37\xa4\x30\xec", int(name.removesuffix(".dict"))))
        there[int(name.removesuffix(".dict"))] = len(data), hashlib.sha256(data).hexdigest()
    equal((sorted(there), manual.dictionaries(RECORD)), (list(range(1, len(there) + 1)), there))


# --- the example, read by what the page says ---

def value_of(name):
    """What follows a name in the decoded example, its further lines with it."""
    match = re.search(rf"^{name} +(.*(?:\n {{16}}.*)*)", DECODED, re.M)
    return re.sub(r"\n +", " ", match[1])


def example():
    """Its frame, and its payload."""
    (frame,) = record.frames(FRAME)
    assert isinstance(frame, record.Frame), frame
    return frame, record.open_envelope(FRAME[record.HEADER:])[0]


@test
def the_example_has_the_offsets_and_sizes_that_the_page_names():
    _, payload = example()
    assert re.search(rf"^A frame of {len(FRAME)} bytes", EXAMPLE, re.M), len(FRAME)
    assert f"begins at offset {FRAME.index(payload)} and has {len(payload)} bytes." in EXAMPLE, len(payload)
    assert f'batch+protobuf {len(payload)}\\' in EXAMPLE, len(payload)


@test
def the_examples_digest_and_fingerprint_are_those_that_the_page_names():
    frame, payload = example()
    equal(hashlib.sha256(chain.pae(payload)).digest(), frame.digest)
    for shown in (frame.digest.hex(), frame.batch.key.hex(), record.fingerprint(frame.batch.key)):
        assert f".Li {shown}\n" in EXAMPLE, shown
    prefix = bytes.fromhex(displays(section(RECORD, "Keys and fingerprints"))[0])
    equal((len(prefix), chain.Key(1).spki[:26]), (26, prefix))


@test
def the_example_is_signed_by_its_key():
    frame, payload = example()
    assert record.signature_holds(frame)
    equal((frame.batch.key, frame.signature), (chain.Key(1).public, chain.Key(1).sign(chain.pae(payload))))


@test
def the_examples_batch_is_the_one_that_the_page_shows():
    batch = example()[0].batch
    equal(batch.run_id.hex(), value_of("run_id"))
    for name in ("sequence", "time_us", "severity", "next_within_s", "event_count", "events_size"):
        equal((name, str(getattr(batch, name))), (name, value_of(name)))
    equal(f'name "{batch.host.name}"', value_of("host"))
    equal([f'source "{position.source}"' for position in batch.positions], [value_of("positions")])
    equal({row.number for row, _ in batch.ListFields()}, {1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12})


@test
def the_examples_events_are_those_that_the_page_shows():
    events = record.expand(example()[0].batch)
    (origin,), (template,) = events.origins, events.templates
    header, (constant,) = origin.header, template.constants
    shown = 'source %d, program "%s", host "%s", header: stamp %d, between "%s", pid %s, after "%s", utc_offset_min %d'
    equal(shown % (origin.source, origin.program.decode(), origin.host.decode(), header.stamp, header.between.decode(),
                   "true" if header.pid else "false", header.after.decode(), header.utc_offset_min), value_of("origins"))
    equal('"%s", kind %d, activity "%s", outcome %d, severity %d, %s = "%s"' % (
        template.text, template.kind, template.activity, template.outcome, template.severity, constant.name,
        constant.value), value_of("templates"))
    for name in ("origin", "template", "time_delta_us", "pid_delta"):
        equal((name, " ".join(map(str, getattr(events, name)))), (name, value_of(name)))
    for column in events.columns:
        equal((column.name, '%s, "%s"' % (" ".join(map(str, column.lengths)), column.values.decode())),
              (column.name, value_of(column.name)))


@test
def the_examples_lines_are_put_together_by_the_rules_of_the_page():
    frame, _ = example()
    equal([event.raw.decode() for event in record.decode(frame.batch, frame.digest)], LINES.splitlines())


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

TEMPLATES = manual.read("hallmark-templates.5")


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

REDACTIONS = manual.read("hallmark-redactions.5")


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
