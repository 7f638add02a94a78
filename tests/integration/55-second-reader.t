#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two readers of the record, `hallmark verify` and one written from hallmark-record(5) alone (tests/lib/record.py), say the
same of whole chains and of attacked ones: exit status, what is found, and every field of every event.

The attacks that are thought out are in 53-verify-attacked.t, which asks both as well; these are drawn. SEED repeats a
run, TRIES (150) says how many of each sort.
"""
import os
import random
import resource
import shutil
import subprocess
import sys

import zstandard

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import chain as lib  # noqa: E402
import everything  # noqa: E402
import journals  # noqa: E402
import readers  # noqa: E402
import record  # noqa: E402
from agent import Agent, Tap  # noqa: E402

DATA = "tests/capture/data/"
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
TRIES = int(os.environ.get("TRIES", "150"))
KEY, OTHER = lib.QuickKey(1), lib.QuickKey(2)
tap = Tap()
print(f"# SEED={SEED} TRIES={TRIES}")


def frames_of(agent):
    """Its frames, as bytes."""
    found = []
    for path in agent.segments():
        with open(path, "rb") as segment:
            data = segment.read()
        found += [data[f.offset:f.offset + f.size] for f in record.frames(data)]
    return found


def read_as_one(text, agent, wanted=0):
    options = ("--trust-first", "--from-start")
    rows, code = readers.verify(agent.state + "/spool", options)
    wrong = readers.disagreements(rows, code, agent.state + "/spool", options)
    events = len(rows) - 2
    return tap.ok(not wrong and code == wanted and events > 20, f"{text}: {events} events, field by field", code, *wrong)


# --- whole chains ---

def test_everything():
    """Leaves its frames, and those of another host, for the attacks."""
    with Agent() as agent, Agent() as other:
        everything.live(agent)
        read_as_one("all that a record may hold", agent)
        other.configure(files=[other.top + "/auth.log"])
        with open(other.top + "/auth.log", "wb") as log:
            log.write(b"\n".join(everything.LINES))
        other.catch_up()
        return frames_of(agent), frames_of(other)


def test_captures():
    with Agent() as agent:
        logs = [shutil.copy(DATA + name, agent.top) for name in sorted(os.listdir(DATA)) if name.endswith(".log")]
        for i, log in enumerate(logs):  # a line of the configuration is short
            os.rename(log, f"{agent.top}/{i}")
        agent.configure(files=[f"{agent.top}/{i}" for i in range(len(logs))])
        agent.catch_up()
        read_as_one("what two Debian releases logged", agent)
    if journals.missing():
        tap.skip("and their journal", journals.missing())
        return
    with Agent() as agent:
        os.mkdir(agent.top + "/journal")
        subprocess.run([journals.REMOTE, "-o", agent.top + "/journal/system.journal", DATA + "bookworm-journal.export"],
                       check=True, capture_output=True)
        agent.configure("journal", extra=f"journal-directory = {agent.top}/journal")
        agent.catch_up()
        read_as_one("and their journal", agent)


def test_zeros():
    """Numbers that are all 0 stand there as so many bytes, whatever else such bytes may be elsewhere."""
    for n in range(1, 18):
        stream = lib.Chain(KEY).add([lib.line("x")] * n)
        rows, code = readers.verify(stream)
        wrong = readers.disagreements(rows, code, stream)
        if wrong or code or len(rows) != n + 2:
            return tap.ok(False, f"the same event {n} times", code, *wrong)
    return tap.ok(True, "the same event up to 17 times")


def compressed_by(number, events):
    """A frame, and the number that its events bear, compressed with a dictionary by a third writer of zstd."""
    plain = lib.events_message(events)
    packed = zstandard.ZstdCompressor(level=19, dict_data=record.dictionary(number)).compress(plain)
    return (lib.Chain(KEY).add(events, compressed=packed, size=len(plain)), zstandard.get_frame_parameters(packed).dict_id,
            len(packed))


def test_dictionaries(written):
    """`written`: frames of hallmarkd's."""
    used = [(frame.batch.events_size, zstandard.get_frame_parameters(frame.batch.events).dict_id)
            for frame in record.frames(b"".join(written)) if frame.batch.event_count]
    newest = max(record.DICTIONARIES)
    tap.ok({number for _, number in used} == {newest}, f"small batches are written with the newest dictionary, {newest}", used)
    events = [lib.event("Failed password for {user} from {src_ip} port {src_port} ssh2", ["root", "192.0.2.7", "22"])] * 3
    _, none, plain = compressed_by(0, events)
    for number in record.DICTIONARIES:
        stream, named, size = compressed_by(number, events)
        rows, code = readers.verify(stream)
        wrong = readers.disagreements(rows, code, stream)
        tap.ok(code == 0 and not wrong and (none, named) == (0, number) and size < plain and len(rows) == 5,
               f"dictionary {number}: {size} bytes for {plain}", code, *wrong)


