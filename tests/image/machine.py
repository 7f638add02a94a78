# SPDX-License-Identifier: Apache-2.0
"""A machine that really boots, in QEMU without help from the processor, and that can lose its power.

    with Machine(image, top) as machine:
        machine.start()
        machine.run("systemctl is-active hallmarkd")    # through a serial line that no login leads to
        machine.ssh("alice", "true")                    # through the real sshd, on this host's loopback
        machine.cut()

A power cut takes two things: the memory of the machine, with what its kernel had not written yet, and the cache of
its disk, with what was written and not flushed. Killing QEMU takes only the first, whatever its cache mode: what the guest's
disk was given is in the page cache of this host, which lives on. So each write and flush is logged on its way to the disk
(QEMU's blklogwrites), and after the cut the disk is made anew, as it was at the worst of the last moments, just before a
flush: all up to the flush before that one, and of what came in between one write in two, by chance. Not shown: a sector of
which only a part was written, and a disk that lies about its flushes.
"""
import base64
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from image import run

SSH = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
       "-o", "ConnectTimeout=60", "-o", "NumberOfPasswordPrompts=3", "-o", "ControlPath=none"]
BOOT_S = 600  # on a busy machine; some 20 s on an idle one
SECTOR = 512
SWAP_SIZE = 1 << 30
# Returns once the machine has slept, which its kernel says.
SLEEP = """woken() { dmesg | grep -c 'PM: .* exit$'; }
before=$(woken); systemctl %s; until [ "$(woken)" -gt "$before" ]; do sleep 0.5; done"""
RUNS, COMMITTED = "systemctl is-active -q hallmarkd.service", "test -s /run/hallmark/committed"  # for wait_up()
LOG_MAGIC = 0x6A736677736872
FLUSH, DISCARD = 1, 4


@contextlib.contextmanager
def top_directory(tap):
    """For the machines of one test; kept, and told of, if something failed."""
    top = tempfile.mkdtemp(prefix="hallmark-machine.")
    failed = True
    try:
        yield top
        failed = tap.failed
    finally:
        if failed:
            print("# kept: " + top)
        else:
            shutil.rmtree(top)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def logged(path):
    """Each write as (place, data), and each flush as None, in their order."""
    with open(path, "rb") as log:
        if struct.unpack("<QQ", log.read(16)) != (LOG_MAGIC, 1):
            raise ValueError(path + " is no log of writes")
        log.seek(SECTOR)
        while len(head := log.read(SECTOR)) == SECTOR:
            sector, count, flags, _ = struct.unpack_from("<QQQQ", head)
            if flags & FLUSH:
                yield None
            elif not flags & DISCARD:
                data = log.read(count * SECTOR)
                if not count or len(data) != count * SECTOR:
                    return  # begun, and never finished
                yield sector * SECTOR, data


def lose_cache(disk, log, chance, since):
    """The power went just before one of the flushes from the write or flush number `since` on. Gives the disk what it had
    for sure by then, and some of the rest; how many writes are lost, and how many it was given in all."""
    writes = list(logged(log))
    flushes = [i for i, write in enumerate(writes) if not write]
    end = chance.choice([i for i in flushes if i >= since] or [len(writes)])
    sure = max((i for i in flushes if i < end), default=0)
    lost = 0
    with open(disk, "r+b") as file:
        for i, write in enumerate(writes[:end]):
            if i > sure and chance.random() < 0.5:
                lost += 1
            elif write:
                file.seek(write[0])
                file.write(write[1])
    return lost, end - sum(i < end for i in flushes)


