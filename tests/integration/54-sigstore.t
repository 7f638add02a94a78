#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What hallmarkd signs, judged by a DSSE implementation that nobody here wrote: @sigstore/core from npm.

The frames that hallmarkd wrote are taken apart by hand, since DSSE's JSON form is another container for the same
payload and the same signature. npm puts the package under the build directory, and checks it against the digest in
tests/sigstore/package-lock.json.
"""
import base64
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap, auth_line  # noqa: E402
from chain import Chain, Key, fields, line  # noqa: E402

PACKAGES = BUILD + "/sigstore"
# A P-256 point, compressed, as SubjectPublicKeyInfo (RFC 5480).
SPKI = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")

tap = Tap()


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(0)


def install():
    """Into the build directory, once for each version. What cannot be reached is no failure; another digest is."""
    os.makedirs(PACKAGES, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy("tests/sigstore/" + name, PACKAGES)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"],
                          cwd=PACKAGES, env=dict(os.environ, npm_config_cache=PACKAGES + "/cache"), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=240)
    if done.returncode != 0 and "EINTEGRITY" not in done.stderr:
        skip_all("npm cannot install @sigstore/core here: " + " ".join(done.stderr.split())[:300])
    tap.ok(done.returncode == 0, "what npm brought is what was asked for", done.stderr)


def take_apart(stream):
    """(payload, type, signature) of each frame."""
    at = 0
    while stream[at:at + 4] == b"HMRK":
        end = at + 12 + int.from_bytes(stream[at + 8:at + 12], "little")
        envelope = dict(fields(stream[at + 12:end]))
        yield envelope[1], envelope[2], dict(fields(envelope[3]))[1]
        at = end


def as_json(payload, kind, signature):
    """https://github.com/secure-systems-lab/dsse/blob/master/envelope.md"""
    return json.dumps({"payload": base64.b64encode(payload).decode(), "payloadType": kind.decode(),
                       "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}]})


def judge(point, *envelopes):
    with open(PACKAGES + "/key.pem", "w") as pem:
        pem.write("-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % base64.encodebytes(SPKI + point).decode())
    done = subprocess.run(["node", "tests/sigstore/check.js", PACKAGES, PACKAGES + "/key.pem"], capture_output=True, text=True,
                          input="\n".join(as_json(*e) for e in envelopes), timeout=120)
    return done.stdout.split(), done.stderr


def flipped(b, i):
    return b[:i] + bytes([b[i] ^ 1]) + b[i + 1:]


for program in ("node", "npm"):
    if not shutil.which(program):
        skip_all("no %s here" % program)
install()
if tap.failed:
    sys.exit(tap.done())

with Agent(files=["auth.log"]) as agent:
    log = agent.top + "/auth.log"
    agent.configure(files=[log])
    stream = b""
    for run in range(2):
        with open(log, "a") as out:
            out.write("".join(auth_line(3 * run + i) for i in range(3)))
        agent.catch_up()
    for path in agent.segments():
        with open(path, "rb") as segment:
            stream += segment.read()
    rows, (host, _), code = agent.verify()
    written = list(take_apart(stream))
    tap.ok(code == 0 and len(written) == host["frames"] >= 2 and len(rows) >= 6, "hallmarkd wrote frames", code, len(written), host)
    point = dict(fields(written[0][0]))[1]
    said, err = judge(point, *written)
    tap.ok(said == ["good"] * len(written), "@sigstore/core finds each of its envelopes good", said, err)

payload, kind, signature = written[0]
said, err = judge(point, *[(flipped(payload, i), kind, signature) for i in range(len(payload))])
tap.ok(said == ["bad"] * len(payload), "and with any byte of the payload changed bad", said, err)
said, err = judge(point, *[(payload, flipped(kind, i), signature) for i in range(len(kind))])
tap.ok(said == ["bad"] * len(kind), "or of its type", said, err)
said, err = judge(point, *[(payload, kind, flipped(signature, i)) for i in range(len(signature))])
tap.ok(said == ["bad"] * len(signature), "or of the signature", said, err)
said, err = judge(Key(1).public, *written)
tap.ok(said == ["bad"] * len(written), "or under another key", said, err)
said, err = judge(Key(1).public, *take_apart(Chain(Key(1)).add([line("a line")])))
tap.ok(said == ["good"], "the frames that the tests make are good as well", said, err)
sys.exit(tap.done())
