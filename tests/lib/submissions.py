# SPDX-License-Identifier: Apache-2.0
"""Writes submissions for the inbox: a second writer of the format, from hallmark-record(5) and nothing else.

    hand_in(state + "/inbox/check", "20261123T131304Z-1", submission([finding("ssh", "fail")]))
"""
import os
import time

from chain import KINDS, OUTCOMES, data, message, number


def template(text, kind="finding", activity="", outcome="none", severity=1, constants=()):
    return data(1, text) + number(2, KINDS.index(kind)) + data(3, activity) + number(4, OUTCOMES.index(outcome)) + \
        number(5, severity) + b"".join(message(6, data(1, n) + data(2, v)) for n, v in constants)


def event(text, values=(), time_us=0, **meaning):
    return {"template": template(text, **meaning), "values": values, "time_us": time_us}


def finding(check, verdict, **more):
    return event("check {check} says {verdict}", [check, verdict], activity="check",
                 outcome="failure" if verdict == "fail" else "success", **more)


def submission(events, version=1, time_us=None):
    templates = []
    for e in events:
        if e["template"] not in templates:
            templates.append(e["template"])
    return number(1, version) + number(2, time.time_ns() // 1000 if time_us is None else time_us) + \
        b"".join(message(3, t) for t in templates) + \
        b"".join(message(4, number(1, templates.index(e["template"])) + number(2, e["time_us"]) +
                         b"".join(message(3, v.encode() if isinstance(v, str) else v) for v in e["values"]))
                 for e in events)


def hand_in(directory, name, content):
    """Durable before it is there, and there all at once."""
    temporary = "%s/.%s.tmp" % (directory, name)
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, "%s/%s" % (directory, name))
