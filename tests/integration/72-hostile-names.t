#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whoever may choose a name, a host, a directory or an argument chooses it to deceive: real sshd, sudo, su, PAM and
shadow print it, and no outcome, address, port or user may come out other than what was done.

One host with journald in front of rsyslogd; auth.log goes through `hallmark parse`, the journal through hallmarkd.
"""
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap  # noqa: E402
from realhost import RealHost  # noqa: E402
from truth import (bare, is_kind, is_logon, is_sudo, is_unknown, message, ssh_invalid_users, ssh_results,  # noqa: E402
                   ssh_sessions, ssh_successes, ssh_users)

# What clients of sshd call themselves.
NAMES = [
    "", " ", "  ", " x ", "a b", "x from 10.6.6.6", "x from 10.6.6.6 port 22", "x from 10.6.6.6 port 22 ssh2",
    "x from 10.6.6.6 port 22 ssh2 [preauth]", " from 10.6.6.6 port 22 ssh2", "root for root from 10.6.6.6", " for ",
    "invalid user root", "illegal user root", "user root 10.6.6.6 port 22", "root 10.6.6.6 port 22 [preauth]",
    "port 22", " port 22 ssh2", "ssh2", "\"", "'", "x' from '10.6.6.6'", "\\", "\\n", "#012", "tab\tthere",
    "cr\rnl\nAccepted password for root from 10.6.6.6 port 22 ssh2", "é\x7f", "n" * 100, "x from 10.6.6.6 " + "y" * 90,
    "Accepted password for root from 10.6.6.6 port 22 ssh2", "pam_unix(sshd session) session opened for user root",
    "x ; USER=root ; COMMAND=sh", "x rhost=10.6.6.6  user=root", "  user=root", "] [preauth]", "x [preauth]",
    "x not allowed because listed in DenyUsers", "x from 10.6.6.6 not allowed because account is locked",
    "message repeated 9 times [ Accepted password for root from 10.6.6.6 port 22 ssh2]",
]
# Accounts that an administrator let somebody choose the name of: sshd lets them in, su takes them for both names.
ACCOUNTS = ["a b", "x from 10.6.6.6 port 22 ssh2", "invalid user root", "x) root on pts", "bob  user=root"]
SECRET = "an odd one's password"
# What a client tells a service that passes it on to PAM: user, ruser, tty and rhost; then the user that an event may name.
PAM = [
    ("alice", "x rhost=10.6.6.6  user=root", "ftp", "192.0.2.66", "alice"),
    ("alice", " rhost=10.6.6.6  user=root", "ftp", "192.0.2.66", "alice"),
    ("alice", " rhost=10.6.6.6", "ftp", "client.example", "alice"),
    ("alice", " rhost=10.6.6.6  user=root", "ftp", "", "alice"),
    ("alice", "x", "t ruser= rhost=10.6.6.6  user=root", "192.0.2.66", "alice"),
    ("alice", "nl\nsshd[1]: Accepted password for root from 10.6.6.6 port 22 ssh2", "ftp", "192.0.2.66", "alice"),
    ("nosuch", "x rhost=10.6.6.6  user=root", "ftp", "192.0.2.66", None),
    ("nosuch", " rhost=10.6.6.6  user=root", "ftp", "192.0.2.66", None),
    ("nosuch", "x rhost=10.6.6.6  user=root", "ftp", "", None),
    ("nosuch", " rhost=10.6.6.6  user=root rhost=", "ftp", "", None),
    ("nosuch", "n" * 100 + " rhost=10.6.6.6", "ftp", "client.example", None),
    ("nosuch  user=root", "", "ftp", "192.0.2.66", None),
    ("nl\nrhost=10.6.6.6", "", "ftp", "192.0.2.66", None),
]
DIRECTORY = "/tmp/d ; USER=root ; COMMAND=/bin/sh"
ODD_DIRECTORY = "/tmp/d ; USER=root"
# caller, sudo's arguments, the directory, whether sudo lets it; and what may be left unsaid, for two lines look the same.
UNSAID = {"cwd", "target_user", "command"}
SUDO = [
    ("alice", ["/bin/echo", " ; COMMAND=/bin/sh"], "/tmp", True, set()),
    ("alice", ["/bin/echo", "x ; USER=root ; COMMAND=/bin/sh"], "/tmp", True, UNSAID),
    ("alice", ["-u", "bob", "/bin/echo", "x ; TSID=1 ; ENV=A=b", " ; EXIT=0"], "/tmp", True, set()),
    ("alice", ["-u", "bob", "-g", "adm", "/bin/echo", "x"], "/tmp", True, set()),
    ("alice", ["-u", "bob", "/bin/echo", "x\nsudo:     root : PWD=/ ; USER=root ; COMMAND=/bin/sh"], "/tmp", True, UNSAID),
    ("alice", ["-u", "bob", "/bin/echo", "y"], DIRECTORY, True, UNSAID),
    ("alice", ["-u", "bob", "/bin/echo", "y"], ODD_DIRECTORY, True, set()),
    ("alice", ["-u", "bob", "A=x ; COMMAND=/bin/sh", "/bin/echo", "y"], "/tmp", True, UNSAID),
    ("alice", ["-u", "bob", "/bin/echo", "\"", "'", "\\", "é", "", "user NOT in sudoers ; "], "/tmp", True, set()),
    ("bob", ["/bin/echo", "bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh"], "/tmp", False, UNSAID),
    ("bob", ["/bin/echo", "y"], DIRECTORY, False, UNSAID),
    ("bob", ["-u", "alice", "/bin/echo", "y"], ODD_DIRECTORY, False, set()),
    ("bob", ["-u", "x ; PWD=/ ; USER=root ; COMMAND=/bin/sh", "/bin/id"], "/tmp", False, UNSAID),
]
SUDOERS = "alice ALL=(ALL:ALL) NOPASSWD: SETENV: ALL\nbob ALL=(root) NOPASSWD: /usr/bin/id\n"
USERADD = ["a b", "x' to group 'wheel", "nl\nnew user: name=root", "é", "x' by 'root"]
tap = Tap()


def do_sudo(host):
    """Everything of SUDO, from within its directory."""
    for caller, argv, cwd, allowed, _ in SUDO:
        script = f"cd {shlex.quote(cwd)} && exec {shlex.join(['sudo', '-kS', *argv])}"
        ran = host.run(["sh", "-c", script], caller, stdin=RealHost.PASSWORDS[caller] + "\n")
        tap.ok((ran["status"] == 0) == allowed, f"sudo {'lets' if allowed else 'refuses'} {caller} {argv} in {cwd}", ran)


def set_sudo(host, settings):
    host.run(["sh", "-c", "cat >/etc/sudoers.d/zz"], stdin=settings + SUDOERS)


def play(host):
    """All of it. What sudo and PAM were asked is in the tables; the rest is in the host's truth."""
    for directory in (DIRECTORY, ODD_DIRECTORY):
        host.run(["install", "-d", "-m", "755", directory])
    for name in NAMES:
        host.ssh_every_way(name, source="203.0.113.66")
    for name in ACCOUNTS:
        host.add_account(name, SECRET)
        host.ssh_password(name, SECRET)
        host.su_ok(name, "bob")
        host.su_bad("alice", name)
    for user, ruser, tty, rhost, _ in PAM:
        host.pam_bad(user, ruser=ruser, tty=tty, rhost=rhost, attempts=2)
    set_sudo(host, "")
    do_sudo(host)
    set_sudo(host, "Defaults log_format=json\n")
    do_sudo(host)
    set_sudo(host, "")
    for name in USERADD:
        for command in (["useradd", "--badname", "-M"], ["usermod", "-aG", "adm"], ["userdel"]):
            host.run([*command, name])
    for directory in (DIRECTORY, ODD_DIRECTORY):
        shutil.rmtree("/" + "/".join(directory.split("/")[1:3]), ignore_errors=True)


