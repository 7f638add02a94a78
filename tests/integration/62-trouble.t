#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A spool that cannot be written, and one that somebody tampered with: survived, said, recovered from."""
import ctypes
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap, auth_line, number_of  # noqa: E402

CLONE_NEWNS, MS_REMOUNT, MS_RDONLY, MS_REC, MS_PRIVATE = 0x20000, 32, 1, 16384, 1 << 18
tap = Tap()
libc = ctypes.CDLL(None, use_errno=True)


def private_mounts():
    """Whether this process now has mounts of its own."""
    return libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0


def mount_tmpfs(path, options):
    os.makedirs(path, exist_ok=True)
    return libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, options.encode()) == 0


def remount(path, flags):
    return libc.mount(None, path.encode(), None, MS_REMOUNT | flags, None) == 0


def write(path, numbers, filler=0):
    """Numbered lines; `filler`: bytes that do not compress, to fill the spool quickly."""
    rng = random.Random(1)
    with open(path, "a") as log:
        for n in numbers:
            line = auth_line(n)
            if filler:
                line += "golden filler: %s\n" % "".join(rng.choices(
                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", k=filler))
            log.write(line)


def numbers(rows):
    return [number_of(r) for r in rows if number_of(r) is not None]


def activities(rows, word):
    return [r for r in rows if r.get("activity") == word]


def new_agent():
    agent = Agent()
    log = agent.top + "/auth.log"
    open(log, "w").close()
    agent.configure(files=[log])
    return agent, log


def test_full_disk():
    agent, log = new_agent()
    with agent:
        if not mount_tmpfs(agent.state, "size=12m,mode=755"):
            return tap.skip("a full disk", "no mount")
        agent.start()
        agent.wait_sequence(1)
        write(log, range(1, 301), filler=50000)
        blocked = agent.wait_for(lambda: "takes nothing" in agent.stderr(), 20)
        tap.ok(blocked, "a full disk is noticed", agent.stderr())
        said = activities(agent.verify()[0], "spool_trouble")
        tap.ok(len(said) == 1 and "No space" in said[0]["reason"],
               "and said in the chain at once, out of the reserve", said)
        time.sleep(1.5)
        tap.ok(agent.process.poll() is None, "the agent waits")
        tap.ok(libc.mount(None, agent.state.encode(), None, MS_REMOUNT, b"size=64m") == 0, "# room again")
        done = agent.wait_for(lambda: numbers(agent.verify()[0])[-1:] == [300], 30)
        tap.ok(done, "with room again it goes on")
        write(log, [301])
        agent.wait_for(lambda: numbers(agent.verify()[0])[-1:] == [301])
        agent.stop()
        rows, _, code = agent.verify("--from-start")
        tap.ok(code == 0 and numbers(rows) == list(range(1, 302)), "nothing lost, nothing twice, chain whole", code)
        tap.ok(len(activities(rows, "spool_trouble")) == 2, "how long it was blocked is said too",
               activities(rows, "spool_trouble"))
        libc.umount2(agent.state.encode(), 2)
    return None


def test_read_only():
    agent, log = new_agent()
    with agent:
        if not mount_tmpfs(agent.state, "size=64m,mode=755"):
            return tap.skip("a read-only file system", "no mount")
        write(log, [1])
        agent.catch_up()
        tap.ok(remount(agent.state, MS_RDONLY), "# read-only")
        write(log, [2])
        agent.start()
        tap.ok(agent.wait_for(lambda: "Cannot open the state" in agent.stderr()), "a read-only state is noticed",
               agent.stderr())
        time.sleep(1.2)
        tap.ok(agent.process.poll() is None, "the agent waits")
        tap.ok(remount(agent.state, 0), "# writable again")
        tap.ok(agent.wait_for(lambda: numbers(agent.verify()[0]) == [1, 2]), "and goes on", agent.stderr())
        agent.stop()
        said = activities(agent.verify()[0], "spool_trouble")
        tap.ok(len(said) == 1 and "Read-only" in said[0]["reason"], "and says so in the chain", said)
        libc.umount2(agent.state.encode(), 2)
    return None


def test_io_error(faults):
    """The fsync of the third batch fails once: its segment is abandoned, the batch goes to the next one."""
    agent, log = new_agent()
    with agent:
        agent.start(env={"LD_PRELOAD": faults, "HALLMARK_FAULTS": "fdatasync:.seg:EIO:3"})
        agent.wait_sequence(1)
        for n in range(1, 11):
            write(log, [n])
            agent.wait_for(lambda: numbers(agent.verify()[0])[-1:] == [n])
        agent.stop()
        rows, _, code = agent.verify("--from-start")
        tap.ok(len(agent.segments()) == 2, "a failed fsync abandons the segment", agent.segments())
        tap.ok(code == 0 and numbers(rows) == list(range(1, 11)), "nothing lost, nothing twice, chain whole",
               code, numbers(rows))


def damage(what, agent):
    segment = agent.segments()[-1]
    with open(segment, "r+b") as f:
        data = f.read()
        end = len(data.rstrip(b"\0"))
        frames = [i for i in range(end) if data.startswith(b"HMRK", i)]
        if what == "a flipped byte in the middle":
            at = frames[len(frames) // 2] + 200
            f.seek(at)
            f.write(bytes([data[at] ^ 0x40]))
        elif what == "garbage behind the last frame":
            f.seek(end)
            f.write(b"garbage" * 100)
        elif what == "the last frame torn":
            f.seek(frames[-1] + 100)
            f.write(b"\0" * (end - frames[-1] - 100))
        elif what == "the last two frames taken away":
            f.seek(frames[-2])
            f.write(b"\0" * (end - frames[-2]))
        elif what == "the segment truncated to half":
            f.truncate(end // 2)


def test_tampered(what, expected, whole):
    agent, log = new_agent()
    with agent:
        for n in range(1, 9):
            write(log, [n])
            agent.catch_up()
        damage(what, agent)
        write(log, [9])
        out, code, err = agent.catch_up()
        rows, _, verdict = agent.verify()
        tap.ok(code == 0, "%s: the agent starts" % what, err)
        tap.ok(numbers(rows)[-1:] == [9], "%s: and goes on" % what, numbers(rows))
        tap.ok((verdict == 0) == whole, "%s: verify says %s" % (what, "whole" if whole else "not whole"), verdict)
        said = [r for r in rows if expected in (r.get("loss_reason"), r.get("activity"))]
        tap.ok(said, "%s: said as %s" % (what, expected), rows[-6:])
        tap.ok(len(set(numbers(rows))) == len(numbers(rows)), "%s: nothing twice" % what, numbers(rows))


def test_hostile_state():
    agent, log = new_agent()
    with agent:
        write(log, [1])
        agent.catch_up()
        spool = agent.state + "/spool/"
        os.mkfifo(spool + "%020d.seg" % 90)
        os.symlink("/etc/passwd", spool + "%020d.seg" % 91)
        os.mkdir(spool + "%020d.seg" % 92)
        write(log, [2])
        _, code, err = agent.catch_up()
        tap.ok(code == 0 and numbers(agent.verify()[0]) == [1, 2],
               "a pipe, a link and a directory among the segments do no harm", code, err)


def test_cap():
    """The spool's cap is a bound: what has to go unacknowledged is declared, in the chain and before it goes."""
    agent, log = new_agent()
    with agent:
        agent.configure(files=[log], sections="[Spool]\ncap = 32M\n")
        write(log, range(1, 1001), filler=60000)
        _, code, err = agent.catch_up()
        rows, report, verdict = agent.verify()
        sizes = sum(os.stat(f).st_blocks * 512 for f in agent.segments())
        tap.ok(code == 0 and verdict == 0 and sizes <= 32 << 20, "at its cap the spool stays below it, and goes on", err,
               verdict, sizes)
        said = [r["detail"] for r in rows if r.get("loss_reason") == "spool_full"]
        first = [r["first_sequence"] for r in report if r.get("report") == "host"][0]
        last_said = max((int(text.split(" to ")[1].split()[0]) for text in said), default=0)
        tap.ok(numbers(rows)[-1:] == [1000] and first > 1, "the newest is there, the oldest is gone", first)
        tap.ok(last_said >= first - 1, "what went is declared, up to the first that is there", said, first)
        os.makedirs(agent.state + "/forward", exist_ok=True)
        with open(agent.state + "/forward/acked", "w") as acked:
            acked.write("%d\n" % agent.committed()[2])
        write(log, range(1001, 1301), filler=60000)
        before = len([r for r in agent.verify()[0] if r.get("loss_reason") == "spool_full"])
        agent.catch_up()
        after = [r for r in agent.verify()[0] if r.get("loss_reason") == "spool_full"]
        tap.ok(len(after) <= before and numbers(agent.verify()[0])[-1:] == [1300], "acknowledged segments go without a loss",
               before, after)


def main():
    mounts = os.geteuid() == 0 and private_mounts()
    if mounts:
        test_full_disk()
        test_read_only()
    else:
        tap.skip("a full disk, a read-only file system", "needs root, and mounts of its own")
    faults = os.path.abspath(os.path.join(BUILD, "tests/lib/faults.so"))
    if os.path.exists(faults):
        test_io_error(faults)
    else:
        tap.skip("a failed fsync", "faults.so is not built")
    test_tampered("a flipped byte in the middle", "spool_damage", False)
    test_tampered("garbage behind the last frame", "spool_cut", True)
    test_tampered("the last frame torn", "spool_cut", True)
    test_tampered("the last two frames taken away", "spool_cut", True)
    test_tampered("the segment truncated to half", "spool_cut", True)
    test_hostile_state()
    test_cap()
    return tap.done()


sys.exit(main())
