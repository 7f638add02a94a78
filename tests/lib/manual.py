# SPDX-License-Identifier: Apache-2.0
"""Manual pages as tests read them: pieces of mdoc, and the tables of messages and enumerations in hallmark-record(5)."""
import re


def read(name):
    with open("packaging/man/" + name, encoding="utf-8") as page:
        return page.read()


def plain(text):
    """A piece of mdoc without its escapes and quotes."""
    return text.replace("\\&", "").replace("\\ ", " ").replace("\\e", "\\").replace('"', "")


def section(page, heading):
    """What stands under .Sh or .Ss, up to the next of them."""
    return re.search(rf"^\.S[hs] {re.escape(heading)}\n(.*?)(?=^\.S[hs] |\Z)", page, re.S | re.M)[1]


def displays(text):
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", text, re.S | re.M)


def fields(page, message):
    """[(number, name, type)] of a message's table; the type of a field that repeats ends in " []"."""
    heading = message.upper() if message in ("Batch", "Events", "Submission") else message
    return [(int(number), name, kind) for number, name, kind in
            re.findall(r"^\.It (\d+) Ta (\w+) Ta (\w+(?: \[\])?) Ta", section(page, heading), re.M)]


def dictionaries(page):
    """{number: (size, SHA-256 in hexadecimal)}"""
    rows = re.findall(r"^\.It (\d+) Ta (\d+) Ta ([0-9a-f]{64})$", section(page, "Dictionaries"), re.M)
    return {int(number): (int(size), digest) for number, size, digest in rows}


def values(page, enumeration):
    """[(number, word)] of an enumeration."""
    text = re.sub(r"\.It (\d) Ta (\w+) Ta.*", r"\1 \2", section(page, enumeration))
    return [(int(number), word) for number, word in re.findall(r"(?:^|, )(\d) (\w+)", text, re.M)]
