# SPDX-License-Identifier: Apache-2.0
"""The auth log of a host on the internet, as rsyslog writes it: guessed passwords, scanners, real logins with their
sessions, sudo and cron, in the words of OpenSSH 9.2, sudo 1.9, PAM and logind. The same seed gives the same bytes.

    log = AuthLog(seed=1)
    log.write(path, 1000000)        # 114 bytes a line on average; gzip -6 makes 10.9 of them
    for line in log.numbered(500): …    # without end; the user of each is zq000000500, zq000000501, …
"""
import base64
import bisect
import hashlib
import itertools
import random
import time

HOST = "ip-10-3-7-41"
START = 1773100800  # 2026-03-10 00:00:00 UTC; the lines themselves name no year
INCIDENTS_A_SECOND = 40

STRANGERS = """root admin test oracle postgres ubuntu git user ftpuser guest deploy mysql www-data pi nagios hadoop
    jenkins tomcat minecraft dev support vagrant ansible centos teamspeak odoo zabbix backup""".split()
ACCOUNTS = "admin deploy alice bob carol svc-backup debian j.smith".split()
COMMANDS = ["/usr/bin/systemctl reload nginx", "/usr/bin/apt-get update", "/usr/bin/tail -n 200 /var/log/syslog",
            "/bin/bash", "/usr/bin/docker ps -a", "/usr/bin/journalctl -u ssh --since today", "/usr/sbin/ss -tlpn",
            "/usr/bin/vim /etc/nginx/sites-enabled/default", "/usr/bin/cat /etc/shadow"]

REFUSED = "sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}"
UNKNOWN = f"""sshd[{{pid}}]: Invalid user {{stranger}} from {{ip}} port {{port}}
sshd[{{pid}}]: pam_unix(sshd:auth): check pass; user unknown
{REFUSED}
sshd[{{pid}}]: Failed password for invalid user {{stranger}} from {{ip}} port {{port}} ssh2
"""
KNOWN = f"""{REFUSED}  user={{target}}
sshd[{{pid}}]: Failed password for {{target}} from {{ip}} port {{port}} ssh2
"""
AGAIN = "sshd[{pid}]: Failed password for {target} from {ip} port {port} ssh2\n"
BYE = """sshd[{{pid}}]: Received disconnect from {{ip}} port {{port}}:11: Bye Bye [preauth]
sshd[{{pid}}]: Disconnected from {0} {{ip}} port {{port}} [preauth]"""
CLOSED = "sshd[{{pid}}]: Connection closed by {0} {{ip}} port {{port}} [preauth]"
TOO_MANY = "sshd[{{pid}}]: error: maximum authentication attempts exceeded for {0} from {{ip}} port {{port}} ssh2 [preauth]"
STRANGER, TARGET = "invalid user {stranger}", "authenticating user {target}"
KEY = "sshd[{pid}]: Accepted publickey for {account} from {office} port {port} ssh2: {key}\n"
PASSWORD = "sshd[{pid}]: Accepted password for {account} from {office} port {port} ssh2\n"
OPENED = """sshd[{pid}]: pam_unix(sshd:session): session opened for user {account}(uid={uid}) by (uid=0)
systemd-logind[612]: New session {session} of user {account}."""
LEFT = """
sshd[{pid}]: Received disconnect from {office} port {port}:11: disconnected by user
sshd[{pid}]: Disconnected from user {account} {office} port {port}
sshd[{pid}]: pam_unix(sshd:session): session closed for user {account}
systemd-logind[612]: Session {session} logged out. Waiting for processes to exit.
systemd-logind[612]: Removed session {session}."""
SUDO = """sudo: {account:>8} : TTY=pts/{digit} ; PWD=/home/{account} ; USER=root ; COMMAND={command}
sudo: pam_unix(sudo:session): session opened for user root(uid=0) by {account}(uid={uid})
sudo: pam_unix(sudo:session): session closed for user root"""
CRON = """CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)
CRON[{pid}]: pam_unix(cron:session): session closed for user root"""

