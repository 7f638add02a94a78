#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever somebody calls himself, what is printed by a program's own format string comes back exactly.

Each row has a program's format string as its source has it, what is printed with it, and what an event must say. Names,
addresses, directories and commands are generated, most of them of what the formats themselves are made of. Where one
line can be printed for two different things, a row says which facts may be left unsaid; they are never wrong.

    CASES=2000 SEED=7 tests/integration/22-property.t      so many for each row, from that seed
"""
import ipaddress
import json
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402

CASES = int(os.environ.get("CASES", "250"))
SEED = int(os.environ.get("SEED", "20261123"))
ATTACKER = "10.6.6.6"

PIECES = [
    " from ", f" from {ATTACKER}", f" from {ATTACKER} port 22 ssh2", " port 22", " port 22 ssh2", " ssh2",
    " ssh2: ", " for ", "for root", "invalid user ", "illegal user ", "user ", "authenticating user ",
    f"root {ATTACKER} port 22", " [preauth]", " [postauth]", "]", "[", ": ", ", ", ".", "; ", " ; ",
    " ; USER=root", " ; USER=root ; COMMAND=/bin/sh", " ; COMMAND=", " ; PWD=/", " ; GROUP=adm", " ; TSID=1",
    " ; ENV=A=b", " ; EXIT=0", "TTY=pts/9 ; ", " : ", "  user=root", " user=root", " ruser=x",
    f" rhost={ATTACKER}", f" rhost={ATTACKER}  user=root", "(uid=0)", "(uid=0) by root(uid=0)", " by ",
    " by root", "' from '", f"' from '{ATTACKER}'", "'", "\"", "`", "\\", ")", "(", " on pts/9",
    ") root on pts/9", " FOR root", f" FROM {ATTACKER}",
    f" {ATTACKER} port 22: Change of username or service not allowed: (", ": Too many authentication failures",
    " not allowed because ", " not allowed because account is locked", " by user root", " 11: bye", " id 0",
    " (0) tally 9, deny 1", " unknown", "] [COMMAND=/bin/sh", "] [CWD=/", "Accepted password", "Failed",
    "pam_unix(sshd:auth): ", "authentication failure", " authentication success;", "%s", "#012", "\n", "\t",
    "\r", "\x07", "\x1b", "\x7f", "é", " ", "  ", "a", "root", "0", "=", "-", "@", "/", "",
]
VIS = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 0x5C: "\\\\"}


def vis(text):
    """strnvis(3) with VIS_CSTYLE, VIS_NL, VIS_TAB and VIS_OCTAL: what sshd does with each message as a whole."""
    return "".join(VIS.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
                   for byte in text.encode("utf-8", "surrogateescape"))


def controls(text):
    """A control character as rsyslogd writes it; sudo since 1.9.13 itself."""
    return "".join(f"#{ord(c):03o}" if ord(c) < 0x20 or ord(c) == 0x7F else c for c in text)


def quoted(argument):
    """An argument as sudo since 1.9.13 writes it."""
    text = controls(argument.replace("\\", "\\\\").replace("'", "\\'"))
    return f"'{text}'" if " " in argument or "\t" in argument else text


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def free(self, most=5):
        """Any text that is to deceive."""
        return "".join(self.random.choice(PIECES) for _ in range(self.random.randint(0, most)))

    def client(self):
        """A user name as sshd takes it, and cuts it. (What is behind a colon is a login style, and none of the name.)"""
        name = self.random.choice((self.free(), self.free(12), "n" * self.random.randint(99, 102) + self.free(2)))
        return name.replace(":", "").encode()[:100].decode("utf-8", "surrogateescape")

    def account(self):
        """The name of an account that sshd knows. One that begins with "invalid user " reads as a name that it does not."""
        return re.sub("^((invalid|illegal) user )+", "", self.client())

    def word(self):
        """A name without blanks, of an account, that does not end as sshd's lines do."""
        return re.sub(r"[\s:\x00-\x20\x7f]", "", self.free()).replace("[preauth]", "") or "x"

    def line(self):
        """Free text of a program that leaves control characters to the log daemon."""
        return controls(self.free())

    def ip(self):
        number = self.random.getrandbits(128)
        return self.random.choice((str(ipaddress.IPv4Address(number & 0xFFFFFFFF)), str(ipaddress.IPv6Address(number)),
                                   f"::ffff:{ipaddress.IPv4Address(number >> 96)}", f"fe80::{number & 0xFFFF:x}%eth0"))

    def host(self):
        return self.random.choice(("h.example", "x-1", "10.6.6.6.example", "ssh2", "port", "user"))

    def port(self):
        return self.random.randint(1, 65535)

    def number(self):
        return self.random.choice((0, 1, 1000, 4294967295, self.random.getrandbits(31)))

    def command(self, escapes):
        words = [self.free() for _ in range(self.random.randint(0, 3))]
        return " ".join(["/bin/" + self.random.choice("abc"), *(map(quoted, words) if escapes else map(controls, words))])


