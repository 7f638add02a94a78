#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A throw-away host: the real sshd, sudo, su, PAM, rsyslogd and journald on loopback.

Everything runs in private mount, process, network and host-name namespaces: test users, a log socket, /run, /etc,
/dev and the network are copies or new, so that nothing of the machine that runs it changes, and nothing stays behind
when the process ends, however it ends. It needs root, the Python standard library and Debian's own packages.

    with RealHost("/tmp/out", mode="file", log_format="iso") as host:
        host.ssh_password("alice", host.PASSWORDS["alice"])
        host.ssh_password("oracle", "guess", source="203.0.113.66")
        host.sudo_ok("alice", ["/usr/bin/id", "-u"])
        host.sync()
        print(host.lines)

What is in the output directory (it is the host's /var/log):

    auth.log      the lines of auth and authpriv, as rsyslogd writes them         (modes file and both)
    syslog        everything else                                                (modes file and both)
    journal/      journald's persistent journal, under the machine id            (modes journal and both)
    truth.jsonl   what was really done: one object for each attempt (see Host)

From the command line:

    realhost.py [--mode file|journal|both] [--format iso|traditional] --out DIR SCENARIO...
    realhost.py --check [--mode ...]      say whether this machine can: exit 0, or `1..0 # SKIP reason` and exit 77

The users are alice (all of sudo), bob (no sudo) and carol (may run only /usr/bin/id with sudo), each with a password
and an ssh key, and root (a password, which sshd refuses as Debian's does).
"""

import argparse
import contextlib
import ctypes
import fcntl
import functools
import json
import os
import pathlib
import pty
import pwd
import random
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import time
import uuid

PASSWORDS = {"alice": "correct horse battery", "bob": "staple!staple", "carol": "tr0ub4dor and 3",
             "root": "not-for-guests"}
PEOPLE = ("alice", "bob", "carol")
UIDS = {"alice": 1000, "bob": 1001, "carol": 1002, "root": 0}
SUDOERS = "alice ALL=(ALL:ALL) ALL\ncarol ALL=(root) /usr/bin/id\n"

SERVER4 = "192.0.2.10"
SERVER6 = "2001:db8::10"
SOURCE = "203.0.113.7"
# Each of these is a loopback prefix inside: any address in it can be the source of a connection.
PREFIXES4 = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
ADDRESSES6 = ("2001:db8::10", "2001:db8::7", "2001:db8::66")

PRIVATE_DIR = "/run/realhost"
SUDO_RS = "/usr/lib/cargo/bin/sudo"  # sudo-rs by the name `sudo`, as Debian and Ubuntu install it
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT = 60.0
EXIT_SKIP = 77
PAM_ITEMS = {"tty": 3, "rhost": 4, "ruser": 8}  # <security/_pam_types.h>
PAM_AUTH_ERR = 7


class Unavailable(Exception):
    """This machine cannot run a real host; the text is one sentence that says why."""


class RealHostError(Exception):
    """Something inside the host went wrong; the text says what."""


# --------------------------------------------------------------------------------------------------------------------
# Namespaces and mounts (inside)

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCGIFINDEX = 0x8913, 0x8914, 0x8916, 0x891C, 0x8933
IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source, target, fstype=None, flags=0, data=None):
    """mount(2); OSError names the target."""
    def encode(text):
        return None if text is None else os.fsencode(text)
    if _libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(data)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def _make_mounts_private():
    """Let no mount of ours reach the namespace that we came from, in a chroot whose root is no mount point too."""
    try:
        _mount(None, "/", flags=MS_REC | MS_PRIVATE)
        return
    except OSError:
        pass
    # In a plain chroot: "/" names no mount. Step out to the namespace's own root, do it there, and come back.
    here = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    step = "/proc" if os.path.isdir("/proc") else "/etc"
    os.chroot(step)
    os.fchdir(here)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    _mount(None, "/", flags=MS_REC | MS_PRIVATE)
    os.fchdir(here)
    os.chroot(".")
    os.close(here)


def _tmpfs(target, mode="755"):
    """An empty file system over a directory that exists."""
    _mount("tmpfs", target, "tmpfs", MS_NOSUID, f"mode={mode}")


def _device(path, major, minor):
    """A character device that everybody may use; OSError names it."""
    try:
        os.mknod(path, stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(path, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _private_dev():
    """A /dev of our own: the usual nodes, our own terminals, and no log socket yet."""
    _mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        _device(f"/dev/{name}", 1, minor)
    _device("/dev/tty", 5, 0)
    os.mkdir("/dev/pts")
    _mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5")
    os.symlink("pts/ptmx", "/dev/ptmx")
    os.symlink("/proc/self/fd", "/dev/fd")
    os.mkdir("/dev/shm")
    os.chmod("/dev/shm", 0o1777)


def _private_files(out):
    """Give the host its own /proc, /run, /etc, /dev, homes and state; its /var/log is the directory `out`."""
    out_fd = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    script = pathlib.Path(__file__).read_bytes()
    _mount("proc", "/proc", "proc", MS_NOSUID)
    _mount(f"/proc/self/fd/{out_fd}", "/var/log", flags=MS_BIND)
    os.close(out_fd)
    _tmpfs("/run")
    os.mkdir(PRIVATE_DIR)
    pathlib.Path(f"{PRIVATE_DIR}/realhost.py").write_bytes(script)
    subprocess.run(["cp", "-a", "/etc", f"{PRIVATE_DIR}/etc"], check=True)
    _mount(f"{PRIVATE_DIR}/etc", "/etc", flags=MS_BIND)
    _private_dev()
    with contextlib.suppress(OSError):  # journald of systemd 257 and later does not start without cgroups
        _mount("sysfs", "/sys", "sysfs", MS_NOSUID)
        _mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID)
    for path in ("/home", "/root", "/var/mail", "/var/spool/rsyslog", "/var/lib/rsyslog", "/var/lib/sudo",
                 "/var/lib/lastlog", "/var/lib/wtmpdb", "/var/lib/systemd", "/var/lib/pam"):
        if os.path.isdir(path) and not os.path.islink(path):
            _tmpfs(path, "700" if path == "/root" else "755")
    for path in ("/run/sshd", "/run/lock", "/run/user"):
        os.mkdir(path, 0o755)
    for path in ("/run/utmp", "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog"):  # who is logged in, and was
        pathlib.Path(path).touch()
    os.chmod("/var/log/btmp", 0o660)


def _ifreq(name, payload):
    return struct.pack("16s24s", name.encode(), payload)


def _private_network():
    """Bring loopback up with the documentation prefixes on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, SIOCGIFFLAGS, _ifreq("lo", b""))
        flags = struct.unpack("16xh", answer[:18])[0]
        fcntl.ioctl(control, SIOCSIFFLAGS, _ifreq("lo", struct.pack("h", flags | IFF_UP)))
        for number, address in enumerate(PREFIXES4, 1):
            for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.0")):
                sockaddr = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, _ifreq(f"lo:{number}", sockaddr))
        index = struct.unpack("16xi", fcntl.ioctl(control, SIOCGIFINDEX, _ifreq("lo", b""))[:20])[0]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        for address in ADDRESSES6:  # a kernel without IPv6 does without
            request = struct.pack("=16sIi", socket.inet_pton(socket.AF_INET6, address), 128, index)
            fcntl.ioctl(control, SIOCSIFADDR, request)


def _drop_people(path, names):
    """Remove the lines of `names` from a colon-separated account file, and the names from its member lists."""
    kept = []
    for line in path.read_text(errors="surrogateescape").splitlines():
        fields = line.split(":")
        if fields[0] in names:
            continue
        if path.name in ("group", "gshadow") and len(fields) == 4:
            fields[3] = ",".join(name for name in fields[3].split(",") if name not in names)
        kept.append(":".join(fields))
    path.write_text("\n".join(kept) + "\n", errors="surrogateescape")


