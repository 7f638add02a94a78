# SPDX-License-Identifier: Apache-2.0
"""A reader of the record, written from hallmark-record(5) alone, and in the page's order. It shares nothing with `hallmark
verify`, nor with chain.py, which writes: even the messages' fields are those of the page's tables, read from the page itself.

    record = Record(trust={fingerprint}, from_start=True, as_of_us=...)
    record.read(path or bytes) for each; then
    for event in record.events(): …
    record.findings(), record.exit_code()
"""
import base64
import datetime
import functools
import hashlib
import itertools
import mmap
import os
import re
import struct
from dataclasses import dataclass, field

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

import manual

PAGE = manual.read("hallmark-record.5")
WHOLE, NOT_WHOLE, COULD_NOT_TELL = 0, 1, 2


class Wrong(Exception):
    """It breaks a rule of the page."""


class Newer(Exception):
    """It may break none, and the page does not say enough."""


def demand(right, rule):
    if not right:
        raise Wrong(rule)


# --- the messages, out of the page's tables ---

def messages(*wanted):
    """The classes of these messages and of all that are in them."""
    file = descriptor_pb2.FileDescriptorProto(name="page", package="page", syntax="proto3")
    scalars = {name[5:].lower(): value for name, value in descriptor_pb2.FieldDescriptorProto.Type.items()}
    open_ = list(wanted)
    for name in open_:
        table = manual.fields(PAGE, name)
        if not table:
            enumeration = file.enum_type.add(name=name)
            for number, word in manual.values(PAGE, name):
                enumeration.value.add(name=f"{name}_{word}", number=number)
            continue
        message = file.message_type.add(name=name)
        for number, field_name, kind in table:
            row = message.field.add(name=field_name, number=number)
            kind, row.label = kind.removesuffix(" []"), row.LABEL_REPEATED if kind.endswith(" []") else row.LABEL_OPTIONAL
            if kind in scalars:
                row.type = scalars[kind]
            else:
                row.type_name = ".page." + kind
                open_ += [kind] if kind not in open_ else []
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    make = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    return [make(pool.FindMessageTypeByName("page." + name)) for name in wanted]


Batch, Events = messages("Batch", "Events")
WORDS = {name: dict(manual.values(PAGE, name)) for name in ("Severity", "Kind", "Outcome", "Stamp")}


# --- Notation: one form only ---

NUMBER = rb"(?:[\x00-\x7f]|[\x80-\xff]{1,8}[\x01-\x7f]|[\x80-\xff]{9}\x01)"
NUMBER32 = rb"(?:[\x00-\x7f]|[\x80-\xff]{1,3}[\x01-\x7f]|[\x80-\xff]{4}[\x01-\x0f])"
NUMBERS, NUMBERS32, NUMBER = re.compile(NUMBER + b"*"), re.compile(NUMBER32 + b"*"), re.compile(NUMBER)
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
EMPTY = {VARINT: 0, FIXED64: bytes(8), LENGTH: b""}


def number_at(data, at):
    """A number, and where it ends."""
    match = NUMBER.match(data, at)
    demand(match, "a number as short as it can be")
    return sum((byte & 0x7f) << 7 * i for i, byte in enumerate(match[0])), match.end()


def value_at(data, at, wire):
    """What follows a tag, a number or bytes, and where it ends."""
    if wire == VARINT:
        return number_at(data, at)
    demand(wire in (FIXED64, LENGTH, FIXED32), "no groups")
    size, at = number_at(data, at) if wire == LENGTH else (8 if wire == FIXED64 else 4, at)
    demand(at + size <= len(data), "all of it")
    return data[at:at + size], at + size


def is_text(data):
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def value_parts(row, repeats, value):
    """Of a field's value, where it may stand there."""
    if row.type == row.TYPE_MESSAGE:
        return 1 + parts(row.message_type, value)
    if row.type == row.TYPE_STRING:
        demand(is_text(value), "UTF-8 without NUL")
    elif row.type == row.TYPE_ENUM:
        demand(value < 1 << 31 or value >= (1 << 64) - (1 << 31), "within its type")
    elif row.type != row.TYPE_BYTES and row.type != row.TYPE_FIXED64:
        narrow = row.type in (row.TYPE_UINT32, row.TYPE_SINT32)
        if repeats:
            demand((NUMBERS32 if narrow else NUMBERS).fullmatch(value), "numbers as short as they can be")
        demand(repeats or value < (2 if row.type == row.TYPE_BOOL else 1 << 32 if narrow else 1 << 64), "within its type")
    return 0


