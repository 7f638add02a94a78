#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the fuzz targets to tests/fuzz/corpus/NAME/seed-…; what fuzzing has found lies beside them and
is left alone. The formats come from tests/lib/chain.py, not from the code under test."""
import gzip
import os
import struct
import sys

import zstandard

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import chain  # noqa: E402
import record  # noqa: E402
import submissions  # noqa: E402

LINES = [
    "Nov 23 13:13:04 web1 sshd[1234]: Failed password for invalid user a b from 192.0.2.7 port 22 ssh2",
    "Nov  3 03:13:04 web1 sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/id",
    "2026-11-23T13:13:04.123456+01:00 web1 sshd-session[7]: Accepted publickey for root from 2001:db8::1 port 4711 ssh2: "
    "ED25519 SHA256:" + "A" * 43,
    "2026-11-23T13:13:04Z web1 CRON[99]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
    '<38>1 2026-10-25T02:30:00.5Z web1 sshd 77 ID47 [a@1 b="c\\"]"] \ufeffConnection closed by 192.0.2.7 port 1 [preauth]',
    "<86>1 - - - - - -",
    "2026-03-29 02:30:00,123 web1 su[4]: (to root) bob on pts/1",
    "Oct 25 02:59:59 web1 sshd: [ID 800047 auth.info] no pid",
    "web1 sshd[12]: Invalid user  from ::1 port 9",
    "sudo[00012]: \x00\xff not a number \\ \"",
    "Feb 29 24:00:60 x y[4294967296]: z",
]

TEMPLATES = [
    "# a comment\np, q* | authentication logon failure low reason=x | Failed {a:word} for {[invalid user ]}{user:last} from "
    "{src_ip} port {src_port}{[ ssh2]}\n* | session | {{{a}}}\n\nFailed password for invalid user a from b from 192.0.2.7 "
    "port 22 ssh2\nFailed x for y from ::1 port 1\n{hi}\n",
    "p | log | {:blanks}{a:word} : {[T={b} ; ]}{[C={c} ; ]}P={d}{[ ; U={e}]} ; K={f}{[ ; S={g:int}]}\n\n  al : T=1 ; P=/ ; K=x "
    "; S=12\nal : P= ; T=; P= ; K=\n : P=a ; U=b ; K=c ; S=x\n",
    "p | log | {[a]}{[b]}{[c]}{h:host}-{i:ip:last}\np|log|{a} {b} {c} {d}\n\nabcx-1.2.3.4\nbc-1-::\na b c d\n",
    "p | log | {a:port}\np | nonsense | x\n",
    "p | log | {[ {a} {[ b ]} ]}\n", "p | log\n", "| |\n", "p | log | }\n", "p | log | {a}{b}\n",
]

REDACTIONS = [
    "# a comment\np | --pw[= ] | value\nq|^auth:[ ]?|rest\nu | :// | url\nk | BEGIN- | through -END-\nid | AK | key 4 A-Z0-9\n"
    "key | near id | key 6- a-z/\nt | tk_ | key 2-3 ab-\n\n--pw=a b --pw 'c d'\thunter2\t--pw x\n'--pw=a b' --pw --pw=c\n"
    "-H 'Auth: \\'a' b AUTH: c\nx://a:b@c/ y://d:e\nBEGIN-a-END-b begin-c\nAK12AB abcdef, abcde xAK12AB tk_ab tk_aba-\n"
    "--pw=\"a\\\"b\"'c'd,e --pw \\'f g\\' h\n",
    "p | pw= | value\n\n" + "pw=" * 40 + "\n" + "pw='" * 40 + "\n" + "'pw=\\" * 40 + "\n" + "pw= \"" * 40 + "\n",
    "p | x | value\n", "p | pw= | key 300 a\n", "p | near q | key 3 a\n", "p | [=] | value\n", "p | pw= | through\n", "||\n",
    "p | pw[=]? | key 3 a\n", "P | pw | rest\n", "p | pw= | key 3 z-a\n",
]

CONFIGS = [
    "[Sources]\nsources = both\njournal=all\njournal-directory=/var/log/journal\nfiles=/a /b\t/c\ncatch-up = 1d 2h\n"
    "templates = /t\n[Spool]\ncap = 64M\n[Pace]\ncommits-per-second=1000\ncheckpoint = 90\n",
    "[Sources]\ncatch-up=all\nfiles =\n", "[Spool]\ncap=31M\n", "[Pace]\ncheckpoint=1d 1us\n", "[Pace]\ncommits-per-second=1001\n",
    "[Pace]\ncheckpoint: 50ms ; x\n",
    "a = b\n", "[Sources\n", "# nothing\n", "[Sources]\nfiles=/a\n  /b\n",
    "[Redaction]\nsecrets = no\nunknown-users = hash\n", "[Redaction]\nunknown-users=keep\nsecrets=maybe\n",
    "[Sources]\nexclude = CRON\nexclude = sshd: x\nexclude =\nexclude = *: {message}\n", "[Sources]\nexclude=sshd:\n",
]

TEXTS = [
    "2026-11-23T13:13:04.123456Z", "2026-02-29 00:00:60.5", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:60Z",
    "@1795438800", "-1d 2h 3min 4s 5ms 6us", "18446744073709551615", "512M", "16777216T", "1w", "\x1b[2J\x7f\\x41\\\"\n",
    "\u202e\u0085\u2066 \U0001f980 \u00e9", b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xff\xe2\x80",
]

JOURNAL = [
    "_TRANSPORT=syslog\nSYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\n_PID=12\nSYSLOG_PID=12\n_UID=0\n_GID=0\n_COMM=sshd\n"
    "_BOOT_ID=" + "0a" * 16 + "\n_HOSTNAME=web1\n_EXE=/usr/sbin/sshd\n_SYSTEMD_UNIT=ssh.service\n_AUDIT_LOGINUID=1000\n"
    "_AUDIT_SESSION=4\nMESSAGE=Accepted password for root\nMESSAGE=the second\nOTHER=x",
    "_TRANSPORT=driver\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nN_DROPPED=17\nMESSAGE=Suppressed 17 messages",
    "_TRANSPORT=driver\nMESSAGE_ID=e9bf28e6e834481bb6f48f548ad13606\nMESSAGE=Missed 23 kernel messages",
    "_PID=99999999999999999999\nSYSLOG_FACILITY=128\nMESSAGE=\n_COMM=" + "c" * 300, "=\n\nMESSAGE",
    "_COMM=sudo\nSYSLOG_IDENTIFIER=", "SYSLOG_IDENTIFIER=\n_COMM=sudo",
]


def submitted():
    """Right ones, and some that break a rule."""
    at = chain.START_US
    one = submissions.event("check {check} {{says}} {verdict}", ["a", "caf\u00e9"], kind="finding", activity="check", outcome="failure",
                            severity=3, constants=[("fix", "do it")])
    two = submissions.event("no field", kind="lifecycle", activity="begun", time_us=7)
    right = submissions.submission([one, two, one], time_us=at)
    return [right, submissions.submission([two], time_us=at), right[:-1], right + chain.number(9, 1), right + chain.number(1, 1),
            submissions.submission([submissions.event("{x} {x}", ["1", "2"])], time_us=at),
            submissions.submission([submissions.event("{drill}}", ["1"])], time_us=at),
            submissions.submission([submissions.event("{x}{y}{{", ["", "a\0"])], time_us=at),
            submissions.submission([submissions.event("{x}", [b"\xff"], kind="log")], time_us=at), b"\x1a\x00" * 40]


def frames():
    key = chain.Key(1)
    one = chain.Chain(key)
    provenance = chain.number(1, 1) + chain.number(2, 1001)
    result = [
        one.add([chain.event("{user} logged {{on}}", ["root"], kind="session", activity="logon", pid=7,
                             constants=[("reason", "x")], provenance=provenance), chain.line("caf\u00e9 \"\\", after_us=5)]),
        one.add([chain.loss("vacuumed", 5)]), one.add(), one.add(farewell=True)]
    return key, result


def with_dictionaries():
    """Frames with each that there is, and with one that there is not."""
    events = [chain.event("Failed password for {user} from {src_ip} port {src_port} ssh2", ["root", "192.0.2.7", "22"])]
    plain = chain.events_message(events)
    packed = [zstandard.ZstdCompressor(dict_data=record.dictionary(n)).compress(plain) for n in record.DICTIONARIES]
    return [chain.Chain(chain.Key(1)).add(events, compressed=p, size=len(plain)) for p in [*packed, chain.zstd(plain, 200)]]


def longer(frame):
    """With a field more behind the signature, which that does not cover."""
    return frame[:8] + (len(frame) - 12 + 3).to_bytes(4, "little") + frame[12:] + chain.data(9, "x")


def payload(frame):
    """The Batch within."""
    at, size, shift = 13, 0, 0
    while True:
        size |= (frame[at] & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if frame[at - 1] < 0x80:
            return frame[at:at + size]


# The first byte says who wrote it, see fuzz-joiner.c: "!" and "@" are of sudo, "$" of sudo-rs.
PARTS = ["!   alice : PWD=/ ; USER=root ; COMMAND=/bin/x a", "!   alice : (command continued) " + "b" * 932,
         "!   alice : (command continued) c", "@     bob : PWD=/ ; USER=root ; COMMAND=/bin/y", "@pam_unix(sudo:session): x",
         "$alice : TTY=/dev/pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/z [...]", "$[...]  d [...]", "$[...] e",
         "(Accepted password for x"]


HEAD = "hallmark status 1\nboot_us 90000000000\nwall_us 1795457005022278\nnext_within_us 300000000\n"
STATUS = [HEAD + "end\n",
          HEAD + "version 0.1.0\nboot_id bc1b9d8703c4401398ebc164e284f9b9\npid 7\nevents 2\nunknown 0\nevent_age_us 1\n"
          "losses 0 1" + " 0" * 23 + "\ntemplates 631\nspool_bytes 8388608\nspool_cap 33554432\nspool_undelivered 33554432\n"
          "fingerprint SHA256:x\nsource /var/log/a\\\\ b\\x0a\ntrouble /var/log/a is missing\nreading 1\nbehind_bytes 9\n"
          "source journal\nposition_age_us 5\nsource_events 3\nsource inbox\nend\n",
          HEAD + "stopped told to (SIGTERM)\nstate_trouble Read-only file system\nblocked No space\nblocked_us 3\n"
          "publish_trouble No\nreset why\nreset_age_us 4\ntemplates 0\ntemplates_trouble x:3: no\nto_come x\nend\n",
          HEAD + "version \\x4\nend\n", HEAD + "trouble of none\nend\n", HEAD, "hallmark status 2\nend\n"]


def journal_file(compact, state=2, entries=3):
    """The least of a journal file: entries of one boot with nothing but its id, and the chains that lead to them."""
    boot, width, item, pad = b"\xaa" * 16, *((4, 4, 8) if compact else (8, 16, 0))
    out, at = bytearray(272), []

    def add(kind, body):
        out.extend(bytes(-len(out) % 8))
        at.append(len(out))
        out.extend(struct.pack("<QQ", kind, 16 + len(body)) + body)

    data_size = 64 + pad + 41
    first = 272 + data_size + -data_size % 8
    boot_array = first + (72 if compact else 80) * entries
    add(1, struct.pack("<6Q", 1, 0, 0, first, boot_array, entries) + bytes(pad) + b"_BOOT_ID=" + boot.hex().encode())
    for n in range(1, 1 + entries):
        add(3, struct.pack("<3Q", n, 1790000000000000 + n, n) + boot + bytes(8) + at[0].to_bytes(item, "little"))
    for some in at[2:], at[1:]:
        add(6, bytes(8) + b"".join(offset.to_bytes(width, "little") for offset in some[:entries]))
    struct.pack_into("<8s2IB", out, 0, b"LPKSHHRH", 0, 16 if compact else 0, state)
    struct.pack_into("<Q", out, 152, entries)
    struct.pack_into("<Q", out, 176, at[-1])
    return bytes(out)


def seeds():
    key, whole = frames()
    header = chain.data(1, "> ") + chain.number(2, 3) + chain.data(3, " ") + chain.number(4, 1) + chain.data(5, "> ")
    messages = [chain.events_message([chain.event("a {x} {{{y}}}", ["hi", "abc"], activity="logon", outcome="failure", pid=7,
                                                  constants=[("n", "v")]), chain.event("{x} {x}", ["1", "2"]),
                                      chain.line("a line", pid=3, after_us=1), chain.loss("x", 1)]),
                chain.message(1, chain.message(4, header)) + chain.message(2, chain.data(1, "{m}")) +
                chain.packed(3, [0, 0]) + chain.packed(4, [0, 0]) + chain.packed(5, [10, 0]) + chain.packed(6, [14, 13]) +
                chain.message(7, chain.data(1, "m") + chain.packed(2, [3, 0]) + chain.data(3, "hi"))]
    pem, log = key.pem(), "\n".join(LINES).encode()
    packed = gzip.compress(log, mtime=0)
    return {
        "header": ["\n".join(LINES)] + LINES,
        "lines": ["\n".join(LINES), "\n".join(LINES[:1] * 3 + LINES[1:3])] + LINES,
        "joiner": ["\n".join(PARTS), "\n".join(PARTS * 20), *PARTS],
        "templates": TEMPLATES,
        "redact": REDACTIONS,
        "accounts": ["root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
                     "alice:x:1000:1:a\nalice:x:1001:1:b\nbob:x:1000:\n", "+nis::::::\n-x:x:7\n#c:x:8:8\n:x:9:9\n\n:::",
                     "a:x:4294967295:1\nb:x:4294967294:1\nc:x:-1:1\nd:x:007:1\ne:x: 7:1\nf:x:18446744073709551616:1\ng:x:1",
                     "a\0b:x:5:5\nx:x:5:5\n"],
        "config": CONFIGS,
        "text": TEXTS,
        "trust": [pem + "# note\n" + key.fingerprint() + " a note\n\r\n" + chain.Key(2).pem(), key.fingerprint(),
                  pem[:-20], "SHA256:short\n", pem.replace("MFkw", "MFkx")],
        "journal": JOURNAL,
        "journal_proof": [journal_file(True), journal_file(False), journal_file(True, state=1), journal_file(True)[:-9],
                          journal_file(False, entries=1), journal_file(True)[:300]],
        "committed": ["1 4096 3\n", "0 0 0\n", "007 12 00000000000000000009\n", "1 0 1\n",
                      "1 9223372036854775808 1\n", "1 2 3"],
        "status": STATUS,
        "decoder": [b"0" + packed, b"0" + packed + packed + bytes(9), b"0" + packed[:-9],
                    b"0" + packed[:40] + b"?" + packed[41:],
                    b"0" + gzip.compress(bytes(300000), mtime=0), b"1" + chain.zstd(log), b"1" + chain.zstd(log)[:-9],
                    b"1" + chain.zstd(log) + chain.zstd(b""), b"1\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"],
        "events": messages,
        "submission": submitted(),
        "batch": [*(payload(f) for f in (*whole, chain.Chain(key).add(more=chain.excluded("CRON", 5)))),
                  *(p[:-1] + bytes([p[-1] + n]) for p in [payload(whole[0])] for n in (-1, 1)),
                  *map(payload, with_dictionaries())],
        "frame": [*whole, longer(whole[2]), whole[0][:100], whole[2] + bytes(9), bytes(20),
                  b"HMRK\x02\x00\x07\x00\x01\x00\x00\x00x"],
        "scan": [b"".join(whole), whole[0] + bytes(40) + whole[1], b"rubbish" + whole[0][:-9] + whole[1] + b"HMR",
                 whole[2][:60] + whole[2] + bytes(99), b"HMRK\x01\0\0\0\xff\xff\0\0" * 9,
                 whole[2] + b"HMRK\x02\x00\x07\x00\x01\x00\x00\x00x" + whole[3]],
    }


for target, inputs in seeds().items():
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for i, data in enumerate(inputs):
        with open(os.path.join(folder, f"seed-{i:02}"), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
