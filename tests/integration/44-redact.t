#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets in log lines: nowhere in what is recorded, shown or said, whatever the line looks like; and everything else
about the line is there. The last part is a real sudo."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import chain  # noqa: E402
from agent import BUILD, Agent, Tap  # noqa: E402
from realhost import RealHost  # noqa: E402

tap = Tap()
AWS = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"[:40]
PEM = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
SECRETS = ["hunter2", "tr0ub4dor", "correct horse", "battery", "s3cr3t-token", "dXNlcjpwYXNz", "AKIAIOSFODNN7EXAMPLE", AWS, PEM]

# (what sudo writes behind COMMAND=, what is to be seen of it)
COMMANDS = [
    ("/usr/bin/mysql --password=hunter2 -u root", "/usr/bin/mysql --password=[redacted password] -u root"),
    ("/usr/bin/mysql --password hunter2 -u root", "/usr/bin/mysql --password [redacted password] -u root"),
    ("/usr/bin/mysql '--password=correct horse battery' -u root",
     "/usr/bin/mysql '--password=[redacted password]' -u root"),
    ("/bin/sh -c 'mysql --password=\\'correct horse battery\\' -u root'",
     "/bin/sh -c 'mysql --password=[redacted password] -u root'"),
    ("/bin/sh -c 'PGPASSWORD=tr0ub4dor psql#012echo'", "/bin/sh -c 'PGPASSWORD=[redacted password]'"),
    ("/usr/bin/curl -H Authorization: Basic dXNlcjpwYXNz https://h/", "/usr/bin/curl -H Authorization: [redacted authorization]"),
    ("/usr/bin/curl -H 'Authorization: Basic dXNlcjpwYXNz' https://h/",
     "/usr/bin/curl -H 'Authorization: [redacted authorization]' https://h/"),
    ("/usr/bin/git clone https://bob:tr0ub4dor@h/x", "/usr/bin/git clone https://bob:[redacted url-password]@h/x"),
    ("/usr/bin/aws configure AKIAIOSFODNN7EXAMPLE " + AWS,
     "/usr/bin/aws configure [redacted aws-access-key] [redacted aws-secret-key]"),
    (f"/usr/bin/tee k -----BEGIN PRIVATE KEY-----#012{PEM}#012-----END PRIVATE KEY-----#012",
     "/usr/bin/tee k -----BEGIN PRIVATE KEY-----[redacted private-key]#012"),
    ("/usr/sbin/kubeadm join --token s3cr3t-token h:6443", "/usr/sbin/kubeadm join --token [redacted token] h:6443"),
]
PLAIN = ["/usr/bin/passwd alice", "/usr/bin/cat /etc/passwd", "/bin/grep password= file", "/bin/mkdir -p x"]


def line(text, tag="sudo", pid=4711):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return f"{stamp}.{time.time_ns() // 1000 % 1000000:06d}+00:00 golden {tag}[{pid}]: {text}"


def sudo(command, env=""):
    return line(f"   alice : TTY=pts/0 ; PWD=/root ; USER=root ; {env}COMMAND={command}")


def sshd(name, port=50022):
    return line(f"Invalid user {name} from 192.0.2.7 port {port}", "sshd", 812)


def write(path, lines):
    with open(path, "a", encoding="utf-8") as log:
        log.write("".join(text + "\n" for text in lines))


def frames(path):
    """The frames of a segment."""
    with open(path, "rb") as file:
        data = file.read()
    while data[:4] == b"HMRK":
        end = 12 + int.from_bytes(data[8:12], "little")
        yield data[:end]
        data = data[end:]


def unzstd(data):
    return subprocess.run(["zstd", "-dcq", "-D", "proto/dictionaries/1.dict"], input=data, stdout=subprocess.PIPE, check=True).stdout


def everything(agent):
    """All that an agent left behind, by name: bytes of the spool, the events within, what was said and shown."""
    found = {}
    for path in glob.glob(agent.state + "/spool/*.seg"):
        with open(path, "rb") as file:
            found[path] = file.read()
        for number, frame in enumerate(frames(path)):
            batch = dict(chain.fields(dict(chain.fields(frame[12:]))[1]))
            if 11 in batch:
                found[f"the events of batch {number + 1}"] = unzstd(batch[11])
    for path in glob.glob(agent.state + "/run/*") + [agent.top + "/stderr", agent.top + "/stdout"]:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                found[path] = file.read()
    for form in ("json", "text"):
        done = subprocess.run([BUILD + "/hallmark", "verify", "--trust-first", "--format", form, agent.state + "/spool"],
                              capture_output=True, check=False)
        found["hallmark verify " + form] = done.stdout + done.stderr
    return found