# --- attacked chains ---

def some_bytes(rng):
    return rng.choice((bytes(rng.randrange(1, 40)), rng.randbytes(rng.randrange(1, 40)), b"HMRK", b"HMRK\1\0\0\0\xff\0\0\0",
                       b"HMRK\2\0\7\0\5\0\0\0newer", b"HMRK\2\0\0\0\x08\0\0\0HMRKaaaa", b"\0"))


def change_frames(rng, frames, foreign):
    """A list of frames, of which one thing is changed."""
    frames = frames[:]
    at, to = rng.randrange(len(frames)), rng.randrange(len(frames) + 1)
    frame = bytearray(frames[at])
    kind = rng.randrange(9)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 1, 5))):
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        frames[at] = bytes(frame)
    elif kind == 1:
        frames[at] = frames[at][:rng.randrange(len(frame))]
    elif kind == 2:
        frames.insert(to, frames.pop(at))
    elif kind == 3:
        frames.insert(to, frames[at])
    elif kind == 4:
        del frames[at:to]
    elif kind == 5:
        frames.insert(to, rng.choice(foreign))
    elif kind == 6:
        place = rng.randrange(len(frame))
        frames[at] = bytes(frame[:place]) + some_bytes(rng) + bytes(frame[place:])
    elif kind == 7:
        frames.insert(to, some_bytes(rng))
    else:
        frames.insert(at, bytes(frame[:rng.randrange(len(frame))]))
    return frames


def asked(rng, top, frames):
    """Options of verify."""
    batch = next((f.batch for f in record.frames(b"".join(frames)) if isinstance(f, record.Frame) and f.batch and
                  record.signature_holds(f)), None)
    trust = f"{top}/trust"
    if batch:
        with open(trust, "w", encoding="ascii") as file:
            file.write(rng.choice(("", OTHER.pem())) + record.fingerprint(batch.key) + "\n")
    options = rng.choice(((), ("--trust-first",), ("--trust-first",), ("--trust", trust) if batch else ()))
    if rng.randrange(4) == 0:
        options += ("--from-start",)
    if batch and rng.randrange(4) == 0:
        options += ("--as-of", "@%d" % (batch.time_us // 1_000_000 + rng.randrange(-5, 20)))
    return options


def as_segments(rng, directory, frames, others):
    """A spool of them, some of whose segments were abandoned: what follows begins with what they ended in, or does not."""
    os.makedirs(directory)
    number, rest = 1, frames[:]
    while rest:
        n = rng.randrange(1, len(rest) + 1)
        mine, rest = rest[:n], rest[n:]
        if rest and rng.randrange(2):
            mine.append(rng.choice((rest[0], rest[0][:rng.randrange(len(rest[0]) + 1)], some_bytes(rng), rng.choice(others))))
        name = f"{number:020}.seg" if rng.randrange(12) else rng.choice(("object", "lock", ".hidden", f"{10**20 - number}.seg"))
        with open(f"{directory}/{name}", "wb") as file:
            file.write(b"".join(mine) + bytes(rng.choice((0, 3000))))
        number += rng.randrange(1, 3)


def test_drawn(text, make, least):
    """`make(rng, top, i)` gives what is read and the options. Of the answers there are to be at least so many sorts."""
    wrong, codes = [], set()
    with Agent() as scratch:
        for i in range(TRIES):
            rng = random.Random(f"{SEED} {text} {i}")
            what, options = make(rng, scratch.top, i)
            rows, code = readers.verify(what, options)
            codes.add((code, *(p for row in rows if "report" in row for p in row.get("problems", ()))))
            found = readers.disagreements(rows, code, what, options)
            wrong += [f"{i}, {' '.join(options)}: {one}" for one in found[:3]]
    tap.ok(not wrong and (len(codes) >= least or TRIES < 100), f"{TRIES} {text}: of {len(codes)} sorts", *wrong[:10])


# --- what a stolen key may sign ---

def resign(batch):
    batch.key = KEY.public
    payload = batch.SerializeToString()
    return lib.frame(payload, KEY.sign(lib.pae(payload)))


def change_bytes(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        at, n = rng.randrange(len(data) + 1), rng.randrange(1, 20)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:at] = bytes([rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))])
        elif kind == 2:
            del data[at:at + 1]
        elif kind == 3:
            data[at:at] = data[at:at + n]
        elif kind == 4:
            data[at:at + n] = data[rng.randrange(len(data) + 1):][:n]
        else:
            data[at:at] = lib.varint(rng.randrange(1, 200) << 3 | rng.randrange(8)) + lib.varint(rng.randrange(40))
    return bytes(data)


