#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""hallmarkd.service, as far as it can be judged without a running systemd: what systemd-analyze says of it, that it
holds up no boot, and that users, directories and presets fit it."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, "tests/lib")
from agent import Agent, BUILD, Tap  # noqa: E402

UNITS = "packaging/systemd/"
tap = Tap()


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def settings(path):
    """Name and values; those that are given more than once, together."""
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", read(path), re.M):
        found.setdefault(name, []).extend(value.split() or [""])
    return found


# --- what it says -------------------------------------------------------------------------------------

def unexplained(path):
    """Settings in [Service] that no comment stands before, in their paragraph."""
    service = read(path).split("[Service]\n")[1].split("[Install]\n")[0]
    for paragraph in service.split("\n\n")[1:]:
        explained = False
        for line in paragraph.splitlines():
            explained |= line.startswith("# ") and not line.startswith("# ---")
            if line and line[0] != "#" and not explained:
                yield line


def check_text(unit):
    # who it is, where it keeps things and the process's bounds explain themselves
    plain = {"User=hallmark", "StateDirectory=hallmark", "StateDirectoryMode=0750", "RuntimeDirectory=hallmark",
             "RuntimeDirectoryMode=0755"}
    missing = [line for line in unexplained(UNITS + "hallmarkd.service") if line not in plain]
    tap.ok(not missing, "each line has its reason", *missing)
    # each of them was tried: see the comments in the unit, and what a journal reader needs
    never = {"PrivateUsers", "ProcSubset", "LimitAS", "RestartSteps", "RestartMaxDelaySec", "NoExecPaths", "RootDirectory"}
    tap.ok(not never & set(unit), "nothing is set that older systemds do not know, or under which the journal cannot be read",
           never & set(unit))
    orders = [name for name in unit["Before"] + unit["After"] if name.endswith(".socket")]
    tap.ok(orders == ["systemd-journald.socket"], "no login waits for a socket of ours", orders)
    tap.ok(unit["Type"] == ["simple"], "and for nothing else of ours: nothing but the start of a process is ordered", unit["Type"])
    tap.ok({"ssh.service", "sshd.service", "systemd-user-sessions.service"} == set(unit["Before"]),
           "it is up before the first login and down after the last", unit["Before"])


def check_analysis(top):
    if not shutil.which("systemd-analyze"):
        tap.skip("systemd understands the units", "there is no systemd-analyze here")
        tap.skip("systemd rates the exposure at most 1.0", "there is no systemd-analyze here")
        return
    for name in ("hallmarkd.service", "hallmark-accounts.path", "hallmark-accounts.service"):
        with open(f"{top}/{name}", "w", encoding="utf-8") as file:
            file.write(read(UNITS + name).replace("/usr/sbin/hallmarkd", os.path.abspath(f"{BUILD}/hallmarkd")))
    code, said = run("systemd-analyze", "verify", "--man=no", f"{top}/hallmarkd.service", f"{top}/hallmark-accounts.path")
    tap.ok(code == 0 and not said, "systemd understands the units", code, said)
    code, said = run("systemd-analyze", "security", "--offline=yes", "--threshold=10", UNITS + "hallmarkd.service")
    level = re.search(r"exposure level for hallmarkd.service: ([\d.]+)", said)
    tap.ok(code == 0 and level and float(level[1]) <= 1.0, "systemd rates the exposure at most 1.0", code, said[-200:])


# --- what belongs to it -------------------------------------------------------------------------------

def check_install(top):
    """What make installs, in an empty system."""
    root = top + "/root"
    files = {"sysusers.conf": "usr/lib/sysusers.d/hallmark.conf", "tmpfiles.conf": "usr/lib/tmpfiles.d/hallmark.conf",
             "preset.conf": "usr/lib/systemd/system-preset/50-hallmark.preset",
             "hallmarkd.service": "usr/lib/systemd/system/hallmarkd.service"}
    for name, place in files.items():
        os.makedirs(os.path.dirname(f"{root}/{place}"), exist_ok=True)
        shutil.copy(UNITS + name, f"{root}/{place}")
    os.mkdir(root + "/etc")
    if os.geteuid() != 0 or not shutil.which("systemd-tmpfiles"):
        tap.skip("users and directories are as the unit wants them", "only root can make them, with systemd's programs")
        tap.skip("the preset enables it", "systemd is not here")
        return
    said = run("systemd-sysusers", "--root=" + root)[1] + run("systemd-tmpfiles", "--create", "--root=" + root)[1]
    ids = {line.split(":")[0]: line.split(":")[2] for line in read(root + "/etc/passwd").splitlines()}
    groups = {line.split(":")[0]: line.split(":")[2] for line in read(root + "/etc/group").splitlines()}
    unit = settings(UNITS + "hallmarkd.service")
    wanted = [(int(ids[unit["User"][0]]), int(groups[unit["Group"][0]]), int(unit[mode][0], 8))
              for mode in ("StateDirectoryMode", "RuntimeDirectoryMode")]
    found = [os.stat(root + path) for path in ("/var/lib/hallmark", "/run/hallmark")]
    found = [(s.st_uid, s.st_gid, s.st_mode & 0o7777) for s in found]
    tap.ok(found == wanted, "users and directories are as the unit wants them", found, wanted, said)
    run("systemctl", "--root=" + root, "preset", "hallmarkd.service")
    tap.ok(os.path.islink(root + "/etc/systemd/system/multi-user.target.wants/hallmarkd.service"), "the preset enables it")


