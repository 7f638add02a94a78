#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds together what is said of the programs in several places: --help, the manual pages, the option table, the
default configuration, and what bash completes."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402

MAN = "packaging/man/"
PROGRAMS = ("hallmark", "hallmarkd")

tap = Tap()


def run(*command):
    result = subprocess.run([f"{BUILD}/{command[0]}", *command[1:]], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=60)
    return result.returncode, result.stdout, result.stderr


def same(text, got, wanted):
    tap.ok(got == wanted, text, f"only in the first:  {sorted(set(got) - set(wanted))}",
           f"only in the second: {sorted(set(wanted) - set(got))}")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def help_options(text):
    """The options that stand at the beginning of a line of --help: "  -q, --report-only  …"."""
    return {o for line in text.splitlines() if re.match(r"  -", line)
            for o in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line.split("  ", 2)[1])}


def manual_options(text):
    """The options of ".It Fl q , Fl \\-report-only" and ".Fl \\-help | \\-version" in a piece of mdoc."""
    return {"-" + o.replace("\\-", "-") for line in text.splitlines() if re.match(r"\.It Fl|\.Fl .*\|", line)
            for o in re.findall(r"(?<=\s)(?:\\-[a-z][a-z-]*|[a-z](?=\s))", line)}


def check_manners():
    version = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[1]
    for program in PROGRAMS:
        same(f"{program} --version gives the version of the change log", list(run(program, "--version")),
             [0, f"{program} {version}\n", ""])
    for command in (*((p,) for p in PROGRAMS), *(("hallmark", v) for v in verbs)):
        name = " ".join(command)
        code, out, err = run(*command, "--help")
        tap.ok(code == 0 and out and not err, f"{name} --help prints to standard output", code, err)
        tap.ok(max(map(len, out.splitlines() or [""])) <= 100, f"{name} --help fits into 100 columns")
        code, out, err = run(*command, "--no-such-option")
        tap.ok(code == 3 and err and not out, f"{name} says on standard error what is wrong with its use, and exits 3",
               code, out, err)
    code, out, err = run("hallmark", "no-such-command")
    tap.ok(code == 3 and "no-such-command" in err, "an unknown command is named, and exits 3", code, err)


def check_manual_pages():
    page = read(MAN + "hallmark.1")
    pieces = {name: text for name, text in re.findall(r"^\.Ss (\S+)\n(.*?)(?=^\.S[sh] )", page, re.S | re.M)}
    common = manual_options(page.split(".Ss ", 1)[0]) - {"--version"}
    same("hallmark --help and hallmark(1) have the same commands", set(verbs), set(pieces) - {"Times"})
    for verb in verbs:
        same(f"hallmark {verb} --help and hallmark(1) have the same options", help_options(run("hallmark", verb, "--help")[1]),
             manual_options(pieces.get(verb, "")) | common)
    same("hallmark --help and hallmark(1) have the same options of their own", help_options(run("hallmark", "--help")[1]),
         {"--help", "--version"})
    same("hallmarkd --help and hallmarkd(8) have the same options", help_options(run("hallmarkd", "--help")[1]),
         manual_options(read(MAN + "hallmarkd.8")))

    if not shutil.which("mandoc"):
        tap.skip("mandoc finds nothing wrong with the manual pages", "there is no mandoc here")
        return
    pages = sorted(MAN + name for name in os.listdir(MAN))
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True)
    tap.ok(lint.returncode == 0, "mandoc finds nothing wrong with the manual pages", lint.stdout, lint.stderr)


def check_configuration():
    table = set(re.findall(r"^ *([A-Z]\w+)\.([a-z-]+) = ?(.*)$", run("hallmarkd", "--help")[1], re.MULTILINE))
    tap.ok(len(table) >= 5, "hallmarkd --help lists the configuration", sorted(table))

    manual, default, section = set(), set(), None
    for line in read(MAN + "hallmark.conf.5").splitlines():
        if match := re.match(r"\.Sh SECTION \[(\w+)\]", line):
            section = match[1]
        elif match := re.match(r'\.It Ic (\S+) No =(?: Li "?(.*?)"?)?$', line):
            manual.add((section, match[1], match[2] or ""))
    same("hallmarkd and hallmark.conf(5) have the same options and defaults", table, manual)

    text = read("packaging/hallmark.conf")
    for line in text.splitlines():
        if match := re.match(r"\[(\w+)\]", line):
            section = match[1]
        elif match := re.match(r"#([a-z-]+) = ?(.*)", line):
            default.add((section, match[1], match[2]))
    same("hallmarkd and packaging/hallmark.conf have the same options and defaults", table, default)

    with tempfile.TemporaryDirectory() as top:
        path = top + "/hallmark.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"^#([a-z-]+ =)", r"\1", text, flags=re.M))
        code, _, err = run("hallmark", "verify", "--config", path, "/dev/null")
        tap.ok(code == 2, "the default configuration is understood, with every line of it switched on", code, err)


def completed(*words):
    """What bash offers for the last of the words."""
    script = (f"PATH=$PWD/{BUILD}:$PWD:$PATH; . packaging/completion/hallmark; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
              "_hallmark \"$1\" \"${!#}\" \"${COMP_WORDS[$(($# - 2))]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"")
    return set(subprocess.run(["bash", "-c", script, "bash", f"{BUILD}/hallmark", *words], capture_output=True,
                              text=True).stdout.split())


def check_completion():
    same("bash completes the commands", completed("") & set(verbs), set(verbs))
    same("bash completes what a command begins with", completed("ver"), {"verify"})
    for verb in verbs:
        same(f"bash completes the options of {verb}", completed(verb, "--"),
             {o for o in help_options(run("hallmark", verb, "--help")[1]) if o.startswith("--")})
    same("bash completes the formats", completed("events", "--format", ""), {"text", "json", "ocsf", "ecs"})
    for verb in ("parse", "status"):
        same(f"and those of {verb}", completed(verb, "--format", ""), {"text", "json"})


verbs = re.findall(r"^  ([a-z]\S*) ", run("hallmark", "--help")[1], re.MULTILINE)
check_manners()
check_manual_pages()
check_configuration()
check_completion()
sys.exit(tap.done())
