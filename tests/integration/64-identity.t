#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Whose key it is: the names of an instance come and go, disks are copied, and a reset is killed at every step.

In mounts of its own, where /sys/class/dmi/id and /etc/machine-id say what the test wants."""
import contextlib
import ctypes
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Agent, Tap, auth_line, number_of  # noqa: E402

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
DMI = "/sys/class/dmi/id/"
EC2_A, EC2_B = "i-0a1b2c3d4e5f60718", "i-0ffffffffffffff00"
UUID_A, UUID_B = "4c4c4544-0051-3610-8052-b4c04f4e3132", "4c4c4544-0051-3610-8052-b4c04f4e3133"
ID_A, ID_B = "7b3f0e6d9c1a4f6a8e2d5c4b3a291807", "0123456789abcdef0123456789abcdef"
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))

tap = Tap()
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0):
    return libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None) == 0


def on_disk():
    """A directory that is not in memory, or None."""
    for place in (BUILD, "/var/tmp", tempfile.gettempdir()):
        if subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True).stdout.strip() != "tmpfs":
            return tempfile.mkdtemp(prefix="hallmark-test.", dir=place)
    return None


class Machine:
    """What this host's names are. Each of them is there only where it is given."""

    def __init__(self, directory):
        self.ids = {False: directory + "/machine-id", True: "/sys/machine-id"}

    def is_now(self, tag=None, uuid=None, machine_id="", transient=False, dmi=True):
        shutil.rmtree("/sys/class", ignore_errors=True)
        if dmi:
            os.makedirs(DMI)
        for name, value, mode in (("board_asset_tag", tag, 0o444), ("product_uuid", uuid, 0o400)):
            if value is not None:
                write(DMI + name, value + "\n")
                os.chmod(DMI + name, mode)
        libc.umount2(b"/etc/machine-id", 0)
        write(self.ids[transient], machine_id + "\n" if machine_id else "")
        return mount(self.ids[transient], "/etc/machine-id", flags=MS_BIND)


def write(path, text, mode="w"):
    with open(path, mode, encoding="ascii") as file:
        file.write(text)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def numbers(rows):
    return [number_of(r) for r in rows if number_of(r) is not None]


class Host(Agent):
    """An agent that reads one numbered line more at each start."""

    def __init__(self):
        super().__init__()
        self.log, self.count = self.top + "/auth.log", 0
        self.configure(files=[self.log])

    def run(self, wrapper=(), env=None):
        """Its exit status."""
        self.count += 1
        write(self.log, auth_line(self.count), "a")
        return self.again(wrapper, env)

    def again(self, wrapper=(), env=None):
        done = subprocess.run([*wrapper, self.program, *self.options(), "--until-caught-up"], capture_output=True,
                              text=True, env=dict(os.environ, **(env or {})))
        self.said = done.stderr
        return done.returncode

    def key(self):
        return [r["key_fingerprint"] for r in self.verify()[0] if r.get("activity") == "started"][-1]

    def resets(self, path=None):
        return [r for r in self.verify(path=path)[0] if r.get("activity") == "identity_reset"]

    def kept(self):
        return read(self.state + "/key/instance")

    def retired(self):
        try:
            return sorted(os.listdir(self.state + "/retired"))
        except FileNotFoundError:
            return []


def test_instance(machine):
    with Host() as host:
        machine.is_now(EC2_A, UUID_A, ID_A)
        first = host.run()
        key, kept = host.key(), host.kept()
        tap.ok(first == 0 and not host.resets(), "a first start makes a key, and resets nothing", host.said)
        tap.ok(kept == f"asset-tag {EC2_A}\nproduct-uuid {UUID_A}\nmachine-id {ID_A}\n", "the names stand beside it", kept)
        tap.ok(os.stat(host.state + "/key/instance").st_mode & 0o777 == 0o600, "for its owner only")
        again = host.run()
        tap.ok(again == 0 and host.key() == key and not host.retired(), "on the same instance the chain goes on")
        machine.is_now(EC2_B, UUID_A, ID_A)
        tap.ok(host.run() == 0, "on another instance it starts all the same", host.said)
        rows, _, code = host.verify("--from-start")
        resets = host.resets()
        tap.ok(len(resets) == 1 and resets[0]["old_key_fingerprint"] == key != host.key() and
               resets[0]["severity"] == "high", "and says once that the key is a new one, and which the old one was", rows)
        tap.ok(resets and resets[0]["reason"] == f"this is another instance: asset tag {EC2_A} before, {EC2_B} now",
               "and why", resets)
        tap.ok(code == 0 and numbers(rows) == [3], "the new chain is whole and goes on where the old one ended", code, rows)
        old = host.state + "/retired/1"
        rows, _, code = host.verify("--from-start", path=old + "/spool")
        tap.ok(code == 0 and numbers(rows) == [1, 2], "the old chain is kept, whole", code, rows)
        tap.ok(host.retired() == ["1"] and sorted(os.listdir(old + "/key")) == ["instance", "key.pem"] and
               read(old + "/reason") == resets[0]["reason"] and read(old + "/key/instance") == kept,
               "with its key, its names and the reason", os.listdir(old))
        tap.ok(os.stat(host.state + "/retired").st_mode & 0o77 == 0, "where nobody else can read them")
        host.run()
        tap.ok(len(host.resets()) == 1 and numbers(host.verify()[0]) == [3, 4] and EC2_B in host.kept(),
               "and that was that: the next start goes on", host.kept())


