#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hallmark verify under attack: what somebody changed, and what it must say of that.

After each attack: no event is shown that no host signed, memory and time stay within bounds, and what was seen is
named. Chains are made by tests/lib/chain.py, which shares no line with the reader. "evil" is in every event that
must never be shown. HALLMARK_LONG=1: each bit instead of each byte, and up to a million of what is else some thousand.
"""
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import zstandard

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import chain as lib  # noqa: E402
import readers  # noqa: E402
import record  # noqa: E402
from agent import BUILD, Tap  # noqa: E402
from chain import QuickKey as Key  # noqa: E402
from chain import START_US, Chain, data, events_message, fields, framed, line, message, number, varint  # noqa: E402

tap = Tap()
top = tempfile.mkdtemp(prefix="hallmark-test.")
LONG = os.environ.get("HALLMARK_LONG", "") not in ("", "0")
KEY, OTHER, THIEF = Key(1), Key(2), Key(3)
YES, NO, UNKNOWN = 0, 1, 2
MEMORY_MB, SECONDS = 512, 30  # of address space, which a program with sanitizers has no bound for
SANITIZED = b"__asan_init" in open(BUILD + "/hallmark", "rb").read()


# --- the attacked side ---

class Seen:
    """What verify made of some bytes, or of paths."""

    def __init__(self, what, options=("--trust-first",), memory_mb=MEMORY_MB, text=False, measure=False):
        paths, stdin = (["-"], what) if isinstance(what, bytes) else ([what] if isinstance(what, str) else list(what), b"")
        if len(stdin) > 10_000_000:
            paths = [write("big", stdin)]
        started = processor_time()
        with open(f"{top}/stdin", "wb+") as source, open(f"{top}/out", "wb+") as out, open(f"{top}/err", "wb+") as err:
            if paths == ["-"]:
                source.write(stdin)
                source.seek(0)
            child = subprocess.Popen([BUILD + "/hallmark", "verify", *(() if text else ("--format", "json")), *options, *paths],
                                     stdin=source, stdout=out, stderr=err,
                                     preexec_fn=None if SANITIZED else lambda: limit(memory_mb))
            self.mb = 0
            while measure and child.poll() is None:
                self.mb = resident_mb(child.pid) or self.mb
                time.sleep(0.002)
            child.wait()
            out.seek(0)
            err.seek(0)
            self.out, self.err = out.read().decode(), err.read().decode()
        self.code, self.seconds = child.returncode, processor_time() - started
        rows = [] if text else [json.loads(row) for row in self.out.splitlines()]
        self.events = [r for r in rows if "report" not in r]
        self.hosts = [r for r in rows if r.get("report") == "host"]
        self.all = rows[-1] if rows and rows[-1].get("report") == "all" else {}
        # where memory is short, or there is so much that a reader in Python takes its time, verify is asked alone
        alone = text or measure or memory_mb < MEMORY_MB
        self.disagreements = [] if alone else readers.disagreements(rows, self.code, what, options)

    def host(self, key):
        return next((h for h in self.hosts if h["key_fingerprint"] == key.fingerprint()), {})

    def messages(self):
        return [e["message"] for e in self.events]


def processor_time():
    """Of the programs that have ended: other than time on the clock, it does not know who else is busy."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_mb(pid):
    """The most that it had until now. What wait4() tells counts what Python had when it forked."""
    with open(f"/proc/{pid}/status") as status:
        return next((int(row.split()[1]) // 1024 for row in status if row.startswith("VmHWM")), 0)


def limit(memory_mb):
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (300 if LONG else 60,) * 2)


def write(name, *pieces):
    os.makedirs(os.path.dirname(f"{top}/{name}"), exist_ok=True)
    with open(f"{top}/{name}", "wb") as out:
        out.write(b"".join(pieces))
    return f"{top}/{name}"


def says(text, seen, code, said=(), shown=None, hosts=(), seconds=SECONDS, **facts):
    """`said`: words on standard error. `shown`: the events' messages. `hosts`: (key, facts of its report). The rest are
    facts of the report over all."""
    wrong = [] if seen.code == code else ["exit code %d, wanted %d" % (seen.code, code)]
    wrong += ["not said: " + w for w in ([said] if isinstance(said, str) else said) if w not in seen.err]
    wrong += ["shown: " + m for m in seen.messages() if "evil" in m] + seen.disagreements
    if shown is not None and seen.messages() != shown:
        wrong.append("shown %s, wanted %s" % (seen.messages()[:20], shown[:20]))
    for whose, got, wanted in [("all", seen.all, facts)] + [(k.fingerprint(), seen.host(k), f) for k, f in hosts]:
        wrong += ["%s: %s is %s, wanted %s" % (whose, n, got.get(n), v) for n, v in wanted.items() if got.get(n) != v]
    if hosts and len(seen.hosts) != len(hosts):
        wrong.append("%d hosts, wanted %d" % (len(seen.hosts), len(hosts)))
    if seen.seconds > seconds:
        wrong.append("it took %.1f s of the processor" % seen.seconds)
    return tap.ok(not wrong, text, *wrong, seen.out[-3000:], seen.err[-1000:])


def attacked(text, what, code, *more, options=("--trust-first",), **facts):
    seen = Seen(b"".join(what) if isinstance(what, list) else what, options)
    says(text, seen, code, *more, **facts)
    return seen


def listed(*ranges):
    return {"count": len(ranges), "sequences": sum(b - a + 1 for a, b in ranges), "listed": [list(r) for r in ranges]}


NONE = listed()


def trust(*keys):
    return ("--trust", write("trust", "".join(k.pem() for k in keys).encode()))


def as_of(seconds, *more):
    return ("--trust-first", "--as-of", "@%d" % (START_US // 1_000_000 + seconds), *more)


# --- what there is ---

def words(first, last, who="web1"):
    return ["%s says %d" % (who, i) for i in range(first, last + 1)]


def grow(chain, n, who="web1", farewell=False, **more):
    return [chain.add([line("%s says %d" % (who, chain.sequence + 1))], farewell=farewell and i == n - 1, **more)
            for i in range(n)]


whole = grow(Chain(KEY), 8)
attacked("untouched it is whole", whole, YES, shown=words(1, 8),
         hosts=[(KEY, {"verdict": "whole", "problems": [], "frames": 8, "from_start": True, "gaps": NONE, "breaks": NONE,
                       "forks": NONE})])


def overlong(n):
    return bytes([n & 0x7f | 0x80, n >> 7 & 0x7f | 0x80, n >> 14 | 0x80, 0])


# --- strip ---
attacked("strip: a frame in the middle", whole[:3] + whole[4:], NO, shown=words(1, 3) + words(5, 8),
         hosts=[(KEY, {"host": "web1", "verdict": "not whole", "problems": ["gap"], "gaps": listed((4, 4)), "breaks": NONE})])
attacked("strip: several", [whole[0]] + whole[3:5] + whole[7:], NO,
         hosts=[(KEY, {"problems": ["gap"], "gaps": listed((2, 3), (6, 7))})])
seen = Seen(b"".join(whole[:1] + whole[3:]), text=True)
tap.ok(seen.code == NO and "whole: frames are missing\n" in seen.out and
       "gaps                1: sequence 2 to 3 (2 frames are missing)" in seen.out, "strip: people are told which", seen.out)
chain = Chain(KEY)
run1 = grow(chain, 3, farewell=True)
second = chain.copy(run=2)
run2 = grow(second, 3, farewell=True)
run3 = grow(second.copy(run=3), 3, farewell=True)
attacked("strip: all of one run", run1 + run3, NO, hosts=[(KEY, {"problems": ["gap"], "gaps": listed((4, 6)), "runs": 2})])
both = grow(Chain(OTHER, "db1"), 4, "db1")
attacked("strip: all of one host leaves no trace in the rest, but its key is named", whole, YES, options=trust(KEY, OTHER),
         trusted_without_frames=[OTHER.fingerprint()])
attacked("strip: and it is overdue where life is demanded", whole, NO, trusted_without_frames=[OTHER.fingerprint()],
         verdict="not whole", hosts=[(KEY, {"verdict": "whole"})],
         options=trust(KEY, OTHER) + ("--as-of", "@%d" % (START_US // 1_000_000 + 80)))
seen = Seen(b"".join(whole), trust(KEY, OTHER) + ("--as-of", "@%d" % (START_US // 1_000_000 + 80)), text=True)
tap.ok("overdue: 1 of the 2 trusted keys have no frames here: %s\n" % OTHER.fingerprint() in seen.out, "strip: in words",
       seen.out)
attacked("strip: everything", b"", UNKNOWN, options=trust(KEY))
attacked("strip: everything, where life is demanded", b"", NO, options=trust(KEY) + ("--as-of", "now"))
attacked("strip: the payload is zeroed", whole[:3] + [bytes(len(whole[3]))] + whole[4:], NO, damage=1,
         damage_bytes=len(whole[3]), said="zeros between frames", hosts=[(KEY, {"problems": ["gap"]})])

# --- the envelope ---
payload, kind, sig = [value for _, value in fields(whole[3][12:])]
next_payload, _, next_sig = [value for _, value in fields(whole[4][12:])]
foreign = message(3, data(1, OTHER.sign(lib.pae(payload))))
ENVELOPES = {
    "no signature": data(1, payload) + data(2, kind),
    "an empty signature message": data(1, payload) + data(2, kind) + message(3, b""),
    "an empty signature": data(1, payload) + data(2, kind) + message(3, message(1, b"")),
    "two signatures": data(1, payload) + data(2, kind) + message(3, sig) + message(3, sig),
    "a second signature, of another": data(1, payload) + data(2, kind) + message(3, sig) + foreign,
    "another's signature before it": data(1, payload) + data(2, kind) + foreign + message(3, sig),
    "a key hint": data(1, payload) + data(2, kind) + message(3, sig + data(2, OTHER.fingerprint())),
    "a foreign type": data(1, payload) + data(2, b"application/vnd.in-toto+json") + message(3, sig),
    "no type": data(1, payload) + message(3, sig),
    "two payloads": data(1, payload) + data(1, next_payload) + data(2, kind) + message(3, sig),
    "no payload": data(2, kind) + message(3, sig),
    "an unknown field": data(1, payload) + data(2, kind) + message(3, sig) + data(15, b"x"),
    "an overlong length": b"\x0a" + overlong(len(payload)) + payload + data(2, kind) + message(3, sig),
    "fields in another order": data(2, kind) + data(1, payload) + message(3, sig),
    "a group": b"\x0b" + data(1, payload) + data(2, kind) + message(3, sig) + b"\x0c",
}
for name, envelope in ENVELOPES.items():
    attacked(f"envelope: {name}", whole[:3] + [framed(envelope)] + whole[4:], NO,
             "no DSSE envelope of a batch with one signature",
             shown=words(1, 3) + words(5, 8), damage=1, hosts=[(KEY, {"problems": ["gap"], "gaps": listed((4, 4))})])

# --- reorder, interleave, duplicate ---
attacked("reorder: two frames, whose order in a file means nothing", whole[:3] + [whole[4], whole[3]] + whole[5:], YES,
         hosts=[(KEY, {"frames": 8, "clock_backwards": 0})])
mixed = whole[:]
random.Random(1).shuffle(mixed)
attacked("reorder: all of them", mixed, YES, hosts=[(KEY, {"frames": 8, "from_start": True})])
for name, order in (("in order", (1, 2, 3)), ("in another", (3, 1, 2))):
    for place, piece in zip(order, (whole[:3], whole[3:5], whole[5:])):
        write("segments/%020d.seg" % place, *piece, bytes(3000))
    attacked(f"reorder: segments {name}", f"{top}/segments", YES, hosts=[(KEY, {"frames": 8, "duplicates": 0})])
attacked("reorder: sequence numbers are under the signature", [Chain(KEY).add([line("evil")], signer=OTHER)] + whole, NO,
         bad_signature=1, said="what claims to be sequence 1 of web1: bad signature")
attacked("two hosts interleaved are judged apart", [f for pair in zip(whole, both + both) for f in pair], YES,
         hosts=[(KEY, {"verdict": "whole", "frames": 8}),
                (OTHER, {"verdict": "whole", "frames": 4, "duplicates": 4, "host": "db1"})])
attacked("and one does not fill the other's gap",
         [f for pair in zip(whole[:3] + whole[4:], both) for f in pair] + whole[5:], NO,
         hosts=[(KEY, {"problems": ["gap"], "gaps": listed((4, 4))}), (OTHER, {"verdict": "whole"})])
write("objects/1", *whole[:4])
write("objects/2", *whole[4:])
write("objects/2 (copy)", *whole[4:])
attacked("the same object twice: dropped, counted, and shown once", f"{top}/objects", YES, shown=words(1, 8),
         hosts=[(KEY, {"verdict": "whole", "duplicates": 4, "frames": 8, "events": 8})])
attacked("or named twice", (f"{top}/objects/2", f"{top}/objects/1", f"{top}/objects/2"), YES, hosts=[(KEY, {"duplicates": 4})])

# --- splice ---
late = Chain(OTHER)
late.sequence, late.previous, late.time_us = 3, Chain(KEY).previous, START_US + 30_000_000
attacked("splice: a frame of B, signed by B, into A's chain",
         whole[:3] + [late.add([line("B was here")], previous=bytes(32))] + whole[4:],
         NO, hosts=[(KEY, {"problems": ["gap"], "gaps": listed((4, 4)), "frames": 7}),
                    (OTHER, {"frames": 1, "from_start": False})])
late = Chain(KEY)
late.sequence, late.previous = 3, bytes(32)
attacked("splice: one that says it is A's, and is signed by B",
         whole[:3] + [late.add([line("evil")], signer=OTHER)] + whole[4:], NO,
         "what claims to be sequence 4 of web1: bad signature", bad_signature=1,
         hosts=[(KEY, {"problems": ["gap"], "gaps": listed((4, 4))})])
attacked("splice: A's payload with the signature of another frame of A",
         whole[:3] + [lib.frame(payload, fields(next_sig)[0][1])] + whole[4:], NO, bad_signature=1,
         hosts=[(KEY, {"gaps": listed((4, 4))})])
reset = grow(Chain(THIEF, run=2), 3)
attacked("splice: frames from before the host's identity was reset are another chain", reset[:2] + whole, NO,
         options=trust(KEY), shown=words(1, 8), said="sequence 1 of web1: its key is not trusted",
         hosts=[(KEY, {"verdict": "whole"}), (THIEF, {"problems": ["not_trusted"], "events": 0, "last_sequence": 2})])
chain = Chain(KEY)
common = grow(chain, 3)
other_way = chain.copy(run=2)
way, other = grow(chain, 3), [other_way.add([line("the other way %d" % i)]) for i in range(3)]
attacked("splice: the tail of a fork onto the other branch", common + way[:1] + other[1:], NO,
         hosts=[(KEY, {"problems": ["break"], "breaks": listed((5, 5)), "forks": NONE, "gaps": NONE})])
attacked("splice: its tail behind a gap, where nothing can be compared", common + way[:1] + other[2:], NO,
         hosts=[(KEY, {"problems": ["gap"], "gaps": listed((5, 5))})])
attacked("fork: an alternative history, signed with a stolen key", common + way + other, NO,
         shown=words(1, 6) + ["the other way %d" % i for i in range(3)],
         hosts=[(KEY, {"problems": ["fork"], "forks": {"count": 1, "sequences": 3, "listed": [[4, 6]]}, "breaks": NONE})])
attacked("fork: from the first frame on", whole + grow(Chain(KEY, run=9), 8), NO,
         hosts=[(KEY, {"problems": ["fork"], "runs": 2})])
attacked("fork: an alternative history alone cannot be told from the true one", common + other, YES,
         hosts=[(KEY, {"runs_without_farewell": 1})])

# --- cut ---
attacked("cut: the head is said to be missing", whole[3:], YES, shown=words(4, 8),
         hosts=[(KEY, {"first_sequence": 4, "from_start": False})])
attacked("cut: and is wrong where the start is demanded", whole[3:], NO, options=("--trust-first", "--from-start"),
         hosts=[(KEY, {"problems": ["no_start"], "first_sequence": 4})])
attacked("cut: the tail cannot be missed by what is left, which says where it ends", whole[:5], YES,
         hosts=[(KEY, {"last_sequence": 5, "farewell": False, "next_within_s": 600,
                       "last_time": "2026-09-21T14:14:10.000000Z"})])
attacked("cut: but is overdue", whole[:5], NO, options=as_of(50 + 1201),
         hosts=[(KEY, {"problems": ["overdue"], "last_sequence": 5})])
attacked("cut: not before twice the interval", whole[:5], YES, options=as_of(50 + 1200))
leave = grow(Chain(KEY), 5, farewell=True)
attacked("cut: nothing is overdue behind a farewell", leave, YES, options=as_of(10**7), hosts=[(KEY, {"farewell": True})])
attacked("cut: a farewell that is cut is", leave[:4], NO, options=as_of(10**7), hosts=[(KEY, {"problems": ["overdue"]})])
attacked("cut: back to an earlier farewell, nothing in the record says it", run1, YES, options=as_of(10**7),
         hosts=[(KEY, {"last_sequence": 3})])
for n in (1, 11, 12, 13, len(whole[4]) // 2, len(whole[4]) - 1):
    attacked(f"cut: a frame after {n} of its bytes", whole[:4] + [whole[4][:n]], NO, "cut off", damage=1,
             damage_bytes=len(whole[4][:n].rstrip(b"\0")), shown=words(1, 4))

for name, frames, options, told in (
        ("a fork", common + way + other, ("--trust-first",),
         ("it is forked: one sequence, two frames", "forks               1: sequence 4 to 6 (3 sequences)")),
        ("a break", common + way[:1] + other[1:], ("--trust-first",),
         ("the chain is broken", "chain breaks        1: sequence 5 (1 frame)")),
        ("a missing start", whole[3:], ("--trust-first", "--from-start"),
         ("its first frame is missing", "begins              sequence 4, ")),
        ("being overdue", whole[:5], as_of(10**6), ("it is overdue", "last proof of life  2026-09-21 14:14:10Z: overdue")),
        ("another's signature", whole[:3] + [whole[3].replace(b"web1", b"web2")], ("--trust-first",),
         ("1 frame with a bad signature (%d bytes)" % len(whole[3]),)),
        ("a key that is not trusted", whole, trust(OTHER),
         ("its key is not trusted", "events              not counted: the key is not trusted"))):
    seen = Seen(b"".join(frames), options, text=True)
    tap.ok(seen.code == NO and "verify: not whole" in seen.out and all(t in seen.out for t in told),
           f"people are told of {name}", seen.out, seen.err)

# --- replay ---
attacked("replay: frames that come again later", whole[:6] + whole[2:4] + whole[6:], YES, shown=words(1, 8),
         hosts=[(KEY, {"frames": 8, "duplicates": 2, "events": 8})])
write("replay/1", *whole)
write("replay/2", *whole[:5])
attacked("replay: an old state of the chain as a new object", f"{top}/replay", YES, shown=words(1, 8),
         hosts=[(KEY, {"duplicates": 5})])
attacked("replay: in place of the new one it is a tail that is cut", whole[:5] * 2, NO, options=as_of(2000),
         hosts=[(KEY, {"problems": ["overdue"]})])
attacked("replay: with the signature's twin, it is the same frame",
         whole + [lib.frame(payload, KEY.sign(lib.pae(payload), twin=True))], YES,
         shown=words(1, 8), hosts=[(KEY, {"duplicates": 1, "forks": NONE})])
write("hidden/1", *whole)
write("hidden/00000000000000000001.seg", *whole[:2])
attacked("replay: under the name of a segment, so that a directory of objects looks like a spool", f"{top}/hidden", YES,
         shown=words(1, 8),
         hosts=[(KEY, {"last_sequence": 8, "duplicates": 2})])

# --- keys ---
swapped = Seen(b"".join(f.replace(KEY.public, THIEF.public) for f in whole))
says("keys: another key in the payload", swapped, NO, "bad signature", shown=[], bad_signature=8)
tap.ok(not swapped.hosts, "keys: and nobody's chain comes of it", swapped.hosts)
for name, point in (("no point of the curve", b"\x02" + bytes(31) + b"\x05"), ("beyond the field", b"\x03" + b"\xff" * 32)):
    attacked(f"keys: {name}", whole + [Chain(KEY).add([line("evil")], public=point)], NO, bad_signature=1)
for name, point in (("of no known form", b"\x04" + KEY.public[1:]), ("cut off", KEY.public[:-1]),
                    ("uncompressed", KEY.spki[-65:])):
    attacked(f"keys: {name}", whole + [Chain(KEY).add([line("evil")], public=point)], NO, "no key", damage=1)
theirs = grow(Chain(THIEF), 8)
attacked("re-sign: the whole chain with another key, the right one being known", theirs, NO,
         "its key is not trusted; its events are not shown",
         shown=[], options=trust(KEY), trusted_without_frames=[KEY.fingerprint()],
         hosts=[(THIEF, {"problems": ["not_trusted"], "events": 0})])
attacked("re-sign: on first sight it cannot be told", theirs, UNKNOWN, options=(),
         hosts=[(THIEF, {"verdict": "could not tell", "problems": ["first_sight"]})])
attacked("re-sign: a part of it", whole[:4] + grow(Chain(THIEF), 8)[4:], NO, options=trust(KEY), shown=words(1, 4),
         hosts=[(KEY, {"last_sequence": 4, "verdict": "whole"}), (THIEF, {"problems": ["not_trusted"]})])
attacked("re-sign: whose name the host bears is no proof: two keys, two chains", whole + theirs, YES,
         hosts=[(KEY, {"host": "web1", "verdict": "whole"}), (THIEF, {"host": "web1", "verdict": "whole"})])

# --- each byte ---
small = [f for f in grow(Chain(KEY), 2)] + [Chain(OTHER, "b").add(farewell=True)]
stream = b"".join(small)
places = [(i, 1 << b) for i in range(len(stream)) for b in (range(8) if LONG else (i % 8,))]
unseen, strange = [], []
for at, bits in places:
    seen = Seen(stream[:at] + bytes([stream[at] ^ bits]) + stream[at + 1:])
    if seen.code not in (NO, UNKNOWN):
        unseen.append((at, bits, seen.code))
    if seen.messages() not in ([], ["web1 says 1"], ["web1 says 2"], ["web1 says 1", "web1 says 2"]) or "Sanitizer" in seen.err:
        strange.append((at, bits, seen.messages(), seen.err[-300:]))
tap.ok(not unseen, f"flip: {len(places)} bits of {len(stream)} bytes, and no chain is whole with one", unseen)
tap.ok(not strange, "flip: and no event but the two that were signed is ever shown", strange)
some = range(0, len(stream), 1 if LONG else 7)
removed = [i for i in some if Seen(stream[:i] + stream[i + 1:]).code not in (NO, UNKNOWN)]
added = [i for i in some if Seen(stream[:i] + b"A" + stream[i:]).code not in (NO, UNKNOWN)]
tap.ok(not removed and not added, "no byte can be taken out or put in", removed, added)

# --- lengths ---
for size in (2**32 - 1, 2**31, 2**31 - 1, 900_001, 900_000 - 12, 4096, 0):
    lie = b"HMRK" + (1).to_bytes(2, "little") + bytes(2) + size.to_bytes(4, "little")
    attacked(f"length: {size} before a true frame", whole[:4] + [lie] + whole[4:], NO, "bytes that are no frame",
             damage=1, shown=words(1, 8), hosts=[(KEY, {"gaps": NONE, "frames": 8})])
    attacked(f"length: {size} at the end", whole + [lie], NO, damage=1, shown=words(1, 8))
attacked("length: of the payload, 4 GiB", whole + [framed(b"\x0a" + varint(2**32) + payload)], NO, damage=1)
attacked("length: of the payload, 2^64-1", whole + [framed(b"\x0a" + varint(2**64 - 1) + payload)], NO, damage=1)
# each one begins within the one before it, has an envelope in order, and ends where all of them end
ladder, tail, steps = b"", data(2, kind) + message(3, sig), 50_000
for left in range(steps - 1, -1, -1):
    inner = b"\x0a" + varint(left * 16 + 20_000)
    ladder += b"HMRK\x01\0\0\0" + (len(inner) + left * 16 + 20_000 + len(tail)).to_bytes(4, "little") + inner
ladder += bytes(20_000) + tail
attacked(f"length: {steps} frames, each within the one before", whole[:4] + [ladder] + whole[4:], NO, damage=1,
         shown=words(1, 8), seconds=4)

# --- decompression bombs, signed with a stolen key ---
def rle(size, byte=b"\0", **more):
    return lib.zstd_of((byte, size), **more)


RIGHT = events_message([line("evil")])
BOMBS = {
    "4 GiB, claimed as 8 MiB": {"compressed": rle(2**32), "size": 8 << 20},
    "4 GiB, in a container that claims 8 MiB": {"compressed": rle(2**32, claim=8 << 20), "size": 8 << 20},
    "4 GiB, which its container admits": {"compressed": rle(2**32 - 1, claim=2**32 - 1), "size": 8 << 20},
    "a window of 2 GiB": {"compressed": rle(8 << 20, window=0xa8), "size": 8 << 20},
    "8 MiB that are no events": {"compressed": rle(8 << 20, claim=8 << 20), "size": 8 << 20},
    "fewer bytes than claimed": {"compressed": rle(1000), "size": 1001},
    "more bytes than claimed": {"compressed": rle(1000), "size": 999},
    "no zstd at all": {"compressed": b"evil" * 100, "size": 400},
    "a frame that is cut off": {"compressed": rle(1000)[:-2], "size": 1000},
    "two frames": {"compressed": rle(1000) * 2, "size": 1000},
    "two frames that claim all of it": {"compressed": lib.zstd(RIGHT) * 2, "size": len(RIGHT)},
    "two frames that are all of it": {"compressed": lib.zstd(RIGHT[:20]) + lib.zstd(RIGHT[20:]), "size": len(RIGHT)},
    "a byte behind it": {"compressed": lib.zstd(RIGHT) + b"\0", "size": len(RIGHT)},
    "a container that does not claim a size": {"compressed": lib.zstd_of(RIGHT), "size": len(RIGHT)},
    "4 GiB, with a dictionary": {"compressed": rle(2**32, claim=8 << 20, dictionary=1), "size": 8 << 20},
    "a dictionary and no claim": {"compressed": rle(1000, dictionary=1), "size": 1000},
    "a newer dictionary and no claim": {"compressed": rle(1000, dictionary=200), "size": 1000},
    "what needs a dictionary, and names none": {"compressed": zstandard.ZstdCompressor(
        dict_data=record.dictionary(1), write_dict_id=False).compress(RIGHT), "size": len(RIGHT)},
    "100,000 empty frames": {"compressed": (b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00") * 90_000, "size": 1},
    "350,000 empty messages": {"raw": b"\x0a\0" * 350_000},
    "8 MiB of one-byte numbers": {"compressed": rle(8 << 20, claim=8 << 20, byte=b"\x18"), "size": 8 << 20},
}
for name, bomb in BOMBS.items():
    chain = Chain(KEY)
    attacked(f"bomb: {name}", [chain.add(), chain.add(**{"raw": b"x", "count": 1, **bomb}), chain.add()], NO,
             "sequence 2 of web1: signed, but its events cannot be decoded", seconds=20, shown=[],
             hosts=[(KEY, {"problems": ["bad_events"], "undecodable": 1, "gaps": NONE})])
for name, size in (("4 GiB", 2**32 - 1), ("8 MiB and a byte", (8 << 20) + 1)):
    chain = Chain(KEY)
    attacked(f"bomb: {name} announced", [chain.add(), chain.add(raw=b"x", count=1, compressed=rle(size), size=size),
                                         chain.add()], NO,
             "too many events", damage=1, hosts=[(KEY, {"problems": ["gap"]})], seconds=20)
# what decodes may still be much: two million events from 600 bytes, a line of 60 KB a thousand times
n = 2_090_000
parts = [message(1, b"") + message(2, data(1, "x"))]
for column in (3, 4, 5, 6):
    parts += [varint(column << 3 | 2) + varint(n), (b"\0", n)]
size = len(parts[0]) + sum(len(p) + n for p in parts[1::2])
few = Chain(KEY).add(raw=b"x", count=n, compressed=lib.zstd_of(*parts, claim=size), size=size)
seen = Seen(few, ("--trust-first", "-q"), measure=True)
says("bomb: two million events from %d bytes are counted" % len(few), seen, YES, hosts=[(KEY, {"events": n})])
tap.ok(SANITIZED or seen.mb < 128, "bomb: in bounded memory", seen.mb)
chain = Chain(KEY)
heavy = events_message([line("x" * 60_000)])
many = heavy[:heavy.index(b"\x1a\x01\0")] + b"".join(data(column, bytes(1000)) for column in (3, 4, 5, 6)) + \
    message(7, data(1, "message") + data(2, varint(60_001) + bytes(999)) + data(3, "x" * 60_000))
seen = Seen(b"".join(chain.add(raw=many, count=1000) for _ in range(3)), ("--trust-first", "-q"))
says("bomb: 60 MB of raw lines in a batch are within what an agent may write", seen, YES, hosts=[(KEY, {"events": 3000})],
     seconds=30)
chain = Chain(KEY)
attacked("bomb: 70 MB are not", [chain.add(raw=many.replace(bytes(1000), bytes(1200)).replace(varint(1000), varint(1200)),
                                           count=1200)],
         NO, options=("--trust-first", "-q"), hosts=[(KEY, {"problems": ["bad_events"]})])

# --- limits: as much as the page allows, and one more ---
def with_templates(more, event):
    """The Events message of one event, with further templates in it."""
    plain = events_message([event])
    lists = plain.index(b"\x1a\x01\0")
    return plain[:lists] + more + plain[lists:]


def facts(n):
    return line("x", constants=[("c%d" % i, "") for i in range(n)])


def fields_in(n):
    return lib.event("".join("{f%d}" % i for i in range(n)), ["v"] * n)


# 1024 lines that come to 256 KiB each beside themselves, with the 29 bytes of sshd, web1 twice and the source, and 10 more
BESIDE = 262_144 - 29 - 10
LIMITS = {
    "messages in a batch": lambda more: {"more": message(13, b"") * (4096 - 2 + more)},
    "unknown fields in a batch": lambda more: {"more": number(99, 1) * (4096 - 2 + more)},
    "messages in its events": lambda more: {"raw": with_templates(message(2, b"") * (65_536 - 3 + more), line("x")), "count": 1},
    "bytes of a line": lambda more: {"events": [line("x" * (131_072 + more))]},
    "constants": lambda more: {"events": [facts(32 + more)]},
    "fields": lambda more: {"events": [fields_in(32 + more)]},
    "letters of a name": lambda more: {"events": [lib.event("{%s}" % ("n" * (64 + more)), ["v"])]},
    "positions a source may be": lambda more: {"events": [line("x", source=1 + more)]},
    "bytes beside the lines": lambda more: {"events": [line("x", constants=[("n", "v" * (BESIDE + more))])] * 1024},
}
for name, make in LIMITS.items():
    for more, code in ((0, YES), (1, NO)):
        attacked(f"limits: {name}, {'one more' if more else 'as many as may be'}", [Chain(KEY).add(**make(more))], code,
                 options=("--trust-first", "-q"), seconds=30)

# --- floods ---
def signed_flood(n, key=KEY):
    """n checkpoints, as small as they can be; their digests chain."""
    chain, out = Chain(key, host="h", interval_s=60), []
    for _ in range(n):
        out.append(chain.add(positions=b""))
    return out


def figures(text, seen, size):
    print("# %s: %.1f MB, %.1f s, %d MB of memory" % (text, size / 1e6, seen.seconds, seen.mb), flush=True)


n = 1_000_000
tiny = b"HMRK\x01\0\0\0\x01\0\0\0\x0a" * n
seen = Seen(tiny + whole[0], measure=True)
figures("a million frames of 13 bytes", seen, len(tiny))
says("flood: a million tiny frames that are none", seen, NO, damage=1, damage_bytes=len(tiny), shown=words(1, 1), seconds=30)
tap.ok(SANITIZED or seen.mb < 32, "flood: in little memory", seen.mb)
tiny = framed(data(1, b"x") + data(2, kind) + message(3, sig)) * (100_000 if not LONG else n)
seen = Seen(tiny + whole[0], measure=True)
figures("envelopes of no batch", seen, len(tiny))
says("flood: envelopes in order that hold no batch", seen, NO, damage=1, damage_bytes=len(tiny), shown=words(1, 1), seconds=30)
n = n if LONG else 20_000
flood = signed_flood(n)
seen = Seen(b"".join(flood), memory_mb=512 if not LONG else 1024, measure=True)
figures("%d signed checkpoints" % n, seen, sum(map(len, flood)))
says("flood: %d signed checkpoints" % n, seen, YES, hosts=[(KEY, {"frames": n, "last_sequence": n})],
     seconds=300 if LONG else 60)
tap.ok(SANITIZED or seen.mb < 16 + n * 300 / 1e6, "flood: in 300 bytes for each", seen.mb)
flood = [f[:-8] + b"\0" * 8 for f in flood]
seen = Seen(b"".join(flood), measure=True)
figures("%d checkpoints with bad signatures" % n, seen, sum(map(len, flood)))
says("flood: %d signatures that are none" % n, seen, NO, bad_signature=n, seconds=300 if LONG else 60)
tap.ok(SANITIZED or seen.mb < 16, "flood: of which nothing is kept", seen.mb)
tap.ok(len(seen.err) < 10_000 and "the report counts all of it" in seen.err, "flood: and not each is complained of",
       len(seen.err))
seen = Seen(b"".join(signed_flood(6000)[::2]))
says("flood: of 2999 gaps the first are named and all are counted", seen, NO,
     hosts=[(KEY, {"problems": ["gap"], "gaps": {"count": 2999, "sequences": 2999,
                                                 "listed": [[i, i] for i in range(2, 34, 2)]}})])


class Next(Key):
    """The key behind another: one addition instead of 256."""

    def __init__(self, before, point):
        self.d, self.point = before + 1, lib.add(point, (*lib.G, 1))
        inverse = pow(self.point[2], -1, lib.P)
        self.name(self.point[0] * inverse * inverse % lib.P, self.point[1] * inverse**3 % lib.P)


keys = 200_000 if LONG else 3_000
d, point = 1, (*lib.G, 1)
with open(f"{top}/keys", "wb") as out:
    for _ in range(keys):
        key = Next(d, point)
        d, point = key.d, key.point
        out.write(Chain(key, host="h").add(positions=b""))
size = os.path.getsize(f"{top}/keys")
seen = Seen(f"{top}/keys", trust(KEY), memory_mb=512 if not LONG else 2048, text=True, measure=True)
figures("%d host keys" % keys, seen, size)
tap.ok(seen.code == NO and "%d host keys" % keys in seen.out and seen.seconds < (900 if LONG else 60),
       "flood: %d hosts" % keys, seen.code, seen.err[-500:])
tap.ok(SANITIZED or seen.mb < 16 + keys * 1500 / 1e6, "flood: in 1500 bytes for each", seen.mb)

# --- numbers ---
def at(sequence, **more):
    chain = Chain(KEY)
    chain.sequence, chain.previous = sequence - 1, bytes(32) if sequence > 1 else b""
    return chain.add([line("sequence %d" % sequence)], **more)


TOP = 2**64 - 1
attacked("numbers: a jump to 2^64-1", whole + [at(TOP)], NO,
         hosts=[(KEY, {"problems": ["gap"], "last_sequence": TOP, "gaps": listed((9, TOP - 1))})])
attacked("numbers: only the last sequence of all", [at(TOP)], YES, hosts=[(KEY, {"first_sequence": TOP, "from_start": False})])
attacked("numbers: both ends of the range", [at(1), at(TOP)], NO, hosts=[(KEY, {"gaps": listed((2, TOP - 1))})])
attacked("numbers: and from 2^64-1 nothing leads on to 1", [at(TOP), at(1)], NO, hosts=[(KEY, {"problems": ["gap"]})])
wrapped = Chain(KEY)
wrapped.sequence = -1
attacked("numbers: no sequence 0", whole + [wrapped.add([line("evil")], previous=b"")], NO, "no sequence number", damage=1)
attacked("numbers: a second first frame that names a forerunner",
         whole + [Chain(KEY).add([line("evil")], previous=bytes(32))], NO,
         "sequence number and digest of the batch before do not agree", damage=1)
attacked("numbers: a frame in the middle that names none", whole[:4] + [at(5, previous=b"")] + whole[5:], NO, damage=1,
         hosts=[(KEY, {"gaps": listed((5, 5))})])
for name, times in (("a day", (START_US, START_US - 86_400_000_000)),
                    ("all there is", (2**63 - 1 - 10_000_000, -2**63 - 10_000_000 + 1))):
    chain = Chain(KEY)
    frames = []
    for chain.time_us in times:
        frames.append(chain.add([line("tick")]))
    attacked(f"numbers: time that goes back {name} is told, and no problem", frames, YES,
             hosts=[(KEY, {"clock_backwards": 1, "verdict": "whole"})])
    attacked(f"numbers: and that it went back {name} is no proof of life", frames, NO, options=as_of(10**7),
             hosts=[(KEY, {"problems": ["overdue"]})])
slow = [Chain(KEY, interval_s=2**31 - 1).add()]
attacked("numbers: a promise for the next 68 years never overflows", slow, YES,
         options=as_of(10 + 2 * (2**31 - 1)),
         hosts=[(KEY, {"next_within_s": 2**31 - 1})])
attacked("numbers: but is kept", slow, NO, options=as_of(11 + 2 * (2**31 - 1)), hosts=[(KEY, {"problems": ["overdue"]})])
attacked("numbers: a promise for longer is none", [Chain(KEY, interval_s=2**31).add()], NO, "a promise for more than 68 years",
         damage=1)

# --- protobuf ---
def fifth(**more):
    chain = Chain(KEY)
    frames = grow(chain, 4)
    frames.append(chain.add([line("web1 says 5")], **more))
    return frames + grow(chain, 1)


attacked("protobuf: an unknown field, signed, is what its host wrote", fifth(more=number(1000, 7) + data(999, b"?" * 3000)), YES,
         shown=words(1, 6), hosts=[(KEY, {"host": "web1", "frames": 6})])
NO_BATCH = {
    "a field twice": number(8, 600),
    "the host twice": message(6, data(1, "web1")),
    "an entry twice, and what is unknown before it": lib.excluded("x", 1) + number(14, 1) + lib.excluded("x", 1),
    "a number that is its default": message(13, b"\x10\0"),
    "a string that is its default": message(13, b"\x0a\0"),
    "a NUL in a string": lib.excluded("a\0b", 1),
    "a string that is not UTF-8": message(13, data(1, b"\xc3\x28")),
    "a number that is overlong": b"\x40\xd8\x84\x80\x80\x80\x80\x80\x00",
    "an unknown number that is overlong": b"\x70\x81\x00",
    "a number past 64 bits": message(13, b"\x10" + b"\xff" * 9 + b"\x03"),
    "a number of another type": message(13, b"\x11" + bytes(7) + b"\x01"),
    "a group": b"\x9b\x06\x9c\x06",
    "groups within groups": b"\x9b\x06" * 1000 + b"\x9c\x06" * 1000,
    "a varint of 11 bytes": b"\x40" + b"\xff" * 10 + b"\x01",
    "a varint without an end": b"\x40" + b"\xff" * 9,
    "field number 0": b"\x02\x00",
    "a wire type that is none": b"\x47",
    "a length beyond the end": b"\x5a\xff\xff\xff\xff\x0f",
    "300,000 unknown fields": b"\xf8\x07\x01" * 250_000,
}
for name, more in NO_BATCH.items():
    attacked(f"protobuf: {name}", fifth(more=more), NO, "no batch", damage=1, shown=words(1, 4) + words(6, 6),
             hosts=[(KEY, {"gaps": listed((5, 5))})])
for n, code, why in ((1024, YES, ""), (1025, NO, "too many positions"), (400_000, NO, "no batch")):
    attacked(f"protobuf: {n} positions", fifth(positions=b"\x4a\0" * n), code, why,
             hosts=[(KEY, {"frames": 6 if code == YES else 5})])
attacked("protobuf: a position of a million files", fifth(positions=message(9, b"\x12\0" * 400_000)), NO, damage=1)

# --- names ---
for size, code, why in ((4096, YES, ""), (4097, NO, "no proper host"), (65_536, NO, "no proper host")):
    attacked(f"names: a host name of {size} bytes", Chain(KEY, host="n" * size).add([line("x")]), code, why)
evil = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r\n\x00 \\"
name = "we\x1b[2Jb\u202e\n1"
stranger = Chain(OTHER, host=name)
for text, options in (("in the report", ("--trust-first",)), ("in complaints", trust(KEY))):
    seen = Seen(stranger.add() + stranger.add([line("x", host=evil, program=evil)], count=7) + whole[0] +
                Chain(KEY, host=name).add(signer=OTHER), options, text=True)
    said = seen.out + seen.err
    tap.ok(seen.code == NO and not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said) and "we\\x1b[2Jb" in said,
           f"names: no escape sequence of a host's name gets through {text}", repr(said))
claims = Chain(KEY)
seen = attacked("names: a line that claims another host is still of the one that signed it",
                [claims.add([line("hello", host="db1")])], YES,
                hosts=[(KEY, {"host": "web1"})])
tap.ok([(e["host"], e["record"]["host"]) for e in seen.events] == [("db1", "web1")], "names: and both are shown", seen.events)
renamed = Chain(KEY)
first = renamed.add()
renamed.host = "web2"
attacked("names: a host that changes its name is one chain, called by its newest", [renamed.add(), first], YES,
         hosts=[(KEY, {"host": "web2", "frames": 2})])

# --- where the frames lie ---
os.makedirs(f"{top}/odd/inner")
write("odd/1", *whole[:4])
write("odd/2", *whole[4:])
write("elsewhere", OTHER.pem().encode())
os.mkfifo(f"{top}/odd/0-fifo")
os.symlink("/dev/zero", f"{top}/odd/0-zero")
os.symlink(f"{top}/elsewhere", f"{top}/odd/3")
os.symlink("..", f"{top}/odd/inner/up")
attacked("places: pipes, links, devices and directories among the objects are passed over", f"{top}/odd", YES,
         shown=words(1, 8))
write("full/1.seg", *whole)
write("full/%020d.seg" % 1, *whole[:2], b"rubbish")
write("full/%020d.seg" % 2, *whole[2:5])
write("full/zz", *[Chain(KEY).add([line("another first")])])
attacked("places: what lies among the segments of a spool is read as well", f"{top}/full", NO,
         hosts=[(KEY, {"problems": ["fork"], "forks": listed((1, 1)), "last_sequence": 8})])
for i in range(1500):
    write("hollow/%020d.seg" % i, b"HMRK" * 10_000)
seen = attacked("places: segments that hold no frame are not read over and over", f"{top}/hollow", NO, damage=1500,
                shown=[], seconds=30)
shutil.rmtree(f"{top}/hollow")
if not SANITIZED:
    gap = b"".join(signed_flood(4000)[:-3] + grow(Chain(OTHER), 1))
    codes = [Seen(gap, trust(KEY), memory_mb=mb).code for mb in range(8, 40, 2)]
    tap.ok(YES not in codes and codes[0] != NO and codes[-1] == NO, "where memory is short, nothing is whole for that", codes)
with open("/dev/full", "wb") as sink:
    done = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", "-"], input=b"".join(whole), stdout=sink,
                          stderr=subprocess.PIPE)
tap.ok(done.returncode == UNKNOWN, "where the report cannot be written it is not whole", done.returncode, done.stderr)

# --- while it is being written ---
class Follower:
    """hallmark events --follow on a spool that somebody else writes into."""

    def __init__(self):
        self.state, self.frames = f"{top}/live", []
        os.makedirs(self.state + "/spool")
        os.makedirs(self.state + "/run")
        self.put(1, *whole[:2])
        self.publish(1, len(b"".join(whole[:2])), 2)
        self.out = open(f"{top}/followed", "wb+")
        self.err = open(f"{top}/complained", "wb+")
        self.process = subprocess.Popen([BUILD + "/hallmark", "events", "--follow", "--format", "json", "--state", self.state],
                                        stdout=self.out, stderr=self.err,
                                        preexec_fn=None if SANITIZED else lambda: limit(MEMORY_MB))

    def put(self, segment, *frames):
        """Under the same name, as another file."""
        path = f"{self.state}/spool/{segment:020}.seg"
        with open(path + "~", "wb") as out:
            out.write(b"".join(frames) + bytes(50_000))
        os.rename(path + "~", path)

    def cut(self, segment, size):
        os.truncate(f"{self.state}/spool/{segment:020}.seg", size)

    def publish(self, segment, offset, sequence):
        with open(self.state + "/run/.tmp", "w") as out:
            out.write(f"{segment} {offset} {sequence}\n")
        os.rename(self.state + "/run/.tmp", self.state + "/run/committed")

    def shown(self):
        with open(f"{top}/followed", encoding="utf-8") as text:
            return [json.loads(row)["message"] for row in text.read().split("\n")[:-1]]

    def expect(self, text, wanted):
        until = time.monotonic() + 10
        while self.shown() != wanted and time.monotonic() < until and self.process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.1)
        tap.ok(self.shown() == wanted and self.process.poll() is None, "follow: " + text, self.shown(), self.process.poll())


def length(*frames):
    return len(b"".join(frames))


live = Follower()
live.expect("what there is", words(1, 2))
live.cut(1, length(whole[0]) + 20)
live.publish(1, length(*whole[:3]), 3)
live.expect("a segment that is cut shorter than what is committed", words(1, 2))
live.put(1, *whole[:4])
live.publish(1, length(*whole[:4]), 4)
live.expect("a segment put in its place: nothing is shown again", words(1, 4))
live.put(1, *whole[:4], Chain(KEY).add([line("evil")], signer=OTHER), *whole[4:5])
live.publish(1, 40_000, 5)
live.expect("one with a frame whose signature does not hold", words(1, 5))
live.put(1, *whole[:3])
live.publish(1, length(*whole[:3]), 3)
live.expect("an older state of it", words(1, 5))
live.put(2, *whole[5:7])
live.publish(2, length(*whole[5:7]), 7)
live.expect("and it goes on", words(1, 7))
live.put(3, ladder, whole[7])
live.publish(3, len(ladder) + length(whole[7]), 8)
live.expect("past frames within frames", words(1, 8))
before = sum(int(n) for n in open(f"/proc/{live.process.pid}/stat").read().split()[13:15])
time.sleep(0.5)
tap.ok(sum(int(n) for n in open(f"/proc/{live.process.pid}/stat").read().split()[13:15]) - before < 10,
       "follow: and rests in between")
live.process.terminate()
live.process.wait()

if not tap.failed:
    shutil.rmtree(top)
sys.exit(tap.done())
