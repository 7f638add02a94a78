#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Each allocation fails in turn, alone or with all that follow: those of the parser, the batch, the envelope, the spool and
the verifier, and some of the thousands that libcrypto asks for.

A reader then says what it would have said, or that it could not tell and nothing that is wrong. The agent may give up,
but the next start has to find every line once (states.py). Nobody crashes or leaks: where there is a build with
sanitizers (HALLMARK_SANITIZED), it is that which is attacked. Only libcrypto may leak or crash in its own code, as some
of its versions do; crashes are counted.
"""
import os
import shutil
import signal
import subprocess
import sys

from campaign import BUILD, Campaign
from agent import Agent
from numbered import append
from states import Chain

ATTACKED = os.path.abspath(os.environ.get("HALLMARK_SANITIZED") or BUILD)
SANITIZER_EXIT = 77
ENVIRONMENT = {"LD_PRELOAD": BUILD + "/tests/lib/allocations.so",
               "ASAN_OPTIONS": "verify_asan_link_order=0:exitcode=%d" % SANITIZER_EXIT,
               "LSAN_OPTIONS": "exitcode=%d" % SANITIZER_EXIT, "UBSAN_OPTIONS": "exitcode=%d" % SANITIZER_EXIT}
YES, UNKNOWN = 0, 2
LINES, SECONDS = 40, 20
# Of whose allocations so many are failed in any case; in the long form as many as go into the time.
SOME = {None: 30, "libcrypto": 6}

campaign = Campaign()


def run(command, which=None, of=None, count=None):
    chosen = {"HALLMARK_ALLOCATION": which, "HALLMARK_ALLOCATION_OF": of, "HALLMARK_ALLOCATIONS": count}
    environment = dict(os.environ, **ENVIRONMENT, **{name: value for name, value in chosen.items() if value})
    if of:
        environment["ASAN_OPTIONS"] += ":detect_leaks=0"
    try:
        return subprocess.run(command, capture_output=True, env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, -signal.SIGALRM, error.stdout or b"", error.stderr or b"")


def crashed_in_library(done):
    return done.returncode == -signal.SIGSEGV or b"DEADLYSIGNAL" in done.stderr


class Reader:
    """A command that reads and prints."""

    def __init__(self, *command):
        self.command, self.crashes = [ATTACKED + "/hallmark", *command], 0
        self.right = run(self.command)

    def wrong(self, which, of):
        done = run(self.command, which, of)
        if of and crashed_in_library(done):
            self.crashes += 1
        elif done.returncode not in (YES, UNKNOWN):
            yield "it ended with %d: %s" % (done.returncode, done.stderr.decode()[-3000:])
        elif done.returncode == YES and done.stdout != self.right.stdout:
            yield "it said yes, and something else: %s" % done.stdout[-300:]
        elif done.returncode == UNKNOWN and not done.stderr:
            yield "it does not say why"
        else:
            more = set(events(done.stdout)) - set(events(self.right.stdout))
            if more:
                yield "it printed what is not so: %s" % more.pop()


def events(output):
    """Whole lines that are events, and no verdict on what there was."""
    return [line for line in output.split(b"\n")[:-1] if b'"report"' not in line]


class Recorder:
    """The agent, on a state that is new or not."""

    def __init__(self, agent, origin):
        self.agent, self.origin, self.crashes = agent, origin, 0
        self.command = [ATTACKED + "/hallmarkd", "--config", agent.top + "/hallmark.conf", "--state", agent.top + "/state",
                        "--until-caught-up"]
        self.restore()

    def restore(self):
        shutil.rmtree(self.agent.state, ignore_errors=True)
        shutil.copytree(self.origin, self.agent.state)

    def wrong(self, which, of):
        self.restore()
        done = run(self.command, which, of)
        if of and crashed_in_library(done):
            self.crashes += 1
        elif done.returncode < 0 or done.returncode == SANITIZER_EXIT:
            yield "it ended with %d: %s" % (done.returncode, done.stderr.decode()[-3000:])
        elif done.returncode != 0 and not done.stderr:
            yield "it does not say why"
        code, err = self.agent.catch_up()[1:]
        if code != 0:
            yield "the next start ended with %d: %s" % (code, err)
        yield from Chain(self.agent).wrong(2 * LINES)


def attack(chance, name, target, count_file):
    for of in SOME:
        run(target.command, of=of, count=count_file)
        with open(count_file) as file:
            count = int(file.read())
        wrong, failed = [], 0
        for number in chance.sample(range(1, count + 1), count):
            if failed >= SOME[of] and (not campaign.size(False, True) or campaign.over()):
                break
            failed += 1
            which = "%d%s" % (number, chance.choice(["", "", "+"]))
            wrong += ["allocation %s%s: %s" % (which, of and " of " + of or "", text) for text in target.wrong(which, of)]
        campaign.result(not wrong, "%s fail: %s" % (of and of + "'s allocations" or "allocations", name), *wrong,
                        allocations=count, failed=failed, wrong=len(wrong), crashes_in_libcrypto=of and target.crashes)


def main():
    for chance in campaign.rounds():
        with Agent() as agent:
            log = agent.top + "/auth.log"
            agent.configure(files=[log])
            append(log, 1, LINES)
            agent.catch_up()
            shutil.copytree(agent.state, agent.top + "/old")
            os.mkdir(agent.top + "/new")
            append(log, LINES + 1, 2 * LINES)
            spool = shutil.copytree(agent.state + "/spool", agent.top + "/read")
            for name, target in campaign.parts((
                    ("hallmark parse", Reader("parse", "--templates", agent.top + "/templates", "--format", "json", log)),
                    ("hallmark verify", Reader("verify", "--trust-first", "--format", "json", spool)),
                    ("hallmarkd begins", Recorder(agent, agent.top + "/new")),
                    ("hallmarkd goes on", Recorder(agent, agent.top + "/old")))):
                campaign.start()
                attack(chance, name, target, agent.top + "/count")
    return campaign.done()


sys.exit(main())