def leaks(found, secrets=tuple(SECRETS)):
    return [(name, secret) for name, text in found.items() for secret in secrets if secret.encode() in text]


def of_log(rows):
    return [row for row in rows if row["kind"] not in ("lifecycle", "evidence_loss")]


def read_once(lines, sections="", templates=None):
    """What an agent makes of a log: (rows without its own, all that it left, what it said)."""
    with Agent(sections=sections) as agent:
        log = agent.top + "/auth.log"
        agent.configure(files=[log], sections=sections)
        if templates is not None:
            shutil.rmtree(agent.top + "/templates")
            os.mkdir(agent.top + "/templates")
            for name, text in templates.items():
                with open(f"{agent.top}/templates/{name}", "w", encoding="utf-8") as file:
                    file.write(text)
        write(log, lines)
        agent.start()
        agent.wait_for(lambda: len(of_log(agent.verify()[0])) >= len(lines))
        code = agent.stop()
        rows, report, verdict = agent.verify("--from-start")
        tap.ok(code == 0 and verdict == 0, "an orderly run, and a chain that is whole", agent.stderr(), *report)
        return of_log(rows), everything(agent), agent.stderr()


def test_commands():
    lines = [sudo(command) for command, _ in COMMANDS] + [sudo(command) for command in PLAIN]
    lines += [sudo("/usr/bin/psql", "ENV=PGPASSWORD=hunter2 LANG=C ; "), line("what --password hunter2", "unheard-of"),
              line("Failed password for --password from 192.0.2.7 port 22 ssh2", "sshd")]
    rows, found, _ = read_once(lines)
    tap.ok(len(rows) == len(lines) and any("batch" in name for name in found), "each line is an event", len(rows), list(found))
    tap.ok(not leaks(found), f"{len(SECRETS)} secrets stand nowhere in {len(found)} places", *leaks(found))
    # a line that may be continued lets others pass
    said = [row for row in rows if "command" in row]
    for row, (command, shown) in zip(said, COMMANDS):
        tap.ok((row.get("command"), row.get("redacted"), row.get("user"), row.get("outcome")) == (shown, "yes", "alice", "success")
               and row["raw"].endswith(" ; COMMAND=" + shown), f"sudo {command[:60]}: the rest of it is there, and said to be", row)
    plain = said[len(COMMANDS):len(COMMANDS) + len(PLAIN)]
    tap.ok([(row.get("command"), row.get("redacted")) for row in plain] == [(command, None) for command in PLAIN],
           "ordinary commands are as they were", *plain)
    env, unknown, name = (next(row for row in rows if is_it(row)) for is_it in (
        lambda row: "env" in row, lambda row: row["program"] == "unheard-of", lambda row: row["program"] == "sshd"))
    tap.ok((env.get("env"), env.get("command"), env.get("redacted")) == ("PGPASSWORD=[redacted password] LANG=C", "/usr/bin/psql", "yes"),
           "the environment that sudo was given", env)
    tap.ok(unknown["raw"].endswith("what --password [redacted password]") and unknown.get("redacted") == "yes",
           "a line that no template knows", unknown)
    tap.ok((name.get("user"), name.get("src_ip"), name.get("src_port"), name.get("outcome"), name.get("redacted")) ==
           ("--password", "192.0.2.7", 22, "failure", None), "a user's name takes nothing with it", name)


def test_unknown_users():
    lines = [sshd("hunter2"), sshd("bob"), sshd("hunter2", 50023), sshd("--password x"), sshd("")]
    expected = {
        "keep": ["hunter2", "bob", "hunter2", "--password [redacted password]", ""],
        "drop": ["[redacted unknown-user]"] * 4 + [""],
        "hash": None,
    }
    for mode, users in expected.items():
        rows, found, _ = read_once(lines, f"[Redaction]\nunknown-users = {mode}")
        seen = [row.get("user") for row in rows]
        if mode == "hash":
            tap.ok(all(re.fullmatch(r"\[redacted unknown-user [0-9a-f]{16}\]", user) for user in seen[:4]) and
                   seen[0] == seen[2] and len(set(seen)) == 4, "hash: the same for the same name only", seen)
        else:
            tap.ok(seen == users, f"{mode}: the names", seen)
        tap.ok([(row.get("src_ip"), row.get("src_port")) for row in rows] == [("192.0.2.7", 50022 + (i == 2)) for i in range(5)],
               f"{mode}: address and port stay", *rows)
        if mode != "keep":
            tap.ok(not leaks(found, ["hunter2", "bob"]), f"{mode}: the names stand nowhere", *leaks(found, ["hunter2", "bob"]))