LOGIN, FAILED = ("authentication", "logon", "success"), ("authentication", "logon", "failure")
STEP, NOISE = ("authentication", "other", None), ("log", "other", None)
LOGOFF, OPEN, CLOSE = (("session", word, "success") for word in ("logoff", "session_open", "session_close"))
USED, REFUSED = ("privilege", "privilege", "success"), ("privilege", "privilege", "failure")
ACCOUNT = ("account", "account_change", "success")
KEY = "ED25519 SHA256:" + "k" * 43
SSHD = ("sshd", "sshd-session")
CONNECTION = ("src_ip", "src_port")


def said(**facts):
    return facts


# Rows: (tags, what it is, the format, a function of a generator that gives what is printed, the facts, and those of the
# facts that may be left unsaid)

def ssh_result(word, what, method, submethod, info, suffix=""):
    text = "%s %s%s%s for %s%.100s from %.200s port %d ssh2%s%s"

    def case(g):
        user, ip, port = g.client(), g.ip(), g.port()
        # an account of that name could not be told from the words
        is_invalid = word != "Accepted" and (user.startswith("invalid user ") or g.random.random() < 0.5)
        invalid = "invalid user " if is_invalid else ""
        printed = (word, method, "/" if submethod else "", submethod, invalid, user, ip, port, ": " if info else "", info)
        return printed, said(user=vis(user), src_ip=ip, src_port=port, **({} if what == STEP else {"method": method})), ()
    return SSHD, what, text, case, suffix


def ssh_certificate(word, what):
    def case(g):
        user, ip, port, key_id = g.account(), g.ip(), g.port(), g.free()
        info = f"{KEY} ID {key_id} (serial {g.number()}) CA ED25519 SHA256:{'c' * 43}"
        facts = said(user=vis(user), src_ip=ip, src_port=port)
        # the name and the certificate's id are two free texts: an address within the id may look like the last one
        return (word, user, ip, port, info), facts, tuple(facts) if "ssh2: " in key_id else ()
    return SSHD, what, "%s publickey for %.100s from %.200s port %d ssh2: %s", case, ""


def ssh_user(what, text, suffix="", host=False):
    """A user, then an address and a port, in this order."""
    def case(g):
        user, ip, port = g.account(), g.host() if host else g.ip(), g.port()
        printed = (user, ip, port) if "%d" in text else (user, ip)
        facts = said(user=vis(user), **{"src_host" if host else "src_ip": ip})
        return printed, dict(facts, src_port=port) if "%d" in text else facts, ()
    return SSHD, what, text, case, suffix