def _remove_existing_people():
    """Take the machine's own people (uid and gid 1000 to 59999) out of our copy, so that uids are always the same."""
    for accounts, secrets in (("passwd", "shadow"), ("group", "gshadow")):
        entries = [line.split(":") for line in pathlib.Path("/etc", accounts).read_text().splitlines()]
        names = {e[0] for e in entries if e[0] in PASSWORDS and e[0] != "root"}
        names |= {e[0] for e in entries if len(e) > 2 and e[2].isdigit() and 1000 <= int(e[2]) < 60000}
        for name in (accounts, secrets, "group", "gshadow"):
            if os.path.exists(f"/etc/{name}"):
                _drop_people(pathlib.Path("/etc", name), names)


def _run_quietly(argv, **options):
    """Run a program that must succeed; what it prints becomes the error."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False, **options)
    if done.returncode != 0:
        raise RealHostError(f"{argv[0]} exited with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def _set_accounts():
    """Make the test users in our copy of the account files, with the system's own tools."""
    _remove_existing_people()
    for name in PEOPLE:
        _run_quietly(["useradd", "-m", "-u", str(UIDS[name]), "-s", "/bin/bash", name])
    _run_quietly(["chpasswd"], input="".join(f"{name}:{word}\n" for name, word in PASSWORDS.items()))
    sudoers = pathlib.Path("/etc/sudoers.d")
    shutil.rmtree(sudoers, ignore_errors=True)
    sudoers.mkdir(mode=0o750)
    (sudoers / "realhost").write_text(SUDOERS)
    (sudoers / "realhost").chmod(0o440)


