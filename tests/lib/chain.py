# SPDX-License-Identifier: Apache-2.0
"""Makes signed chains of frames, right ones and wrong ones: a second writer of the format, from its description
(proto/*.proto, proto/envelope.h) and nothing else, so that what is written and what is read cannot be wrong in
the same way. P-256 and zstd's container are written out here, since Python has neither.

    key = Key(1)
    chain = Chain(key)
    frames = [chain.add([event("{user} logged on", ["root"])]) for _ in range(3)] + [chain.add(farewell=True)]
"""
import base64
import hashlib
import hmac

# --- ECDSA, P-256 (FIPS 186-4; SEC 1) ---

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def double(point):
    x, y, z = point
    delta, gamma = z * z % P, y * y % P
    beta, alpha = x * gamma % P, 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, ((y + z) ** 2 - gamma - delta) % P


def add(a, b):
    if not a[2]:
        return b
    if not b[2]:
        return a
    z1, z2 = a[2] * a[2] % P, b[2] * b[2] % P
    u1, u2, s1, s2 = a[0] * z2 % P, b[0] * z1 % P, a[1] * b[2] * z2 % P, b[1] * a[2] * z1 % P
    if u1 == u2:
        return double(a) if s1 == s2 else (1, 1, 0)
    h, r = u2 - u1, s2 - s1
    h2 = h * h % P
    h3, v = h * h2 % P, u1 * h2 % P
    x3 = (r * r - h3 - 2 * v) % P
    return x3, (r * (v - x3) - s1 * h3) % P, a[2] * b[2] * h % P


def times(k):
    """k times the base point, as x and y."""
    total, power = (1, 1, 0), (*G, 1)
    while k:
        if k & 1:
            total = add(total, power)
        power, k = double(power), k >> 1
    inverse = pow(total[2], -1, P)
    return total[0] * inverse * inverse % P, total[1] * inverse**3 % P


def der_integer(n):
    data = n.to_bytes(n.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(data)]) + data


class Key:
    def __init__(self, seed):
        self.d = int.from_bytes(hashlib.sha512(b"key %d" % seed).digest(), "big") % (N - 1) + 1
        self.name(*times(self.d))

    def name(self, x, y):
        self.public = bytes([2 + (y & 1)]) + x.to_bytes(32, "big")
        self.spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + \
            x.to_bytes(32, "big") + y.to_bytes(32, "big")

    def pem(self):
        text = base64.encodebytes(self.spki).decode().replace("\n", "")
        lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
        return "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % lines

    def fingerprint(self):
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.spki).digest()).decode().rstrip("=")

    def nonce(self, digest):
        """A number for this signature alone, as r and its inverse."""
        k = int.from_bytes(hmac.digest(self.d.to_bytes(32, "big"), digest, "sha512"), "big") % (N - 1) + 1
        return times(k)[0] % N, pow(k, -1, N)

    def sign(self, message, twin=False):
        """`twin`: the other signature that holds, -s for s, which anybody can make of the one."""
        digest = hashlib.sha256(message).digest()
        r, inverse = self.nonce(digest)
        s = inverse * (int.from_bytes(digest, "big") + r * self.d) % N
        body = der_integer(r) + der_integer(N - s if twin else s)
        return b"\x30" + bytes([len(body)]) + body


class QuickKey(Key):
    """Takes one number for all signatures, which gives the private key away, and takes microseconds for each."""
    one = (G[0], 1)

    def nonce(self, digest):
        return self.one


# --- protobuf's encoding, of which fields with their default are left out ---

def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def zigzag(n):
    return n << 1 if n >= 0 else (-n << 1) - 1


def number(field, n):
    return varint(field << 3) + varint(n % 2**64) if n else b""


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value if value else b""