def test_copied_disk(machine):
    """A disk that is copied while its machine runs, and both go on."""
    with Host() as host, Host() as clone:
        machine.is_now(EC2_A, machine_id=ID_A)
        host.run()
        write(host.log, auth_line(2), "a")
        host.start()
        host.wait_for(lambda: numbers(host.verify()[0]) == [1, 2])
        # the disk's clone: the log keeps its place in the configuration, and with it its name in the chain
        shutil.copytree(host.state, clone.state)
        host.stop()
        key = host.key()
        host.count = 2
        machine.is_now(EC2_B, machine_id=ID_A)
        clone.configure(files=[host.log])
        write(host.log, auth_line(3), "a")
        tap.ok(clone.again() == 0 and clone.key() != key, "a copied disk has another key", clone.said)
        rows, _, code = clone.verify("--from-start")
        resets = clone.resets()
        tap.ok(code == 0 and len(resets) == 1 and resets[0]["old_key_fingerprint"] == key, "and announces itself", resets)
        tap.ok(numbers(rows) == [3], "what the original had counted before is the original's", rows)
        machine.is_now(EC2_A, machine_id=ID_A)
        host.again()
        rows, _, code = host.verify("--from-start")
        tap.ok(code == 0 and numbers(rows) == [1, 2, 3] and not host.resets() and host.key() == key,
               "the original keeps its key and goes on", code, rows)


def check_moves(machine, what, *steps):
    """Starts with each of the steps' names in turn; the last part of a step says whether it is another instance."""
    with Host() as host:
        for i, (names, other) in enumerate(steps):
            assert machine.is_now(**names)
            before = len(host.retired())
            code = host.run()
            reset = len(host.retired()) - before
            if code != 0 or reset != other or not host.verify("--from-start")[2] == 0:
                return tap.ok(False, what, f"at step {i}: exit status {code}, {reset} resets", host.said, host.kept())
        every = [n for path in [f"{host.state}/retired/{n}/spool" for n in host.retired()] + [None]
                 for n in numbers(host.verify(path=path)[0])]
        return tap.ok(every == list(range(1, len(steps) + 1)), what, every, host.kept())


def test_names(machine):
    def names(tag=None, machine_id=ID_A, **more):
        return {"tag": tag, "machine_id": machine_id, **more}

    check_moves(machine, "an equal EC2 id vouches for an instance whose machine-id was made anew",
                (names(EC2_A), 0), (names(EC2_A, ID_B), 0), (names(EC2_B, ID_B), 1))
    check_moves(machine, "an equal tag of another kind does not", (names("rack 7"), 0), (names("rack 7", ID_B), 1))
    check_moves(machine, "without a tag the machine-id decides", (names(), 0), (names(), 0), (names(None, ID_B), 1))
    check_moves(machine, "and the product UUID, where it can be read",
                (names(uuid=UUID_A), 0), (names(uuid=UUID_A.upper()), 0), (names(uuid=UUID_B), 1))
    check_moves(machine, "a placeholder is no name",
                (names("To be filled by O.E.M."), 0), (names("Default string"), 0), (names(" "), 0), (names(EC2_A), 0))
    check_moves(machine, "what is missing says nothing, and is not forgotten",
                (names(EC2_A), 0), (names(dmi=False), 0), (names(EC2_A, ""), 0), (names(None, "uninitialized"), 0),
                (names(EC2_B, ""), 1))
    check_moves(machine, "a machine-id that is not on the disk yet is no name of it",
                (names(transient=True), 0), (names(None, ID_B, transient=True), 0), (names(), 0), (names(), 0))
    check_moves(machine, "but shows that the disk has lost the one that it had",
                (names(), 0), (names(None, ID_B, transient=True), 1), (names(None, ID_B), 0))