def _set_keys():
    """A fresh host key, an ssh key for each of the users, and one that nobody knows."""
    keys = pathlib.Path(PRIVATE_DIR, "keys")
    keys.mkdir(mode=0o700)
    for name in ("host", "stranger", *PEOPLE):
        _run_quietly(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@golden", "-f", str(keys / name)])
    for name in PEOPLE:
        authorized = pathlib.Path(f"/home/{name}/.ssh/authorized_keys")
        authorized.parent.mkdir(mode=0o700)
        authorized.write_bytes((keys / f"{name}.pub").read_bytes())
        authorized.chmod(0o600)
        for path in (authorized.parent, authorized):
            os.chown(path, UIDS[name], UIDS[name])
    askpass = pathlib.Path(PRIVATE_DIR, "askpass")
    askpass.write_text("#!/bin/sh\nprintf '%s\\n' \"$REALHOST_PASSWORD\"\n")
    askpass.chmod(0o755)


def _shorten_delays():
    """Fail at once after a wrong password: the pause that PAM makes changes nothing in what is logged."""
    for path in pathlib.Path("/etc/pam.d").iterdir():
        text = path.read_text()
        path.write_text(re.sub(r"(?m)^(auth\b.*\bpam_unix\.so)(?!.*\bnodelay\b)", r"\1 nodelay", text))


def _set_identity(config):
    """The host's name, machine id, boot id and time zone."""
    name = config["hostname"]
    socket.sethostname(name)
    pathlib.Path("/etc/hostname").write_text(name + "\n")
    pathlib.Path("/etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{SERVER4} {name}\n")
    pathlib.Path("/etc/machine-id").write_text(config["machine_id"] + "\n")
    if config["boot_id"]:
        boot_id = pathlib.Path(PRIVATE_DIR, "boot_id")
        boot_id.write_text(str(uuid.UUID(config["boot_id"])) + "\n")
        _mount(str(boot_id), "/proc/sys/kernel/random/boot_id", flags=MS_BIND)
    localtime = pathlib.Path("/etc/localtime")
    with contextlib.suppress(FileNotFoundError):
        localtime.unlink()
    if config["timezone"] != "UTC":
        localtime.symlink_to(f"/usr/share/zoneinfo/{config['timezone']}")
    os.environ.pop("TZ", None)
    os.makedirs("/etc/security/limits.d", exist_ok=True)  # or pam_limits complains where CAP_SYS_RESOURCE is missing
    pathlib.Path("/etc/security/limits.d/realhost.conf").write_text("* - core 0\nroot - core 0\n")
    pathlib.Path("/etc/default/locale").touch()  # or pam_env complains in a minimal root
    with contextlib.suppress(OSError):  # pids as on a host that has been up for a while
        pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text("1200")


# --------------------------------------------------------------------------------------------------------------------
# Daemons (inside)


def _find_program(*candidates):
    """The first of the candidates that exists, or None."""
    for candidate in candidates:
        found = shutil.which(candidate, path=SECURE_PATH)
        if found:
            return found
    return None


def _wait_until(condition, what, timeout=TIMEOUT):
    """Poll until the condition is true; RealHostError names what we waited for."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise RealHostError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(0.01)


def _children(pid):
    """The processes that a process has started and that are still there."""
    try:
        return set(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except OSError:
        return set()


class Daemon:
    """A program that runs until it is stopped; what it prints goes to a file of its own."""

    def __init__(self, argv):
        self.name = os.path.basename(argv[0])
        self._output = pathlib.Path(PRIVATE_DIR, f"{self.name}.out")
        with open(self._output, "ab") as output:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")

    def wait_ready(self, condition):
        """Wait until the condition is true, or say what the daemon printed when it ended first."""
        def ready_or_gone():
            return condition() or self.process.poll() is not None
        _wait_until(ready_or_gone, f"{self.name} to be ready")
        if self.process.poll() is not None:
            raise RealHostError(f"{self.name} exited with {self.process.returncode}: {self.output()}")

    def output(self):
        return self._output.read_text(errors="replace").strip()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ask it to end, and wait until it has."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


RSYSLOG_CONF = """\
module(load="imuxsock" SysSock.Use="on" SysSock.Name="{socket}" SysSock.Unlink="on" SysSock.RateLimit.Interval="0")
module(load="builtin:omfile" Template="{template}")
global(workDirectory="/var/spool/rsyslog")
$FileOwner root
$FileGroup adm
$FileCreateMode 0640
$Umask 0022
auth,authpriv.*                 /var/log/auth.log
*.*;auth,authpriv.none          /var/log/syslog
"""


class FileLog:
    """auth.log and syslog, written by rsyslogd (or by our own listener where there is none)."""

    def __init__(self, config, with_journal):
        self._log_socket = "/run/systemd/journal/syslog" if with_journal else "/dev/log"
        self._marks = 0
        rsyslogd = _find_program("rsyslogd")
        if config["logger"] == "rsyslogd" or (config["logger"] == "auto" and rsyslogd):
            self._daemon = self._start_rsyslogd(rsyslogd, config["log_format"])
        else:
            argv = [sys.executable, f"{PRIVATE_DIR}/realhost.py", "--listen", self._log_socket, config["log_format"]]
            self._daemon = Daemon(argv)
        self._daemon.wait_ready(lambda: os.path.exists(self._log_socket))

    def _start_rsyslogd(self, program, log_format):
        os.makedirs("/var/spool/rsyslog", exist_ok=True)
        template = {"iso": "RSYSLOG_FileFormat", "traditional": "RSYSLOG_TraditionalFileFormat"}[log_format]
        text = RSYSLOG_CONF.format(socket=self._log_socket, template=template)
        pathlib.Path("/etc/rsyslog.conf").write_text(text)
        os.makedirs(os.path.dirname(self._log_socket), exist_ok=True)
        return Daemon([program, "-n", "-f", "/etc/rsyslog.conf", "-i", "/run/rsyslogd.pid"])

    def sync(self):
        """Return once everything that was logged before the call is in the file."""
        self._marks += 1
        mark = f"realhost: mark {self._marks} {time.monotonic_ns()}"
        _send_log("user.info", mark)
        log = pathlib.Path("/var/log/syslog")
        _wait_until(lambda: log.exists() and mark in log.read_text(errors="replace"), "the log to be written")

    def reopen(self):
        """What logrotate does after it has moved the files away."""
        self._daemon.signal(signal.SIGHUP)
        self.sync()

    def rotate(self):
        """auth.log becomes auth.log.1 (and .1 becomes .2 ...), then the writer opens a new one."""
        self.sync()
        logs = sorted(pathlib.Path("/var/log").glob("auth.log.[0-9]*"), key=lambda path: -int(path.suffix[1:]))
        for path in logs:
            path.rename(path.with_suffix(f".{int(path.suffix[1:]) + 1}"))
        if os.path.exists("/var/log/auth.log"):
            os.rename("/var/log/auth.log", "/var/log/auth.log.1")
        self.reopen()

    def stop(self):
        self._daemon.stop()


class Journal:
    """A systemd-journald of our own, which makes its sockets itself."""

    def __init__(self, config, with_file):
        settings = {"Storage": "persistent", "ReadKMsg": "no", "Audit": "", "RateLimitIntervalSec": "0",
                    "ForwardToSyslog": "yes" if with_file else "no", "ForwardToWall": "no", **config["journald"]}
        drop_in = pathlib.Path("/etc/systemd/journald.conf.d")
        shutil.rmtree(drop_in, ignore_errors=True)
        drop_in.mkdir(parents=True)
        text = "[Journal]\n" + "".join(f"{key}={value}\n" for key, value in settings.items())
        (drop_in / "realhost.conf").write_text(text)
        self._set_directories(config["flushed"])
        self._daemon = None
        self.start()

    def start(self):
        """Start journald (again)."""
        program = _find_program("/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald")
        self._daemon = Daemon([program])
        self._daemon.wait_ready(lambda: os.path.exists("/run/systemd/journal/dev-log"))
        if not os.path.lexists("/dev/log"):
            os.symlink("/run/systemd/journal/dev-log", "/dev/log")
        self.control("--sync")

    def _set_directories(self, flushed):
        os.makedirs("/run/systemd/journal", exist_ok=True)
        os.makedirs("/var/log/journal", exist_ok=True)
        if flushed:  # what systemd-journal-flush.service leaves: from the first entry on, /var is written
            pathlib.Path("/run/systemd/journal/flushed").touch()

    def control(self, option):
        """journalctl --sync, --rotate, --flush or --relinquish-var, as an administrator would."""
        _run_quietly(["journalctl", option], timeout=TIMEOUT)

    def sync(self):
        self.control("--sync")

    def rotate(self):
        self.control("--rotate")

    def kill(self):
        """Let journald die at once, with its files left open, as when the power goes."""
        self._daemon.process.kill()
        self._daemon.process.wait()
        for path in ("/run/systemd/journal/dev-log", "/run/systemd/journal/socket", "/run/systemd/journal/stdout"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def stop(self):
        self._daemon.stop()


SSHD_CONFIG = """\
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
HostKey {keys}/host
"""


class Sshd:
    """The listener: Debian's configuration, on every address of ours, port 22."""

    def __init__(self, config):
        program = _find_program("sshd")
        text = "".join(option + "\n" for option in config["sshd_options"])
        text += SSHD_CONFIG.format(keys=f"{PRIVATE_DIR}/keys")
        if not config["penalties"] and _knows_option(program, "PerSourcePenalties"):
            text += "PerSourcePenalties no\n"
        pathlib.Path("/etc/ssh/sshd_config").write_text(text)
        self._daemon = Daemon([program, "-D", "-f", "/etc/ssh/sshd_config"])
        self._daemon.wait_ready(_is_listening)

    def connections(self):
        """The processes that serve a connection now."""
        return _children(self._daemon.process.pid)

    def stop(self):
        self._daemon.stop()


def _knows_option(sshd, option):
    """Does this sshd know an option (which may be newer than it)?"""
    test = subprocess.run([sshd, "-t", "-f", "/dev/null", "-h", f"{PRIVATE_DIR}/keys/host", "-o", f"{option}=no"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return b"Bad configuration option" not in test.stderr


def _is_listening():
    """Is anything listening on TCP port 22? Asked of the kernel, for sshd would log a connection."""
    return any(line.split()[1].endswith(":0016") and line.split()[3] == "0A"
               for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])


FACILITIES = {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "cron": 9, "authpriv": 10,
              "local0": 16}
LEVELS = {"emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}


def _send_log(priority, text):
    """What syslog(3) does: one datagram to /dev/log. `text` is `tag[pid]: message`."""
    facility, level = priority.split(".")
    stamp = time.strftime("%b %e %H:%M:%S")
    datagram = f"<{FACILITIES[facility] * 8 + LEVELS[level]}>{stamp} {text}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.connect("/dev/log")
        log.send(datagram.encode(errors="surrogateescape"))


def _escape_controls(data):
    """Control characters as rsyslog writes them: `#` and three octal digits."""
    return re.sub(rb"[\x00-\x1f\x7f]", lambda match: b"#%03o" % match.group()[0], data)


def _format_line(datagram, log_format, host, now):
    """A datagram of syslog(3) as a line of rsyslog's file formats, and whether it belongs into auth.log."""
    match = re.match(rb"<(\d+)>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(.*)", datagram.rstrip(b"\n\0"), re.DOTALL)
    priority, text = (int(match.group(1)), match.group(2)) if match else (13, datagram)
    local = time.localtime(now)
    if log_format == "iso":
        zone = time.strftime("%z", local)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{int(now * 1e6) % 1000000:06d}{zone[:3]}:{zone[3:]}"
    else:
        stamp = time.strftime("%b %e %H:%M:%S", local)
    line = f"{stamp} {host} ".encode() + _escape_controls(text) + b"\n"
    return line, priority >> 3 in (FACILITIES["auth"], FACILITIES["authpriv"])


def listen(path, log_format):
    """Be a small syslog daemon on a datagram socket until SIGTERM; SIGHUP opens the files anew."""
    state = {"reopen": True}
    signal.signal(signal.SIGHUP, lambda *_: state.update(reopen=True))
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    log.bind(path)
    os.chmod(path, 0o666)
    files = {}
    while True:
        try:
            readable = select.select([log], [], [], 0.05)[0]
        except InterruptedError:
            continue
        if state.pop("reopen", False):
            os.umask(0o027)
            for handle in files.values():
                handle.close()
            files = {True: open("/var/log/auth.log", "ab", 0), False: open("/var/log/syslog", "ab", 0)}
        if readable:
            line, is_auth = _format_line(log.recv(65536), log_format, socket.gethostname(), time.time())
            files[is_auth].write(line)


# --------------------------------------------------------------------------------------------------------------------
# What people do (inside)


def connect_for_ssh(source, port, server):
    """ProxyCommand of our ssh clients: connect from a known address and port, and hand the socket to ssh."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection, socket.socket(fileno=os.dup(1)) as ssh:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind((source, port))
        connection.connect((server, 22))
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])


def _is_prompt(text):
    """Does what a program printed last ask for a password?"""
    return re.search(r"[Pp]assword[^\n]*: ?$", text) is not None


def fail_pam(request):
    """Be a service of PAM whose client is refused: `request` has service, user and password, and the items to set."""
    libc, libpam, wanted = ctypes.CDLL(None), ctypes.CDLL("libpam.so.0"), json.loads(request)
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)
    def answer(count, _messages, responses, _data):
        responses[0] = libc.calloc(count, 16)  # struct pam_response: char *, int
        for number in range(count):
            ctypes.c_void_p.from_address(responses[0] + 16 * number).value = libc.strdup(wanted["password"].encode())
        return 0

    handle, conversation = ctypes.c_void_p(), (ctypes.c_void_p * 2)(ctypes.cast(answer, ctypes.c_void_p), None)
    libpam.pam_start(wanted["service"].encode(), os.fsencode(wanted["user"]), conversation, ctypes.byref(handle))
    for item, value in wanted["items"].items():
        libpam.pam_set_item(handle, PAM_ITEMS[item], os.fsencode(value))
    refused = [libpam.pam_authenticate(handle, 0) for _ in range(wanted["attempts"])]
    libpam.pam_end(handle, refused[-1])
    sys.exit(refused[-1])


class Dialogue:
    """A program on a terminal of its own that asks for passwords."""

    def __init__(self, argv, **options):
        self._master, slave = pty.openpty()
        self.tty = os.ttyname(slave).removeprefix("/dev/")
        if options.get("user") is not None:
            os.fchown(slave, options["user"], 5)
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
        os.close(slave)

    def answer(self, answers):
        """Give the answers one after another, then interrupt; return the exit status and what was printed."""
        answers, text, seen, interrupted = list(answers), "", 0, False
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    data = os.read(self._master, 4096)
                except OSError:  # EIO: the other side is closed
                    data = b""
                if not data:
                    break
                text += data.decode(errors="replace")
                if _is_prompt(text[seen:]):
                    seen, interrupted = len(text), not answers
                    os.write(self._master, os.fsencode(answers.pop(0)) + b"\n" if answers else b"\x03")
            elif self.process.poll() is not None:
                break
            elif interrupted:  # sudo overlooks a signal that comes between its prompt and its read
                os.write(self._master, b"\x03")
        else:
            self.process.kill()
            self.process.wait()
            raise RealHostError(f"{self.process.args} did not end: {text.strip()}")
        os.close(self._master)
        return self.process.wait(), text


def _person(user):
    """Popen's options to run as a user, as a login shell would."""
    home = pwd.getpwnam(user).pw_dir
    env = {"HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash", "PATH": SECURE_PATH, "TERM": "dumb"}
    uid = UIDS[user]
    groups = [int(gid) for gid in _run_quietly(["id", "-G", user]).split()]
    return {"user": uid, "group": groups[0], "extra_groups": groups, "env": env, "cwd": home}


class Host:
    """The host as seen from inside its namespaces: each method is something that somebody does.

    Each attempt leaves one object in truth.jsonl, and the method returns it (or the list of them). It always has

      seq, time, end    its number; seconds since 1970, before and after (several attempts on one connection share them)
      what              ssh-login, ssh-session, sudo, su, scan, account or forgery
      outcome           success; failure (the server or program refused); none (no proof was offered);
                        dropped (sshd closed the connection before it could be);
                        not-sent (our ssh client refused: nothing was logged)

    and as far as they apply

      user, uid         who did it: for ssh, the account as sshd takes it (sshd logs 100 bytes of it)
      sent_user         the user name as the client sent it, when that differs (sshd cuts at a colon)
      valid_user        whether there is such an account
      method            password, publickey, none; the kind of scan; logout
      fingerprint       of the key that was offered
      src_ip, src_port  where the connection came from
      attempt, attempts which of how many on this connection
      session           of a successful login: `ended` when the method returned, or `open`
      argv, command     what was to be run: separate arguments, and joined by single blanks
      target_user, tty, cwd, pid, status, reason, program, text, handle
    """

    def __init__(self, config):
        self._config = config
        self._random = random.Random(config["seed"])
        self._ports = set()
        self._held = {}
        self._seq = 0
        self._truth = open("/var/log/truth.jsonl", "a", encoding="ascii", buffering=1)
        with_file, with_journal = config["mode"] != "journal", config["mode"] != "file"
        self._journal = Journal(config, with_file) if with_journal else None
        self._file = FileLog(config, with_journal) if with_file else None
        self._sshd = Sshd(config)

    # -- the host itself

    def stop(self):
        """Close what is open and end every daemon in order, the logs last."""
        for handle in list(self._held):
            self.ssh_close(handle)
        self._sshd.stop()
        self.sync()
        for log in (self._file, self._journal):
            if log:
                log.stop()

    def sync(self):
        """Return once all that has happened so far can be read in the log."""
        for log in (self._journal, self._file):
            if log:
                log.sync()

    def rotate(self):
        """Rotate the log: auth.log to auth.log.1, and the journal's files."""
        for log in (self._journal, self._file):
            if log:
                log.rotate()

    def reopen(self):
        """Let rsyslogd open its files anew (after somebody outside has moved them)."""
        self._file.reopen()

    def flush_journal(self):
        """Move the volatile journal to /var/log/journal, and write there from now on."""
        self._journal.control("--flush")

    def kill_journald(self):
        """Kill journald without a chance to close its files, and start it again."""
        self._journal.kill()
        self._journal.start()

    def run(self, argv, user="root", stdin=""):
        """Run any program inside; return its `status`, `out`, `err` and `pid`."""
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="surrogateescape", start_new_session=True, **_person(user))
        out, err = process.communicate(stdin, TIMEOUT)
        return {"status": process.returncode, "out": out, "err": err, "pid": process.pid}

    # -- ssh

    def ssh_password(self, user, password, source=SOURCE, attempts=1, command="true"):
        """Log in with a password, trying the same one up to `attempts` times on one connection."""
        options = {"PreferredAuthentications": "password", "PubkeyAuthentication": "no",
                   "NumberOfPasswordPrompts": attempts}
        return self._ssh("password", user, source, options, command, password, attempts)

    def ssh_key(self, user, key=None, source=SOURCE, command="true"):
        """Log in with a key: the user's own, or the one of somebody else (`stranger` is known to no account)."""
        key = key or (user if user in PEOPLE else "stranger")
        return self._ssh("publickey", user, source, self._key_options(key), command, fingerprint=self._fingerprint(key))

    def ssh_probe(self, user, source=SOURCE):
        """Say a user name, offer no proof at all, and go."""
        return self._ssh("none", user, source, {"PreferredAuthentications": "none"}, "true")

    def ssh_every_way(self, user, source=SOURCE):
        """On one connection: a key that no account knows, a wrong answer to a question, and a wrong password."""
        methods = ("publickey", "keyboard-interactive", "password")
        options = {**self._key_options("stranger"), "PreferredAuthentications": ",".join(methods),
                   "NumberOfPasswordPrompts": 1}
        config, port = self._client(source, options)
        facts = [self._begin_login(method, user, source, port) for method in methods]
        facts[0]["fingerprint"] = self._fingerprint("stranger")
        with self._quiet_sshd():
            _, complaint = self._run_client(config, user, "true", "guess")
        outcome = "failure" if "Permission denied" in complaint else "not-sent"
        return [self._end(fact, outcome, reason=complaint) for fact in facts]

    def ssh_open(self, user="alice", source=SOURCE):
        """Log in with the user's own key and stay; the answer's `handle` is for ssh_close."""
        config, port = self._client(source, self._key_options(user))
        fact = self._begin_login("publickey", user, source, port)
        fact.update(fingerprint=self._fingerprint(user), handle=port, session="open")
        before = self._sshd.connections()
        client = subprocess.Popen(["ssh", "-F", config, "-l", user, "target", "echo ready; exec cat"], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if client.stdout.readline() != "ready\n":
            raise RealHostError(f"{user} could not log in with a key")
        self._held[port] = (client, user, source, self._sshd.connections() - before)
        return self._end(fact, "success")

    def ssh_close(self, handle):
        """End a session that ssh_open began."""
        client, user, source, servers = self._held.pop(int(handle))
        fact = self._begin("ssh-session", user=user, src_ip=source, src_port=int(handle), method="logout")
        client.stdin.close()
        client.wait(TIMEOUT)
        _wait_until(lambda: not servers & self._sshd.connections(), "sshd to end the session")
        return self._end(fact, "success")

    def ssh_old_kex(self, source=SOURCE):
        """Connect with a key exchange that no server of today accepts."""
        config, port = self._client(source, {"KexAlgorithms": "diffie-hellman-group1-sha1"})
        fact = self._begin("scan", method="old-kex", src_ip=source, src_port=port)
        with self._quiet_sshd():
            subprocess.run(["ssh", "-F", config, "-l", "root", "target", "true"], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=TIMEOUT, check=False)
        return self._end(fact, "none")

    def _ssh(self, method, user, source, options, command, password=None, attempts=1, fingerprint=None):
        """One connection of the ssh client; one fact for each attempt on it."""
        config, port = self._client(source, options)
        fact = self._begin_login(method, user, source, port)
        if fingerprint:
            fact["fingerprint"] = fingerprint
        with self._quiet_sshd():
            status, complaint = self._run_client(config, user, command, password)
        last = complaint.splitlines()[-1] if complaint else "closed"
        if status != 255:
            return self._end(fact, "success", session="ended")
        if "invalid characters" in complaint:
            return self._end(fact, "not-sent", reason=last)
        if "Permission denied" not in complaint and "Too many authentication failures" not in complaint:
            return self._end(fact, "dropped", reason=last)
        if method == "none":
            return self._end(fact, "none")
        facts = [self._end(dict(fact), "failure", attempt=number, attempts=attempts)
                 for number in range(1, attempts + 1)]
        return facts[0] if attempts == 1 else facts

    def _run_client(self, config, user, command, password):
        """Run ssh; return its status and complaint. A name that it refuses on its command line its file may hold."""
        env = {"PATH": SECURE_PATH, "HOME": "/root", "LC_ALL": "C", "SSH_ASKPASS": f"{PRIVATE_DIR}/askpass",
               "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0", "REALHOST_PASSWORD": password or ""}

        def run(arguments):
            done = subprocess.run(["ssh", "-F", config, *arguments, "target", command], stdin=subprocess.DEVNULL,
                                  env=env, capture_output=True, timeout=TIMEOUT, start_new_session=True, check=False)
            return done.returncode, done.stderr.decode(errors="replace").strip()

        status, complaint = run(["-l", user])
        if status == 255 and "invalid characters" in complaint and not re.search(r"[\r\n\0]", user):
            quoted = user.replace("\\", "\\\\").replace('"', '\\"')
            with open(config, "a", encoding="utf-8", errors="surrogateescape") as handle:
                handle.write(f'  User "{quoted}"\n')
            status, complaint = run([])
        return status, complaint

    def _client(self, source, options):
        """Write the configuration of one ssh client; return its path and the port that it will connect from."""
        port = self._next_port()
        server = SERVER6 if ":" in source else SERVER4
        helper = shlex.join([sys.executable, f"{PRIVATE_DIR}/realhost.py", "--connect", source, str(port), server])
        settings = {"HostName": server, "ProxyCommand": helper, "ProxyUseFdpass": "yes",
                    "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR",
                    "GSSAPIAuthentication": "no", **options}
        path = f"{PRIVATE_DIR}/client-{port}"
        with open(path, "w", encoding="utf-8") as handle:
            handle.write("Host target\n" + "".join(f"  {key} {value}\n" for key, value in settings.items()))
        return path, port

    def _key_options(self, key):
        return {"PreferredAuthentications": "publickey", "IdentitiesOnly": "yes",
                "IdentityFile": f"{PRIVATE_DIR}/keys/{key}"}

    def _fingerprint(self, key):
        return _run_quietly(["ssh-keygen", "-lf", f"{PRIVATE_DIR}/keys/{key}.pub"]).split()[1]

    def _begin_login(self, method, user, source, port):
        account = user.partition(":")[0]  # sshd takes what follows for a login style
        fact = self._begin("ssh-login", user=account, valid_user=self._is_user(account), method=method,
                           src_ip=source, src_port=port)
        if account != user:
            fact["sent_user"] = user
        return fact

    def _is_user(self, name):
        with open("/etc/passwd", encoding="utf-8", errors="surrogateescape") as accounts:
            return name in {line.partition(":")[0] for line in accounts}

    def _next_port(self):
        """A client port that no connection of ours has had."""
        while True:
            port = self._random.randrange(32768, 60999)
            if port not in self._ports:
                self._ports.add(port)
                return port

    @contextlib.contextmanager
    def _quiet_sshd(self):
        """At the end, wait until sshd has no process left for the connection that was made meanwhile."""
        before = self._sshd.connections()
        yield
        _wait_until(lambda: self._sshd.connections() <= before, "sshd to end the connection")

    # -- scanners

    SCANS = {
        "close": b"",
        "reset": b"",
        "banner": b"SSH-2.0-Go\r\n",
        "garbage": b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        "binary": bytes(range(0, 256, 7)) + b"\n",
        "old-version": b"SSH-1.5-scanner\r\n",
        "bad-packet": b"SSH-2.0-scanner\r\n" + b"\xff" * 64,
        "silent": b"",
    }

    def scan(self, kind, source=SOURCE):
        """Connect without speaking ssh: a kind of SCANS; `silent` says nothing until the server gives up."""
        port = self._next_port()
        fact = self._begin("scan", method=kind, src_ip=source, src_port=port)
        server = SERVER6 if ":" in source else SERVER4
        with self._quiet_sshd(), socket.create_connection((server, 22), TIMEOUT, (source, port)) as connection:
            connection.recv(256)
            connection.sendall(self.SCANS[kind])
            if kind == "silent":
                connection.settimeout(None)
            if kind in ("close", "banner"):
                connection.shutdown(socket.SHUT_WR)
            if kind == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                with contextlib.suppress(ConnectionError):
                    while connection.recv(4096):
                        pass
        return self._end(fact, "none")

    # -- sudo and su: on a terminal (or with tty=False without one), from a shell (or with via="ssh" from an ssh login)

    def sudo_ok(self, user, argv, **how):
        """Run a command that the user may run, with the right password.

        `how`: target (user), cwd, tty (True or False), via (None or "ssh"), sudo (the program).
        """
        return self._sudo("success", user, argv, [PASSWORDS[user]], **how)

    def sudo_denied(self, user, argv=("/usr/bin/cat", "/etc/shadow"), **how):
        """Give the right password for a command that the user may not run (bob: none at all, carol: all but id)."""
        reason = "command-not-allowed" if user == "carol" else "not-in-sudoers"
        return self._sudo("failure", user, argv, [PASSWORDS[user]], reason=reason, **how)

    def sudo_bad_password(self, user, argv=("/usr/bin/id",), attempts=3, **how):
        """Give a wrong password `attempts` times (three is as often as sudo asks), then interrupt."""
        return self._sudo("failure", user, argv, ["wrong"] * attempts, reason="bad-password", attempts=attempts, **how)

    def sudo_no_password(self, user, argv=("/usr/bin/id",), **how):
        """sudo -n: a password would be needed, and none may be asked for."""
        return self._sudo("failure", user, argv, [], option="-n", reason="password-required", **how)

    def _sudo(self, outcome, user, argv, answers, *, target="root", cwd=None, tty=True, via=None, sudo="sudo",
              option="-k", **details):
        resolved = [shutil.which(argv[0], path=SECURE_PATH) or argv[0], *argv[1:]]
        fact = self._begin("sudo", user=user, uid=UIDS[user], target_user=target, argv=resolved,
                           command=" ".join(resolved), cwd=cwd or _person(user)["cwd"], program=sudo, **details)
        command = [sudo, option]
        if not tty and answers:
            command.append("-S")
        if target != "root":
            command += ["-u", target]
        status, text = self._as_person([*command, "--", *argv], user, answers, tty, via, fact)
        return self._end_checked(fact, outcome, status, text)

    def su_ok(self, user, target="bob", command="true", tty=True, via=None):
        """Become another user with the right password."""
        return self._su("success", user, target, command, [PASSWORDS[target]], tty, via)

    def su_bad(self, user, target="root", command="true", tty=True, via=None):
        """Try to become another user with a wrong password."""
        return self._su("failure", user, target, command, ["wrong"], tty, via)

    def _su(self, outcome, user, target, command, answers, tty, via):
        fact = self._begin("su", user=user, uid=UIDS[user], target_user=target, command=command,
                           cwd=_person(user)["cwd"])
        status, text = self._as_person(["su", "-c", command, target], user, answers, tty, via, fact)
        return self._end_checked(fact, outcome, status, text)

    def _as_person(self, argv, user, answers, tty, via, fact):
        """Run a program as somebody and answer its prompts; add its terminal and pid to the fact."""
        if via == "ssh":
            return self._over_ssh(argv, user, answers, fact)
        person = {**_person(user), "cwd": fact["cwd"]}
        if tty:
            dialogue = Dialogue(argv, **person)
            fact.update(tty=dialogue.tty, pid=dialogue.process.pid)
            return dialogue.answer(answers)
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", start_new_session=True, **person)
        fact.update(tty=None, pid=process.pid)
        text, _ = process.communicate("".join(answer + "\n" for answer in answers), TIMEOUT)
        return process.returncode, text

    def _over_ssh(self, argv, user, answers, fact):
        """Log in with the user's key, run one program on sshd's terminal, and log out: two facts, the login first."""
        config, port = self._client(SOURCE, self._key_options(user))
        login = self._begin_login("publickey", user, SOURCE, port)
        script = f"echo $$; tty; cd {shlex.quote(fact['cwd'])} && exec {shlex.join(argv)}"
        with self._quiet_sshd():
            dialogue = Dialogue(["ssh", "-tt", "-F", config, "-l", user, "target", script], cwd="/")
            status, text = dialogue.answer(answers)
        match = re.match(r"(\d+)\s+/dev/(\S+)", text)
        if not match:
            raise RealHostError(f"{user} could not log in with a key: {text.strip()}")
        self._end(login, "success", fingerprint=self._fingerprint(user), session="ended")
        fact.update(pid=int(match.group(1)), tty=match.group(2), src_ip=SOURCE, src_port=port)
        return status, text

    # -- accounts and forgeries

    def account(self, argv, user):
        """Change an account as root with useradd, usermod, userdel, passwd, ..."""
        fact = self._begin("account", user="root", uid=0, target_user=user, argv=list(argv), command=" ".join(argv))
        done = self.run(list(argv))
        fact["pid"] = done["pid"]
        return self._end(fact, "success" if done["status"] == 0 else "failure")

    def add_account(self, name, password):
        """Write an account into the files, with a name that useradd may refuse."""
        PASSWORDS[name], UIDS[name] = password, 3000 + len(UIDS)
        for path, line in (("/etc/passwd", f"{name}:x:{UIDS[name]}:100::/tmp:/bin/sh"),
                           ("/etc/shadow", f"{name}:*:20000:0:99999:7:::")):
            with open(path, "a", encoding="utf-8") as accounts:
                accounts.write(line + "\n")
        _run_quietly(["chpasswd"], input=f"{name}:{password}\n")

    def pam_bad(self, user, service="vsftpd", attempts=1, **items):
        """Let a service refuse a client; `items` are what it tells PAM of it: tty, rhost, ruser."""
        fact = self._begin("pam", user=user, valid_user=self._is_user(user), service=service, attempts=attempts, **items)
        request = {"service": service, "user": user, "password": "guess", "attempts": attempts, "items": items}
        done = self.run([sys.executable, f"{PRIVATE_DIR}/realhost.py", "--fail-pam", json.dumps(request)])
        if done["status"] != PAM_AUTH_ERR:
            raise RealHostError(f"{service} was to refuse {user}, but: {done['status']} {done['err'].strip()}")
        return self._end(fact, "failure", pid=done["pid"])

    def forge(self, user, text, priority="auth.info"):
        """Let a user write a line with any tag, such as `sshd[1]: Accepted password for root from ...`."""
        fact = self._begin("forgery", user=user, uid=UIDS[user], text=text, method="syslog")
        script = [sys.executable, f"{PRIVATE_DIR}/realhost.py", "--send", priority, text]
        done = self.run(script, user)
        fact["pid"] = done["pid"]
        if done["status"] != 0:
            raise RealHostError(f"the forgery was not sent: {done['err'].strip()}")
        return self._end(fact, "success")

    # -- the truth

    def _begin(self, what, **details):
        return {"seq": 0, "what": what, "outcome": None, "time": time.time(), "end": None, **details}

    def _end(self, fact, outcome, **details):
        """Write a fact down, and return it."""
        self._seq += 1
        fact.update(details, seq=self._seq, outcome=outcome, end=time.time())
        self._truth.write(json.dumps(fact, separators=(",", ":")) + "\n")
        return fact

    def _end_checked(self, fact, expected, status, text):
        """As _end, but demand that the program did what the action is named after."""
        outcome = "success" if status == 0 else "failure"
        self._end(fact, outcome, status=status)
        if outcome != expected:
            raise RealHostError(f"{fact['what']} of {fact['user']} was to be a {expected}, "
                                f"but it exited with {status}: {text.strip()}")
        return fact


# --------------------------------------------------------------------------------------------------------------------
# The two ends of the pipe


def _build(config):
    """Make the namespaces that we are in into a host, and return it."""
    _make_mounts_private()
    os.chdir("/")
    os.umask(0o022)
    os.environ["PATH"] = SECURE_PATH
    _private_files(config["out"])
    _private_network()
    _set_identity(config)
    _set_accounts()
    _set_keys()
    if not config["real_delays"]:
        _shorten_delays()
    return Host(config)


def _probe():
    """Try what a host cannot do without; sys.exit with the reason when it fails."""
    try:
        _make_mounts_private()
        _tmpfs("/run")
        _mount("proc", "/proc", "proc", MS_NOSUID)
        _device("/run/null", 1, 3)
        _private_network()
    except OSError as error:
        sys.exit(f"{error.filename or 'network'}: {error.strerror}")


def _answer(output, **message):
    output.write(json.dumps(message) + "\n")
    output.flush()


def _serve(commands, output):
    """Read one request a line and answer each, until the other end closes or says stop."""
    try:
        host = _build(json.loads(commands.readline()))
    except (OSError, RealHostError, subprocess.SubprocessError) as error:
        _answer(output, error=f"{type(error).__name__}: {error}")
        return
    _answer(output, value="ready")
    for line in commands:
        request = json.loads(line)
        try:
            value = getattr(host, request["method"])(*request["args"], **request["kwargs"])
            _answer(output, value=value)
        except Exception as error:  # pylint: disable=broad-except  # whatever it is, the caller must hear of it
            _answer(output, error=f"{type(error).__name__}: {error}")
        if request["method"] == "stop":
            return


def _inside():
    """Process 1 of the new namespaces: let a child be the host, and bury what is left behind."""
    host = os.fork()
    if host == 0:
        _serve(sys.stdin, sys.stdout)
        os._exit(0)
    while True:
        with contextlib.suppress(ChildProcessError, InterruptedError):
            if os.wait()[0] == host:
                os._exit(0)  # the kernel kills every process that is left in the namespace


def _remote(method):
    """The method of Host, called from outside."""
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        return self._call(method.__name__, args, kwargs)
    return call


class RealHost:
    """A host that runs in namespaces of its own, seen from outside. See the module's text, and Host for what it can do.

    mode         file, journal or both (journald in front, forwarding to rsyslogd, as Debian runs them)
    log_format   iso or traditional: the format of auth.log
    logger       auto, rsyslogd or builtin: who writes auth.log
    flushed      False: journald writes to /run/log/journal (see volatile_journal_dir) until flush_journal()
    journald     settings for journald.conf, such as {"RateLimitBurst": "20"}
    sshd_options lines for sshd_config, such as ["LogLevel VERBOSE"]
    penalties    let sshd (9.8 and later) punish addresses that fail, as it does by default
    real_delays  keep the seconds that PAM waits after a wrong password (su's one second stays anyway)
    machine_id, boot_id   32 hexadecimal digits; the same machine_id continues the journal of the run before
    """

    PASSWORDS = PASSWORDS

    def __init__(self, out, *, mode="file", log_format="iso", logger="auto", hostname="golden-1", timezone="UTC",
                 flushed=True, journald=None, sshd_options=(), penalties=False, real_delays=False, machine_id=None,
                 boot_id=None, seed=1):
        self.out = pathlib.Path(out).resolve()
        self.machine_id = machine_id or uuid.uuid4().hex
        self._config = {"out": str(self.out), "mode": mode, "log_format": log_format, "logger": logger,
                        "hostname": hostname, "timezone": timezone, "flushed": flushed, "journald": journald or {},
                        "sshd_options": list(sshd_options), "penalties": penalties, "real_delays": real_delays,
                        "machine_id": self.machine_id, "boot_id": boot_id, "seed": seed}
        self._process = None

    @staticmethod
    def unavailable(mode="file"):
        """Why this machine cannot run a real host: a sentence, or None when it can."""
        if os.geteuid() != 0:
            return "a real host needs root"
        programs = ["unshare", "sshd", "ssh", "ssh-keygen", "sudo", "su", "useradd", "chpasswd"]
        if mode != "file":
            programs += ["journalctl"]
            if not _find_program("/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"):
                return "systemd-journald is not installed"
        for program in programs:
            if not _find_program(program):
                return f"{program} is not installed"
        test = subprocess.run([*RealHost._unshare(), sys.executable, os.path.abspath(__file__), "--probe"], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if test.returncode != 0:
            return f"namespaces are not permitted here ({test.stderr.strip() or test.returncode})"
        return None

    @staticmethod
    def _unshare():
        return [_find_program("unshare"), "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child",
                "--propagation", "unchanged", "--"]

    def start(self):
        """Build the host and start its daemons. Unavailable: this machine cannot; RealHostError: it should have."""
        reason = self.unavailable(self._config["mode"])
        if reason:
            raise Unavailable(reason)
        self.out.mkdir(parents=True, exist_ok=True)
        argv = [*self._unshare(), sys.executable, os.path.abspath(__file__), "--inside"]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         start_new_session=True)  # an interrupt is for us to handle
        try:
            self._send(self._config)
            self._receive()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self):
        """End the sessions and daemons in order, so that the logs are whole and closed; safe to call twice."""
        if self._process is None:
            return
        try:
            self._call("stop", (), {})
        finally:
            self.kill()

    def kill(self):
        """End every process of the host at once, as when the power goes. Nothing of it is left."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()  # unshare's child is process 1 inside, and is killed with it (--kill-child)
        process.stdin.close()
        process.stdout.read()  # until the last one inside has closed it
        process.stdout.close()
        process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()

    def prefix(self):
        """What to put before a command line to run it inside, from outside: `nsenter ...`."""
        return ["nsenter", f"--target={self._pid()}", "--mount", "--uts", "--net", "--pid", "--root", "--wd", "--"]

    @property
    def auth_log(self):
        """The path of auth.log, outside."""
        return self.out / "auth.log"

    @property
    def journal_dir(self):
        """The directory of the persistent journal's files, outside."""
        return self.out / "journal" / self.machine_id

    @property
    def volatile_journal_dir(self):
        """The directory of the volatile journal's files, seen from outside; it is gone when the host is."""
        return pathlib.Path(f"/proc/{self._pid()}/root/run/log/journal", self.machine_id)

    @property
    def lines(self):
        """auth.log's lines; in mode journal, each entry of auth and authpriv as `tag[pid]: message`."""
        if self._config["mode"] != "journal":
            return self.auth_log.read_text(errors="surrogateescape").splitlines() if self.auth_log.exists() else []
        return [f"{entry.get('SYSLOG_IDENTIFIER')}[{entry.get('_PID')}]: {entry.get('MESSAGE')}"
                for entry in self.entries() if entry.get("SYSLOG_FACILITY") in ("4", "10")]

    def entries(self, *matches):
        """The journal's entries (volatile ones too) as journalctl's JSON objects."""
        argv = ["journalctl", "--quiet", "--output=json", "--all", "--no-pager", "--directory"]
        directories = [self.journal_dir] + ([self.volatile_journal_dir] if self._process else [])
        found = []
        for directory in directories:
            if any(directory.glob("*.journal")):
                done = subprocess.run([*argv, str(directory), *matches], check=True, capture_output=True)
                found += [json.loads(line) for line in done.stdout.splitlines()]
        return sorted(found, key=lambda entry: int(entry["__REALTIME_TIMESTAMP"]))

    @property
    def truth(self):
        """What was really done so far."""
        return [json.loads(line) for line in (self.out / "truth.jsonl").read_text().splitlines()]

    sync = _remote(Host.sync)
    rotate = _remote(Host.rotate)
    reopen = _remote(Host.reopen)
    flush_journal = _remote(Host.flush_journal)
    kill_journald = _remote(Host.kill_journald)
    run = _remote(Host.run)
    ssh_password = _remote(Host.ssh_password)
    ssh_key = _remote(Host.ssh_key)
    ssh_probe = _remote(Host.ssh_probe)
    ssh_every_way = _remote(Host.ssh_every_way)
    ssh_open = _remote(Host.ssh_open)
    ssh_close = _remote(Host.ssh_close)
    ssh_old_kex = _remote(Host.ssh_old_kex)
    scan = _remote(Host.scan)
    sudo_ok = _remote(Host.sudo_ok)
    sudo_denied = _remote(Host.sudo_denied)
    sudo_bad_password = _remote(Host.sudo_bad_password)
    sudo_no_password = _remote(Host.sudo_no_password)
    su_ok = _remote(Host.su_ok)
    su_bad = _remote(Host.su_bad)
    add_account = _remote(Host.add_account)
    pam_bad = _remote(Host.pam_bad)
    account = _remote(Host.account)
    forge = _remote(Host.forge)

    def _pid(self):
        """The host's process 1, by its pid outside."""
        if self._process is None:
            raise RealHostError("the host does not run")
        return _children(self._process.pid).pop()

    def _call(self, method, args, kwargs):
        if self._process is None:
            raise RealHostError("the host does not run")
        self._send({"method": method, "args": args, "kwargs": kwargs})
        return self._receive()

    def _send(self, message):
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise RealHostError("the host has died") from error

    def _receive(self):
        line = self._process.stdout.readline()
        if not line:
            raise RealHostError("the host has died")
        answer = json.loads(line)
        if "error" in answer:
            raise RealHostError(answer["error"])
        return answer["value"]


# --------------------------------------------------------------------------------------------------------------------
# Scenarios

GUESSED = ["root", "admin", "oracle", "alice", "test", "ubuntu", "postgres", "root", "git", "bob"]
ATTACKERS = ["203.0.113.66", "203.0.113.66", "198.51.100.23", "203.0.113.66", "2001:db8::66"]

# User names that a reader of logs may stumble over. The client may refuse to send one of them: outcome `not-sent`.
NAMES = [
    "", " ", "a b", " leading", "trailing ", "two  spaces", "root from 10.0.0.1", "x from 10.0.0.1 port 1",
    "x from 10.0.0.1 port 1 ssh2", "x from 10.0.0.1 port 1 ssh2:", "invalid user root", "user root", "port 22",
    "ssh2", "[preauth]", "a@b", "a:b", "alice:secret", "%s%n", "#012", "NULL", "quo\"te", "apo'strophe", "back\\slash",
    "semi;colon", "(paren)", "$(id)", "tab\there", "new\nline", "\u00e9t\u00e9", "n" * 100, "m" * 101, "l" * 300,
]


# Arguments that a reader of sudo's lines may stumble over.
CAREFUL = ["two words", "quo\"te", "it's", "semi ; COMMAND=/bin/false", "back\\slash"]


def scenario_ssh_guessing(host):
    """Passwords are guessed for known and unknown users from several addresses and ports, singly and in threes."""
    for number, user in enumerate(GUESSED):
        attempts = 3 if number % 4 == 3 else 1
        host.ssh_password(user, f"guess{number}", source=ATTACKERS[number % len(ATTACKERS)], attempts=attempts)
    host.ssh_probe("admin", source=ATTACKERS[0])
    host.ssh_probe("alice", source=ATTACKERS[0])


def scenario_ssh_password(host):
    """Two people log in with their passwords, one of them after a typing error."""
    host.ssh_password("bob", "stable!stable", source="192.0.2.44")
    host.ssh_password("bob", PASSWORDS["bob"], source="192.0.2.44")
    host.ssh_password("alice", PASSWORDS["alice"], source="2001:db8::7")


def scenario_ssh_key(host):
    """A known key is accepted (over IPv6 too), unknown ones are not; two sessions overlap."""
    host.ssh_key("alice")
    host.ssh_key("alice", source="2001:db8::7")
    host.ssh_key("alice", key="stranger")
    host.ssh_key("nobody-here", key="stranger", source=ATTACKERS[0])
    first = host.ssh_open("alice")
    second = host.ssh_open("alice", source="198.51.100.9")
    host.ssh_close(first["handle"])
    host.ssh_close(second["handle"])


def scenario_ssh_names(host):
    """User names that are made to confuse whoever reads the log."""
    for name in NAMES:
        host.ssh_password(name, "guess", source=ATTACKERS[0])


def scenario_sudo(host):
    """Commands allowed, refused and mistyped; with and without a terminal; arguments that need care."""
    host.sudo_ok("alice", ["/usr/bin/id"])
    host.sudo_ok("alice", ["/usr/bin/systemctl", "--version"], via="ssh")
    host.sudo_ok("alice", ["/usr/bin/id", "-u"], tty=False)
    host.sudo_ok("alice", ["/usr/bin/id", "-un"], target="bob")
    host.sudo_ok("alice", ["/bin/echo", *CAREFUL], cwd="/tmp")
    host.sudo_ok("alice", ["/bin/echo", "line\nbreak", "tab\there", "caf\u00e9"])
    host.sudo_ok("alice", ["/bin/echo", *[f"argument-{number:03d}" for number in range(100)]])
    host.sudo_ok("carol", ["/usr/bin/id"])
    host.sudo_denied("carol")
    host.sudo_denied("bob")
    host.sudo_denied("bob", tty=False)
    host.sudo_denied("bob", ["/bin/bash"], via="ssh")
    host.sudo_bad_password("alice", attempts=1)
    host.sudo_bad_password("alice", ["/usr/bin/cat", "/etc/shadow"])
    host.sudo_no_password("alice")


def scenario_sudo_rs(host):
    """The same with sudo-rs, where that is installed. It logs nothing of its own about what it refuses."""
    if host.run(["test", "-x", SUDO_RS])["status"] != 0:
        return
    host.sudo_ok("alice", ["/usr/bin/id"], sudo=SUDO_RS)
    host.sudo_ok("alice", ["/usr/bin/id"], sudo="sudo-rs")  # the tag is what it was called by
    host.sudo_ok("alice", ["/usr/bin/id", "-u"], sudo=SUDO_RS, tty=False)
    host.sudo_ok("alice", ["/usr/bin/id", "-un"], sudo=SUDO_RS, target="bob")
    host.sudo_ok("alice", ["/usr/bin/echo", *CAREFUL], sudo=SUDO_RS, cwd="/tmp")
    host.sudo_ok("alice", ["/usr/bin/echo", "line\nbreak", "tab\there", "caf\u00e9"], sudo=SUDO_RS)
    host.sudo_ok("alice", ["/usr/bin/echo", *[f"argument-{number:03d}" for number in range(100)]], sudo=SUDO_RS)
    host.sudo_ok("alice", ["/usr/bin/id"], sudo=SUDO_RS, via="ssh")
    host.sudo_denied("bob", sudo=SUDO_RS)
    host.sudo_denied("carol", sudo=SUDO_RS)
    host.sudo_bad_password("alice", sudo=SUDO_RS)
    host.sudo_no_password("alice", sudo=SUDO_RS)


def scenario_su(host):
    """su to a user and to root, right and wrong, with and without a terminal."""
    host.su_ok("alice", "bob")
    host.su_ok("alice", "root")
    host.su_ok("root", "bob")
    host.su_ok("bob", "alice", tty=False)
    host.su_ok("alice", "root", via="ssh")
    host.su_bad("bob", "root")
    host.su_bad("alice", "bob", tty=False)


def scenario_scanner(host):
    """Connections that never speak ssh, or speak it badly."""
    for kind in ("close", "reset", "banner", "garbage", "binary", "old-version", "bad-packet"):
        host.scan(kind, source=ATTACKERS[0])
    host.ssh_old_kex(source=ATTACKERS[2])


def scenario_accounts(host):
    """An account is made, given rights, and removed."""
    host.account(["useradd", "-m", "-s", "/bin/bash", "mallory"], "mallory")
    host.account(["usermod", "-a", "-G", "adm", "mallory"], "mallory")
    host.account(["usermod", "-s", "/usr/sbin/nologin", "mallory"], "mallory")
    host.account(["userdel", "-r", "mallory"], "mallory")


def scenario_forgery(host):
    """A user without rights writes what sshd and sudo would."""
    host.forge("bob", "sshd[1]: Accepted password for root from 198.51.100.99 port 4444 ssh2")
    host.forge("bob", "sudo:     bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/bash", "authpriv.notice")


SCENARIOS = {
    "ssh-guessing": scenario_ssh_guessing,
    "ssh-password": scenario_ssh_password,
    "ssh-key": scenario_ssh_key,
    "ssh-names": scenario_ssh_names,
    "sudo": scenario_sudo,
    "sudo-rs": scenario_sudo_rs,
    "su": scenario_su,
    "scanner": scenario_scanner,
    "accounts": scenario_accounts,
    "forgery": scenario_forgery,
}


def play(host, names):
    """Run scenarios by name (`all`: each of them once) on a host that runs."""
    for name in names:
        for scenario in SCENARIOS.values() if name == "all" else [SCENARIOS[name]]:
            scenario(host)


# --------------------------------------------------------------------------------------------------------------------
# Command line


def _arguments(argv):
    description = "Run the real sshd, sudo, su and PAM on loopback and keep what they log."
    parser = argparse.ArgumentParser(description=description, epilog="Scenarios: all, " + ", ".join(SCENARIOS))
    parser.add_argument("--mode", choices=("file", "journal", "both"), default="file")
    parser.add_argument("--format", choices=("iso", "traditional"), default="iso", dest="log_format")
    parser.add_argument("--logger", choices=("auto", "rsyslogd", "builtin"), default="auto")
    parser.add_argument("--out", help="directory for the log and truth.jsonl")
    parser.add_argument("--hostname", default="golden-1")
    parser.add_argument("--timezone", default="UTC")
    parser.add_argument("--machine-id")
    parser.add_argument("--boot-id")
    parser.add_argument("--sshd-option", action="append", default=[], metavar="LINE")
    parser.add_argument("--penalties", action="store_true", help="let sshd punish addresses that fail")
    parser.add_argument("--real-delays", action="store_true", help="keep the pauses after wrong passwords")
    parser.add_argument("--check", action="store_true", help="only say whether this machine can")
    parser.add_argument("scenario", nargs="*")
    arguments = parser.parse_args(argv)
    if not arguments.check and not (arguments.out and arguments.scenario):
        parser.error("--out and a scenario are needed")
    for name in arguments.scenario:
        if name != "all" and name not in SCENARIOS:
            parser.error(f"there is no scenario {name}")
    return arguments


def main(argv):
    """The command line; see the module's text."""
    arguments = _arguments(argv)
    if arguments.check:
        reason = RealHost.unavailable(arguments.mode)
        if reason:
            print(f"1..0 # SKIP {reason}")
        return EXIT_SKIP if reason else 0
    try:
        with RealHost(arguments.out, mode=arguments.mode, log_format=arguments.log_format, logger=arguments.logger,
                      hostname=arguments.hostname, timezone=arguments.timezone, machine_id=arguments.machine_id,
                      boot_id=arguments.boot_id, sshd_options=arguments.sshd_option, penalties=arguments.penalties,
                      real_delays=arguments.real_delays) as host:
            play(host, arguments.scenario)
    except Unavailable as error:
        print(f"1..0 # SKIP {error}")
        return EXIT_SKIP
    except RealHostError as error:
        print(f"realhost: {error}", file=sys.stderr)
        return 1
    return 0


def _helper(argv):
    """The parts of this file that run as programs of their own, inside."""
    if argv[0] == "--inside":
        _inside()
    elif argv[0] == "--probe":
        _probe()
    elif argv[0] == "--listen":
        listen(*argv[1:])
    elif argv[0] == "--connect":
        connect_for_ssh(argv[1], int(argv[2]), argv[3])
    elif argv[0] == "--fail-pam":
        fail_pam(argv[1])
    elif argv[0] == "--send":
        _send_log(*argv[1:])
    else:
        return False
    return True


if __name__ == "__main__":
    if not (len(sys.argv) > 1 and _helper(sys.argv[1:])):
        sys.exit(main(sys.argv[1:]))