def ssh_disconnecting(who, what, suffix=""):
    """A user, an address, a port, and a reason in which another name of the client's may stand."""
    change = "Change of username or service not allowed: "

    def case(g):
        user, ip, port = g.client(), g.ip(), g.port()
        other = change + f"({user},ssh-connection) -> ({g.client()},ssh-connection)"
        unknown = g.free().replace("Change of", "").replace("Too many", "")
        reason = g.random.choice(("Too many authentication failures", other[:500], unknown))
        facts = said(user=vis(user), src_ip=ip, src_port=port)
        line = vis(f"{user} {ip} port {port}: {reason}")
        sure = line.endswith(f" port {port}: Too many authentication failures")
        sure = sure or reason == other and line.count(": " + change) == 1
        return (user, ip, port, reason), facts, () if sure else tuple(facts)
    return SSHD, what, f"Disconnecting {who} %.100s %.200s port %d: %.500s", case, suffix


def ssh_tail(what, text, suffix=""):
    """An address, a port and a number, then free text to the end."""
    def case(g):
        ip, port, code, reason = g.ip(), g.port(), g.number(), g.free()
        return (ip, port, code, reason), said(src_ip=ip, src_port=port), ()
    return SSHD, what, text, case, suffix


def ssh_subsystem():
    def case(g):
        subsystem, user = g.client(), g.word()
        return (subsystem, user), said(subsystem=vis(subsystem), user=vis(user)), ()
    return SSHD, ("session", "other", None), "subsystem request for %.100s by user %s", case, ""


def one_name(tags, what, text, field="user", suffix="", make=Generator.line, **constant):
    def case(g):
        name = make(g)
        return (name,), said(**{field: vis(name) if make == Generator.client else name}, **constant), ()
    return tags, what, text, case, suffix


def pam_unix(known):
    text = "pam_unix(%s:auth): authentication failure; logname=%s uid=%d euid=%d tty=%s ruser=%s rhost=%s %s%s"

    def case(g):
        ruser, user = g.line(), g.word()
        kind = g.random.choice(("src_ip", "src_host", None))
        rhost = {"src_ip": g.ip, "src_host": g.host, None: str}[kind]()
        printed = ("vsftpd", "", g.number(), 0, "ftp", ruser, rhost, " user=" if known else "", user if known else "")
        facts = {"service": "vsftpd", **({kind: rhost} if kind else {})}
        if known:
            facts["user"] = user
        elif ruser:
            facts["user"] = ruser
        return printed, facts, ()
    return ("vsftpd", "python3"), FAILED, text, case, ""


def sudo(tags, what, text, escapes, reason=""):
    def case(g):
        user, target, cwd, command = g.word(), g.word(), "/" + g.line(), g.command(escapes)
        env = g.random.choice(("", "A=" + g.line()))
        rest = f" ; ENV={env}" if env else ""
        facts = said(user=user, target_user=target, cwd=cwd, command=command)
        whole = f"PWD={cwd} ; USER={target}{rest} ; COMMAND={command}"
        # what else the same line could have been printed for
        twice = len(re.findall(" ; (?:USER|GROUP)=", whole)) > 1 or env
        twice = twice and whole.count(" ; COMMAND=") > 1
        twice = twice or re.search(r" ; USER=\S*( ; GROUP=\S*)?( ; TSID=\S*)? ; ENV=.* ; USER=", whole)
        unsaid = ("target_user", "cwd", "command") if twice else ()
        if what == USED and not escapes:
            facts["command"] = re.sub(r"( ; SIGNAL=\S*)?( ; EXIT=\d+)?$", "", command)  # as sudo itself says how it ended
        return (user, reason, "pts/1", cwd, target, rest, command), dict(facts, tty="pts/1"), unsaid
    return tags, what, text, case, ""


