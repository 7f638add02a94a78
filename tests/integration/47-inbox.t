#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What other parts of hallmark hand in: each submission exactly once, whenever the agent is killed, and whatever
cannot be removed. KILLS (12) says how often, SEED repeats a run."""
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap, auth_line, number_of  # noqa: E402
from submissions import event, finding, hand_in, submission  # noqa: E402

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
FAULTS = BUILD + "/tests/lib/faults.so"
tap = Tap()


class Host(Agent):
    """An agent with an inbox, and a log that stays empty but for what a test writes."""

    def __init__(self, inbox=("check", "forward", "drill"), **more):
        super().__init__(**more)
        self.log = self.top + "/auth.log"
        open(self.log, "w").close()
        self.configure(files=[self.log])
        self.inbox = self.state + "/inbox"
        for name in inbox:
            os.makedirs(self.inbox + "/" + name, mode=0o755)

    def hand_in(self, directory, name, *events, content=None):
        hand_in(self.inbox + "/" + directory, name, submission(events) if content is None else content)

    def begin(self, **how):
        """Starts it, and waits until the first batch is durable and what was in it has been removed, or not."""
        before = (self.committed() or (0, 0, 0))[2]
        self.start(**how)
        self.wait_sequence(before + 1)
        time.sleep(0.3)

    def lying(self, directory="check"):
        return sorted(os.listdir(self.inbox + "/" + directory))

    def events(self, **wanted):
        rows, _, code = self.verify("--from-start")
        assert code == 0, (code, rows[-3:])
        return [r for r in rows if all(r.get(k) == v for k, v in wanted.items())]

    def faulty(self, rules):
        return {"LD_PRELOAD": FAULTS, "HALLMARK_FAULTS": rules, "ASAN_OPTIONS": "verify_asan_link_order=0"}


def numbers(rows):
    return [int(r["check"][1:]) for r in rows if r.get("check", "").startswith("n")]


def test_taken():
    with Host() as agent:
        agent.hand_in("check", "a-1", finding("before", "pass"), event("{{{check}}} {x}", ["y z", "é\n"], activity="check",
                      severity=3, time_us=1_700_000_000_000_001, constants=[("fix", "none")]))
        agent.start()
        agent.wait_for(lambda: not agent.lying())
        agent.hand_in("check", "a-2", finding("after", "fail", severity=3))
        agent.hand_in("forward", "b", event("identity {document} seen", ["{}"], kind="lifecycle", activity="identity"))
        agent.hand_in("drill", "c", event("sshd[1]: a line of a drill", kind="log"))
        gone = agent.wait_for(lambda: not any(agent.lying(d) for d in ("check", "forward", "drill")))
        tap.ok(gone, "what is handed in is taken while the agent runs, and removed", agent.lying())
        agent.stop()
        rows = agent.events(source="inbox")
        tap.ok([(r["kind"], r["program"]) for r in rows] ==
               [("finding", "hallmark-check")] * 3 + [("lifecycle", "hallmark-forward"), ("log", "hallmark-drill")],
               "it is signed, with the directory's program and the inbox as its source", rows)
        tap.ok(rows[0]["check"] == "before" and rows[0]["outcome"] == "success" and rows[2]["severity"] == "medium" and
               rows[1]["raw"] == "{y z} é\n" and rows[1]["fix"] == "none" and rows[1]["check"] == "y z" and
               rows[1]["time"] == "2023-11-14T22:13:20.000001Z", "words, values, constants and times come back", *rows)
        tap.ok(rows[4]["drill"] == "yes" and "drill" not in rows[0] and "drill" not in rows[3],
               "a drill is marked, and nothing else is", rows[4])


def test_example():
    """hallmark-record(5)'s own."""
    with open("packaging/man/hallmark-record.5", encoding="utf-8") as page:
        text = page.read().split(".Ss A submission as an example\n")[1]
    size, content = int(text.split()[0]), bytes.fromhex(text.split(".Bd -literal -offset indent\n")[1].split(".Ed")[0])
    with Host() as agent:
        agent.hand_in("check", "20261123T131304Z", content=content)
        agent.start()
        agent.wait_for(lambda: not agent.lying())
        agent.stop()
        rows = agent.events(source="inbox")
    same = submission([event("check {check} failed: {reason}", ["ssh-root-login", "PermitRootLogin is yes"],
                             activity="check", outcome="failure", severity=3,
                             constants=[("fix", "set PermitRootLogin no")])], time_us=1795431604000000)
    tap.ok(len(content) == size and content == same, "the page's example is what its words say", len(content))
    tap.ok([r["raw"] for r in rows] == ["check ssh-root-login failed: PermitRootLogin is yes"], "and is taken", rows)