NUMBERS = (0, 1, 2, 3, 4, 9, 10, 60, 1439, 1440, 999_999, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TEXTS = ("", "x", "blanks", "message", "time", "pid", "field_x", "{", "{{}}", "{message}", "{message}{message}", "{user}é",
         "\u202e\\\"\x7f", "a.b", "two words", "x" * 65)


def other_value(rng, row, value):
    """Another value of a field's type."""
    if row.type in (row.TYPE_STRING, row.TYPE_BYTES):
        text = rng.choice(TEXTS)
        return text if row.type == row.TYPE_STRING else rng.choice((text.encode(), rng.randbytes(16), value[:-1]))
    if row.type == row.TYPE_BOOL:
        return not value
    number = rng.choice((value + 1, value - 1, rng.choice(NUMBERS), -rng.choice(NUMBERS)))
    bits = 64 if row.type in (row.TYPE_INT64, row.TYPE_UINT64, row.TYPE_SINT64, row.TYPE_FIXED64) else 32
    signed = row.type in (row.TYPE_INT64, row.TYPE_SINT64, row.TYPE_SINT32, row.TYPE_ENUM)
    return record.signed(number, bits) if signed else number % (1 << bits)


def change_value(rng, message):
    """One value somewhere in a message, or one more or less of what repeats."""
    row, value = rng.choice(message.ListFields() or [(None, None)])
    if not row:
        return
    if row.label == row.LABEL_REPEATED:
        at = rng.randrange(len(value))
        if rng.randrange(8) == 0:
            del value[at]
        elif rng.randrange(8) == 0:
            value.append(value[at])
        elif row.type == row.TYPE_MESSAGE:
            change_value(rng, value[at])
        else:
            value[at] = other_value(rng, row, value[at])
    elif row.type == row.TYPE_MESSAGE:
        change_value(rng, value)
    else:
        setattr(message, row.name, other_value(rng, row, value))
    if rng.randrange(4) == 0:  # and one that was not there
        row = rng.choice(message.DESCRIPTOR.fields)
        if row.label != row.LABEL_REPEATED and row.type != row.TYPE_MESSAGE:
            setattr(message, row.name, other_value(rng, row, getattr(message, row.name)))


def signed_nonsense(rng, batches):
    batch = record.Batch()
    batch.CopyFrom(rng.choice(batches))
    batch.key = KEY.public
    how = rng.randrange(7)
    if how == 0:
        payload = change_bytes(rng, batch.SerializeToString())
        return lib.frame(payload, KEY.sign(lib.pae(payload)))
    if how == 1 or not batch.event_count:
        change_value(rng, batch)
        return resign(batch)
    if how == 6:
        batch.events = change_bytes(rng, batch.events)
        return resign(batch)
    events = record.expand(batch)
    if how == 3:
        form, digits, offset = rng.randrange(5), rng.choice((0, 6, 7, 9, 10)), rng.choice((0, 0, 60, -1439, 1439, 1440))
        for origin in events.origins:
            origin.header.stamp, origin.header.fraction_digits, origin.header.utc_offset_min = form, digits, offset
    elif how > 3:
        change_value(rng, events)
    plain = events.SerializeToString()
    if how == 2:
        plain = change_bytes(rng, plain)
    batch.events, batch.events_size = lib.zstd(plain, rng.choice((0, 0, 1, 200))), len(plain)
    return resign(batch)


# --- bombs ---

def test_bombs():
    """The second reader keeps to its memory as well: what it may have is bounded for a process of its own."""
    zeros = lib.zstd_of((b"\0", 8 << 20), claim=8 << 20)
    bombs = {"4 GiB in a container that claims 8 MiB": (lib.zstd_of((b"\0", 1 << 32), claim=8 << 20), 8 << 20),
             "a window of 2 GiB": (lib.zstd_of((b"\0", 8 << 20), window=0xa8), 8 << 20),
             "4 GiB, claimed": (lib.zstd_of((b"\0", (1 << 32) - 1), claim=(1 << 32) - 1), 8 << 20),
             "4 GiB, with a dictionary": (lib.zstd_of((b"\0", 1 << 32), claim=8 << 20, dictionary=1), 8 << 20),
             "8 MiB of zeros": (zeros, 8 << 20)}
    for name, (compressed, size) in bombs.items():
        chain = lib.Chain(KEY)
        stream = b"".join([chain.add(), chain.add(raw=b"x", count=1, compressed=compressed, size=size), chain.add()])
        child = subprocess.run(
            [sys.executable, "-c", "import sys; sys.path.insert(0, 'tests/lib'); import readers\n"
             "rows, code = readers.second(sys.stdin.buffer.read(), first_sight=True); print(code, rows[0]['problems'])"],
            input=stream, capture_output=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (512 << 20,) * 2))
        tap.ok(child.stdout == b"1 ['bad_events']\n" and not readers.compare(stream), f"bomb: {name}", child.stdout,
               child.stderr[-500:])