def sudo_json(word, what, is_new, reason=""):
    """log_format=json as 1.9.13 and (`is_new`) 1.9.16 write it: nothing in it can be read in two ways."""
    when = '{"seconds":1795452278,"nanoseconds":3858244,"iso8601":"20261123164438Z","localtime":"Nov 23 16:44:38"}'
    text = '@cee:{"sudo":{"%s":{"uuid":"%s",%s"server_time":%s,"%s_time":%s,"submituser":%s,"command":%s,"runuser":%s,%s' + \
        '"runcwd":%s,%s%s"submithost":"h","submitcwd":%s,%s"runuid":%d,"columns":80,"lines":24,"runargv":%s,"%s":%s}}}'

    def case(g):
        user, target, cwd, command, group = g.word(), g.word(), "/" + g.free(), "/bin/" + g.free(), g.free()
        argv, env = [g.free() for _ in range(3)], ["A=" + g.free(), "B=" + g.free()]
        env_of = "submitenv" if is_new and what[2] != "success" else "runenv"

        def escaped(value):
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("\x7f", "\\u007f")

        tty, in_group = g.random.random() < 0.5, g.random.random() < 0.5
        printed = (word, "2ab2a886-8d20-4b0c-9c33-a0a6c1d6b8e6", f'"reason":"{reason}",' if reason else "", when,
                   "alert" if word == "alert" else "submit", when, *map(escaped, (user, command, target)),
                   f'"rungroup":{escaped(group)},' if in_group else "", escaped(cwd),
                   '"source":"/etc/sudoers:3:57",' if is_new else "", '"ttyname":"/dev/pts/1",' if tty else "", escaped(cwd),
                   '"rungid":4,' if in_group else "", 1000, escaped(argv), env_of, escaped(env))
        facts = {name: escaped(value)[1:-1] for name, value in
                 dict(user=user, target_user=target, cwd=cwd, command=command, argv=argv).items()}
        facts.update({"tty": "pts/1"} if tty else {}, **({"group": escaped(group)[1:-1]} if in_group else {}))
        return printed, facts, ()
    return ("sudo",), what, text, case, ""


def words(tags, what, text, fields, **constant):
    """Several names of accounts: none with a blank."""
    def case(g):
        values = [g.number() if name in ("uid", "gid", "by_uid") else g.word() for name in fields]
        return tuple(values), dict(zip(fields, values), **constant), ()
    return tags, what, text, case, ""


def pkexec(what, says):
    def case(g):
        facts = said(user=g.word(), target_user="root", tty="/dev/pts/1", cwd="/" + g.line(), command="/bin/" + g.line())
        twice = f"{facts['cwd']}] [COMMAND={facts['command']}".count("] [COMMAND=") > 1
        return tuple(facts.values()), facts, ("cwd", "command") if twice else ()
    return ("pkexec",), what, f"%s: {says} [USER=%s] [TTY=%s] [CWD=%s] [COMMAND=%s]", case, ""


def login(text, *order):
    def case(g):
        values = dict(tty="/dev/pts/1", src_ip=g.ip(), user=g.line()[:100], attempts=3, error="Authentication failure")
        return tuple(values[name] for name in order), {n: values[n] for n in ("src_ip", "user")}, ()
    return ("login",), FAILED, text, case, ""