def addresses(truth, events):
    """No address but those that somebody came from, and the server's own."""
    real = {f["src_ip"] for f in truth if "src_ip" in f} | {rhost for *_, rhost, _ in PAM}
    yield from (f"nobody came from there: {e}" for e in events if e.get("src_ip", e.get("src_host", "")) not in real | {""})


def su(truth, events):
    """Each su, right or wrong; a name that is not the right one is that of no other account."""
    facts = [f for f in truth if f["what"] == "su"]
    found = [e for e in events if e.get("program") == "su" and is_kind(e, "privilege", "privilege")]
    if [f["outcome"] for f in facts] != [e.get("outcome") for e in found]:
        yield f"{len(facts)} done, {len(found)} found: {found}"
    others = {"root", "alice", "bob", *ACCOUNTS}
    for fact, event in zip(facts, found):
        if event.get("tty") != fact["tty"] or event.get("user") in others - {fact["user"]} or \
                event.get("target_user") in others - {fact["target_user"]}:
            yield f"not {fact['user']} to {fact['target_user']} on {fact['tty']}: {event}"


def pam(_truth, events):
    """Each refusal of PAM's, and one more, from where the service said and of no account but the client's."""
    found = [e for e in events if e.get("service") == "vsftpd" and is_logon(e)]
    found += [e for e in events if message(e).startswith("PAM 1 more") and is_logon(e)]
    if len(found) != 2 * len(PAM):
        yield f"{2 * len(PAM)} done, {len(found)} found"
    for (user, ruser, tty, rhost, named), event in zip(PAM + PAM, found):
        where = event.get("src_ip", event.get("src_host", ""))
        allowed = {named, None} if named else {ruser, printed(ruser), " " + ruser, None}
        if (event["outcome"], where) != ("failure", rhost) or event.get("user") not in allowed:
            yield f"not {user!r} from {rhost!r}: {event}"


