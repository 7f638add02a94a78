#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hallmark status, of a hallmarkd that is well, idle, hung, killed, ended, and in every trouble; asked by anybody; and
of what is no status at all."""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import journals  # noqa: E402
from agent import Agent, Tap, auth_line, for_everybody  # noqa: E402

CLONE_NEWNS, MS_REMOUNT, MS_REC, MS_PRIVATE = 0x20000, 32, 16384, 1 << 18
FAST = "[Pace]\ncheckpoint = 1s\n"
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all")
NUMBER, TEXT = (int,), (str,)
KEYS = {
    "verdict": TEXT, "exit_code": NUMBER, "problems": (list,), "stale": (bool,), "status_age_s": NUMBER,
    "next_within_s": NUMBER, "version": TEXT, "started_age_s": NUMBER, "last_event_age_s": NUMBER,
    "last_commit_age_s": NUMBER, "sequence": NUMBER, "events": NUMBER, "unknown_lines": NUMBER, "excluded_lines": NUMBER,
    "losses_24h": NUMBER, "losses_known_s": NUMBER, "templates": NUMBER, "clock_synchronised": (bool,),
    "spool": {"bytes": NUMBER, "cap_bytes": NUMBER, "segments": NUMBER, "undelivered_bytes": NUMBER, "blocked_s": NUMBER},
    "identity": {"fingerprint": TEXT, "bound_to": TEXT, "key_age_s": NUMBER, "reset_age_s": NUMBER},
    "sources": (list,),
}
SOURCE_KEYS = {"name": TEXT, "state": TEXT, "trouble": TEXT, "behind_bytes": NUMBER, "position_age_s": NUMBER,
               "last_event_age_s": NUMBER, "events": NUMBER}
PROBLEM_KEYS = {"what": TEXT, "mend": TEXT}

tap = Tap()
libc = ctypes.CDLL(None, use_errno=True)


def unlike(value, keys, where="it"):
    """What of an object is not as documented: null is always allowed."""
    if value.keys() != keys.keys():
        return f"{where} has {sorted(value)}"
    for key, wanted in keys.items():
        if isinstance(wanted, dict):
            wrong = unlike(value[key], wanted, key)
            if wrong:
                return wrong
        elif value[key] is not None and type(value[key]) not in wanted:
            return f"{key} is {value[key]!r}"
    return None


def shape(said):
    return unlike(said, KEYS) or next(filter(None, (
        *(unlike(s, SOURCE_KEYS, "a source") for s in said["sources"]),
        *(unlike(p, PROBLEM_KEYS, "a problem") for p in said["problems"]))), None)


def ask(agent, *arguments, prefix=()):
    """The exit status, and what it printed."""
    command = for_everybody("hallmark", agent.top)
    done = subprocess.run([*prefix, command, "status", *agent.options(), *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=30)
    return done.returncode, done.stdout, done.stderr


def status(agent, prefix=()):
    code, out, err = ask(agent, "--format", "json", prefix=prefix)
    try:
        said = json.loads(out)
    except ValueError:
        said = {"verdict": f"not JSON: {out!r} {err!r}", "problems": [], "sources": [], "exit_code": None}
    return said, code


def becomes(agent, condition, timeout=10):
    """The first status of which that holds, else the last one."""
    said = {}

    def look():
        nonlocal said
        said = status(agent)[0]
        return condition(said)
    agent.wait_for(look, timeout)
    return said


def check(text, agent, verdict, what="", mend=""):
    """A verdict, with its exit status, and a problem that has these words."""
    said, code = status(agent)
    exits = {"collecting only": 0, "degraded": 1, "not collecting": 1, "unknown": 2, "not configured": 3}
    found = not what or any(what in p["what"] and mend in (p["mend"] or "") for p in said["problems"])
    tap.ok(said["verdict"] == verdict and code == exits[verdict] == said["exit_code"] and found and not shape(said), text,
           code, shape(said), said)
    return said


def source(said, name):
    return next((s for s in said["sources"] if s["name"] == name), {})


def write(path, numbers):
    with open(path, "a", encoding="utf-8") as log:
        log.writelines(auth_line(n) for n in numbers)


def new_agent(sections=FAST):
    agent = Agent()
    log = agent.top + "/auth.log"
    open(log, "w", encoding="utf-8").close()
    agent.configure(files=[log], sections=sections)
    return agent, log


def test_manual():
    with open("packaging/man/hallmark.1", encoding="utf-8") as file:
        page = re.search(r"^\.Ss status\n(.*?)^\.Ss ", file.read(), re.S | re.M)[1]
    names = {int: "number", str: "string", bool: "boolean", list: "list"}
    wanted = [(key, names[kind[0]] if isinstance(kind, tuple) else "object") for key, kind in KEYS.items()]
    found = re.findall(r"^\.It (\w+) Ta (\w+) Ta (.*)", page, re.M)
    tap.ok(sorted(row[:2] for row in found) == sorted(wanted), "hallmark(1) has every key of the object",
           set(row[:2] for row in found) ^ set(wanted))
    inner = [(row[0], row[2].split(", ")) for row in found if row[1] == "object"]
    tap.ok(dict(inner) == {k: list(v) for k, v in KEYS.items() if isinstance(v, dict)} and
           all(f".Li {key}" in page for key in SOURCE_KEYS), "and every key of the objects in it", inner)
    with open("agent/verdict.c", encoding="utf-8") as file:
        words = re.findall(r'\[VERDICT_\w+\] = \{ "([a-z ]+)"', file.read())
    tap.ok(re.findall(r"^\.It Sy ((?!key)[a-z ]+)$", page, re.M) == words, "and every verdict", words)


# --- a life ---

def test_life():
    agent, log = new_agent()
    with agent:
        said = check("before the first start: not collecting, and how it is started", agent, "not collecting",
                     "has not run here", f"hallmarkd --config {agent.top}/hallmark.conf --state {agent.state}")
        tap.ok(said["version"] is None and said["sources"] == [] and said["losses_24h"] is None, "and nothing is made up", said)
        write(log, range(1, 4))
        agent.start()
        becomes(agent, lambda s: s["events"] == 4 and not source(s, log).get("behind_bytes", 1))
        said = check("a hallmarkd that runs: collecting only", agent, "collecting only")
        tap.ok(said["problems"] == [] and said["events"] == 4 and said["unknown_lines"] == 0 and said["losses_24h"] == 0 and
               said["templates"] > 100 and said["last_event_age_s"] <= 5 and said["last_commit_age_s"] <= 5,
               "its quantities are there", said)
        tap.ok(source(said, log)["events"] == 3 and source(said, log)["state"] == "read to its end" and
               said["spool"]["segments"] == 1 and said["spool"]["bytes"] == said["spool"]["undelivered_bytes"] == 8 << 20,
               "its source and its spool too", said)
        fingerprint = next(r["key_fingerprint"] for r in agent.verify()[1] if "key_fingerprint" in r)
        tap.ok(said["identity"]["fingerprint"] == fingerprint and said["identity"]["key_age_s"] <= 60, "and its key", said)
        with open(log, "a", encoding="utf-8") as text:
            text.write("Nov 23 10:00:00 golden zebra[1]: of this no template knows anything: xyzzy\n")
        said = becomes(agent, lambda s: s["unknown_lines"] == 1)
        tap.ok(said["unknown_lines"] == 1 and said["verdict"] == "collecting only", "an unknown line is counted, and no trouble",
               said)
        with open(agent.state + "/run/status", encoding="utf-8") as file:
            text = file.read()
        tap.ok(not re.search("xyzzy|zebra|zq0|golden", text), "nothing of a line is in the status", text)
        test_text(agent, log)
        test_everybody(agent)
        test_idle(agent)
        test_hung(agent)
        agent.kill()
        check("killed: it is said at once", agent, "not collecting", "ended without a word")
        agent.start()
        becomes(agent, lambda s: s["verdict"] == "collecting only")
        check("started again: collecting", agent, "collecting only")
        agent.stop()
        check("stopped: by whom, and how it is started", agent, "not collecting", "told to (SIGTERM)", "hallmarkd --config")
        agent.catch_up()
        check("so is one that was to end by itself", agent, "not collecting", "nothing more to read")
        test_hostile(agent)


def test_text(agent, log):
    code, out, err = ask(agent)
    lines = out.splitlines()
    tap.ok("As it was" not in out, "what is new is not shown as stale", out)
    tap.ok(code == 0 and not err and lines[0].startswith("collecting only"), "as text, the first line is the verdict", out, err)
    tap.ok(all(any(line.startswith(label) for line in lines) for label in
               ("last event", "last commit", "events", "unknown lines", "losses", "spool", "identity", "sources", "status")),
           "then the quantities", out)
    tap.ok(max(len(line) for line in lines if log not in line) <= 80 and "\033" not in out, "in 80 columns, without colour", out)
    seen = subprocess.run(["script", "-qec", " ".join([agent.top + "/hallmark", "status", *agent.options()]), "/dev/null"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
    tap.ok(seen.stdout.startswith("\033[1;32mcollecting only\033[0m"), "on a terminal the verdict has a colour", seen.stdout[:99])


def test_everybody(agent):
    os.chmod(agent.state, 0o755)
    os.chmod(agent.state + "/spool", 0o750)
    if os.geteuid() != 0:
        return tap.skip("somebody without rights is told the same", "needs root")
    said, code = status(agent, NOBODY)
    tap.ok(code == 0 and said["verdict"] == "collecting only" and said["events"] > 0, "somebody without rights is told the same",
           said)
    out = ask(agent, prefix=NOBODY)[1]
    tap.ok("you may not look" in out and "you may not look" not in ask(agent)[1], "and that the spool was not looked at", out)
    os.chmod(agent.top + "/hallmark.conf", 0o600)
    said, code = status(agent, NOBODY)
    os.chmod(agent.top + "/hallmark.conf", 0o644)
    tap.ok(code == 0 and said["problems"] == [], "who may not read the configuration has nothing to say against it", said)
    os.chmod(agent.state + "/run", 0o700)
    said, code = status(agent, NOBODY)
    tap.ok(code == 2 and said["verdict"] == "unknown" and "Permission denied" in said["problems"][0]["what"],
           "who may not read the status is told that", said)
    os.chmod(agent.state + "/run", 0o755)
    return None


def test_idle(agent):
    first = status(agent)[0]
    time.sleep(2.5)
    said = check("an idle hallmarkd is well as long as it commits", agent, "collecting only")
    tap.ok(said["sequence"] > first["sequence"] and said["last_commit_age_s"] <= 2 and
           said["last_event_age_s"] >= first["last_event_age_s"] + 2, "the age of the last event grows, that of the commit does not",
           first, said)


def test_quiet():
    agent, log = new_agent("[Pace]\ncheckpoint = 1h\n")
    with agent:
        agent.start()
        write(log, range(1, 30))
        becomes(agent, lambda s: s["events"] == 30)
        time.sleep(1.5)
        before = os.stat(agent.state + "/run/status")
        time.sleep(2.5)
        after = os.stat(agent.state + "/run/status")
        tap.ok((before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns),
               "with nothing to say and no checkpoint due it is not written again", before, after)
        write(log, range(30, 40))
        time.sleep(0.2)
        write(log, range(40, 50))
        said = becomes(agent, lambda s: s["events"] == 50, 5)
        tap.ok(said["events"] == 50, "what comes soon after a status was written is in the next one, without a checkpoint", said)
        os.unlink(agent.state + "/run/status")
        for n in range(50, 90):
            write(log, [n])
            time.sleep(0.02)
        written, until, seen = set(), time.monotonic() + 3, []
        while time.monotonic() < until:
            try:
                written.add(os.stat(agent.state + "/run/status").st_ino)
            except OSError:
                seen.append(1)
            write(log, [time.monotonic_ns() % 1000000])
            time.sleep(0.01)
        tap.ok(1 <= len(written) <= 5, "under a stream of events it is written once a second, not with each commit", written)


def test_end():
    """What is told of a source while it is read does not stand until the next commit."""
    agent, log = new_agent("[Pace]\ncheckpoint = 1h\n")
    with agent:
        agent.configure(files=[log], extra="exclude = zebra", sections="[Pace]\ncheckpoint = 1h\n")
        with open(log, "w", encoding="utf-8") as text:
            text.write("Nov 23 10:00:00 golden zebra[1]: this line is left out\n" * 40000)
        agent.start()
        said = becomes(agent, lambda s: s["sources"] and source(s, log)["state"] == "read to its end", 5)
        tap.ok(source(said, log).get("state") == "read to its end" and said["excluded_lines"] == 40000,
               "that a source is read to its end is told without a commit", said)


def test_hung(agent):
    agent.process.send_signal(signal.SIGSTOP)
    time.sleep(3.2)
    said = check("a process that lives and says nothing: not collecting", agent, "not collecting", "though it does so every 1 s")
    tap.ok(said["stale"] and said["status_age_s"] >= 2 and "As it was when hallmarkd last spoke:" in ask(agent)[1],
           "what it said last is shown as stale", said)
    agent.process.send_signal(signal.SIGCONT)
    said = becomes(agent, lambda s: s["verdict"] == "collecting only")
    tap.ok(said["verdict"] == "collecting only" and not said["stale"], "and it is well as soon as it speaks again", said)


def test_hostile(agent):
    path, rng = agent.state + "/run/status", random.Random(4)
    with open(path, "rb") as file:
        good = file.read()
    boot = next(line for line in good.splitlines() if line.startswith(b"boot_id "))
    alive = (b"hallmark status 1\n" + boot + b"\nboot_us %d\nwall_us 1\nnext_within_us 1000000\ntemplates 1\n" %
             (time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000))
    inputs = [b"", b"\0" * 4096, rng.randbytes(70000), good[:-4], good.replace(b"events ", b"events -", 1), b"a" * (1 << 21),
              b"hallmark status 99\nend\n", good.replace(b"source ", b"source \\x1b[2J\\x0a ", 1), good * 2,
              *(good[:i] + bytes([rng.randrange(256)]) + good[i + 1:] for i in rng.sample(range(len(good)), 60))]
    wrong = []
    for data in inputs:
        with open(path, "wb") as file:
            file.write(data)
        said, code = status(agent)
        out = ask(agent)[1]
        if code not in (1, 2) or shape(said) or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out):
            wrong.append((data[:200], code, said, out))
    tap.ok(not wrong, "no status of %d that are damaged or foreign is believed, or reaches a terminal" % len(inputs), *wrong[:2])
    with open(path, "wb") as file:
        file.write(alive + b"source /x\\x1b]0;y\\x07\ntrouble a\\x0ab\\x1b[31m\nend\n")
    out = ask(agent)[1]
    tap.ok("\\x1b[31m" in out and "\033" not in out, "text of the status is escaped", out)
    with open(path, "wb") as file:
        file.write(alive.replace(boot, b"boot_id " + b"0" * 32) + b"end\n")
    check("a status of another boot is old, whatever it says", agent, "not collecting", "has not run since this host started")
    os.unlink(path)
    os.mkfifo(path)
    check("a pipe in its place is no status, and nobody waits for it", agent, "unknown", "is no status")
    os.unlink(path)


# --- troubles ---

def test_sources():
    agent, log = new_agent()
    with agent:
        other = agent.top + "/secure"
        open(other, "w", encoding="utf-8").close()
        agent.configure(files=[log, other], sections=FAST)
        agent.start()
        becomes(agent, lambda s: s["verdict"] == "collecting only")
        os.rename(log, agent.top + "/gone")
        becomes(agent, lambda s: s["verdict"] == "degraded")
        said = check("a log that is gone: degraded, with its path and a command", agent, "degraded", f"{log} is missing",
                     f"namei -l {log}")
        tap.ok(source(said, log)["state"] == "trouble" and source(said, other)["state"] == "read to its end",
               "the source says so too, the other does not", said)
        os.rename(other, agent.top + "/gone-too")
        becomes(agent, lambda s: s["verdict"] == "not collecting")
        check("both are gone: not collecting", agent, "not collecting", "no source that can be read")
        os.rename(agent.top + "/gone", log)
        os.rename(agent.top + "/gone-too", other)
        becomes(agent, lambda s: s["verdict"] == "collecting only")
        check("both are back: well again", agent, "collecting only")
        shutil.rmtree(agent.state + "/spool")
        check("the spool was taken away under it", agent, "degraded", "not in %s/spool" % agent.state)


def test_journal():
    if journals.missing():
        return tap.skip("a journal", journals.missing())
    with Agent() as agent:
        directory = agent.top + "/journal"
        os.mkdir(directory)
        agent.configure(sources="journal", extra=f"journal-directory = {directory}", sections=FAST)
        agent.start()
        becomes(agent, lambda s: s["sources"] and s["problems"])
        check("no journal at all: not collecting", agent, "not collecting", "there is no journal file in " + directory,
              "journalctl")
        boot = journals.Boot("a", clock_us=time.time_ns() // 1000 - 3600 * 1000000)
        journals.write(directory + "/system.journal", boot.entries(range(1, 4)))
        becomes(agent, lambda s: source(s, "journal").get("position_age_s"))
        said = check("a journal that is read: collecting", agent, "collecting only")
        mine = source(said, "journal")
        tap.ok(mine["events"] >= 3 and mine["behind_bytes"] is None and 3590 <= mine["position_age_s"] <= 3660 and
               mine["last_event_age_s"] <= 10, "how old the entry is that was read last", mine)
        out = ask(agent)[1]
        tap.ok("up to an entry of 60 min ago" in " ".join(out.split()), "as text too", out)
    return None


def test_losses():
    agent, log = new_agent()
    with agent:
        with open(log, "w", encoding="utf-8") as text:
            text.write("Nov 23 10:00:00 golden zebra[1]: " + "x" * 100000 + "\n")
        agent.start()
        becomes(agent, lambda s: s["losses_24h"] == 1)
        said = check("a loss that was declared: degraded", agent, "degraded", "1 loss of evidence in the last day",
                     "hallmark events --since 1d")
        command = next(p["mend"] for p in said["problems"] if "evidence" in p["what"])
        shown = subprocess.run(command, shell=True, capture_output=True, text=True,
                               env={**os.environ, "PATH": agent.top + ":" + os.environ["PATH"]})
        tap.ok("line_too_long" in shown.stdout, "the command shows it", command, shown)
        for how in (agent.kill, agent.stop):
            how()
            agent.start()
            said = becomes(agent, lambda s: s["verdict"] == "degraded" and s["started_age_s"] <= 3)
            tap.ok(said["losses_24h"] == 1 and said["losses_known_s"] >= said["started_age_s"],
                   "it is counted after a restart too", said)
        agent.kill()
        os.unlink(agent.state + "/key/key.pem")
        agent.start()
        becomes(agent, lambda s: any("new chain" in p["what"] for p in s["problems"]))
        check("a new chain in an old one's place: degraded", agent, "degraded", "began a new chain", "retired")
        agent.stop()
        agent.start()
        becomes(agent, lambda s: s["verdict"] == "degraded")
        check("still so after a restart", agent, "degraded", "the chain has lost its key")


def test_configuration():
    agent, log = new_agent()
    with agent:
        shutil.rmtree(agent.top + "/templates")
        os.mkdir(agent.top + "/templates")
        with open(agent.top + "/templates/bad.templates", "w", encoding="utf-8") as file:
            file.write("nonsense\n")
        agent.start()
        becomes(agent, lambda s: s["verdict"] == "degraded")
        check("templates that do not load: degraded", agent, "degraded", "bad.templates")
        check("and without any of them", agent, "degraded", "no message templates", "ls -l")
        agent.configure(files=["relative"])
        check("a wrong configuration, under one that runs: degraded", agent, "degraded", "hallmark.conf:3")
        agent.stop()
        check("and under none: not configured", agent, "not configured", "hallmark.conf:3")
        shutil.rmtree(agent.state)
        check("the same without any status", agent, "not configured", "hallmark.conf:3")


def test_spool():
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        return tap.skip("a spool that takes nothing", "needs root, and mounts of its own")
    agent, log = new_agent()
    with agent:
        os.makedirs(agent.state + "/spool")
        spool = (agent.state + "/spool").encode()
        tap.ok(libc.mount(b"tmpfs", spool, b"tmpfs", 0, b"size=9m,mode=755") == 0, "# a small disk")
        agent.start()
        becomes(agent, lambda s: s["verdict"] == "collecting only")
        rng = random.Random(1)
        with open(log, "a", encoding="utf-8") as text:
            for _ in range(900):
                text.write("Nov 23 10:00:00 golden zebra[1]: %s\n" % rng.randbytes(25000).hex())
        becomes(agent, lambda s: any("takes nothing" in p["what"] for p in s["problems"]), 30)
        said = check("a full disk: degraded", agent, "degraded", "No space left", f"df -h {agent.state}")
        tap.ok(said["spool"]["blocked_s"] is not None and source(said, log)["behind_bytes"] > 1 << 20,
               "for how long, and how far the source is behind", said)
        time.sleep(2.5)
        said = check("it goes on saying so", agent, "degraded", "takes nothing")
        tap.ok(said["status_age_s"] <= 2 and not said["stale"], "and is not stale", said)
        tap.ok(libc.mount(None, spool, None, MS_REMOUNT, b"size=99m") == 0, "# room again")
        said = becomes(agent, lambda s: s["verdict"] == "collecting only", 30)
        tap.ok(said["verdict"] == "collecting only" and said["spool"]["blocked_s"] is None, "well again", said)
        agent.stop()
        libc.umount2(spool, 2)
    agent, log = new_agent()
    with agent:
        os.makedirs(agent.state + "/key")
        with open(agent.state + "/spool", "w", encoding="utf-8"):
            pass
        agent.start()
        becomes(agent, lambda s: "opened" in str(s["problems"]))
        check("a state that cannot be opened: not collecting", agent, "not collecting", "cannot be opened: Not a directory")
        time.sleep(2.5)
        check("and not stale", agent, "not collecting", "cannot be opened")
        os.unlink(agent.state + "/spool")
        said = becomes(agent, lambda s: s["verdict"] == "collecting only")
        tap.ok(said["verdict"] == "collecting only", "mended: well", said)
    agent, log = new_agent(FAST + "[Spool]\ncap = 32M\n")
    with agent:
        rng = random.Random(1)
        with open(log, "a", encoding="utf-8") as text:
            for _ in range(700):
                text.write("Nov 23 10:00:00 golden zebra[1]: %s\n" % rng.randbytes(25000).hex())
        agent.start()
        becomes(agent, lambda s: s["spool"]["undelivered_bytes"] == 24 << 20, 30)
        check("a spool near its cap: degraded, before anything is lost", agent, "degraded", "24M that nobody has taken, of 32M", "cap")
    return None


test_manual()
test_life()
test_quiet()
test_end()
test_sources()
test_journal()
test_losses()
test_configuration()
test_spool()
sys.exit(tap.done())