def main():
    mine, theirs = test_everything()
    test_captures()
    test_zeros()
    test_dictionaries(mine)
    foreign = [*theirs, lib.Chain(KEY).add([lib.line("another key")])]
    whole = [f.batch for f in record.frames(b"".join(mine))]
    # so that a key is at hand with which a fork can be signed, the same chain once more under that key
    chain = lib.Chain(KEY)
    known = [chain.add([lib.line("line %d" % i)], after_s=10 if i != 3 else -5) for i in range(6)]
    fork = lib.Chain(KEY, run=2)
    forks = [fork.add([lib.line("the other line %d" % i)], after_s=i) for i in range(6)]
    chain = lib.Chain(OTHER)
    others = forks + [chain.add([lib.line("of another key %d" % i)]) for i in range(6)]

    def stream(rng, top, _):
        frames = change_frames(rng, *rng.choice(((mine, foreign), (known, forks), (mine + theirs, forks))))
        frames = change_frames(rng, frames, forks) if frames and rng.randrange(2) else frames
        return b"".join(frames), asked(rng, top, frames)

    def spool(rng, top, i):
        frames = rng.choice((mine, known, known[:1], known + forks[3:]))
        frames = change_frames(rng, frames, others) if rng.randrange(2) else frames
        as_segments(rng, f"{top}/{i}", [f for f in frames if f], others)
        return f"{top}/{i}", asked(rng, top, frames)

    test_drawn("streams with something changed", stream, 8)
    test_drawn("spools with abandoned segments", spool, 5)
    test_drawn("signed batches of nonsense", lambda rng, *_: (signed_nonsense(rng, whole), ("--trust-first",)), 3)
    test_bombs()
    return tap.done()


sys.exit(main())