class Machine:
    def __init__(self, image, top, name="golden", asset="i-0123456789abcdef0",
                 uuid="4c4c4544-0051-3610-8052-b4c04f4e3131"):
        self.image, self.name, self.asset, self.uuid = image, name, asset, uuid
        self.top = f"{top}/{name}"
        os.makedirs(self.top)
        self.disk, self.swap = self.top + "/disk", self.top + "/swap"
        self.process = self.control = None
        self.boots = 0
        self.port = free_port()
        self.ask = self.top + "/ask"
        with open(self.ask, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\nprintf "%s\\n" "$WORD"\n')
        os.chmod(self.ask, 0o755)
        with open(self.swap, "wb") as swap:
            swap.truncate(SWAP_SIZE)
        self.lay(image.disk)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def lay(self, disk):
        """Another disk instead of what is there."""
        run("cp", "--sparse=always", disk, self.disk)

    def keep(self, name):
        """A copy of the disk as it is now."""
        run("cp", "--sparse=always", self.disk, f"{self.top}/{name}")
        return f"{self.top}/{name}"

    def still_disk(self):
        """A copy of the disk in the middle of things: what a snapshot would be."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            return self.keep("snapshot")
        finally:
            self.process.send_signal(signal.SIGCONT)

    # --- power --------------------------------------------------------------------------------------------

    def start(self, clock=None, words=""):
        """`clock`: what the machine's own clock says, in seconds since 1970; `words`: for the kernel's command line."""
        self.boots += 1
        run("cp", "--sparse=always", self.disk, self.top + "/before")
        log, serial = self.top + "/writes", self.top + "/control"
        with open(log, "wb"):
            pass
        if os.path.exists(serial):
            os.unlink(serial)
        rtc = "utc" if clock is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(clock))
        command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "768", "-nodefaults",
            "-no-reboot", "-display", "none", "-rtc", "base=" + rtc, "-device", "virtio-rng-pci",
            "-kernel", self.image.kernel, "-initrd", self.image.initrd,
            "-append", "root=/dev/vda resume=/dev/vdb rw console=ttyS0 quiet " + words,
            "-blockdev", f"driver=file,node-name=disk,filename={self.disk},cache.no-flush=on",
            "-blockdev", f"driver=file,node-name=log,filename={log},cache.no-flush=on",
            "-blockdev", f"driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size={SECTOR}",
            "-device", "virtio-blk-pci,drive=logged",
            "-blockdev", f"driver=file,node-name=swap,filename={self.swap},cache.no-flush=on",
            "-device", "virtio-blk-pci,drive=swap",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22",
            "-device", "virtio-net-pci,netdev=net",
            "-serial", f"file:{self.top}/console-{self.boots}", "-serial", f"unix:{serial},server=on,wait=off",
            "-uuid", self.uuid, "-smbios", f"type=2,asset={self.asset}"]
        with open(self.top + "/qemu.log", "ab") as said:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self.started = time.monotonic()
        self.control = self._connect(serial)
        return self

    def _connect(self, path):
        until = time.monotonic() + 20
        while True:
            control = socket.socket(socket.AF_UNIX)
            try:
                control.connect(path)
                self.answers = control.makefile("rb")
                return control
            except OSError:
                control.close()
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"qemu did not start: {self.top}/qemu.log") from None
                time.sleep(0.05)

    def writes(self):
        """How many writes and flushes the disk was given so far."""
        return sum(1 for _ in logged(self.top + "/writes"))

    def cut(self, chance=None, since=0):
        """The power goes, at some moment after the disk was given `since` writes and flushes; with it what the disk had
        in its cache. How many writes are lost, and how many it was given in all."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.control.close()
        if chance is None:
            return 0, 0
        os.rename(self.top + "/before", self.disk)
        return lose_cache(self.disk, self.top + "/writes", chance, since)

    def wait_off(self, timeout=BOOT_S):
        self.process.wait(timeout)
        self.control.close()

    def power_off(self):
        self.send("systemctl --no-block poweroff")
        self.wait_off()

    # --- sleep --------------------------------------------------------------------------------------------

    def suspend(self, seconds):
        """It sleeps in memory, until its own alarm."""
        self.run(f"rtcwake -m no -s {seconds}; " + SLEEP % "suspend")

    def hibernate(self, clock):
        """It sleeps on /dev/vdb and is off, and goes on when its clock says `clock`."""
        self.run("swapon --show=NAME | grep -q vdb || { mkswap /dev/vdb && swapon /dev/vdb; }")
        self.send(SLEEP % "hibernate")
        self.wait_off()
        self.start(clock)
        self._answer(BOOT_S)

    # --- inside -------------------------------------------------------------------------------------------

    def wait_control(self):
        """The shell on the serial line is there: early in the boot, before any service."""
        while b"ready" not in self._answer(BOOT_S):
            pass
        return time.monotonic() - self.started

    def _answer(self, timeout):
        self.control.settimeout(timeout)
        try:
            line = self.answers.readline()
        except TimeoutError:
            raise RuntimeError(f"{self.name} does not answer: {self.top}/console-{self.boots}") from None
        if not line:
            raise RuntimeError(f"{self.name} is gone: {self.top}/console-{self.boots}")
        return line

    def send(self, script):
        self.control.sendall(base64.b64encode(script.encode()) + b"\n")

    def run(self, script, timeout=BOOT_S, check=True):
        """What a script says that root runs; with check=False beside its exit status."""
        self.send(script)
        said, code = self._answer(timeout).decode().rsplit(" ", 1)
        text = base64.b64decode(said).decode(errors="backslashreplace")
        if not check:
            return text, int(code)
        if int(code):
            raise RuntimeError(f"{script}: exit status {code}: {text}")
        return text

    def wait_for(self, script, timeout=BOOT_S):
        """Until a script succeeds."""
        until = time.monotonic() + timeout
        while self.run(script, check=False)[1] != 0:
            if time.monotonic() > until:
                raise RuntimeError(f"not within {timeout} s: {script}")
            time.sleep(0.3)
        return time.monotonic() - self.started

    def wait_up(self, *conditions):
        """Until people may log in, and these are true: scripts."""
        services = [f"systemctl is-active -q {name}.service" for name in ("ssh", "systemd-user-sessions")]
        return self.wait_for(" && ".join([*services, *conditions]))

    # --- through the front door -----------------------------------------------------------------------------

    def ssh(self, user, *command, password=None, timeout=BOOT_S):
        """A login by the key that is in the image, or by a password; the exit status and what was said."""
        options = ["-i", self.image.key, "-o", "IdentitiesOnly=yes", "-p", str(self.port)]
        env = dict(os.environ)
        env.pop("SSH_AUTH_SOCK", None)
        if password is not None:
            env.update(SSH_ASKPASS=self.ask, SSH_ASKPASS_REQUIRE="force", WORD=password)
            options += ["-o", "PubkeyAuthentication=no"]
        else:
            options += ["-o", "BatchMode=yes"]
        done = subprocess.run(["ssh", *SSH, *options, user + "@127.0.0.1", *command], env=env, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        return done.returncode, done.stdout + done.stderr

    # --- afterwards, from outside ----------------------------------------------------------------------------

    def take(self, path):
        """A directory of the disk, copied out while the machine is off: where it is now."""
        out = f"{self.top}/out-{self.boots}"
        os.makedirs(out, exist_ok=True)
        copy = f"{out}/{os.path.basename(path)}"
        shutil.rmtree(copy, ignore_errors=True)
        run("debugfs", "-R", f"rdump {path} {out}", self.disk)
        return copy

    def give(self, script):
        """Commands of debugfs(8) that change the disk, while the machine is off."""
        run("debugfs", "-w", "-R", script, self.disk)