# What programs print of names that no account bears.
UNKNOWN = [
    ("sshd", "Invalid user hunter2 from 192.0.2.7"),
    ("sshd", "input_userauth_request: invalid user hunter2 [preauth]"),
    ("sshd", "Failed password for invalid user hunter2 from 192.0.2.7 port 50022 ssh2"),
    ("sshd", "Failed keyboard-interactive/pam for invalid user hunter2 from 192.0.2.7 port 50022 ssh2"),
    ("sshd", "message repeated 5 times: [ Failed password for invalid user hunter2 from 192.0.2.7 port 50022 ssh2]"),
    ("sshd", "Connection closed by invalid user hunter2 192.0.2.7 port 50022 [preauth]"),
    ("sshd", "Connection reset by invalid user hunter2 192.0.2.7 port 50022 [preauth]"),
    ("sshd", "Disconnected from invalid user hunter2 192.0.2.7 port 50022 [preauth]"),
    ("sshd", "error: maximum authentication attempts exceeded for invalid user hunter2 from 192.0.2.7 port 50022 ssh2 [preauth]"),
    ("sshd", "Disconnecting invalid user hunter2 192.0.2.7 port 50022: Too many authentication failures [preauth]"),
    ("sshd", "Postponed keyboard-interactive for invalid user hunter2 from 192.0.2.7 port 50022 ssh2 [preauth]"),
    ("login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'hunter2', User not known to the underlying authentication module"),
    ("su", "No passwd entry for user 'hunter2'"),
]


def test_unknown_wherever():
    with Agent() as agent:
        agent.configure(sections="[Redaction]\nunknown-users = drop")
        for tag, text in UNKNOWN:
            done = subprocess.run([BUILD + "/hallmark", "parse", *agent.options(), "--program", tag], input=text.encode() + b"\n",
                                  capture_output=True, check=False)
            tap.ok(done.returncode == 0 and b"hunter2" not in done.stdout and
                   done.stdout.decode().endswith(" | " + text.replace("hunter2", "[redacted unknown-user]") + "\n"),
                   f"{tag}: {text[:70]}", done.stdout)


def test_long_lines():
    """A line that is cut says so, and gives no digest by which its secret could be guessed."""
    rest = "x" * 70000
    rows, found, _ = read_once([sudo("/usr/bin/mysql " + "--password=hunter2 " * 40 + rest), sudo("/usr/bin/mysql " + rest)])
    told = found["hallmark verify json"].decode().splitlines()
    tap.ok([row.get("redacted") for row in rows] == ["yes", None] and rows[0]["command"].endswith("x[redacted too-long]") and
           rows[0]["raw"].index("   alice") + 65536 == len(rows[0]["raw"]) and rows[1]["command"].endswith("xx"),
           "a long line stays within 64 KiB, and ends in a mark", *(row["command"][-60:] for row in rows))
    tap.ok(not leaks(found) and [sum(text in row for row in told) for text in ("was cut; it is redacted", "SHA-256 of the whole")] ==
           [1, 1], "its loss is told without a digest", *leaks(found))


def test_held_lines():
    """Lines that are held while others fill the batch, and that grow by what stands for their secrets."""
    with Agent() as agent:
        log = agent.top + "/auth.log"
        agent.configure(files=[log])
        held = [line(f"   alice : PWD=/ ; USER=root ; COMMAND=/bin/x {number} " + "pass=x " * 3000, pid=5000 + number) for number in range(60)]
        others = [sshd(os.urandom(8).hex(), 1024 + number) for number in range(20000)]
        write(log, held + others + held + others)
        said, code, why = agent.catch_up()
        rows, report, verdict = agent.verify("--from-start")
        tap.ok(code == 0 and verdict == 0, "it goes on", code, said, why[-300:], *report)
        rows = of_log(rows)
        redacted = [row for row in rows if row.get("redacted") == "yes"]
        tap.ok((len(rows), len(redacted)) == (2 * len(held + others), 2 * len(held)) and
               not any("pass=x" in row["raw"] for row in rows), "every line is there, and none with its secrets",
               len(rows), len(redacted))


def test_hash_after_kill():
    """The same name, the same hash: in another run, after a kill, and nobody else's key gives it."""
    hashes = []
    for _ in range(2):
        with Agent() as agent:
            log = agent.top + "/auth.log"
            agent.configure(files=[log], sections="[Redaction]\nunknown-users = hash")
            for number in range(3):
                write(log, [sshd("hunter2", 50000 + number)])
                agent.start()
                agent.wait_for(lambda n=number: len(of_log(agent.verify()[0])) > n)
                agent.kill()
            hashes.append([row.get("user") for row in of_log(agent.verify()[0])])
    tap.ok([len(h) for h in hashes] == [3, 3] and [len(set(h)) for h in hashes] == [1, 1],
           "three runs that were killed give one hash", *hashes)
    tap.ok(hashes[0][0] != hashes[1][0], "another host gives another", *hashes)