# How often, of 1000 incidents, and the lines of each, which are all of one second.
INCIDENTS = [
    (167, UNKNOWN + BYE.format(STRANGER)),
    (167, UNKNOWN + CLOSED.format(STRANGER)),
    (37, UNKNOWN + TOO_MANY.format(STRANGER)),
    (70, KNOWN + BYE.format(TARGET)),
    (70, KNOWN + CLOSED.format(TARGET)),
    (42, KNOWN + AGAIN + BYE.format(TARGET)),
    (42, KNOWN + AGAIN + AGAIN + CLOSED.format(TARGET)),
    (25, KNOWN + AGAIN + AGAIN + TOO_MANY.format("{target}")),
    (25, "sshd[{pid}]: error: kex_exchange_identification: Connection closed by remote host"),
    (25, "sshd[{pid}]: Connection closed by {ip} port {port}"),
    (25, "sshd[{pid}]: banner exchange: Connection from {ip} port {port}: invalid format"),
    (25, "sshd[{pid}]: Unable to negotiate with {ip} port {port}: no matching key exchange method found. "
         "Their offer: diffie-hellman-group1-sha1,diffie-hellman-group14-sha1 [preauth]"),
    (82, KEY + OPENED + LEFT),
    (14, PASSWORD + OPENED + LEFT),
    (20, KEY + OPENED),
    (4, PASSWORD + OPENED),
    (100, SUDO),
    (60, CRON),
]
# The same for lines of which each names the one user whose name is a number.
NUMBERED = [
    (350, "sshd[{pid}]: Failed password for invalid user {number} from {ip} port {port} ssh2"),
    (150, "sshd[{pid}]: Failed password for {number} from {ip} port {port} ssh2"),
    (150, "sshd[{pid}]: Accepted publickey for {number} from {ip} port {port} ssh2: {key}"),
    (100, "sshd[{pid}]: Invalid user {number} from {ip} port {port}"),
    (100, "sshd[{pid}]: Connection closed by invalid user {number} {ip} port {port} [preauth]"),
    (80, "sshd[{pid}]: pam_unix(sshd:session): session opened for user {number}(uid=1000) by (uid=0)"),
    (70, "sudo: {number} : TTY=pts/{digit} ; PWD=/home/{account} ; USER=root ; COMMAND={command}"),
]


class Draw:
    """Picks by weight; a text with the header before each of its lines."""

    def __init__(self, table):
        self.sums = list(itertools.accumulate(weight for weight, _ in table))
        self.texts = ["".join("{at} {host} %s\n" % line for line in text.splitlines()) for _, text in table]

    def pick(self, part):
        return self.texts[bisect.bisect_right(self.sums, part * self.sums[-1])]


class AuthLog:
    def __init__(self, seed=1, host=HOST):
        # only random() itself: of the rest, Python may change what a seed gives
        self.random = random.Random(seed).random
        self.host, self.now, self.pid, self.session = host, START, 900, 1
        self.strangers = [self.address() for _ in range(4000)]
        self.offices = ["203.0.113.%d" % n for n in range(1, 40)] + ["2001:db8:%x::%x" % (n, n * 7) for n in range(1, 9)]
        self.keys = ["%s SHA256:%s" % (kind, base64.b64encode(hashlib.sha256(b"%d" % n).digest()).decode().rstrip("="))
                     for n, kind in enumerate(["ED25519", "RSA", "ECDSA"] * 6)]

    def below(self, n):
        return int(self.random() * n)

    def one_of(self, these):
        return these[int(self.random() * len(these))]

    def address(self):
        return "%d.%d.%d.%d" % (1 + self.below(223), self.below(256), self.below(256), 1 + self.below(254))

    def fill(self, draw, number=0):
        """The lines of one incident."""
        self.now += 2 * self.random() / INCIDENTS_A_SECOND
        self.pid = self.pid + 1 + self.below(9) if self.pid < 4194000 else 301
        self.session += 1
        stamp = time.gmtime(self.now)
        account = self.below(len(ACCOUNTS))
        stranger = self.one_of(STRANGERS)
        if self.random() < 0.3:
            stranger += str(1 + self.below(99))
        return draw.pick(self.random()).format(
            at=time.strftime("%b %e %H:%M:%S", stamp), host=self.host, pid=self.pid, number="zq%09d" % number,
            ip=self.one_of(self.strangers), port=1024 + self.below(64512), stranger=stranger,
            target="root" if self.random() < 0.8 else ACCOUNTS[account], account=ACCOUNTS[account], uid=1000 + account,
            office=self.one_of(self.offices), key=self.one_of(self.keys), session=self.session, digit=self.below(10),
            command=self.one_of(COMMANDS))

    def lines(self):
        """Without end, each with its newline."""
        draw = Draw(INCIDENTS)
        while True:
            yield from self.fill(draw).splitlines(keepends=True)

    def numbered(self, first=0):
        """The same, of lines that each carry a number, from `first` on."""
        draw = Draw(NUMBERED)
        for number in itertools.count(first):
            yield self.fill(draw, number)

    def write(self, path, count):
        with open(path, "w", encoding="ascii", buffering=1 << 20) as file:
            file.writelines(itertools.islice(self.lines(), count))