def test_refused():
    with Host() as agent:
        agent.hand_in("forward", "f1", finding("x", "pass"))
        agent.hand_in("drill", "d1", event("{user} logged on", ["root"], kind="authentication", activity="logon"))
        agent.hand_in("drill", "d2", event("no drill", kind="log", constants=[("drill", "no")]))
        agent.hand_in("check", "c1", event("x", kind="lifecycle", activity="identity_reset"))
        agent.hand_in("check", "c2", content=submission([finding("x", "pass")])[:-1])
        agent.hand_in("check", "c3", content=submission([finding("x\0y", "pass")]))
        agent.hand_in("check", "c4", content=submission([finding(b"\xff", "pass")]))
        agent.hand_in("check", "c5", content=bytes(256 * 1024 + 1))
        agent.hand_in("check", "c6", content=b"")
        agent.hand_in("check", "c 7", finding("x", "pass"))
        agent.hand_in("check", "c8", content=submission([finding("x", "pass")], version=2))
        os.symlink("/etc/passwd", agent.inbox + "/check/s1")
        agent.hand_in("check", "s2", finding("linked", "pass"))
        os.link(agent.inbox + "/check/s2", agent.top + "/s2")
        os.mkfifo(agent.inbox + "/check/s3")
        os.mkdir(agent.inbox + "/check/s4")
        agent.hand_in("check", "z", finding("good", "pass"))
        agent.start()
        gone = agent.wait_for(lambda: not any(agent.lying(d) for d in ("check", "forward", "drill")))
        agent.stop()
        rows = agent.events(source="inbox")
        refused = {r["submission"]: r["reason"] for r in rows if r.get("activity") == "submission_refused"}
        expected = ["forward/f1", "drill/d1", "drill/d2"] + ["check/" + n for n in (
            "c1", "c2", "c3", "c4", "c5", "c6", "c 7", "c8", "s1", "s2", "s3", "s4")]
        tap.ok(sorted(refused) == sorted(expected) and len(rows) == len(expected) + 1,
               "each one that breaks a rule is refused as a whole, by an event", refused)
        tap.ok(gone, "and removed all the same", agent.lying())
        tap.ok([r["check"] for r in rows if r["kind"] == "finding"] == ["good"], "the good one among them is taken", rows)
        tap.ok(all(r["severity"] == "high" and r["source"] == "inbox" for r in rows if "submission" in r) and
               os.path.exists("/etc/passwd") and os.path.exists(agent.top + "/s2"),
               "of high severity; what a link led to is whole")


def test_places():
    """Directories that are missing, come later, and are not what they should be."""
    with Host(inbox=()) as agent:
        agent.start()
        agent.wait_sequence(1)
        os.makedirs(agent.inbox + "/check")
        agent.hand_in("check", "a", finding("late", "pass"))
        tap.ok(agent.wait_for(lambda: not agent.lying()), "an inbox that appears later is noticed")
        os.mkdir(agent.inbox + "/forward")
        os.chmod(agent.inbox + "/forward", 0o777)
        os.mkdir(agent.top + "/elsewhere")
        os.symlink(agent.top + "/elsewhere", agent.inbox + "/drill")
        agent.hand_in("forward", "b", event("x", kind="lifecycle", activity="y"))
        agent.hand_in("drill", "c", event("x", kind="log"))
        agent.hand_in("check", "d", finding("still", "pass"))
        agent.wait_for(lambda: not agent.lying())
        agent.stop()
        tap.ok(agent.lying("forward") == ["b"] and agent.lying("drill") == ["c"],
               "nothing is taken from a directory that anybody may write to, or that is a link")
        states = [(r["source_name"], r["state"], r["reason"]) for r in agent.events(activity="source_state")]
        tap.ok(sorted(states) == [("inbox/drill", "unreadable", "Not a directory"),
                                  ("inbox/forward", "unreadable", "anybody may write to it")],
               "and that is said, once", states)
        tap.ok(numbers(agent.events(kind="finding")) == [] and len(agent.events(kind="finding")) == 2, "the others go on")
        os.chmod(agent.inbox + "/forward", 0o755)
        agent.start()
        agent.wait_for(lambda: not agent.lying("forward"))
        agent.stop()
        tap.ok(len(agent.events(program="hallmark-forward")) == 1, "put right, what waited there is taken")


