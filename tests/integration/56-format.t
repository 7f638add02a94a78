#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The format through the releases: a sample of each version that was ever written is read as it was then, and a hallmarkd
goes on with it; what a newer one wrote is no damage, but the end of a chain (tests/lib/sample.py)."""
import glob
import json
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import readers  # noqa: E402
import record  # noqa: E402
import sample  # noqa: E402
from agent import BUILD, Agent, Tap, auth_line  # noqa: E402

if os.geteuid() != 0:
    print("1..0 # SKIP only root may give the samples the place that they were written at")
    sys.exit(0)
sample.be_alone()
tap = Tap()
LATEST = f"tests/format/{record.VERSION}"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def differences(rows, expected):
    """What is now said otherwise; a later release may say more."""
    if len(rows) != len(expected):
        return [f"{len(rows)} objects, not {len(expected)}"]
    return [f"{key}: {row.get(key)!r}, not {value!r}" for row, was in zip(rows, expected)
            for key, value in was.items() if row.get(key) != value]


class Restored(Agent):
    """An agent on a sample's state, and on the log that it had read."""

    def __init__(self, where):
        super().__init__(top=sample.TOP, files=[sample.TOP + "/auth.log"], extra=f"journal-directory = {sample.TOP}/journal")
        shutil.copytree(where + "/state", self.state)
        shutil.copy(where + "/auth.log", self.top)
        for path in (self.state + "/key", self.state + "/key/key.pem", self.state + "/secret"):
            os.chmod(path, 0o700 if os.path.isdir(path) else 0o600)

    def __exit__(self, *why):
        super().__exit__(*why)
        os.makedirs(self.top, exist_ok=True)  # the place stays

    def spool(self):
        return self.state + "/spool"


def said(path):
    done = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", path], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


# --- each version that there was ---

def test_sample(where):
    name = f"version {os.path.basename(where)}"
    expected = [json.loads(line) for line in read(where + "/expected.jsonl").splitlines()]
    options = ("--trust", where + "/fingerprint", "--from-start")
    rows, code = readers.verify(where + "/state/spool", options)
    wrong = differences(rows, expected)
    tap.ok(code == 0 and not wrong, f"{name}: {len(rows) - 2} events are what they were", code, *wrong[:10])
    kinds = {row["kind"] for row in rows if "kind" in row}
    tap.ok(kinds == set(record.WORDS["Kind"].values()), f"{name}: of all kinds", kinds ^ set(record.WORDS["Kind"].values()))
    wrong = readers.disagreements(rows, code, where + "/state/spool", options)
    tap.ok(not wrong, f"{name}: the second reader says the same", *wrong)
    with Restored(where) as agent:
        with open(agent.top + "/auth.log", "a", encoding="ascii") as log:
            log.write(auth_line(3))
        _, ended, complaint = agent.catch_up()
        new, code = readers.verify(agent.spool(), options)
        mine = [row for row in new if "kind" in row][len(expected) - 2:]
        tap.ok((ended, code) == (0, 0) and not differences(new[:len(expected) - 2], expected[:-2]),
               f"{name}: hallmarkd goes on with the chain", ended, complaint, code, *new[-2:])
        tap.ok([row.get("activity") for row in mine] == ["started", "logon", "stopped"] and mine[1]["user"] == "zq000000003" and
               mine[0]["record"]["sequence"] == expected[-2]["last_sequence"] + 1,
               f"{name}: and reads on where it was, nothing twice", *mine)


# --- versions that there are not yet ---

def newer(frames, version):
    """These frames as a later format would have them: of what is in them nothing is known."""
    return b"".join(frame[:4] + struct.pack("<HHI", version, 7, len(frame) - record.HEADER) +
                    bytes(byte ^ 0x55 for byte in frame[record.HEADER:]) for frame in frames)


def test_newer(text, lay):
    """`lay(agent, segment, frames)` puts newer frames into the spool, of which `segment` is all that there was."""
    with Restored(LATEST) as agent:
        (segment,) = agent.segments()
        frames = [f for f in record.frames(read(segment)) if isinstance(f, record.Frame)]
        lay(segment, [read(segment)[f.offset:f.offset + f.size] for f in frames])
        before = {os.path.basename(path): read(path).rstrip(b"\0") for path in agent.segments()}
        code, out, complaint = said(agent.spool())
        tap.ok(code == 2 and "verify: could not tell" in out and "of a newer format" in out + complaint,
               f"{text}: verify could not tell, and says why", code, out[-800:], complaint[-300:])
        wrong = readers.compare(agent.spool())
        tap.ok(not wrong, f"{text}: and so does the second reader", *wrong)
        old = read(LATEST + "/fingerprint").decode().strip()
        _, ended, complaint = agent.catch_up()
        rows, report, code = agent.verify("--from-start")
        reset = [row for row in rows if row.get("activity") == "identity_reset"]
        tap.ok((ended, code, len(reset)) == (0, 0, 1) and report[0]["key_fingerprint"] != old and
               reset[0]["reason"] == "the spool is of a newer format than this program knows" and
               reset[0]["old_key_fingerprint"] == old and reset[0]["record"]["sequence"] == 1,
               f"{text}: hallmarkd begins a new chain, and says so", ended, complaint, code, *rows)
        aside = glob.glob(agent.state + "/retired*/**/*.seg", recursive=True)
        tap.ok({os.path.basename(path): read(path).rstrip(b"\0") for path in aside} == before,
               f"{text}: what the newer one wrote is kept as it is", *aside)


def behind(segment, frames):
    with open(segment, "ab") as file:
        file.write(newer(frames[-2:], 2) + bytes(5000))


def in_another(segment, frames):
    with open(segment.replace("1.seg", "2.seg"), "wb") as file:
        file.write(newer(frames[-2:], 65535) + bytes(5000))


def instead(segment, frames):
    with open(segment, "wb") as file:
        file.write(newer(frames, 2) + bytes(5000))


for where in sorted(glob.glob("tests/format/[0-9]*"), key=lambda path: int(os.path.basename(path))):
    test_sample(where)
test_newer("newer frames behind ours", behind)
test_newer("newer frames in a segment of their own", in_another)
test_newer("none but newer frames", instead)
sys.exit(tap.done())