def test_settings():
    command = COMMANDS[0][0]
    rows, _, _ = read_once([sudo(command)], "[Redaction]\nsecrets = no")
    tap.ok((rows[0].get("command"), rows[0].get("redacted")) == (command, None), "secrets = no: nothing is taken out", *rows)
    rules = "q | what[ ] | value\n"
    rows, _, said = read_once([line("what hunter2", "x")], templates={"own.redactions": rules})
    tap.ok(rows[0]["raw"].endswith("what [redacted q]"), "a rule of the administrator's", *rows)
    rows, _, said = read_once([line("what hunter2", "x")], templates={"a.redactions": "oh\n", "b.redactions": rules})
    tap.ok(rows[0]["raw"].endswith("what [redacted q]") and "templates/a.redactions:1: not \"name |" in said,
           "a mistake is told, and costs its file alone", said, *rows)
    rows, _, said = read_once([line("what hunter2", "x")], templates={})
    tap.ok("There are no redactions" in said, "where there are no rules the agent says so", said)
    with Agent(sections="[Redaction]\nunknown-users = forget") as agent:
        _, code, said = agent.catch_up()
        tap.ok(code == 3 and 'unknown-users = "forget" is not keep, hash or drop' in said, "a wrong value is refused", said)


def test_parse():
    """What `hallmark parse` shows is what is recorded."""
    with Agent() as agent:
        log = agent.top + "/lines"
        write(log, [sudo(command) for command, _ in COMMANDS] + [sshd("hunter2"), line("x PASSWORD=tr0ub4dor", "unheard-of")])
        for mode in ("hash", "drop"):
            agent.configure(sections=f"[Redaction]\nunknown-users = {mode}")
            for form in ("text", "json"):
                done = subprocess.run([BUILD + "/hallmark", "parse", *agent.options(), "--format", form, log],
                                      capture_output=True, check=False)
                found = {"it": done.stdout + done.stderr}
                tap.ok(done.returncode == 0 and not leaks(found), f"hallmark parse, {mode}, {form}", *leaks(found))
        rows = [json.loads(row) for row in done.stdout.splitlines()]
        tap.ok(all(row.get("redacted") == "yes" for row in rows) and len(rows) == len(COMMANDS) + 2,
               "each redacted line says so", *rows)


def test_real_sudo():
    reason = RealHost.unavailable("both")
    if reason:
        tap.skip("a real sudo with secrets in its command and environment", reason)
        return
    with tempfile.TemporaryDirectory(prefix="hallmark-host.") as out, \
            RealHost(out, mode="both") as host, \
            Agent(sources="files", files=[str(host.auth_log)]) as files, \
            Agent(sources="journal", extra=f"journal-directory = {host.journal_dir}") as journal:
        for agent in (files, journal):
            agent.start()
        told = [host.run(["sudo", *arguments]) for arguments in (
            ["PGPASSWORD=hunter2", "/usr/bin/true", "--password", "tr0ub4dor", "end"],
            ["PGPASSWORD=correct horse", "/usr/bin/true", "--password=correct horse battery", "end"],
            ["/usr/bin/true", "-H", "Authorization: Basic dXNlcjpwYXNz", "end"],
            ["/usr/bin/true", f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----\n", "end"],
            ["/bin/sh", "-c", "true --password='correct horse' end"])]
        host.sync()
        host.stop()
        expected = ["/usr/bin/true --password [redacted password] end", "/usr/bin/true '--password=[redacted password]' end",
                    "/usr/bin/true -H 'Authorization: [redacted authorization]' end",
                    "/usr/bin/true '-----BEGIN PRIVATE KEY-----[redacted private-key]#012' end",
                    "/bin/sh -c 'true --password=[redacted password] end'"]
        for agent, label in ((files, "the log file"), (journal, "the journal")):
            time.sleep(0.5)
            agent.stop()
            rows = [row for row in agent.verify("--from-start")[0] if row.get("program") == "sudo" and "command" in row]
            found = everything(agent)
            tap.ok(not leaks(found), f"{label}: what was given to a real sudo stands nowhere", *leaks(found))
            tap.ok([row["command"] for row in rows] == expected and all(row.get("redacted") == "yes" for row in rows),
                   f"{label}: and the rest is there", told, *rows)


test_commands()
test_unknown_users()
test_unknown_wherever()
test_long_lines()
test_held_lines()
test_hash_after_kill()
test_settings()
test_parse()
test_real_sudo()
sys.exit(tap.done())