def test_quota():
    with Host() as agent:
        filler = "x" * 60000
        for n in range(8):
            agent.hand_in("forward", "f%d" % n, *[event("{text}", [filler], kind="lifecycle", activity="noise")] * 4)
        agent.hand_in("drill", "d", event("x", kind="log"))
        agent.start()
        agent.wait_for(lambda: not agent.lying("drill") and len(agent.lying("forward")) <= 3)
        agent.stop()
        states = [(r["source_name"], r["state"]) for r in agent.events(activity="source_state")]
        tap.ok(agent.lying("forward") == ["f5", "f6", "f7"] and states == [("inbox/forward", "over_quota")],
               "what is over the quota waits in the order of names, and that is said once", agent.lying("forward"), states)
        tap.ok(len(agent.events(program="hallmark-drill")) == 1, "it holds up nobody else")


def test_temporary():
    with Host() as agent:
        for name in (".a", "b.tmp", "c.tmp"):
            with open(agent.inbox + "/check/" + name, "wb") as file:
                file.write(submission([finding(name, "pass")]))
        os.utime(agent.inbox + "/check/c.tmp", (0, 0))
        agent.configure(files=[agent.log], sections="[Pace]\ncheckpoint = 1s\n")
        agent.start()
        agent.wait_for(lambda: "c.tmp" not in agent.lying(), 5)
        agent.stop()
        tap.ok(agent.lying() == [".a", "b.tmp"] and not agent.events(source="inbox"),
               "what is being written is left alone, until it is stale", agent.lying())


def test_kills_at_each_step():
    """Between the commit and the removal, and at each call of it."""
    for rules in ("unlinkat:inbox/:kill:1", "unlinkat:inbox/:killafter:1", "unlinkat:inbox/:kill:2", "fsync:inbox/:kill:1",
                  "fsync:inbox/:killafter:1", "fdatasync:spool/:kill:1", "fdatasync:spool/:killafter:1",
                  "rename:/committed:kill:1"):
        with Host() as agent:
            for n in range(3):
                agent.hand_in("check", "n%d" % n, finding("n%d" % n, "pass"))
            died = agent.start(env=agent.faulty(rules)).wait(20)
            for _ in range(3):  # the last one has nothing to do
                agent.start()
                agent.wait_for(lambda: not agent.lying())
                agent.stop()
            got = numbers(agent.events(kind="finding"))
            tap.ok(died == -9 and got == [0, 1, 2] and not agent.lying(), "killed at %s: each exactly once" % rules,
                   died, got)


