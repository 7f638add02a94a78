# SPDX-License-Identifier: Apache-2.0
"""A disk that loses its power: what may be left of a directory, from what a program did in it (tests/lib/disk-log.h).

    disk = Disk("state")                       # as it is, and durable
    run a program in it with disk.environment("log")
    operations = read_log("log")
    for operation in operations: disk.do(operation)
    disk.power_cut(chance, "state-after")      # as often as wanted, with other results

What was synced is there. Of what was not: each sector of 512 bytes has any of the contents that it was given since,
or none of them; the size is any of those that it had; each name that came, went or was moved, is there or not.
After a failed sync nobody knows what the disk has, and a later sync does not put it right: only what is written anew.
"""
import collections
import os
import struct

SECTOR = 512
NOTHING = bytes(SECTOR)
RECORD = struct.Struct("<cxHH2xI4xQQQ")

Operation = collections.namedtuple("Operation", "what file directory offset name other data")


def read_log(path):
    operations, at = [], 0
    with open(path, "rb") as file:
        log = file.read()
    while at + RECORD.size <= len(log):
        what, n_name, n_other, n_data, file, directory, offset = RECORD.unpack_from(log, at)
        at += RECORD.size
        name, other, data = log[at:at + n_name], log[at + n_name:at + n_name + n_other], log[at + n_name + n_other:][:n_data]
        at += n_name + n_other + n_data
        operations.append(Operation(what.decode(), file, directory, offset, name.decode(), other.decode(), data))
    return operations


class File:
    """Contents by sector: as the program sees it, as the disk has it, and what it may have of what was not synced."""

    def __init__(self, data=b""):
        self.seen = {i // SECTOR: data[i:i + SECTOR].ljust(SECTOR, b"\0") for i in range(0, len(data), SECTOR)
                     if data[i:i + SECTOR].strip(b"\0")}
        self.durable = dict(self.seen)
        self.dirty, self.doubtful = collections.defaultdict(list), collections.defaultdict(list)
        self.size = self.durable_size = len(data)
        self.sizes = []

    def put(self, sector, content):
        self.seen[sector] = content
        self.dirty[sector].append(content)

    def write(self, offset, data):
        at = 0
        while at < len(data):
            sector, start = divmod(offset + at, SECTOR)
            piece = data[at:at + SECTOR - start]
            before = self.seen.get(sector, NOTHING)
            self.put(sector, before[:start] + piece + before[start + len(piece):])
            at += len(piece)
        self.resize(max(self.size, offset + len(data)))

    def resize(self, size):
        if size < self.size:
            for sector in [s for s in self.seen if (s + 1) * SECTOR > size]:
                kept = max(0, size - sector * SECTOR)
                self.put(sector, self.seen[sector][:kept].ljust(SECTOR, b"\0"))
        if size != self.size:
            self.size = size
            self.sizes.append(size)

    def sync(self, done):
        for sector, contents in self.dirty.items():
            if done:
                self.durable[sector] = self.seen[sector]
                self.doubtful.pop(sector, None)
            else:
                self.doubtful[sector] += contents
        self.dirty.clear()
        if done:
            self.durable_size, self.sizes = self.size, []

    def left(self, luck):
        """What a power cut leaves: (size, sectors)."""
        sectors = dict(self.durable)
        for unsure in (self.doubtful, self.dirty):
            for sector, contents in unsure.items():
                sectors[sector] = luck.one_of([sectors.get(sector, NOTHING)], contents)
        return luck.one_of([self.durable_size], self.sizes), sectors


class Directory:
    def __init__(self, entries=None):
        self.durable, self.pending = dict(entries or {}), []
        self.seen = dict(self.durable)

    def change(self, *changes):
        """Each is a name and what it is now, None: nothing. They are seen together or not at all."""
        self.pending.append(changes)
        self.seen.update(changes)

    def sync(self, done):
        if done:  # what failed is tried again
            for changes in self.pending:
                self.durable.update(changes)
            self.pending.clear()

    def left(self, luck):
        entries = dict(self.durable)
        for changes in luck.some_of(self.pending):
            entries.update(changes)
        return {name: file for name, file in entries.items() if file}


class Luck:
    """How much of what was not synced is there after all: nothing, all of it, what came first, or anything."""

    def __init__(self, chance):
        self.chance, self.kind = chance, chance.choice(["none", "all", "first", "some", "some"])
        self.share = chance.random()

    def one_of(self, before, later):
        if not later or self.kind == "none":
            return before[-1]
        if self.kind == "all":
            return later[-1]
        return self.chance.choice(later) if self.chance.random() < self.share else before[-1]

    def some_of(self, changes):
        if self.kind == "none":
            return []
        if self.kind == "all":
            return changes
        if self.kind == "first":
            return changes[:self.chance.randint(0, len(changes))]
        return [c for c in changes if self.chance.random() < self.share]


class Disk:
    def __init__(self, top):
        self.top, self.files = top, {}
        self.root = self._load(top)

    def _load(self, path):
        number = os.stat(path).st_ino
        if os.path.isdir(path):
            self.files[number] = Directory({name: self._load(os.path.join(path, name)) for name in os.listdir(path)})
        else:
            with open(path, "rb") as file:
                self.files[number] = File(file.read())
        return self.files[number]

    def environment(self, log):
        return {"HALLMARK_DISK_LOG": log, "HALLMARK_DISK_TOP": self.top}

    def do(self, o):
        """Does one operation; the file or directory that it was done to, or None where that is not in the directory."""
        if o.what in "cdu":
            directory = self.files.get(o.directory)
            if not directory:
                return None
            if o.what != "u":
                self.files[o.file] = File() if o.what == "c" else Directory()
            directory.change((o.name, self.files[o.file] if o.what != "u" else None))
            return directory
        if o.what == "r":
            return self._rename(o)
        file = self.files.get(o.file)
        if file:
            {"w": lambda: file.write(o.offset, o.data), "t": lambda: file.resize(o.offset),
             "a": lambda: file.resize(max(file.size, o.offset)), "s": lambda: file.sync(True),
             "f": lambda: file.sync(False)}[o.what]()
        return file

    def _rename(self, o):
        source, target = self.files.get(o.file), self.files.get(o.directory)
        moved = source and source.seen.get(o.name)
        if not moved:
            return None
        if source is target:
            source.change((o.name, None), (o.other, moved))
        else:
            target.change((o.other, moved))
            source.change((o.name, None))
        return moved

    def power_cut(self, chance, path):
        """Makes the directory as it may be when the power is back."""
        self._leave(self.root, path, Luck(chance))

    def _leave(self, file, path, luck):
        if isinstance(file, Directory):
            os.mkdir(path)
            for name, below in file.left(luck).items():
                self._leave(below, os.path.join(path, name), luck)
            return
        size, sectors = file.left(luck)
        with open(path, "wb") as out:
            for sector, content in sectors.items():
                if content != NOTHING:
                    os.pwrite(out.fileno(), content, sector * SECTOR)
            out.truncate(size)
            if size:
                os.posix_fallocate(out.fileno(), 0, size)
