# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a process and of a file from outside."""
import ctypes
import os
import re
import select
import threading
import time

IN_MODIFY, IN_MOVED_TO = 0x2, 0x80
IN_NONBLOCK, IN_CLOEXEC = 0o4000, 0o2000000
SAMPLE_S = 0.002
libc = ctypes.CDLL(None, use_errno=True)


def cpu_s(pid):
    """Of all threads, those that have ended included: the process's own clock (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e9


def quantities(path):
    """{name: number} of a file in /proc that has a name and a quantity in each line; kB (of 1024) become MB (of 10^6)."""
    with open(path, encoding="ascii", errors="replace") as file:
        return {name: int(number) * (1.024e-3 if unit else 1)
                for name, number, unit in re.findall(r"^(\w+):\s+(\d+)( kB)?$", file.read(), re.MULTILINE)}


def memory(pid):
    return quantities(f"/proc/{pid}/smaps_rollup")


def wakeups(pid):
    """How often its threads were given a processor."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        now = quantities(f"/proc/{pid}/task/{thread}/status")
        total += now["voluntary_ctxt_switches"] + now["nonvoluntary_ctxt_switches"]
    return total


class Peaks(threading.Thread):
    """Until stop(): the highest of what /proc/PID/status says, looked at again and again."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.highest, self.ended = pid, {}, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(SAMPLE_S):
            try:
                for name, value in quantities(f"/proc/{self.pid}/status").items():
                    self.highest[name] = max(value, self.highest.get(name, 0))
            except OSError:
                return

    def stop(self):
        self.ended.set()
        self.join()
        return self.highest


class Change:
    """Wakes when something has happened to a file or directory: IN_MODIFY, or IN_MOVED_TO for what is replaced in it."""

    def __init__(self, path, mask):
        self.fd = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, path.encode(), mask) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {path}")

    def wait(self, timeout_s):
        """Whether there was one."""
        if not select.select([self.fd], [], [], max(0, timeout_s))[0]:
            return False
        os.read(self.fd, 65536)
        return True

    def close(self):
        os.close(self.fd)