def message(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def packed(field, numbers):
    return data(field, b"".join(varint(n) for n in numbers))


def take_varint(b):
    value = shift = n = 0
    while True:
        value |= (b[n] & 0x7f) << shift
        shift, n = shift + 7, n + 1
        if b[n - 1] < 0x80:
            return value, b[n:]


def fields(b):
    """[(number, value)] of a message that holds numbers and bytes."""
    found = []
    while b:
        tag, b = take_varint(b)
        value, b = take_varint(b)
        if tag & 7 == 2:
            value, b = b[:value], b[value:]
        found.append((tag >> 3, value))
    return found


def zstd_head(claim, dictionary=0, window=0x50):
    """RFC 8878: the header of a frame. `claim`: the size of its content, or None; `dictionary`: a number up to 255."""
    named = bytes([dictionary]) if dictionary else b""
    head = bytes([len(named), window]) + named if claim is None else bytes([0xa0 + len(named)]) + named + claim.to_bytes(4, "little")
    return b"\x28\xb5\x2f\xfd" + head


def zstd(plain, dictionary=0):
    """A frame of raw blocks, which need no dictionary, whether they name one or not."""
    out = zstd_head(len(plain), dictionary)
    for i in range(0, len(plain), 1 << 17):
        block = plain[i:i + (1 << 17)]
        out += (len(block) << 3 | (i + len(block) >= len(plain))).to_bytes(3, "little") + block
    return out


def zstd_of(*parts, claim=None, dictionary=0, window=0x50):
    """A frame of blocks. Each part is bytes, or a byte and how often it comes: 4 bytes for 128 KiB."""
    out, blocks = zstd_head(claim, dictionary, window), []
    for part in parts:
        if isinstance(part, bytes):
            blocks.append((len(part) << 3, part))
            continue
        byte, n = part
        blocks += [((1 << 17) << 3 | 2, byte)] * (n >> 17) + [((n & (1 << 17) - 1) << 3 | 2, byte)]
    blocks[-1] = (blocks[-1][0] | 1, blocks[-1][1])
    return out + b"".join(head.to_bytes(3, "little") + what for head, what in blocks)


# --- events ---

KINDS = ("log", "authentication", "session", "privilege", "account", "finding", "integrity", "evidence_loss", "lifecycle",
         "forged")
OUTCOMES = ("none", "success", "failure")


def event(text, values=(), kind="log", activity="", outcome="none", severity=1, constants=(), program="sshd", host="web1",
          source=1, pid=0, after_us=0, provenance=b""):
    """`values` of the fields in the text, from left to right. `after_us`: since the event before it."""
    template = data(1, text) + number(2, KINDS.index(kind)) + data(3, activity) + number(4, OUTCOMES.index(outcome)) + \
        number(5, severity) + b"".join(message(6, data(1, n) + data(2, v)) for n, v in constants)
    origin = number(1, source) + data(2, program) + data(3, host) + (message(5, provenance) if provenance else b"")
    names = [piece.split("}")[0] for piece in text.replace("{{", "").split("{")[1:]]
    return {"template": template, "origin": origin, "fields": list(zip(names, values)), "pid": pid, "after_us": after_us}


def line(text, **more):
    """A line that no template knows."""
    return event("{message}", [text], **more)


def loss(reason, amount, unit="bytes", **more):
    return event("evidence lost: {loss_reason}: {detail} ({loss_amount} {loss_unit}; before: {identity_before}; "
                 "after: {identity_after})", [reason, "some of it is gone", str(amount), unit, "", ""], kind="evidence_loss",
                 severity=4, program="hallmark", **more)


def events_message(events):
    origins, templates, columns, pid = [], [], {}, 0
    pids = []
    for e in events:
        for table, what in ((origins, e["origin"]), (templates, e["template"])):
            if what not in table:
                table.append(what)
        for name, value in e["fields"]:
            lengths, values = columns.setdefault(name, ([], []))
            value = value.encode() if isinstance(value, str) else value
            lengths.append(len(value) + 1)
            values.append(value)
        pids.append(zigzag(e["pid"] - pid))
        pid = e["pid"]
    return b"".join(message(1, o) for o in origins) + b"".join(message(2, t) for t in templates) + \
        packed(3, [origins.index(e["origin"]) for e in events]) + \
        packed(4, [templates.index(e["template"]) for e in events]) + \
        packed(5, [zigzag(e["after_us"]) for e in events]) + packed(6, pids) + \
        b"".join(message(7, data(1, n) + packed(2, lengths) + data(3, b"".join(values)))
                 for n, (lengths, values) in columns.items())


# --- batches, envelopes, frames ---

TYPE = b"application/vnd.hallmark.batch+protobuf"
START_US = 1_790_000_000_000_000


def pae(payload):
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE, len(payload), payload)


def frame(payload, signature, version=1):
    return framed(data(1, payload) + data(2, TYPE) + message(3, data(1, signature)), version)


def framed(envelope, version=1):
    return b"HMRK" + version.to_bytes(2, "little") + bytes(2) + len(envelope).to_bytes(4, "little") + envelope


def excluded(what, count):
    """What was left out, for `more` of Chain.add()."""
    return message(13, data(1, what) + number(2, count))


class Chain:
    def __init__(self, key, host="web1", run=1, interval_s=600):
        self.key, self.host, self.interval_s = key, host, interval_s
        self.run = bytes([run]) * 16
        self.sequence, self.previous, self.time_us = 0, b"", START_US

    def copy(self, run):
        """What a restored snapshot goes on with."""
        other = Chain(self.key, self.host, run, self.interval_s)
        other.sequence, other.previous, other.time_us = self.sequence, self.previous, self.time_us
        return other

    def add(self, events=(), farewell=False, after_s=10, signer=None, raw=None, count=None, previous=None, public=None,
            compressed=None, size=None, dictionary=0, positions=None, more=b""):
        """The next frame. `signer`: another key signs. `raw`: instead of the Events message. `count`: instead of
        how many events there are. `previous`: instead of the digest of the frame before. `public`: instead of the
        key. `compressed`, `size`: of the events. `dictionary`: what they claim to need. `positions`: whole fields. `more`: bytes behind the batch's fields,
        signed with them."""
        self.sequence += 1
        self.time_us += after_s * 1_000_000
        plain = events_message(events) if raw is None else raw
        batch = data(1, public or self.key.public) + data(2, self.run) + number(3, self.sequence) + \
            data(4, self.previous if previous is None else previous) + number(5, self.time_us) + \
            message(6, data(1, self.host)) + number(7, 1 if events else 0) + \
            number(8, 0 if farewell else self.interval_s) + \
            (message(9, data(1, "/var/log/auth.log")) if positions is None else positions)
        if plain:
            batch += number(10, len(events) if count is None else count) + \
                data(11, zstd(plain, dictionary) if compressed is None else compressed) + number(12, len(plain) if size is None else size)
        batch += more
        self.previous = hashlib.sha256(pae(batch)).digest()
        return frame(batch, (signer or self.key).sign(pae(batch)))