def check_backoff(top):
    """The drop-in for systemds that know growing pauses, and for no other."""
    for version, known in (("253", False), ("254", True), ("257", True)):
        with open(top + "/pkg-config", "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\ncase $1 in --atleast-version=*) [ %s -ge "${1#*=}" ] ;; *) exec pkg-config "$@" ;; esac\n' % version)
        os.chmod(top + "/pkg-config", 0o755)
        root = f"{top}/backoff-{version}"
        code, said = run("make", "--no-print-directory", "-o", "all", "BUILD=" + top + "/programs", "DESTDIR=" + root,
                         "PREFIX=/opt/x", f"PKG_CONFIG={top}/pkg-config", "install")
        units = root + "/opt/x/lib/systemd/system/"
        there = os.path.exists(units + "hallmarkd.service.d/10-backoff.conf")
        tap.ok(code == 0 and there == known, f"with systemd {version} the pauses {'grow' if known else 'stay as they are'}",
               code, said[-500:])
    tap.ok("\nExecStart=/opt/x/sbin/hallmarkd\n" in read(units + "hallmarkd.service"), "the unit starts what was installed")


# --- that it holds up nobody --------------------------------------------------------------------------

def start_until(agent, word):
    """How many seconds until it notifies of the word, or ends; and what it said until then."""
    path = agent.top + "/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(0.2)
        start, said = time.monotonic(), b""
        process = agent.start(env={"NOTIFY_SOCKET": path})
        while word not in said and process.poll() is None:
            try:
                said += server.recv(4096) + b"\n"
            except socket.timeout:
                if time.monotonic() - start > 10:
                    break
        took = time.monotonic() - start
    os.unlink(path)
    return took, said.decode()


def check_start():
    def ready(what, agent, wanted=True):
        took, said = start_until(agent, b"READY=1")
        tap.ok(("READY=1" in said) == wanted and took < 5, what, f"{took:.2f} s", said, agent.stderr())

    with Agent(files=["/nowhere/auth.log"]) as agent:
        ready("it is ready at once where there is nothing to read yet", agent)
        agent.stop()
        said = start_until(agent, b"STATUS=")[1]
        tap.ok("STATUS=reading /nowhere/auth.log; " in said, "and says in its status what it reads", said)
        agent.stop()
    with Agent(files=["/nowhere/auth.log"]) as agent:
        with open(agent.state, "w", encoding="utf-8"):
            pass
        ready("it is ready at once where its state cannot be had", agent)
        agent.kill()
        said = start_until(agent, b"STATUS=")[1]
        tap.ok(f"STATUS=cannot open the state in {agent.state}: " in said, "and says in its status what is wrong", said)
    with Agent() as agent:
        fifo = agent.top + "/hung.log"
        os.mkfifo(fifo)
        agent.configure(files=[fifo])
        ready("it is ready at once where a source hangs", agent)
    with Agent(files=["/nowhere/auth.log"]) as agent:
        agent.start()
        time.sleep(0.5)
        agent.stop()
        segment = next(entry.path for entry in os.scandir(agent.state + "/spool") if entry.name.endswith(".seg"))
        with open(segment, "r+b") as file:
            file.write(os.urandom(65536))
        ready("it is ready at once where the spool is corrupt", agent)
        agent.stop()
    with Agent(extra="no-such-option = 1") as agent:
        ready("with a wrong configuration it has ended at once", agent, wanted=False)
        tap.ok(agent.process.wait(10) == 3, "and says so by its exit status", agent.process.returncode)


with tempfile.TemporaryDirectory(prefix="hallmark-test.") as directory:
    os.mkdir(directory + "/programs")
    for program in ("hallmark", "hallmarkd"):
        shutil.copy(f"{BUILD}/{program}", directory + "/programs")
    check_text(settings(UNITS + "hallmarkd.service"))
    check_analysis(directory)
    check_install(directory)
    check_backoff(directory)
check_start()
sys.exit(tap.done())
