#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hallmark parse, and templates as data: a file that is dropped into a directory is used, with no rebuild."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402

SHIPPED = "packaging/templates"

tap = Tap()


def test(function):
    """Runs it at once, with a directory of its own."""
    directory = tempfile.mkdtemp(prefix="hallmark-test.")
    try:
        function(directory)
        why = []
    except Exception as error:  # whatever it is, the tests after it run
        why = [repr(error)]
    finally:
        shutil.rmtree(directory)
    tap.ok(not why, function.__name__.replace("_", " "), *why)


def parse(text, *arguments, templates=(SHIPPED,)):
    command = [BUILD + "/hallmark", "parse"] + [word for d in templates for word in ("--templates", d)] + list(arguments)
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run(command, input=data, capture_output=True, timeout=60)


def objects(text, *arguments, templates=(SHIPPED,)):
    run = parse(text, "--format", "json", *arguments, templates=templates)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def equal(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


@test
def a_line_becomes_one_flat_object(directory):
    line = "2026-11-23T12:00:00.5Z web1 sshd-session[17]: Failed password for invalid user a\\b from ::1 port 4711 ssh2"
    equal(objects(line), [{
        "time": "2026-11-23T12:00:00.500000Z", "host": "web1", "program": "sshd-session", "pid": 17,
        "message": "Failed password for invalid user a\\b from ::1 port 4711 ssh2",
        "template": "Failed password for invalid user {user} from {src_ip} port {src_port} ssh2",
        "kind": "authentication", "activity": "logon", "outcome": "failure", "severity": "low",
        "method": "password", "user": "a\\b", "src_ip": "::1", "src_port": 4711}])


@test
def what_no_template_knows_has_no_template(directory):
    equal(objects("Nov  3 04:05:06 h nobody[1]: what?\n")[0]["template"], None)
    equal(objects("\n"), [{"message": "", "template": None}])


@test
def numbers_are_numbers_only_where_they_can_be(directory):
    with open(f"{directory}/a.templates", "w") as f:
        f.write("p | log repeat=3 | {uid:text} {src_port} {n:int}\n")
    found = objects("x 22 5\n007 22 5\n18446744073709551615 22 5", "--program", "p", templates=[directory])
    equal([f["uid"] for f in found], ["x", 7, 18446744073709551615])
    equal((found[0]["src_port"], found[0]["repeat"], found[0]["n"]), (22, 3, "5"))


@test
def bare_messages_need_the_program(directory):
    message = "   alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls"
    found = objects(message, "--program", "sudo")[0]
    equal((found["program"], found["user"], found["target_user"], found["command"]), ("sudo", "alice", "root", "/bin/ls"))
    equal(objects(message)[0]["template"], None)


@test
def jsonl_brings_its_program_with_it(directory):
    rows = [{"line": "session closed for user x\0y", "program_in": "z", "more": 1},
            {"line": "srv sshd[2]: Connection closed by 192.0.2.7 [preauth]"}]
    found = objects("".join(json.dumps(row) + "\n" for row in rows), "--input", "jsonl")
    equal((found[0]["program"], found[0]["user"]), ("z", "x\0y"))
    equal((found[1]["pid"], found[1]["src_ip"]), (2, "192.0.2.7"))
    run = parse('{"line": 1}\n', "--input", "jsonl")
    equal((run.returncode, run.stderr), (3, b'hallmark: standard input:1: not a JSON object with a "line"\n'))


@test
def a_line_that_sudo_split_is_one(directory):
    parts = ["Nov  3 04:05:06 h sudo[7]:    alice : PWD=/ ; USER=root ; COMMAND=/bin/x a", "Nov  3 04:05:06 h sshd[1]: x",
             "Nov  3 04:05:06 h sudo[7]:    alice : (command continued) b", "Nov  3 04:05:06 h sudo[8]: alice : TTY=/dev/pts/0 ; "
             "PWD=/ ; USER=root ; COMMAND=/bin/y c [...]", "Nov  3 04:05:07 h sudo[8]: [...]  d"]
    found = [e for e in objects("\n".join(parts) + "\n") if e["program"] == "sudo"]
    equal([(e["command"], e["joined"], e["pid"], e["time"][-9:]) for e in found],
          [("/bin/x a b", "yes", 7, "6.000000Z"), ("/bin/y c d", "yes", 8, "6.000000Z")])
    rows = objects("".join(json.dumps({"line": part}) + "\n" for part in parts), "--input", "jsonl")
    equal([(e["program"], e.get("joined")) for e in rows], [(part.split()[4].split("[")[0], None) for part in parts])


@test
def a_repetition_says_what_is_repeated_whoever_repeats_it(directory):
    inner = ["Failed password for invalid user a ] b from 192.0.2.7 port 22 ssh2", "Connection closed by 192.0.2.7 port 22",
             "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=x"]
    plain, packed = (objects("".join(form % text + "\n" for text in inner), "--program", "sshd")
                     for form in ("%s", "message repeated 12 times: [ %s]"))
    for one, many, text in zip(plain, packed, inner):
        equal((many.pop("repeat"), many.pop("message")), (12, f"message repeated 12 times: [ {text}]"))
        del one["message"]
        equal(many.pop("template"), "message repeated {repeat} times: [ %s]" % one.pop("template"))
        equal(many, one)
    rest = objects("message repeated 3 times: [ message repeated 2 times: [ Connection closed by 192.0.2.7 port 22]]\n"
                   "message repeated 3 times: [ Failed password for x from 192.0\nlast message repeated 3 times\n",
                   "--program", "sshd")
    equal([(e["kind"], e["repeat"], e.get("src_ip")) for e in rest], [("log", 3, None)] * 3)


@test
def text_is_one_line_that_obeys_nothing(directory):
    run = parse(b"Nov  3 04:05:06 h sshd[1]: Failed password for \x1b[31m\\n\xff from 192.0.2.7 port 1 ssh2\n")
    equal(run.stdout.count(b"\n"), 1)
    assert b"\x1b" not in run.stdout and b"\xff" not in run.stdout, run.stdout
    assert b" low authentication logon failure method=password user=" in run.stdout, run.stdout
    assert b"sshd[1] unknown | " in parse("Nov  3 04:05:06 h sshd[1]: x\n").stdout


@test
def any_bytes_are_a_line(directory):
    data = b"\0\xff\xfe\x80 \"\\\n" + b"Nov  3 04:05:06 h sshd[1]: " + bytes(range(32, 256)) + b"\n" + b"y" * 1000000
    found = objects(data)
    equal(len(found), 3)
    equal(len(found[2]["message"]), 1000000)


@test
def a_template_is_added_without_a_rebuild(directory):
    line = "Nov  3 04:05:06 h vault[9]: token for bob denied to 192.0.2.7: too old\n"
    extra = f"{directory}/etc"
    os.mkdir(extra)
    equal(objects(line, templates=[SHIPPED, extra])[0]["template"], None)
    with open(f"{extra}/vault.templates", "w") as f:
        f.write("# ours\nvault | authentication logon failure medium method=token | "
                "token for {user:last} denied to {src_ip}{[: {reason}]}\n")
    found = objects(line, templates=[SHIPPED, extra])[0]
    equal((found["kind"], found["outcome"], found["severity"], found["method"], found["user"], found["src_ip"], found["reason"]),
          ("authentication", "failure", "medium", "token", "bob", "192.0.2.7", "too old"))
    # and the shipped ones are used as before
    equal(objects("Nov  3 04:05:06 h sshd[1]: Connection closed by ::1\n", templates=[SHIPPED, extra])[0]["src_ip"], "::1")


@test
def a_configured_directory_is_used(directory):
    os.mkdir(f"{directory}/t")
    with open(f"{directory}/t/a.templates", "w") as f:
        f.write("p | log | x {y}\n")
    with open(f"{directory}/hallmark.conf", "w") as f:
        f.write(f"[Sources]\ntemplates = {directory}/t\n")
    found = objects("x 1\n", "--program", "p", "--config", f"{directory}/hallmark.conf", templates=())
    equal(found[0].get("y"), "1")


@test
def a_wrong_template_is_named_with_its_place(directory):
    with open(f"{directory}/a.templates", "w") as f:
        f.write("p | log | x\np | log | {user}{src_ip}\n")
    run = parse("x\n", templates=[directory])
    equal((run.returncode, run.stdout), (3, b""))
    equal(run.stderr.decode(), f"hallmark: {directory}/a.templates:2: the field src_ip touches the field before it\n")


@test
def wrong_options_end_with_3_and_a_file_that_is_not_there_with_2(directory):
    for arguments in (["--format", "xml"], ["--input", "csv"], ["--nonsense"], ["a", "b"]):
        equal((arguments, parse("", *arguments).returncode), (arguments, 3))
    equal(parse("", f"{directory}/none").returncode, 2)
    equal(parse("", "--help").returncode, 0)


@test
def a_file_is_read_as_standard_input_is(directory):
    with open(f"{directory}/log", "w") as f:
        f.write("Nov  3 04:05:06 h sshd[1]: Connection closed by ::1\n" * 3)
    equal(len(objects("", f"{directory}/log")), 3)
    equal(len(objects("a\nb\n", "-")), 2)


@test
def a_copy_with_carriage_returns_is_understood(directory):
    event, = objects("Nov  3 04:05:06 h sshd[1]: Connection closed by ::1 port 22\r\n")
    equal((event["kind"], event["src_port"], event["message"][-1]), ("log", 22, "2"))


sys.exit(tap.done())