def parts(descriptor, data):
    """How many messages and fields that are passed over are in a message, and all of it in the one form."""
    count = at = last = 0
    while at < len(data):
        tag, at = number_at(data, at)
        number, wire = tag >> 3, tag & 7
        value, at = value_at(data, at, wire)
        row = descriptor.fields_by_number.get(number)
        if row:
            long = row.type in (row.TYPE_STRING, row.TYPE_BYTES, row.TYPE_MESSAGE)
            repeats = row.label == row.LABEL_REPEATED
            demand(number > last or number == last and repeats and long, "in ascending order, each once")
            demand(wire == (LENGTH if long or repeats else FIXED64 if row.type == row.TYPE_FIXED64 else VARINT), "its type")
            demand(value != EMPTY[wire] or row.type == row.TYPE_MESSAGE or repeats and long, "no defaults")
            count += value_parts(row, repeats, value)
        else:
            demand(len(descriptor.fields) < number < 1 << 29, "what is passed over stands behind")
            count += 1
        last = number
    return count


def parse(kind, data, most):
    demand(parts(kind.DESCRIPTOR, data) <= most, "so many messages and fields that are passed over")
    return kind.FromString(data)


# --- FRAME ---

MAGIC, VERSION, HEADER, FRAME_MAX = b"HMRK", 1, 12, 900_000
VAIN = 8


@dataclass
class Frame:
    offset: int
    size: int
    batch: object        # None: of a newer format
    digest: bytes = b""
    signature: bytes = b""


def frames(data):
    """Frames, and (from, to) of bytes that are none, as they stand in the data."""
    end = len(data)
    while end and not any(data[max(0, end - 4096):end]):
        end = max(0, end - 4096)
    while end and data[end - 1] == 0:
        end -= 1
    at = damage = vain = 0
    while at < end:
        frame, length = frame_at(data, at)
        if not frame:
            again = vain <= VAIN * (at + FRAME_MAX)
            vain += length
            at = data.find(MAGIC, at + 1 if again else at + max(length, 1))
            at = end if at < 0 else at
            continue
        if at > damage:
            yield damage, at
        yield frame
        at = damage = at + frame.size
    if end > damage:
        yield damage, end


def frame_at(data, at):
    """A frame, or None; and how long what has its form claims to be."""
    header = data[at:at + HEADER]
    if len(header) < HEADER or header[:4] != MAGIC:
        return None, 0
    version, zero, length = struct.unpack("<HHI", header[4:])
    if version < VERSION or version == VERSION and zero or not 0 < length <= FRAME_MAX - HEADER or \
            at + HEADER + length > len(data):
        return None, 0
    envelope, size = data[at + HEADER:at + HEADER + length], HEADER + length
    if version > VERSION:
        return (None, 0) if MAGIC in header[4:] + envelope else (Frame(at, size, None), size)
    try:
        payload, signature = open_envelope(envelope)
        return Frame(at, size, open_batch(payload), hashlib.sha256(pae(payload)).digest(), signature), size
    except Wrong:
        return None, size


# --- ENVELOPE ---

TYPE = b"application/vnd.hallmark.batch+protobuf"


def varint(n):
    out = b""
    while n > 0x7f:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def length_at(data, at):
    """A LEN and where it ends."""
    for size in range(1, 6):
        if at + size <= len(data) and data[at + size - 1] < 0x80:
            n = sum((byte & 0x7f) << 7 * i for i, byte in enumerate(data[at:at + size]))
            demand(varint(n) == data[at:at + size], "a LEN is as short as it can be")
            return n, at + size
    raise Wrong("a LEN that does not end")


def open_envelope(envelope):
    """(payload, signature)"""
    demand(envelope[:1] == b"\x0a", "the payload comes first")
    size, at = length_at(envelope, 1)
    payload, rest = envelope[at:at + size], envelope[at + size:]
    middle = b"\x12" + varint(len(TYPE)) + TYPE + b"\x1a"
    demand(rest.startswith(middle), "then the type, then the signature")
    outer, at = length_at(rest, len(middle))
    demand(at + outer == len(rest) and rest[at:at + 1] == b"\x0a", "and nothing else")
    size, at = length_at(rest, at + 1)
    demand(at + size == len(rest) and 1 <= size <= 72, "1 to 72 bytes of it")
    return payload, rest[at:]