def test_older_state(machine):
    with Host() as host:
        machine.is_now(EC2_A, machine_id=ID_A)
        host.run()
        for text in (None, "asset-tag\nmachine-id zz\nserial " + EC2_B + "\n\n\0", "x" * 5000):
            os.unlink(host.state + "/key/instance")
            if text is not None:
                write(host.state + "/key/instance", text)
            host.run()
        tap.ok(not host.retired() and host.kept() == f"asset-tag {EC2_A}\nmachine-id {ID_A}\n",
               "a state without names, or with none that can be read, is taken for this instance's", host.kept())
        machine.is_now(EC2_B, machine_id=ID_A)
        os.unlink(host.state + "/key/key.pem")
        host.run()
        tap.ok("another instance" in host.resets()[0]["reason"], "the names stand also where the key was lost", host.resets())


def test_rights(machine):
    """As the unit runs it: a user with one capability."""
    if not shutil.which("setpriv"):
        return tap.skip("the product UUID needs a capability, and is no matter without", "there is no setpriv")
    plain = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    capable = (*plain, "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
    with Host() as host:
        machine.is_now("rack 7", UUID_A, ID_A)
        os.mkdir(host.state)
        os.chown(host.state, 65534, 65534)
        codes = [host.run(plain)]
        kept = [host.kept()]
        codes.append(host.run(capable))
        kept.append(host.kept())
        codes.append(host.run(plain))
        kept.append(host.kept())
        machine.is_now("rack 7", UUID_B, ID_A)
        codes.append(host.run(capable))
        return tap.ok(codes == [0, 0, 0, 0] and [UUID_A in k for k in kept] == [False, True, True] and
                      host.retired() == ["1"], "the product UUID needs a capability, and is no matter without",
                      codes, kept, host.said)


def judge(host, key, reason, wanted):
    """What is wrong with a host after a reset that was interrupted; None: nothing."""
    rows, _, code = host.verify("--from-start")
    old = host.verify(path=host.state + "/retired/1/spool")[0]
    resets = [(r["old_key_fingerprint"], r["reason"]) for r in rows if r.get("activity") == "identity_reset"]
    left = set(os.listdir(host.state)) & {"retiring"} | set(os.listdir(host.state + "/key")) - {"instance", "key.pem"}
    kept = host.retired() == ["1"] and os.path.exists(host.state + "/retired/1/key/key.pem")
    if code or resets != [(key, reason)] or numbers(old) + numbers(rows) != wanted or not kept or left:
        return code, resets, numbers(old), numbers(rows), host.retired(), left
    return None


def test_kills(machine, faults, what, reason, change):
    """Killed before each system call of a reset, then once more in what follows. `change` is what leads to the reset."""
    rng = random.Random(SEED)
    with Host() as host:
        machine.is_now(EC2_A, machine_id=ID_A)
        for _ in range(3):
            host.run()
        key = host.key()
        change(host)
        os.rename(host.state, host.top + "/before")
        write(host.log, auth_line(4), "a")

        def killed(at):
            return host.again(env={"LD_PRELOAD": faults, "HALLMARK_FAULTS": f"*:{host.state}:kill:{at}"}) == -9

        wrong, n, twice = [], 0, 0
        while n < 1000 and len(wrong) < 5:
            n += 1
            shutil.rmtree(host.state, ignore_errors=True)
            shutil.copytree(host.top + "/before", host.state)
            if not killed(n):
                break
            twice += killed(rng.randint(1, 40))
            code = host.again()
            found = judge(host, key, reason, [1, 2, 3, 4])
            if code or found:
                wrong.append(f"killed at call {n}: {code}, {found}, {host.said}")
        tap.ok(not wrong and 15 < n < 1000, what + ", killed at any step: finished, said once, nothing lost or repeated",
               f"{n} steps", *wrong)
        tap.ok(twice > 0, f"also when it is killed twice ({n - 1} steps, {twice} of them twice)")


def test_all_kills(machine, faults):
    print(f"# seed {SEED}")
    test_kills(machine, faults, "another instance", f"this is another instance: asset tag {EC2_A} before, {EC2_B} now",
               lambda host: machine.is_now(EC2_B, machine_id=ID_A))
    # without the chain there are no positions either: its lines are read again
    test_kills(machine, faults, "a lost chain", "the key has lost its chain",
               lambda host: shutil.rmtree(host.state + "/spool"))


def main():
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) != 0 or not mount("none", "/", flags=MS_REC | MS_PRIVATE) or \
            not os.path.exists("/etc/machine-id") or not mount("none", "/sys", "tmpfs"):
        print("1..0 # SKIP no mounts of our own")
        return 0
    directory = on_disk()
    if not directory:
        print("1..0 # SKIP there is no directory that is not in memory")
        return 0
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        machine = Machine(directory)
        test_instance(machine)
        test_copied_disk(machine)
        test_names(machine)
        test_older_state(machine)
        test_rights(machine)
        faults = os.path.abspath(BUILD + "/tests/lib/faults.so")
        if os.path.exists(faults):
            test_all_kills(machine, faults)
        else:
            tap.skip("killed at any step", "faults.so is not built")
    return tap.done()


sys.exit(main())