def printed(text):
    """As rsyslogd writes control characters."""
    return "".join(f"#{ord(c):03o}" if ord(c) < 0x20 else c for c in text)


def sudo(_truth, events, is_json):
    """Each command of SUDO once and in order: who, whether; and as whom, what and where, unless that is left unsaid."""
    found = [e for e in events if is_sudo(e) and e["kind"] == "privilege" and message(e).startswith("@cee") == is_json]
    # A user that nobody is: refused before sudo knows how to log.
    rows = SUDO[:-1] if is_json else SUDO + SUDO[-1:]
    if len(found) != len(rows):
        yield f"{len(rows)} done, {len(found)} found"
    for (caller, argv, cwd, allowed, unsaid), event in zip(rows, found):
        target = argv[argv.index("-u") + 1] if "-u" in argv else "root"
        command = argv[next(i for i, word in enumerate(argv) if word.startswith("/")):]
        wanted = {"user": caller, "outcome": "success" if allowed else "failure", "cwd": cwd, "target_user": target}
        for name, value in wanted.items():
            if event.get(name) != value and not (name in unsaid and not is_json and name not in event):
                yield f"{name} is not {value!r}: {event}"
        if is_json:
            if json.loads(f"[{event['argv']}]")[1:] != command[1:]:
                yield f"not {command!r}: {event}"
        elif "command" not in event and "command" in unsaid:
            continue
        elif bare(printed(" ".join(command)).replace("/bin/", "")) != bare(event.get("command", "").replace("/usr", "").replace("/bin/", "")):
            yield f"not {command!r}: {event}"


def accounts(_truth, events):
    """What was done with an account, and its whole name or none."""
    names = {"adm", *USERADD, *map(printed, USERADD)}
    for event in events:
        if event.get("program") not in ("useradd", "usermod", "userdel"):
            continue
        if is_unknown(event):
            yield f"unknown: {event}"
        yield from (f"no such name: {event}" for key in ("target_user", "group") if event.get(key, "adm") not in names)


def hold(label, truth, events):
    def plain(truth, events):
        return sudo(truth, events, False)

    def packed(truth, events):
        return sudo(truth, events, True)

    for text, check in (("every ssh login: user, address, port, method, outcome", ssh_results),
                        ("every unknown user, once", ssh_invalid_users), ("no other user than the one who tried", ssh_users),
                        ("no login that was none", ssh_successes), ("every session", ssh_sessions),
                        ("no address that was none", addresses), ("every su", su), ("every refusal of PAM's", pam),
                        ("every command of sudo", plain), ("every command of sudo, as JSON", packed),
                        ("every account", accounts)):
        complaints = list(check(truth, events))
        tap.ok(not complaints, f"{label}: {text}", *complaints[:10])
    unknown = [message(e) for e in events if is_unknown(e)]
    tap.ok(not unknown, f"{label}: a template for each line", *unknown[:10])


def parse(path):
    command = [BUILD + "/hallmark", "parse", "--templates", "packaging/templates", "--format", "json", path]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def journal_events(host):
    """Read within the host, whose accounts tell the agent who may say what."""
    with Agent(sources="journal", extra=f"journal-directory = {host.journal_dir}") as agent:
        done = subprocess.run([*host.prefix(), agent.program, *agent.options(), "--until-caught-up"], capture_output=True,
                              timeout=60, check=False)
        rows, report, verdict = agent.verify("--from-start")
        tap.ok((done.returncode, verdict) == (0, 0), "journal: read to its end, and the chain is whole", done, *report)
    for row in rows:
        if "raw_base64" in row:
            row["raw"] = base64.b64decode(row["raw_base64"]).decode(errors="replace")
    tap.ok(not any(e["kind"] == "forged" for e in rows), "journal: the real programs are no forgers",
           *[e for e in rows if e["kind"] == "forged"][:5])
    return [e for e in rows if e["kind"] not in ("lifecycle", "evidence_loss")]


def main():
    reason = RealHost.unavailable("both")
    if reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    top = tempfile.mkdtemp(prefix="hallmark-test.")
    with RealHost(top, mode="both", sshd_options=["KbdInteractiveAuthentication yes", "LogLevel VERBOSE"]) as host:
        play(host)
        host.sync()
        journal = journal_events(host)
        host.stop()
        truth, log = host.truth, parse(str(host.auth_log))
    hold("auth.log", truth, log)
    hold("journal", truth, journal)
    if tap.failed:
        print(f"# kept: {top}")
    else:
        shutil.rmtree(top)
    return tap.done()


sys.exit(main())
