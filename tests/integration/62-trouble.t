#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A spool that cannot be written, and one that is not a spool: survived, said, recovered from. What else may happen to one
is in tests/campaign."""
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
    test_hostile_state()
    return tap.done()


sys.exit(main())