def test_unremovable():
    """What cannot be removed is not taken twice, over restarts; and it goes once it can."""
    for rules in ("unlinkat:inbox/:EROFS", "fsync:inbox/:EIO"):
        with Host() as agent:
            for n in range(3):
                agent.hand_in("check", "n%d" % n, finding("n%d" % n, "pass"))
            for _ in range(3):
                agent.begin(env=agent.faulty(rules))
                agent.kill()
            before = agent.lying()
            agent.start()
            agent.wait_for(lambda: not agent.lying())
            agent.stop()
            tap.ok(numbers(agent.events(kind="finding")) == [0, 1, 2], "%s: none is taken twice" % rules,
                   numbers(agent.events(kind="finding")))
            tap.ok(not agent.lying() and (before or "fsync" in rules), "%s: it lies there until it can be removed" % rules,
                   before)
    with Host() as agent:
        agent.configure(files=[agent.log], sections="[Pace]\ncheckpoint = 1s\n")
        for n in range(100, 130):
            agent.hand_in("check", "n%d" % n, finding("n%d" % n, "pass"))
        agent.hand_in("drill", "d", event("x", kind="log"))
        agent.start(env=agent.faulty("unlinkat:inbox/check:EROFS"))
        agent.wait_for(lambda: not agent.lying("drill"))
        time.sleep(2.5)
        agent.stop()
        taken = numbers(agent.events(kind="finding"))
        states = [(r["source_name"], r["state"], r["reason"]) for r in agent.events(activity="source_state")]
        tap.ok(taken == list(range(100, 120)) and len(agent.lying()) == 30,
               "where nothing can be removed, twenty are taken and the others wait", taken)
        tap.ok(states == [("inbox/check", "stuck", "Read-only file system")], "and that is said, once", states)
        agent.start()
        agent.wait_for(lambda: not agent.lying())
        agent.stop()
        taken = numbers(agent.events(kind="finding"))
        tap.ok(taken == list(range(100, 130)), "once it can, all of them are there once", taken)


def test_immutable():
    """The same by the file system itself."""
    with Host() as agent:
        agent.hand_in("check", "n1", finding("n1", "pass"))
        path = agent.inbox + "/check/n1"
        if os.geteuid() != 0 or subprocess.run(["chattr", "+i", path], capture_output=True).returncode != 0:
            return tap.skip("a file that cannot be removed", "no chattr +i here")
        try:
            for _ in range(2):
                agent.begin()
                agent.stop()
            lay = agent.lying()
        finally:
            subprocess.run(["chattr", "-i", path], check=True)
        agent.start()
        agent.wait_for(lambda: not agent.lying())
        agent.stop()
        tap.ok(lay == ["n1"] and numbers(agent.events(kind="finding")) == [1] and not agent.lying(),
               "an immutable file is taken once, and removed when it can be", lay, agent.events(kind="finding"))
    return None


def test_name_used_again():
    with Host() as agent:
        agent.hand_in("check", "n", finding("n1", "pass"))
        agent.start(env=agent.faulty("unlinkat:inbox/:kill:1")).wait(20)
        agent.hand_in("check", "n", finding("n2", "pass"))
        agent.start()
        agent.wait_for(lambda: not agent.lying())
        agent.stop()
        tap.ok(numbers(agent.events(kind="finding")) == [1, 2],
               "another content under a name that was taken is another submission", numbers(agent.events(kind="finding")))


def test_random_kills():
    rng, stop, sent = random.Random(SEED), threading.Event(), [0]
    print("# seed %d, %d kills" % (SEED, KILLS))
    with Host() as agent:
        def submit():
            while not stop.is_set():
                sent[0] += 1
                agent.hand_in("check", "%08d" % sent[0], finding("n%d" % sent[0], "pass"))
                with open(agent.log, "a") as log:
                    log.write(auth_line(sent[0]))
                time.sleep(0.012)

        submitter = threading.Thread(target=submit)
        submitter.start()
        for _ in range(KILLS):
            agent.start()
            time.sleep(rng.uniform(0.02, 0.6))
            agent.kill()
        stop.set()
        submitter.join()
        agent.start()
        agent.wait_for(lambda: not agent.lying(), 20)
        agent.stop()
        rows = agent.events()
        got, lines = numbers(rows), [n for n in map(number_of, rows) if n is not None]
        tap.ok(got == list(range(1, sent[0] + 1)),
               "%d submissions and %d kills: each exactly once, in order" % (sent[0], KILLS), len(got), len(set(got)))
        tap.ok(lines == got, "and so are the lines of the log beside them", len(lines), len(set(lines)))


def main():
    for test in (test_taken, test_example, test_refused, test_places, test_quota, test_temporary, test_kills_at_each_step,
                 test_unremovable, test_immutable, test_name_used_again, test_random_kills):
        test()
    return tap.done()


sys.exit(main())
