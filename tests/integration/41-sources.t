#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""sources = auto, on hosts with a real journald and rsyslogd: one source of record, never two. And where to begin."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import journals  # noqa: E402
from agent import Agent, Tap, auth_line, number_of  # noqa: E402

tap = Tap()


def numbers(rows):
    return [number_of(r) for r in rows if number_of(r) is not None]


def chosen_on(mode, **options):
    """What auto chose on such a host, how often its one login line was recorded, and the exit status."""
    from realhost import RealHost
    with tempfile.TemporaryDirectory(prefix="hallmark-host.") as out, Agent(sources="auto") as agent, \
            RealHost(out, mode=mode, **options) as real:
        real.forge("root", "sshd[77]: Failed password for invalid user zq000000001 from 203.0.113.9 port 4022 ssh2")
        real.sync()
        done = subprocess.run([*real.prefix(), agent.program, *agent.options(), "--until-caught-up"],
                              capture_output=True, text=True)
        rows = agent.verify()[0]
        started = [r["sources"] for r in rows if r.get("activity") == "started"]
        return started[0] if started else None, len(numbers(rows)), done


def test_auto():
    try:
        from realhost import RealHost
        why = RealHost.unavailable("both")
    except ImportError as error:
        why = str(error)
    if why:
        return tap.skip("sources = auto on a real host", why)
    source, count, done = chosen_on("journal")
    tap.ok((source, count) == ("journal", 1), "a persistent journal that carries auth messages: the journal", source, count,
           done.stderr)
    source, count, done = chosen_on("both")
    tap.ok((source, count) == ("journal", 1), "… and an auth log beside it: still the journal, and nothing twice", source,
           count, done.stderr)
    source, count, done = chosen_on("both", flushed=False)
    tap.ok((source, count) == ("/var/log/auth.log", 1), "a volatile journal is no source of record: the auth log", source,
           count, done.stderr)
    source, count, done = chosen_on("file")
    tap.ok((source, count) == ("/var/log/auth.log", 1), "no journal: the auth log", source, count, done.stderr)
    return None


def test_beginning():
    boot = journals.Boot("a")
    with Agent() as agent:
        directory, log = agent.top + "/journal", agent.top + "/auth.log"
        os.mkdir(directory)
        with open(log, "w") as out:
            out.write(auth_line(1001))
        journals.write(directory + "/system.journal", boot.entries(range(1, 4)))
        extra = "catch-up = 0\njournal-directory = %s\n" % directory
        agent.configure(sources="both", files=[log], extra=extra)
        agent.catch_up()
        tap.ok(numbers(agent.verify()[0]) == [], "catch-up = 0: nothing that was there before the first start",
               numbers(agent.verify()[0]))
        journals.write(directory + "/system.journal", boot.entries(range(4, 6)))
        with open(log, "a") as out:
            out.write(auth_line(1002))
        agent.catch_up()
        tap.ok(sorted(numbers(agent.verify()[0])) == [4, 5, 1002], "and everything that comes afterwards",
               numbers(agent.verify()[0]))


def test_unreadable():
    """As an ordinary user: what may not be read is named, with the reason."""
    if os.geteuid() != 0:
        return tap.skip("what may not be read", "needs root, to be somebody else")
    with Agent() as agent:
        log = agent.top + "/auth.log"
        with open(log, "w") as out:
            out.write(auth_line(1))
        os.chmod(log, 0o600)
        os.mkdir(agent.state)
        os.chown(agent.state, 65534, 65534)
        agent.configure(files=[log])
        command = [agent.program, *agent.options(), "--until-caught-up"]
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        done = subprocess.run(command, capture_output=True, text=True, **nobody)
        tap.ok(log in done.stderr and "ermission denied" in done.stderr, "a file that may not be read is named, with the reason",
               done.stderr)
        states = [(r["state"], r["source_name"]) for r in agent.verify()[0] if r.get("activity") == "source_state"]
        tap.ok(states == [("unreadable", log)], "and it is said in the chain", states)
        os.chmod(log, 0o644)
        subprocess.run(command, capture_output=True, **nobody)
        tap.ok(numbers(agent.verify()[0]) == [1], "once it may be read, it is read from its beginning")
    return None


def main():
    test_auto()
    if journals.missing():
        tap.skip("where to begin", journals.missing())
    else:
        test_beginning()
    test_unreadable()
    return tap.done()


sys.exit(main())