def pae(payload):
    return b" ".join((b"DSSEv1", b"%d" % len(TYPE), TYPE, b"%d" % len(payload), payload))


@functools.lru_cache(maxsize=1024)
def public_key(point):
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return None


def signature_holds(frame):
    key = public_key(frame.batch.key)
    try:
        if key:
            key.verify(frame.signature, frame.digest, ec.ECDSA(utils.Prehashed(SHA256())))
        return bool(key)
    except InvalidSignature:
        return False


@functools.lru_cache(maxsize=1024)
def fingerprint(point):
    der = public_key(point).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def trusted_keys(path):
    """The fingerprints that a file for --trust names."""
    with open(path, encoding="ascii") as file:
        text = file.read()
    pems = re.findall("-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n", text, re.S)
    points = [load_pem_public_key(pem.encode()).public_bytes(Encoding.X962, PublicFormat.CompressedPoint) for pem in pems]
    return {fingerprint(point) for point in points} | set(re.findall("^SHA256:\\S+", text, re.M))


# --- BATCH ---

BATCH_PARTS, EVENTS_MAX, NEXT_MAX = 4096, 8 << 20, 2**31 - 1


def open_batch(payload):
    batch = parse(Batch, payload, BATCH_PARTS)
    ids = [batch.host.machine_id, batch.host.boot_id]
    demand(len(batch.key) == 33 and batch.key[0] in (2, 3) and len(batch.run_id) == 16, "key and run id")
    demand(batch.sequence, "the sequence")
    demand(len(batch.previous) == (0 if batch.sequence == 1 else 32), "the batch before")
    demand(batch.HasField("host") and len(batch.host.name.encode()) <= 4096, "a host")
    demand(len(batch.positions) <= 1024, "1024 positions")
    for position in batch.positions:
        demand(len(position.source.encode()) <= 4096 and len(position.files) <= 64, "a position")
        for file in position.files:
            demand(file.head_size <= 256 and file.tail_size <= 256, "256 bytes of a file")
            demand(len(file.head) in (0, 16) and len(file.tail) in (0, 16), "digests of a file")
        ids += [position.journal.boot_id, position.journal.seqnum_id]
        demand(len(position.taken) <= 64, "64 submissions")
        for taken in position.taken:
            demand(len(taken.name) <= 512 and len(taken.digest) in (0, 32), "a submission")
    demand(all(len(one) in (0, 16) for one in ids), "ids of 16 bytes")
    demand(bool(batch.event_count) == bool(batch.events) == bool(batch.events_size), "events, or none")
    demand(batch.events_size <= EVENTS_MAX and batch.next_within_s <= NEXT_MAX, "numbers that are not too large")
    return batch


# --- EVENTS ---

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
BRACES = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9_.-]{1,64})\}|[{}]")
EVENTS_PARTS, LINE_MAX, LINES_MAX, BESIDE_MAX = 65536, 131072, 67108864, 268435456
DICTIONARIES = manual.dictionaries(PAGE)


@dataclass
class Event:
    batch: object
    digest: bytes
    index: int
    time_us: int
    pid: int
    origin: object
    template: object
    values: list = field(default_factory=list)  # [(name, bytes)], blanks among them
    message: bytes = b""
    raw: bytes = b""


@functools.lru_cache
def dictionary(number):
    """As the page names it; None for 0, which is none."""
    if not number:
        return None
    if number not in DICTIONARIES:
        raise Newer(f"dictionary {number}")
    with open(f"proto/dictionaries/{number}.dict", "rb") as file:
        data = file.read()
    if (len(data), hashlib.sha256(data).hexdigest()) != DICTIONARIES[number]:
        raise ValueError(f"dictionary {number} is not the one of the page")
    return zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_FULLDICT)