ID = "authenticating user %.100s %.200s port %d"
ROWS = [
    *[ssh_result("Accepted", LOGIN, *how) for how in (("password", "", ""), ("keyboard-interactive", "pam", ""),
                                                      ("publickey", "", KEY), ("none", "", ""))],
    *[ssh_result("Failed", FAILED, *how) for how in (("password", "", ""), ("keyboard-interactive", "pam", ""),
                                                     ("none", "", ""),
                                                     ("publickey", "", KEY), ("password", "", "", " [preauth]"))],
    *[ssh_result(word, STEP, *how) for word in ("Partial", "Postponed")
      for how in (("publickey", "", KEY, " [preauth]"), ("keyboard-interactive", "", ""))],
    ssh_certificate("Accepted", LOGIN), ssh_certificate("Failed", FAILED),
    ssh_user(FAILED, "Invalid user %.100s from %.100s port %d"),
    ssh_user(FAILED, "Invalid user %.100s from %.100s", host=True),
    ssh_user(FAILED, "error: maximum authentication attempts exceeded for %.100s from %.200s port %d ssh2", " [preauth]"),
    *[ssh_user(FAILED, "User %.100s from %.100s not allowed because " + why, host=host)
      for why in ("not listed in AllowUsers", "a group is listed in DenyGroups") for host in (False, True)],
    *[ssh_user(FAILED, f"error: PAM: {why} for illegal user %.100s from %.100s", host=host)
      for why in ("Authentication failure", "User not known to the underlying authentication module") for host in (False, True)],
    *[ssh_user(STEP, text, " [preauth]") for text in (
        f"Connection closed by {ID}", f"Connection reset by {ID}", f"Disconnected from {ID}",
        "Connection closed by invalid user %.100s %.200s port %d", "Disconnected from invalid user %.100s %.200s port %d",
        f"Connection from {ID} timed out")],
    *[ssh_user(LOGOFF, text) for text in ("Connection closed by user %.100s %.200s port %d",
                                          "Disconnected from user %.100s %.200s port %d")],
    ssh_disconnecting("authenticating user", STEP, " [preauth]"), ssh_disconnecting("invalid user", STEP, " [preauth]"),
    ssh_disconnecting("user", LOGOFF),
    ssh_user(OPEN, "Starting session: command for %s from %.200s port %d id 0"),
    ssh_user(CLOSE, "Close session: user %s from %.200s port %d id 0"),
    ssh_subsystem(),
    ssh_tail(NOISE, "Received disconnect from %.200s port %d:%u: %.400s", " [preauth]"),
    one_name(SSHD, FAILED, "input_userauth_request: invalid user %s", suffix=" [preauth]", make=Generator.client),
    one_name(SSHD, FAILED, "User %.100s not allowed because account is locked", make=Generator.client),
    pam_unix(True), pam_unix(False),
    one_name(("sshd", "su"), STEP, "pam_unix(sshd:auth): check pass; user (%s) unknown"),
    one_name(("sshd", "login"), FAILED, "pam_unix(sshd:auth): bad username [%s]"),
    one_name(("sshd", "login"), FAILED, "pam_unix(sshd:auth): could not identify user (from getpwnam(%s))"),
    one_name(("sshd",), ("authentication", "other", "failure"),
             "pam_faillock(sshd:auth): Consecutive login failures for user %s account temporarily locked"),
    one_name(("vsftpd",), FAILED, "pam_listfile(vsftpd:auth): Refused user %s for service vsftpd"),
    one_name(("vsftpd",), FAILED, "pam_access(vsftpd:account): access denied for user `%s' from `192.0.2.7'", src_ip="192.0.2.7"),
    one_name(("sshd",), STEP, 'pam_succeed_if(sshd:auth): requirement "uid >= 1000" not met by user "%s"'),
    words(("sshd", "su"), OPEN, "pam_unix(sshd:session): session opened for user %s(uid=%d) by %s(uid=%d)",
          ("user", "uid", "by_user", "by_uid")),
    one_name(("sshd", "cron"), CLOSE, "pam_unix(sshd:session): session closed for user %s", make=Generator.word),
    one_name(("passwd",), ACCOUNT, "pam_unix(passwd:chauthtok): password changed for %s", "target_user"),
    sudo(("sudo",), USED, "%8s : %sTTY=%s ; PWD=%s ; USER=%s%s ; COMMAND=%s", True),
    sudo(("sudo",), USED, "%8s : %sTTY=%s ; PWD=%s ; USER=%s%s ; COMMAND=%s", False),
    *[sudo(("sudo",), REFUSED, "%8s : %s ; TTY=%s ; PWD=%s ; USER=%s%s ; COMMAND=%s", escapes, reason)
      for escapes in (True, False)
      for reason in ("user NOT in sudoers", "command not allowed", "3 incorrect password attempts", "a password is required")],
    sudo(("sudo", "sudo-rs"), USED, "%s : %sTTY=%s ; PWD=%s ; USER=%s%s ; COMMAND=%s", True),
    *[sudo_json(*how) for is_new in (False, True) for how in (
        ("accept", USED, is_new), ("reject", REFUSED, is_new, "command not allowed"),
        ("reject", REFUSED, is_new, "2 incorrect password attempts"), ("reject", REFUSED, is_new, "any other reason"),
        ("alert", ("privilege", "other", None), is_new, "unknown user #1234"))],
    words(("su",), USED, "(to %s) %s on %s", ("target_user", "user", "tty")),
    words(("su",), REFUSED, "FAILED SU (to %s) %s on %s", ("target_user", "user", "tty")),
    login("FAILED LOGIN %d FROM %s FOR %s, %s", "attempts", "src_ip", "user", "error"),
    login("FAILED LOGIN (%d) on '%.100s' from '%.200s' FOR '%.100s', %s", "attempts", "tty", "src_ip", "user", "error"),
    login("TOO MANY LOGIN TRIES (%d) on '%.100s' from '%.200s' FOR '%s'", "attempts", "tty", "src_ip", "user"),
    login("invalid password for '%s' on '%.100s' from '%.200s'", "user", "tty", "src_ip"),
    words(("useradd",), ACCOUNT, "new user: name=%s, UID=%d, GID=%d, home=%s, shell=%s, from=%s",
          ("target_user", "uid", "gid", "home", "shell", "tty")),
    words(("usermod",), ACCOUNT, "add '%s' to group '%s'", ("target_user", "group")),
    one_name(("userdel",), ACCOUNT, "delete user '%s'", "target_user"),
    one_name(("systemd-logind",), OPEN, "New session 42 of user %s.", session="42"),
    one_name(("CRON",), NOISE, "(root) CMD (%s)", "command", user="root"),
    pkexec(USED, "Executing command"), pkexec(REFUSED, "Error executing command as another user: Not authorized"),
]
tap = Tap()


