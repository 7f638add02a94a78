#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One agent's life: key, first start, checkpoints, clean stop, crash and kill told apart, a lost key, a lost chain."""
import glob
import os
import shutil
import signal
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap, auth_line, number_of  # noqa: E402

tap = Tap()


def write(path, numbers):
    with open(path, "a") as log:
        log.writelines(auth_line(n) for n in numbers)


def starts(rows):
    return [r["previous_end"] for r in rows if r.get("activity") == "started"]


def numbers(rows):
    return [number_of(r) for r in rows if number_of(r) is not None]


def test_first_start(agent, log):
    write(log, range(1, 4))
    agent.start()
    tap.ok(agent.wait_sequence(1), "a batch is committed soon after the start", agent.stderr())
    mode = stat.S_IMODE(os.stat(agent.state + "/key/key.pem").st_mode)
    tap.ok(mode == 0o600, "the key has mode 0600", oct(mode))
    tap.ok(agent.stop() == 0, "SIGTERM ends it with 0")
    rows, report, code = agent.verify("--from-start")
    tap.ok(code == 0 and numbers(rows) == [1, 2, 3], "its lines are in a whole chain", code, rows)
    tap.ok(starts(rows) == ["none"], "the first event says that there was no run before", starts(rows))
    tap.ok(rows[-1]["activity"] == "stopped", "the last event is the farewell")
    return rows


def test_endings(agent, log):
    write(log, [4])
    agent.start()
    agent.wait_for(lambda: numbers(agent.verify()[0])[-1:] == [4])
    agent.kill(signal.SIGKILL)
    agent.start()
    agent.wait_for(lambda: len(starts(agent.verify()[0])) == 3)
    agent.kill(signal.SIGSEGV)
    agent.start()
    agent.wait_for(lambda: len(starts(agent.verify()[0])) == 4)
    agent.stop()
    rows, _, code = agent.verify("--from-start")
    tap.ok(starts(rows) == ["none", "stopped", "killed", "crashed (signal 11)"],
           "clean stop, kill and crash are told apart", starts(rows))
    tap.ok(code == 0 and numbers(rows) == [1, 2, 3, 4], "and nothing was read twice", numbers(rows))
    severities = [r["severity"] for r in rows if r.get("activity") == "started"]
    tap.ok(severities == ["info", "info", "medium", "medium"], "an unclean end is worth a look", severities)


def test_identity(agent, log):
    old = [r for r in agent.verify()[1] if "fingerprint" in str(r)]
    os.unlink(agent.state + "/key/key.pem")
    write(log, [5])
    agent.catch_up()
    rows, _, code = agent.verify("--from-start")
    resets = [r for r in rows if r.get("activity") == "identity_reset"]
    tap.ok(code == 0 and len(resets) == 1, "a chain that lost its key: a new key says identity_reset", code, rows)
    tap.ok(numbers(rows) == [5], "and goes on where the old chain ended", numbers(rows))
    tap.ok(resets and resets[0]["old_key_fingerprint"] in str(old), "it names the old key", resets, old)
    retired = glob.glob(agent.state + "/retired/*/spool/*.seg")
    rows, _, code = agent.verify("--from-start", path=os.path.dirname(retired[0]) if retired else "/nonexistent")
    tap.ok(code == 0 and numbers(rows) == [1, 2, 3, 4], "the old chain is kept aside, whole", retired, code)
    shutil.rmtree(agent.state + "/spool")
    agent.catch_up()
    rows, _, code = agent.verify("--from-start")
    tap.ok(code == 0 and any(r.get("activity") == "identity_reset" for r in rows),
           "a key that lost its chain is retired", code, rows)


def test_idle():
    with Agent(sections="[Pace]\ncheckpoint = 1s\n") as agent:
        log = agent.top + "/auth.log"
        open(log, "w").close()
        agent.configure(files=[log], sections="[Pace]\ncheckpoint = 1s\n")
        agent.start()
        agent.wait_sequence(1)
        first = agent.committed()[2]
        time.sleep(2.6)
        last = agent.committed()[2]
        tap.ok(last - first == 2, "an idle host signs an empty batch at every interval, and no more", first, last)
        now = "@%d" % time.time()
        tap.ok(agent.verify("--as-of", now)[2] == 0, "verify --as-of now: alive")
        agent.kill()
        tap.ok(agent.verify("--as-of", "@%d" % (time.time() + 3))[2] == 1, "killed, and 3 s later: overdue")


def test_torn_first_frame():
    with Agent() as agent:
        log = agent.top + "/auth.log"
        agent.configure(files=[log])
        write(log, [1])
        env = {"LD_PRELOAD": os.path.abspath(BUILD + "/tests/lib/faults.so"), "HALLMARK_FAULTS": "pwrite:.seg:half:once"}
        code = agent.catch_up(env)[1]
        agent.catch_up()
        rows, _, verdict = agent.verify("--from-start")
        losses = [r["detail"] for r in rows if r["kind"] == "evidence_loss"]
        tap.ok(code == -signal.SIGKILL and verdict == 0 and numbers(rows) == [1] and not losses,
               "a kill within the very first frame: that was never durable, and is no loss", code, verdict, losses)


def test_pace():
    """Bounds that a slow machine keeps too: too many commits are a defect, too few are not."""
    with Agent() as agent:
        log = agent.top + "/auth.log"
        open(log, "w").close()
        agent.configure(files=[log], sections="[Pace]\ncommits-per-second = 1\n")
        agent.start()
        agent.wait_sequence(1)
        time.sleep(1.1)
        before, start = agent.committed()[2], time.monotonic()
        write(log, [1])
        agent.wait_sequence(before + 1)
        tap.ok(time.monotonic() - start < 0.9, "the first event after quiet is committed at once, not at the pace")
        start, n = time.monotonic(), 1
        while time.monotonic() - start < 3:
            n += 1
            write(log, [n])
            time.sleep(0.01)
        commits = agent.committed()[2] - before - 1
        tap.ok(1 <= commits <= 3, "a stream of events is committed once a second, as configured", commits)
        agent.stop()
        tap.ok(numbers(agent.verify()[0]) == list(range(1, n + 1)), "with every line in it")


def main():
    with Agent() as agent:
        log = agent.top + "/auth.log"
        agent.configure(files=[log])
        test_first_start(agent, log)
        test_endings(agent, log)
        test_identity(agent, log)
    test_torn_first_frame()
    test_idle()
    test_pace()
    return tap.done()


sys.exit(main())
