#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hallmark events: the local spool up to the committed end, and with --follow while it is being written."""
import glob
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap, for_everybody  # noqa: E402
from chain import Chain, Key, line  # noqa: E402

tap = Tap()
top = tempfile.mkdtemp(prefix="hallmark-test.")
os.chmod(top, 0o755)
KEY, OTHER = Key(1), Key(2)


class Spool:
    """As hallmarkd writes it: preallocated segments, and the committed end published by a rename."""

    def __init__(self, key=KEY):
        self.chain, self.segment, self.offset = Chain(key), 0, 0
        os.makedirs(f"{top}/spool")
        os.makedirs(f"{top}/run", exist_ok=True)
        self.begin()

    def begin(self):
        self.segment, self.offset = self.segment + 1, 0
        with open(self.path(), "xb") as out:
            out.write(bytes(100_000))

    def path(self, segment=None):
        return f"{top}/spool/{segment or self.segment:020}.seg"

    def write(self, frame):
        with open(self.path(), "r+b") as out:
            out.seek(self.offset)
            out.write(frame)

    def publish(self):
        with open(f"{top}/run/.committed.tmp", "w") as out:
            out.write(f"{self.segment} {self.offset} {self.chain.sequence}\n")
        os.rename(f"{top}/run/.committed.tmp", f"{top}/run/committed")

    def add(self, *texts, publish=True, **more):
        frame = self.chain.add([line(t) for t in texts], **more)
        self.write(frame)
        self.offset += len(frame)
        if publish:
            self.publish()
        return frame


def events(*arguments, program=BUILD + "/hallmark", **more):
    done = subprocess.run([program, "events", "--state", top, *arguments], capture_output=True, text=True,
                          timeout=60, **more)
    return done.returncode, done.stdout, done.stderr


def texts(out):
    return [row.split("  ")[-1].strip() for row in out.splitlines()]


class Follower:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([BUILD + "/hallmark", "events", "--follow", "--state", top, *arguments],
                                        stdout=subprocess.PIPE, stderr=open(f"{top}/stderr", "wb"), bufsize=0)
        self.buffer = b""

    def lines(self, n, timeout=5):
        """The next n lines, or what came of them."""
        until = time.monotonic() + timeout
        while self.buffer.count(b"\n") < n and time.monotonic() < until:
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    break
                self.buffer += piece
        rows = self.buffer.split(b"\n")[:-1][:n]
        self.buffer = self.buffer[sum(len(r) + 1 for r in rows):]
        return texts(b"\n".join(rows).decode())

    def switches(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return [row for row in status if "ctxt_switches" in row]

    def expect(self, text, *wanted):
        got = self.lines(len(wanted))
        with open(f"{top}/stderr") as said:
            tap.ok(got == list(wanted), text, "got %s, wanted %s" % (got, wanted), said.read())


# --- what there is ---
code, out, err = events()
tap.ok(code == 2 and not out and "has not run here" in err, "where there is no spool, it says what may be the reason", code, err)
spool = Spool()
tap.ok(events()[:2] == (0, ""), "a spool that holds nothing", events())
spool.add("one", "two")
spool.add("three", publish=False)
tap.ok(texts(events()[1]) == ["one", "two"], "events are shown up to the committed end", events())
os.unlink(f"{top}/run/committed")
tap.ok(texts(events()[1]) == ["one", "two", "three"], "and all of them where nothing is published", events())
spool.publish()
rows = [json.loads(row) for row in events("--format", "json")[1].splitlines()]
tap.ok([(r["message"], r["record"]["sequence"]) for r in rows] == [("one", 1), ("two", 1), ("three", 2)] and
       rows[0]["record"]["key_fingerprint"] == KEY.fingerprint(), "as JSON", rows)
tap.ok(texts(events("--since", rows[2]["time"])[1]) == ["three"], "--since leaves out what was before", events())
spool.write(spool.chain.copy(run=1).add([line("older", after_us=-9_000_000), line("younger", after_us=8_000_000)]))
spool.offset, committed = spool.offset + 1000, spool.offset
spool.publish()
tap.ok(texts(events("--since", "@%d" % (spool.chain.time_us // 1_000_000 + 5))[1]) == ["younger"], "within a batch too", events())
spool.offset = committed
spool.write(bytes(1000))
spool.publish()
tap.ok(events("--since", "soon")[0] == 3 and events("something")[0] == 3, "a wrong use exits 3")
tap.ok("\033" not in events()[1], "no colour where it is not a terminal")
if os.geteuid() == 0:
    os.chmod(f"{top}/spool", 0o750)
    code, out, err = events(program=for_everybody("hallmark", top), user=65534, group=65534, extra_groups=[])
    tap.ok(code == 2 and not out and "hallmark-spool" in err and "sudo" in err, "who may not read it is told what to do", code, err)
    os.chmod(f"{top}/spool", 0o755)
else:
    tap.skip("who may not read it is told what to do", "not root")

# --- following ---
follower = Follower()
follower.expect("--follow shows what there is", "one", "two", "three")
spool.add("four")
follower.expect("and what comes", "four")
time.sleep(0.2)
before = follower.switches()
time.sleep(0.5)
tap.ok(follower.switches() == before, "it sleeps in between", before, follower.switches())
spool.add("five", publish=False)
tap.ok(follower.lines(1, 0.3) == [], "what is not committed is not shown")
spool.publish()
follower.expect("until it is", "five")
lost = spool.chain.copy(run=1)
spool.write(lost.add([line("in flight when the disk failed")]))
spool.begin()
spool.add("six")
follower.expect("after a failed write the frame of the next segment counts", "six")
spool.add("seven", publish=False)
spool.begin()
spool.add("eight")
follower.expect("a change of segment", "seven", "eight")
for old in sorted(glob.glob(f"{top}/spool/*.seg"))[:-1]:
    os.unlink(old)
spool.add("nine")
follower.expect("the deletion of segments", "nine")
frame = spool.add("ten", publish=False)
with open(spool.path(), "r+b") as out:
    out.seek(spool.offset - 3)
    out.write(b"\xff\xff")
spool.add("eleven")
follower.expect("a frame that was damaged is passed over", "eleven")
with open(f"{top}/stderr") as said:
    tap.ok("1 batches before sequence" in said.read(), "and missed aloud")
spool.add("twelve", publish=False)
shutil.rmtree(f"{top}/run")
tap.ok(follower.lines(1, 0.3) == [], "while no agent runs nothing more counts as committed")
os.mkdir(f"{top}/run")
spool.add("thirteen")
follower.expect("a run directory that went with the service and came again", "twelve", "thirteen")
shutil.rmtree(f"{top}/run")
shutil.move(f"{top}/spool", f"{top}/retired")
time.sleep(0.1)
spool = Spool(OTHER)
spool.add("a new chain")
follower.expect("a chain that begins anew", "a new chain")
time.sleep(0.1)
shutil.move(f"{top}/spool", f"{top}/retired-too")
spool = Spool(KEY)
for number in ("1", "2", "3"):
    spool.add("newer " + number, publish=False)
spool.publish()
follower.expect("also if it has come further than the one before", "newer 1", "newer 2", "newer 3")
follower.process.stdout.close()
try:
    code = follower.process.wait(5)
except subprocess.TimeoutExpired:
    follower.process.kill()
    code = "still there"
tap.ok(code == 0, "it ends when nobody reads it any more", code)

if not tap.failed:
    shutil.rmtree(top)
sys.exit(tap.done())