def expand(batch):
    """The Events message. Never more is asked for than it says."""
    try:
        header = zstandard.get_frame_parameters(batch.events)
        demand(header.content_size == batch.events_size, "the size of its content")
        expander = zstandard.ZstdDecompressor(dict_data=dictionary(header.dict_id))
        data = expander.decompress(batch.events, batch.events_size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Wrong(str(error)) from error
    demand(len(data) == batch.events_size, "its size")
    return parse(Events, data, EVENTS_PARTS)


def pieces(text):
    """A template's text as [words before, name, words, name, …, words]."""
    found, words, at = [], "", 0
    for match in BRACES.finditer(text):
        words, at = words + text[at:match.start()], match.end()
        if match[1]:
            found, words = found + [words.encode(), match[1]], ""
        else:
            demand(len(match[0]) == 2, "braces are paired")
            words += match[0][0]
    return found + [(words + text[at:]).encode()]


def cut_column(column):
    """Its values, one after another; complains of bytes that are left."""
    at, value = 0, b""
    for length in column.lengths:
        if length:
            demand(at + length - 1 <= len(column.values), "values within the column")
            value, at = column.values[at:at + length - 1], at + length - 1
        yield value
    demand(at == len(column.values), "no byte is left")


def stamp(header, time_us):
    """The time as the header writes it."""
    form = WORDS["Stamp"].get(header.stamp)
    if form == "none":
        return b""
    demand(form and header.fraction_digits <= 9 and abs(header.utc_offset_min) < 24 * 60, "a stamp")
    digits = header.fraction_digits
    demand(form != "rfc3164" or not digits, "rfc3164 has no fraction")
    demand(form != "iso8601_z" or not header.utc_offset_min, "Z is an offset of 0")
    try:
        date = datetime.datetime(1970, 1, 1) + datetime.timedelta(
            microseconds=time_us + header.utc_offset_min * 60_000_000)
    except OverflowError as error:
        raise Wrong("from year 1 to 9999") from error
    fraction = "%06d000" % date.microsecond
    demand(not fraction[digits:].strip("0"), "a time that is finer than its digits")
    fraction = "." + fraction[:digits] if digits else ""
    if form == "rfc3164":
        month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[date.month - 1]
        return f"{month} {date.day:2} {date:%H:%M:%S}".encode()
    zone = "Z"
    if form == "iso8601":
        hours, minutes = divmod(abs(header.utc_offset_min), 60)
        zone = "%s%02d:%02d" % ("-" if header.utc_offset_min < 0 else "+", hours, minutes)
    return f"{date.year:04}-{date:%m-%dT%H:%M:%S}{fraction}{zone}".encode()


def signed(n, bits):
    """n modulo 2^bits, as a number with a sign."""
    n &= (1 << bits) - 1
    return n - (1 << bits) if n >> (bits - 1) else n


def source_of(event):
    return event.batch.positions[event.origin.source - 1].source if event.origin.source else "hallmark"


def size_beside(event):
    """What belongs to it beside its line."""
    t, o, p = event.template, event.origin, event.origin.provenance
    texts = [t.text, t.activity, source_of(event), event.batch.host.name]
    texts += [text for constant in t.constants for text in (constant.name, constant.value)]
    return sum(len(text.encode()) for text in texts) + sum(map(len, (
        o.program, o.host, p.transport, p.boot_id, p.exe, p.comm, p.unit, p.message_id)))


def decode(batch, digest):
    """The events of a batch, one by one. The last rules are checked at the end: none counts before all have been seen."""
    if not batch.event_count:
        return
    events = expand(batch)
    lists = (events.origin, events.template, events.time_delta_us, events.pid_delta)
    demand(all(len(one) == batch.event_count for one in lists), "four lists of event_count")
    names = [column.name for column in events.columns]
    demand(len(set(names)) == len(names) and all(NAME.fullmatch(name) for name in names), "columns' names")
    columns = {column.name: cut_column(column) for column in events.columns}
    texts = [pieces(template.text) for template in events.templates]
    for template, text in zip(events.templates, texts):
        demand(len(text) // 2 <= 32 and all(name in columns for name in text[1::2]), "a template's fields")
        demand(len(template.constants) <= 32 and all(NAME.fullmatch(c.name) for c in template.constants), "constants")
    time_us, pid, total, beside = batch.time_us, 0, 0, 0
    for i, (origin, template, time_delta, pid_delta) in enumerate(zip(*lists)):
        demand(origin < len(events.origins) and template < len(events.templates), "indexes within the tables")
        time_us, pid = signed(time_us + time_delta, 64), pid + pid_delta & 0xffffffff
        event = Event(batch, digest, i, time_us, pid, events.origins[origin], events.templates[template])
        demand(event.origin.source <= len(batch.positions), "its source is a position")
        out = []
        for words, name in itertools.zip_longest(texts[template][::2], texts[template][1::2]):
            out.append(words)
            if name:
                value = next(columns[name], None)
                demand(value is not None, "a value for each name")
                event.values.append((name, value))
                out.append(value)
        event.message = b"".join(out)
        if event.origin.HasField("header"):
            header = event.origin.header
            event.raw = b"".join((header.before, stamp(header, time_us), header.between,
                                  b"%d" % pid if header.pid else b"", header.after))
        event.raw += event.message
        total += len(event.raw)
        beside += size_beside(event)
        demand(len(event.raw) <= LINE_MAX and total <= LINES_MAX and beside <= BESIDE_MAX, "the limits")
        yield event
    demand(all(next(column, None) is None for column in columns.values()), "no value is left")


# --- CHAIN ---

@dataclass
class Link:
    """What is kept of a frame: where it is, and how it hangs together with others."""
    place: tuple         # (where, offset, size)
    digest: bytes
    previous: bytes
    sequence: int
    run_id: bytes
    time_us: int
    next_within_s: int


class Chain:
    """All batches of one key."""

    def __init__(self, key):
        self.key, self.arrived, self.batches, self.duplicates, self.bad_events = key, [], {}, 0, 0

    def add(self, link):
        there = self.batches.setdefault(link.sequence, [])
        if any(link.digest == other.digest for other in there):
            self.duplicates += 1
        else:
            there.append(link)
            self.arrived.append(link)

    def links(self):
        return [link for sequence in sorted(self.batches) for link in self.batches[sequence]]

    def forks(self):
        return [sequence for sequence, links in sorted(self.batches.items()) if len(links) > 1]

    def gaps(self):
        """[(first, last)] of those that are missing."""
        there = sorted(self.batches)
        return [(a + 1, b - 1) for a, b in zip(there, there[1:]) if b > a + 1]

    def breaks(self):
        return sorted({link.sequence for link in self.arrived if link.sequence - 1 in self.batches and
                       all(link.previous != before.digest for before in self.batches[link.sequence - 1])})

    def oldest(self):
        return min(self.batches[min(self.batches)], key=lambda link: link.time_us)

    def newest(self):
        return max(self.batches[max(self.batches)], key=lambda link: link.time_us)

    def overdue(self, as_of_us):
        last = self.newest()
        return bool(last.next_within_s) and last.time_us + 2_000_000 * last.next_within_s < as_of_us


PROBLEMS = re.findall(r"^\.It (\w+) Ta", manual.section(PAGE, "Whole"), re.M)


def exit_code(findings):
    if set(findings) & set(PROBLEMS[:9]):
        return NOT_WHOLE
    return COULD_NOT_TELL if findings else WHOLE


def is_segment(name):
    return bool(re.fullmatch(r"[0-9]{20}\.seg", name)) and int(name[:20]) < 1 << 64


class Record:
    """Reads, and judges. `trust`: fingerprints, or None: nobody said. first_sight: be content with any key."""

    def __init__(self, trust=None, first_sight=False, from_start=False, as_of_us=None):
        self.trust, self.first_sight, self.from_start, self.as_of_us = trust, first_sight, from_start, as_of_us
        self.chains, self.arrived, self.damage_bytes = {}, [], 0
        self.counts = dict.fromkeys(("damage", "bad_signature", "newer", "unreadable"), 0)
        self.newer_events = 0

    def read(self, what):
        """Bytes, a file, or a directory."""
        if isinstance(what, bytes):
            self.take(what, what)
        elif os.path.isdir(what):
            self.read_directory(what)
        else:
            self.open(what, self.take)

    def read_directory(self, path):
        names = sorted((name for name in os.listdir(path) if not name.startswith(".")), key=os.fsencode)
        files = [file for file in (os.path.join(path, name) for name in names)
                 if os.path.isfile(file) and not os.path.islink(file)]
        segments = [file for file in files if is_segment(os.path.basename(file))]
        followers, follower = {}, None  # what the next segment that holds a frame begins with
        for file in reversed(segments):
            followers[file] = follower
            follower = self.open(file, self.first) or follower
        self.before = None
        for file in segments:
            self.open(file, self.take, followers[file])
        for file in files:
            if file not in segments and not (segments and os.path.basename(file) == "lock"):
                self.open(file, self.take)

    def open(self, path, use, *more):
        try:
            with open(path, "rb") as file:
                if not os.path.isfile(path):
                    return use(file.read(), path, *more)
                if not os.fstat(file.fileno()).st_size:
                    return None
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return use(data, path, *more)
        except OSError:
            self.counts["unreadable"] += use != self.first
            return None

    @staticmethod
    def first(data, _):
        """(key, sequence) of the first frame whose signature holds."""
        for found in frames(data):
            if isinstance(found, Frame) and found.batch and signature_holds(found):
                return found.batch.key, found.batch.sequence
        return None

    def take(self, data, where, follower=None):
        """Takes in what is there. `follower`: of a segment, what the next one begins with."""
        for found in frames(data):
            if isinstance(found, tuple):
                if not follower or (self.before != (follower[0], follower[1] - 1) if self.before else follower[1] != 1):
                    self.counts["damage"] += 1
                    self.damage_bytes += found[1] - found[0]
            elif not found.batch:
                self.counts["newer"] += 1
            elif (found.batch.key, found.batch.sequence) != follower:
                self.before = found.batch.key, found.batch.sequence
                if signature_holds(found):
                    self.add(found, where)
                else:
                    self.counts["bad_signature"] += 1

    def add(self, frame, where):
        batch = frame.batch
        chain = self.chains.setdefault(batch.key, Chain(batch.key))
        link = Link((where, frame.offset, frame.size), frame.digest, batch.previous, batch.sequence, batch.run_id,
                    batch.time_us, batch.next_within_s)
        chain.add(link)
        if chain.arrived[-1] is link:
            self.arrived.append((chain, link))

    def trusted(self, chain):
        return self.trust is None or fingerprint(chain.key) in self.trust

    def absent(self):
        """Keys to trust of which there is no frame."""
        return (self.trust or set()) - {fingerprint(key) for key in self.chains}

    def batch(self, link):
        """Reads a batch again: memory holds one at a time."""
        where, offset, size = link.place
        if isinstance(where, bytes):
            data = where[offset:offset + size]
        else:
            with open(where, "rb") as file:
                file.seek(offset)
                data = file.read(size)
        return frame_at(data, 0)[0].batch

    def batches(self):
        """(batch, its events) as they were read, of those that may be believed. Before the first event of a batch counts all
        of them have been seen."""
        self.newer_events = 0
        for chain in self.chains.values():
            chain.bad_events = 0
        for chain, link in self.arrived:
            if self.trusted(chain):
                batch = self.batch(link)
                try:
                    for _ in decode(batch, link.digest):
                        pass
                    yield batch, decode(batch, link.digest)
                except Newer:
                    self.newer_events += 1
                    yield batch, ()
                except Wrong:
                    chain.bad_events += 1
                    yield batch, ()

    def events(self):
        return itertools.chain.from_iterable(events for _, events in self.batches())

    def troubles(self):
        """What is nobody's, and how often, after batches()."""
        return {**self.counts, "newer": self.counts["newer"] + self.newer_events}

    def findings(self, chain=None):
        """Words of the page's table, after batches(): of a chain, or those that are nobody's."""
        if chain:
            found = {"not_trusted": not self.trusted(chain), "fork": chain.forks(), "gap": chain.gaps(),
                     "break": chain.breaks(), "bad_events": chain.bad_events,
                     "no_start": self.from_start and 1 not in chain.batches,
                     "overdue": self.as_of_us is not None and chain.overdue(self.as_of_us),
                     "first_sight": self.trust is None and not self.first_sight}
        else:
            found = {**self.troubles(), "overdue": self.as_of_us is not None and self.absent()}
        return {word for word, there in found.items() if there}

    def exit_code(self):
        code = exit_code(self.findings().union(*(self.findings(chain) for chain in self.chains.values())))
        return code or (WHOLE if self.chains else COULD_NOT_TELL)
