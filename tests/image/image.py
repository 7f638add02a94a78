# SPDX-License-Identifier: Apache-2.0
"""A Debian image with the package in it, as an image pipeline makes it: packages, the .deb, a few accounts, and no
identity of any host. Each stage is made again only when what it is made of has changed.

    image = Image.get()        # disk, kernel, initrd, key: paths
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

BUILD = os.path.abspath(os.environ.get("HALLMARK_BUILD", "build"))
TOP = BUILD + "/image"
HERE = "tests/image/"
PACKAGE_PARTS = ("Makefile", "CHANGELOG.md", "agent", "collectors", "proto", "packaging", "deb")
TOOLS = {"mmdebstrap": "mmdebstrap", "qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs",
         "debugfs": "e2fsprogs", "journalctl": "systemd", "ssh": "openssh-client", "dpkg-buildpackage": "dpkg-dev",
         "dh": "debhelper"}
# A server's usual parts: what logs people in, what keeps their sessions, and what resolves names.
PACKAGES = ("linux-image-cloud-amd64", "systemd-sysv", "udev", "dbus", "libpam-systemd", "systemd-resolved",
            "openssh-server", "sudo", "login", "e2fsprogs")
DISK_SIZE = 3 << 30


class Unavailable(Exception):
    """There can be no image here, and why."""


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                          errors="backslashreplace", check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]}: exit status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def digest(*parts):
    """Of texts, and of the files behind paths that begin with './'."""
    total = hashlib.sha256()
    for part in parts:
        names = [part]
        if part.startswith("./"):
            names = sorted(glob.glob(part + "/**", recursive=True)) if os.path.isdir(part) else [part]
        for name in names:
            total.update(name.encode() + b"\0")
            if part.startswith("./") and os.path.isfile(name):
                with open(name, "rb") as file:
                    total.update(hashlib.sha256(file.read()).digest())
    return total.hexdigest()[:16]


# In mounts of its own. Where we are in a chroot ourselves, / is none, and what is mounted is seen outside of it: so that is
# taken away again.
CHROOT = """mount --make-rprivate / 2>/dev/null || :
mount -t proc proc "$0/proc"
trap 'umount "$0/proc"' EXIT
chroot "$0" """


def run_in(root, command):
    return run("unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", CHROOT + command, root)


PROBES = {
    "another root cannot be had here": lambda: run_in("/", "true"),
    "QEMU does not run here": lambda: run("sh", "-c", "echo quit | qemu-system-x86_64 -accel tcg -m 768 -nodefaults "
                                          "-display none -S -monitor stdio"),
}


def missing():
    """Why there can be no machine here, or None."""
    if os.geteuid() != 0:
        return "only root can build an image"
    if os.uname().machine != "x86_64":
        return "the machine that is emulated is an x86-64"
    lacking = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if lacking:
        return f"not installed: {' '.join(lacking)}"
    # what a kernel or a container may deny
    for reason, probe in PROBES.items():
        try:
            probe()
        except RuntimeError as error:
            return f"{reason}: {str(error).strip().splitlines()[-1]}"
    return None


def suite():
    with open("/etc/os-release", encoding="utf-8") as file:
        fields = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    if fields.get("ID") != "debian" or "VERSION_CODENAME" not in fields:
        raise Unavailable("this is no Debian release, so its packages cannot be fetched")
    return fields["VERSION_CODENAME"]


def depends(package):
    """The names of what a package asks for."""
    text = run("dpkg-deb", "-f", package, "Depends")
    return sorted(re.sub(r"[|(:].*", "", word).strip() for word in text.split(","))


class Stage:
    """A directory of TOP named after what it is made of; the one before it goes when it is made."""

    def __init__(self, name, key):
        self.path = f"{TOP}/{name}-{key}"
        self.name = name

    def make(self, maker):
        if os.path.isdir(self.path):
            return self.path
        os.makedirs(TOP, exist_ok=True)
        new = tempfile.mkdtemp(prefix="new-", dir=TOP)
        try:
            maker(new)
        except BaseException:
            shutil.rmtree(new)
            raise
        for old in glob.glob(f"{TOP}/{self.name}-*"):
            shutil.rmtree(old)
        os.rename(new, self.path)
        return self.path


def make_base(directory, packages):
    """Everything that is not ours. The sources are this machine's."""
    sources = [p for p in sorted(glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/sources.list.d/*"))
               if p.endswith((".list", ".sources"))]
    try:
        run("mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(packages),
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/man/*", "--customize-hook=" + HERE + "small-initrd \"$1\"",
            suite(), directory + "/root.tar", *sources)
    except RuntimeError as error:
        # of all that can fail only this is not ours
        if re.search("^E: (apt-get update .* failed|Unable to fetch )", str(error), re.M):
            raise Unavailable("the packages' origin cannot be reached") from None
        raise


def make_package(directory):
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    run("make", "--no-print-directory", "BUILD=" + directory, "deb", env=env)
    for path in glob.glob(directory + "/deb/hallmark_*.deb"):
        shutil.copy(path, directory + "/hallmark.deb")
    shutil.rmtree(directory + "/deb")


def make_disk(directory, base, package):
    """The tar brings the devices that are needed; of the host there is nothing in it."""
    root = directory + "/root"
    os.mkdir(root)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", directory + "/key")
    run("tar", "-xf", base + "/root.tar", "-C", root)
    for name in ("recipe", "control", "early"):
        shutil.copy(HERE + name, root + "/root/" + name)
    shutil.copy(package + "/hallmark.deb", root + "/root/hallmark.deb")
    shutil.copy(directory + "/key.pub", root + "/root/key.pub")
    shutil.copy(BUILD + "/tests/image/probe", root + "/usr/lib/hallmark-probe")
    run_in(root, "sh /root/recipe")
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(f"{root}/{name}", f"{directory}/{name}")
    with open(directory + "/disk", "wb") as disk:
        disk.truncate(DISK_SIZE)
    run("mke2fs", "-q", "-t", "ext4", "-d", root, directory + "/disk")
    shutil.rmtree(root)


class Image:
    def __init__(self, directory):
        self.directory = directory
        self.disk, self.kernel = directory + "/disk", directory + "/vmlinuz"
        self.initrd, self.key = directory + "/initrd.img", directory + "/key"

    @classmethod
    def get(cls):
        reason = missing()
        if reason:
            raise Unavailable(reason)
        package_key = digest(*("./" + part for part in PACKAGE_PARTS))
        package = Stage("package", package_key).make(make_package)
        packages = [*PACKAGES, *depends(package + "/hallmark.deb")]
        base_key = digest(suite(), *packages, "./" + HERE + "small-initrd")
        base = Stage("base", base_key).make(lambda new: make_base(new, packages))
        parts = [f"./{HERE}{name}" for name in ("recipe", "control", "early", "image.py")]
        disk_key = digest(base_key, package_key, *parts, "./" + os.path.relpath(BUILD) + "/tests/image/probe")
        return cls(Stage("disk", disk_key).make(lambda new: make_disk(new, base, package)))

