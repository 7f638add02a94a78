# SPDX-License-Identifier: Apache-2.0
"""A chain with everything in it that the record can hold, by a real hallmarkd: all kinds of events from log files, the
journal and the inbox, in several runs that end in several ways.

    with Agent() as agent:
        live(agent)   its state's spool, key and so on are there when this returns
"""
import os
import time

import journals
from agent import auth_line
from submissions import event, finding, hand_in, submission

# Each form of header that there is, each kind of event, and what may be true of a line beside its words.
LINES = [
    b"Nov 23 12:00:00 web1 sshd[4711]: Failed password for root from 192.0.2.7 port 50022 ssh2",
    b"Nov  3 04:05:06 web1 sshd[4711]: Accepted publickey for alice from 192.0.2.7 port 50023 ssh2: ED25519 SHA256:abc",
    b"2026-11-23T14:14:08.830338+00:00 golden sshd[1234]: Server listening on :: port 22.",
    b"2026-11-23T14:14:08.830+05:30 golden sshd[1234]: Invalid user bob from 192.0.2.7 port 50024",
    b"2026-11-23T14:14:09.000000001Z golden sshd[01]: a time and a pid that are words",
    b"2026-11-23T14:14:09.123456000Z golden sshd[1]: nine digits, of which the last three are none",
    b"2026-11-23T14:14:09Z golden systemd-logind[1]: New session 5 of user alice.",
    b"<38>1 2026-11-23T14:14:09.133099Z golden su 77 - - pam_unix(su:session): session opened for user root(uid=0) by (uid=0)",
    b"2026-11-23T14:14:10.5+01:00 golden useradd[90]: new user: name=mallory, UID=1001, GID=1001, home=/home/mallory, "
    b"shell=/bin/sh, from=none",
    b"2026-11-23T14:14:11+00:00 golden sudo[4711]:    alice : PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql --password=hunter2",
    b"2026-11-23T14:14:12+00:00 golden sudo[4712]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/echo first",
    b"2026-11-23T14:14:12+00:00 golden sudo[4712]:    alice : (command continued) second",
    b"2026-11-23T14:14:13+00:00 golden CRON[5]: (root) CMD (test -x /usr/sbin/anacron)",
    b"2026-11-23T14:14:14+00:00 golden sshd[6]: message repeated 2 times: [ Failed password for root from 192.0.2.7 port 1 ssh2]",
    b"2026-11-23T14:14:15+00:00 golden what: nobody knows {braces} \xff\x00 \xe2\x82",
    b"no header at all",
    b"",
]
CONFIGURATION = """exclude = CRON
exclude = sshd: never written
[Pace]
checkpoint = 1s
"""


def entries():
    boots = journals.Boot("before"), journals.Boot("now", journals.START_US + 10**9)
    return [
        boots[0].entry(1),
        boots[0].entry(2, MESSAGE="Accepted password for root from 198.51.100.9 port 4 ssh2", _UID="1000", _GID="1000",
                       _EXE="/usr/bin/logger", _COMM="logger", _SYSTEMD_UNIT=None, _AUDIT_LOGINUID="1000", _AUDIT_SESSION="3"),
        boots[1].entry(3, SYSLOG_PID="99", _EXE="/usr/bin/other", _COMM="other"),
        boots[1].entry(4, SYSLOG_IDENTIFIER="what", MESSAGE=b"not \xff text\nand another line", _PID="0", _TRANSPORT="journal",
                       MESSAGE_ID="fc2e22bc6ee647b6b90729ab34a250b1"),
        boots[1].entry(5, SYSLOG_PID=None, _UID=None, _GID=None, _EXE=None, _COMM=None, _SYSTEMD_UNIT=None),
    ]


def spool_cut(agent):
    """What a power cut may leave behind the last whole frame."""
    segment, offset, _ = agent.committed()
    with open(f"{agent.state}/spool/{segment:020}.seg", "r+b") as spool:
        spool.seek(offset)
        spool.write(b"HMRK\1\0\0\0\xff\xff\0\0torn")


def live(agent, host="golden", more=()):
    """`host`: the name in log lines. `more`: further lines of a log."""
    log, journal, inbox = agent.top + "/auth.log", agent.top + "/journal", agent.state + "/inbox"
    with open(log, "wb") as file:
        file.write(b"\n".join([*LINES, *more]).replace(b" golden ", b" %s " % host.encode()) + b"\n")
    sources = "files"
    if not journals.missing():
        os.makedirs(journal, exist_ok=True)
        journals.write(journal + "/system.journal", entries())
        sources = "both"
    for name in ("check", "forward", "drill"):
        os.makedirs(f"{inbox}/{name}", exist_ok=True)
    hand_in(inbox + "/check", "1", submission([finding("ssh", "fail", severity=3), finding("disk", "pass")]))
    hand_in(inbox + "/forward", "2", submission([event("{{{what}}} delivered", ["nothing"], kind="lifecycle", activity="delivery")]))
    hand_in(inbox + "/drill", "3", submission([event("a drill", kind="log", constants=[("why", "practice")])]))
    hand_in(inbox + "/check", "4", b"no submission")
    agent.configure(sources, [log], f"journal-directory = {journal}\n{CONFIGURATION}")

    # a run that ends in order; one that proves that it lives, and is killed; what a power cut leaves; a log that is lost
    agent.catch_up()
    sequence = agent.committed()[2]
    agent.start()
    agent.wait_sequence(sequence + 3)
    with open(log, "ab") as file:
        file.write(auth_line(1).encode())
    agent.wait_sequence(sequence + 4)
    agent.kill()
    spool_cut(agent)
    with open(log, "wb") as file:
        file.write(auth_line(2).encode())
    agent.start()
    agent.wait_sequence(agent.committed()[2] + 1)
    agent.stop()
    agent.catch_up()
