#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hallmark verify: what it says of chains that are whole, cut, forked, damaged or somebody else's.

The chains are made by tests/lib/chain.py, which shares no line with the reader.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402
from chain import START_US, Chain, Key, event, line, loss  # noqa: E402

tap = Tap()
top = tempfile.mkdtemp(prefix="hallmark-test.")
KEY, OTHER = Key(1), Key(2)
YES, NO, UNKNOWN, USAGE = 0, 1, 2, 3


def verify(path, *arguments, stdin=b""):
    done = subprocess.run([BUILD + "/hallmark", "verify", *arguments, *([path] if path else [])], input=stdin,
                          capture_output=True, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def write(name, *frames):
    with open(f"{top}/{name}", "wb") as out:
        out.write(b"".join(frames))
    return f"{top}/{name}"


def expect(text, path, code, *words, options=("--trust-first",), stdin=b"", absent=()):
    """The exit code, and words that the output must have, or must not."""
    got, out, err = verify(path, *options, stdin=stdin)
    said = out + err
    missing = [w for w in words if w not in said] + ["not " + w for w in absent if w in said]
    tap.ok(got == code and not missing, text, "exit code %d, wanted %d; missing: %s" % (got, code, missing), said)


def logons(first, n):
    return [event("Failed {method} for {user} from {src_ip} port {src_port} ssh2", ["password", "user%d" % i, "203.0.113.7", "50022"],
                  kind="authentication", activity="logon", outcome="failure", severity=2, pid=800 + i) for i in range(first, first + n)]


def plain_chain(n=6, farewell=False, key=KEY, host="web1"):
    chain = Chain(key, host)
    return [chain.add(logons(10 * i, 2), farewell=farewell and i == n - 1) for i in range(n)]


whole = plain_chain()

# --- what there is ---
expect("a whole chain is whole, and its events are printed", write("whole", *whole), YES,
       "verify: whole", "user=user51", "src_ip=203.0.113.7", "authentication logon failure", "sshd[851]", "  events              12\n",
       "sequence 1, ", "sequence 6, ", "the chain's first frame", KEY.fingerprint())
expect("from standard input as well", "-", YES, "verify: whole", stdin=b"".join(whole))
expect("--report-only leaves the events out", write("whole", *whole), YES, "verify: whole", "  events              12\n",
       options=("--trust-first", "--report-only"), absent=("user=user51",))
os.mkdir(f"{top}/objects")
for i, f in enumerate(whole):
    write(f"objects/{9 - i}", f)
expect("a directory of objects, named in another order", f"{top}/objects", YES, "verify: whole")
os.mkdir(f"{top}/spool")
write("spool/00000000000000000001.seg", *whole[:3], bytes(5000))
write("spool/00000000000000000002.seg", *whole[3:], bytes(5000))
write("spool/lock", b"something else")
expect("a spool, with zeros behind the frames of its segments", f"{top}/spool", YES, "verify: whole", "  gaps                none")
expect("a host's own spool, without a PATH", None, YES, "verify: whole", options=("--trust-first", "--state", top))
os.mkdir(f"{top}/run")
write("run/committed", b"1 %d 2\n" % len(whole[0] + whole[1]))
expect("which ends at the committed end", None, YES, "sequence 2, ", options=("--trust-first", "--state", top), absent=("sequence 3",))
expect("named by its path too", f"{top}/spool", YES, "sequence 2, ", options=("--trust-first", "--state", top), absent=("sequence 3",))
expect("several paths are one record", f"{top}/spool", YES, "  duplicates dropped  6",
       options=("--trust-first", write("whole", *whole)))

# --- what is missing, or too much ---
expect("a gap, in words", write("gap", *whole[:2], *whole[4:]), NO, "frames are missing", "3 to 4 (2 frames are missing)")
expect("a cut head is told", write("head", *whole[2:]), YES, "does not begin at the chain's first frame", "sequence 3, ")
expect("and is not whole where the start is demanded", write("head", *whole[2:]), NO, "verify: not whole",
       "its first frame is missing", options=("--trust-first", "--from-start"))
expect("--from-start is content with the first frame", write("whole", *whole), YES, options=("--trust-first", "--from-start"))
expect("a cut tail is told by where the evidence ends", write("tail", *whole[:4]), YES, "sequence 4, ", "without a farewell")
expect("frames that are there twice", write("twice", *whole, whole[2]), YES, "  duplicates dropped  1", "  events              12\n")
code, out, _ = verify(write("twice", *whole, whole[2]), "--trust-first")
tap.ok(out.count("user=user20 ") == 1, "the events of a duplicate are not printed again", out)
expect("two hosts in one record", write("two", *whole, *plain_chain(key=OTHER, host="db1")), YES, "web1  " + KEY.fingerprint(),
       "db1  " + OTHER.fingerprint(), "2 host keys")

# --- damage (what somebody does on purpose: 53-verify-attacked.t) ---
expect("rubbish before, between and behind", write("rubbish", b"xx", whole[0], b"HMRK rubbish", *whole[1:], b"yy"), NO,
       "damaged place", "user=user51", "  gaps                none")
expect("an empty file cannot be told", write("empty"), UNKNOWN, "no frames at all")
expect("nor can empty standard input", "-", UNKNOWN, "no frames at all")
expect("nor a path that is not there", f"{top}/nowhere", UNKNOWN, "No such file")
expect("one that is not there beside one that is whole", f"{top}/nowhere", UNKNOWN, "No such file", "could not tell",
       options=("--trust-first", write("whole", *whole)))
newer = whole[5][:4] + b"\x02\x00" + whole[5][6:]
expect("a frame of a newer format cannot be told", write("newer", *whole[:5], newer), UNKNOWN, "newer format", absent=("user=user50",))
chain = Chain(KEY)
expect("nor can events that need a newer dictionary, in a chain that is whole",
       write("dictionary", chain.add(), chain.add(logons(0, 2), dictionary=200), chain.add(logons(2, 1))), UNKNOWN, "user=user2",
       "sequence 2 of web1: its events need dictionary 200, which hallmark", "  gaps                none", "1 frame of a newer format",
       absent=("user=user0", "undecodable"))
for name, wrong in (("no Events message", {"raw": b"\xff" * 50, "count": 3}), ("too few events", {"count": 3}),
                    ("too many events", {"count": 1})):
    chain = Chain(KEY)
    expect(f"signed, but {name}", write("undecodable", chain.add(), chain.add(logons(0, 2), **wrong), chain.add()), NO,
           "cannot be decoded", "  undecodable frames  1", "  gaps                none", absent=("user=user0",))

# --- trust ---
expect("a key on first sight cannot be told", write("whole", *whole), UNKNOWN, "first sight", "could not tell", options=())
for name, text in (("its PEM", KEY.pem()), ("its fingerprint", "# ours\n%s  web1\n" % KEY.fingerprint()),
                   ("both among others", OTHER.pem() + KEY.fingerprint() + "\n")):
    trust = write("trust", text.encode())
    expect(f"a key that the trust file names by {name}", write("whole", *whole), YES, "verify: whole", options=("--trust", trust))
trust = write("trust", OTHER.pem().encode())
expect("a key that it does not name", write("whole", *whole), NO, "not trusted", options=("--trust", trust), absent=("user=user",))
expect("one host trusted, one not", write("two", *whole, *plain_chain(key=OTHER, host="db1")), NO, "not trusted", "user=user",
       options=("--trust", trust))
expect("a trust file that is none", write("whole", *whole), USAGE, "trust:2",
       options=("--trust", write("trust", b"#\nwho knows\n")), absent=("user=user",))

# --- proof of life ---
def at(seconds):
    return "@%d" % (START_US // 1_000_000 + seconds)


expect("overdue only where it is asked", write("whole", *whole), YES, absent=("overdue",))
expect("never overdue after a farewell", write("farewell", *plain_chain(farewell=True)), YES, "with a farewell",
       options=("--trust-first", "--as-of", at(10**8)))
chain = Chain(KEY)
run1 = [chain.add(), chain.add(farewell=True)]
run2 = chain.copy(run=2)
expect("a new run after a farewell is normal", write("runs", *run1, run2.add(), run2.add(farewell=True)), YES, "4 in 2 runs\n")
chain = Chain(KEY)
expect("a clock that goes backwards is noted, not failed", write("clock", chain.add(), chain.add(after_s=-3600), chain.add()), YES,
       "went backwards 1 time")

# --- what the events say ---
chain = Chain(KEY)
lossy = write("loss", chain.add([loss("truncated", 40), loss("truncated", 2), loss("vacuumed", 0, "entries"), line("what is this?")]))
expect("losses that the host declares", lossy, YES, "!! EVIDENCE LOST", "  declared losses     3", "truncated: 2 times, 42 bytes",
       "vacuumed: 1 time, amount unknown", "  unknown lines       1")
nasty = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202e\x00\n".encode() + b"\xff\xfe \\ \""
chain = Chain(KEY, host="we\x1b[2Jb")
nasties = write("nasty", chain.add([line(nasty), event("user {user}", [nasty], kind="session", program=nasty, host=nasty)]))
code, out, err = verify(nasties, "--trust-first")
tap.ok(code == YES and not any(ord(c) < 32 and c != "\n" or 0x7f <= ord(c) < 0xa0 or c == "\u202e" for c in out + err) and
       "\\x1b[2J" in out, "nothing that comes from a log reaches the terminal unescaped", repr(out))
code, out, err = verify(nasties, "--trust-first", "--format", "json")


def unique(pairs):
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


rows = [json.loads(text, object_pairs_hook=unique) for text in out.splitlines()]
tap.ok(len(rows) == 4 and rows[0]["message"].startswith("\x1b[2J") and "raw_base64" in rows[0] and rows[2]["host"] == "we\x1b[2Jb",
       "JSON carries any bytes, and each key once", out)
code, out, err = verify(write("whole", *whole), "--trust-first", "--format", "json")
rows = [json.loads(text, object_pairs_hook=unique) for text in out.splitlines()]
first, report = rows[0], rows[-2]
tap.ok(first == {"time": "2026-09-21T14:13:30.000000Z", "kind": "authentication", "activity": "logon", "outcome": "failure",
                 "severity": "low", "program": "sshd", "host": "web1", "pid": 800, "source": "/var/log/auth.log",
                 "method": "password", "user": "user0", "src_ip": "203.0.113.7", "src_port": 50022,
                 "template": "Failed {method} for {user} from {src_ip} port {src_port} ssh2",
                 "raw": "Failed password for user0 from 203.0.113.7 port 50022 ssh2",
                 "record": {"host": "web1", "key_fingerprint": KEY.fingerprint(), "run": "01" * 16, "sequence": 1, "index": 0}},
       "an event is one flat object", first)
tap.ok([r.get("report") for r in rows[-2:]] == ["host", "all"] and report["verdict"] == "whole" and report["events"] == 12 and
       report["last_sequence"] == 6 and rows[-1]["exit"] == 0 and not any("report" in r for r in rows[:-2]),
       "the report is objects that have a key \"report\"", rows[-2:])

# --- usage ---
for arguments in (["--format", "xml"], ["--as-of", "soon"], ["--trust", f"{top}/nowhere"], ["--trust-first", "--trust", "/dev/null"]):
    code, out, err = verify("/dev/null", *arguments)
    tap.ok(code == USAGE and err and not out, "a wrong %s is a usage error" % " ".join(arguments[:1]), code, out, err)

if not tap.failed:
    shutil.rmtree(top)
sys.exit(tap.done())