def parse(lines, config):
    command = [BUILD + "/hallmark", "parse", "--config", config, "--format", "json", "--input", "jsonl"]
    text = "".join(json.dumps({"line": line, "program_in": tag}) + "\n" for tag, line in lines)
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=600, check=True)
    return map(json.loads, done.stdout.splitlines())


def complaints(row, case, event):
    """What an event says that was not so, or does not say."""
    _, facts, unsaid = case
    facts = dict(facts, kind=row[1][0], activity=row[1][1], outcome=row[1][2])
    for name, value in facts.items():
        if event.get(name) != value and not (name in unsaid and name not in event):
            yield f"{name} is {event.get(name)!r}, not {value!r}"
    if ATTACKER in (event.get("src_ip"), event.get("src_host")):
        yield "the attacker's address"


def check(number, row, config):
    generator = Generator(f"{SEED} {number}")
    tags, _, text, make, suffix = row
    cases = [make(generator) for _ in range(CASES)]
    escape = vis if tags is SSHD else str
    lines = [(generator.random.choice(tags), escape(text % case[0]) + suffix) for case in cases]
    bad = []
    for case, (_, line), event in zip(cases, lines, parse(lines, config)):
        found = list(complaints(row, case, event))
        if found:
            bad.append((line, found, event["template"]))
    unsaid = sum(bool(case[2]) for case in cases)
    less = f", {unsaid} of them with less" if unsaid else ""
    tap.ok(not bad, f"{tags[0]}: {text[:90]}{suffix}: {CASES} come back{less}", f"SEED={SEED}, {len(bad)} did not", *bad[:4])


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        # what is taken out of a command on purpose is not what this is about
        config.write(f"[Sources]\ntemplates = {os.path.abspath('packaging/templates')}\n[Redaction]\nsecrets = no\n")
        config.flush()
        for number, row in enumerate(ROWS):
            check(number, row, config.name)
    return tap.done()


sys.exit(main())
