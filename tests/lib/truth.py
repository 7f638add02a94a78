# SPDX-License-Identifier: Apache-2.0
"""Holds events against what was really done: the objects that realhost.py writes (see Host there).

    hold(tap, "journal", truth, events)

An event is an object of `hallmark verify --format json` or of `hallmark parse --format json`. Each action must be
found back exactly once, as the event that says what it was; and nothing may be said to be a login that was none.
"""
import base64
import collections
import datetime
import re

from realhost import UIDS

LATE_S = 10.0     # between an action's end and its line, on a busy machine
EARLY_S = 1.0     # traditional time stamps are cut to a second
USER_BYTES = 100  # what sshd logs of a user name
REASONS = {"bad-password": "incorrect-password"}  # what a template calls it, where that differs


def is_sshd(event):
    return event.get("program") in ("sshd", "sshd-session", "sshd-auth")


def is_sudo(event):
    return event.get("program") in ("sudo", "sudo-rs")


def is_unknown(event):
    """No template knew the line."""
    return event.get("template") in (None, "{message}")


def is_kind(event, kind, activity, outcome=None):
    return (event.get("kind"), event.get("activity")) == (kind, activity) and outcome in (None, event.get("outcome"))


def is_logon(event, outcome=None):
    return is_kind(event, "authentication", "logon", outcome)


def raw(event):
    """The line's bytes."""
    if "raw_base64" in event:
        return base64.b64decode(event["raw_base64"])
    return event["raw"].encode()


def message(event):
    """What a program said, without the header."""
    if "message" in event:
        return event["message"]
    text = event["raw"]
    if event.get("source") == "journal":
        return text
    for tag in (f"{event.get('program')}[{event.get('pid')}]: ", f"{event.get('program')}: "):
        if tag in text:
            return text.split(tag, 1)[1]
    return text


def seconds(event):
    return datetime.datetime.fromisoformat(event["time"]).timestamp()


def place(thing):
    """Where a connection came from: no two connections of a host share it."""
    return thing.get("src_ip"), thing.get("src_port")


def visible(name):
    """A name as sshd writes it, with strvis(3)."""
    known = {0x5C: "\\\\", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
    return "".join(known.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
                   for byte in name.encode("utf-8", "surrogateescape"))


def logged_user(fact):
    return visible(fact["user"][:USER_BYTES])


def spellings(command):
    """A command as sudo and sudo-rs write it, but for what they quote with."""
    sudo = "".join(f"#{ord(c):03o}" if ord(c) < 0x20 else c for c in command)
    sudo_rs = command.encode("unicode_escape").decode().replace("xe9", "u{e9}")
    return {bare(sudo), bare(sudo_rs)}


def bare(text):
    return text.translate(str.maketrans("", "", "\\'\"")).strip()


def set_forged_aside(truth, events):
    """(events that are none of the truth's forgeries, those that are)"""
    texts = {fact["text"].split(": ", 1)[1] for fact in truth if fact["what"] == "forgery"}
    forged = [e for e in events if message(e) in texts]
    return [e for e in events if message(e) not in texts], forged


def differences(expected, found, what):
    """What two sequences that should be equal differ in, in words."""
    expected, found = list(expected), list(found)
    lines = [f"{what} {i + 1}: done {e}, found {f}" for i, (e, f) in enumerate(zip(expected, found)) if e != f]
    if len(expected) != len(found):
        lines.append(f"{what}: {len(expected)} done, {len(found)} found")
    return lines


def attempts(truth):
    """{place: the facts of that connection's login attempts}, but for those that our client did not send"""
    groups = collections.defaultdict(list)
    for fact in truth:
        if fact["what"] == "ssh-login" and fact["outcome"] != "not-sent":
            groups[place(fact)].append(fact)
    return groups


def by_place(events):
    groups = collections.defaultdict(list)
    for event in events:
        if is_sshd(event) and "src_ip" in event:
            groups[place(event)].append(event)
    return groups


# --- each returns complaints; none means that all is as it should be

def ssh_results(truth, events):
    """One result for each attempt. Of keys that are refused sshd says so only when it is asked to be verbose."""
    at = by_place(events)
    for where, facts in attempts(truth).items():
        results = [e for e in at[where] if is_logon(e) and "method" in e]
        wanted = [(logged_user(f), f["method"], f["outcome"], f.get("fingerprint")) for f in facts
                  if f["method"] in ("password", "keyboard-interactive") or f["outcome"] == "success"]
        said = [(e.get("user"), e.get("method"), e.get("outcome"), e.get("key_fingerprint")) for e in results
                if e["method"] in ("password", "keyboard-interactive") or e["outcome"] == "success"]
        yield from differences(wanted, said, f"attempt from {where}")
        for event in results:
            if event["outcome"] == "failure" and (event.get("user"), event["method"]) not in {
                    (logged_user(f), f["method"]) for f in facts} and event["method"] != "none":
                yield f"nobody tried that: {event}"
            if not facts[0]["time"] - EARLY_S <= seconds(event) <= facts[-1]["end"] + LATE_S:
                yield f"not when it was: {facts[0]['time']} {facts[-1]['end']} {event}"


def ssh_invalid_users(truth, events):
    at = by_place(events)
    for where, facts in attempts(truth).items():
        wanted = [logged_user(facts[0])] if not facts[0]["valid_user"] else []
        said = [e.get("user") for e in at[where] if is_logon(e, "failure") and message(e).startswith("Invalid user ")]
        yield from differences(wanted, said, f"invalid user from {where}")


def ssh_users(truth, events):
    """Whatever names a user names the one who tried; the end of a connection names the user too."""
    at = by_place(events)
    for where, facts in attempts(truth).items():
        user = facts[0]["user"]
        # the unprivileged child's lines pass through strvis(3) twice, and are cut much later
        right = {logged_user(facts[0]), visible(user), visible(visible(user))}
        long = [name for name in right if len(name) > USER_BYTES]
        named = [e for e in at[where] if "user" in e]
        if not named:
            yield f"nothing says that {user!r} tried from {where}"
        yield from (f"not {user!r}: {e}" for e in named if e["user"] not in right and not (
            len(e["user"]) > USER_BYTES and any(name.startswith(e["user"]) for name in long)))


def ssh_successes(truth, events):
    """All logins are the truth's, whatever the program; no event tells of a place that nobody came from."""
    wanted = collections.Counter((f["user"], *place(f)) for f in truth
                                 if f["what"] == "ssh-login" and f["outcome"] == "success")
    said = collections.Counter((e.get("user"), *place(e)) for e in events if is_logon(e, "success"))
    yield from (f"no such login: {login}" for login in (said - wanted).elements())
    yield from (f"login not found: {login}" for login in (wanted - said).elements())
    places = {place(f) for f in truth if "src_port" in f}
    yield from (f"nobody was there: {e}" for e in events
                if e.get("kind") in ("authentication", "session") and "src_port" in e and place(e) not in places)


def ssh_sessions(truth, events):
    """Each login opens a session and closes it, in the process that let it in, and logs off from where it came."""
    at = by_place(events)
    logins = [f for f in truth if f["what"] == "ssh-login" and f["outcome"] == "success"]
    sessions = [e for e in events if e.get("kind") == "session" and e.get("service") == "sshd"]
    for fact in logins:
        login = [e for e in at[place(fact)] if is_logon(e, "success")]
        if len(login) != 1:
            yield f"{len(login)} logins from {place(fact)}"
            continue
        said = [(e["activity"], e.get("user")) for e in sessions if e.get("pid") == login[0]["pid"]]
        yield from differences([("session_open", fact["user"]), ("session_close", fact["user"])], said,
                               f"session from {place(fact)}")
        said = [e.get("user") for e in at[place(fact)] if is_kind(e, "session", "logoff")]
        yield from differences([fact["user"]], said, f"logoff from {place(fact)}")
    if len(sessions) != 2 * len(logins):
        yield f"{len(logins)} logins, but {len(sessions)} beginnings and ends of sessions"


def scans(truth, events):
    at = by_place(events)
    for fact in truth:
        if fact["what"] != "scan":
            continue
        if not at[place(fact)]:
            yield f"nothing from {place(fact)}: {fact['method']}"
        yield from (f"no attempt to log in: {e}" for e in at[place(fact)] if is_logon(e))


def sudo_logs(fact):
    """sudo-rs says nothing about what it refuses."""
    is_rs = fact.get("program", "").endswith(("sudo-rs", "cargo/bin/sudo"))
    return fact["what"] == "sudo" and (fact["outcome"] == "success" or not is_rs)


def sudo_commands(events):
    """The privilege events of sudo, each with the rest of a command that took more than one line."""
    found = []
    for event in events:
        if not is_sudo(event) or event.get("kind") != "privilege":
            continue
        if event["activity"] == "privilege":
            found.append(dict(event))
        elif found and "command" in event:  # sudo cuts at a blank, which it leaves out; sudo-rs anywhere
            blank = " " if "(command continued)" in message(event) else ""
            found[-1]["command"] = found[-1]["command"].removesuffix(" [...]") + blank + event["command"]
    return found


def sudo(truth, events):
    """Who ran what as whom, or was refused and why, one by one and in the same order."""
    facts = [f for f in truth if sudo_logs(f)]
    found = sudo_commands(events)

    def done(fact):
        reason = fact.get("reason")
        return (fact["outcome"], fact["user"], fact["target_user"], fact["cwd"], fact["tty"],
                REASONS.get(reason, reason), fact.get("attempts"))

    def told(event):
        tty = event.get("tty")
        return (event.get("outcome"), event.get("user"), event.get("target_user"), event.get("cwd"),
                tty and tty.removeprefix("/dev/"), event.get("reason"), event.get("attempts"))

    yield from differences(map(done, facts), map(told, found), "sudo")
    for fact, event in zip(facts, found):
        if bare(event.get("command", "")) not in spellings(fact["command"]):
            yield f"not the command {fact['command']!r}: {event.get('command')!r}"
        if not fact["time"] - EARLY_S <= seconds(event) <= fact["end"] + LATE_S:
            yield f"not when it was: {fact['time']} {fact['end']} {event}"
        if "provenance" in event and (event["provenance"].get("uid"), event.get("pid")) != (fact["uid"], fact["pid"]):
            yield f"not by uid {fact['uid']}, pid {fact['pid']}: {event}"


def su(truth, events):
    facts = [f for f in truth if f["what"] == "su"]
    found = [e for e in events if e.get("program") == "su" and is_kind(e, "privilege", "privilege")]
    yield from differences([(f["outcome"], f["user"], f["target_user"], f["tty"] or "none", f["pid"]) for f in facts],
                           [(e.get("outcome"), e.get("user"), e.get("target_user"), e.get("tty"), e.get("pid"))
                            for e in found], "su")
    refused = [e for e in events if e.get("program") == "su" and is_kind(e, "authentication", "privilege", "failure")]
    yield from differences([(f["user"], f["target_user"]) for f in facts if f["outcome"] == "failure"],
                           [(e.get("user"), e.get("target_user")) for e in refused], "su's wrong password")


def privilege_sessions(truth, events):
    """sudo and su open a session as the other user, and close it."""
    for what in ("sudo", "su"):
        done = [(f["target_user"], f["uid"]) for f in truth if f["what"] == what and f["outcome"] == "success"]
        sessions = [e for e in events if e.get("kind") == "session" and e.get("service") == what]
        opened = [(e.get("user"), e.get("by_uid")) for e in sessions if e["activity"] == "session_open"]
        yield from differences(done, opened, f"session of {what}")
        closed = [e.get("user") for e in sessions if e["activity"] == "session_close"]
        yield from differences([user for user, _ in done], closed, f"end of a session of {what}")


def sudo_passwords(truth, events):
    """PAM says it once, however often the password was wrong."""
    done = [f["user"] for f in truth if f["what"] == "sudo" and f.get("reason") == "bad-password"]
    said = [e.get("user") for e in events if is_logon(e, "failure") and e.get("service") == "sudo"]
    yield from differences(done, said, "wrong password for sudo")


CHECKS = {
    "every ssh login, let in or refused, once: user, address, port, method, key": ssh_results,
    "every unknown user, once": ssh_invalid_users,
    "no event names another user than the one who tried": ssh_users,
    "no login, and no address, that was none": ssh_successes,
    "every session's begin and end": ssh_sessions,
    "every scanner, and none as a login": scans,
    "every command of sudo, allowed or refused, once and in order": sudo,
    "every su, right or wrong, once and in order": su,
    "the sessions of sudo and su": privilege_sessions,
    "the wrong passwords for sudo, as PAM reports them": sudo_passwords,
}


def hold(tap, label, truth, events):
    """One ok() for each check that the truth has something for."""
    kinds = {f["what"] for f in truth}
    needs = {scans: "scan", sudo: "sudo", su: "su", sudo_passwords: "sudo", privilege_sessions: "sudo"}
    for text, check in CHECKS.items():
        if needs.get(check, "ssh-login") in kinds:
            complaints = list(check(truth, events))
            tap.ok(not complaints, f"{label}: {text}", *complaints[:20])


PART = re.compile(r"(?:.*?(sudo(?:-rs)?(?:\[\d+\])?: ))?(?:( *\S+ : )\(command continued\) |(\[\.\.\.\] ))(.*)", re.S)
SUDO = re.compile(r"(?:.*?sudo(?:-rs)?(?:\[\d+\])?: )? *\S+ : ", re.S)


def whole_lines(lines):
    """Lines of a log as the agent has them: what sudo split is one. `lines`: (text, who…), with a header or without;
    sudo cuts at a blank, which it leaves out, sudo-rs anywhere."""
    found = []
    for text, *who in lines:
        part = PART.fullmatch(text)
        tag, user, _, rest = part.groups(default="") if part else ("",) * 4
        for i in reversed(range(len(found) if part else 0)):
            so_far = found[i][0]
            if list(found[i][1:3]) == who[:2] and (tag + user in so_far if user else so_far.endswith(" [...]")):
                found[i] = (f"{so_far} {rest}" if user else so_far.removesuffix(" [...]") + rest, *found[i][1:])
                break
        else:
            found.append((text, *who))
    return found


def in_order(lines):
    """What must come in order, and what sudo wrote: such a line is an event once nothing can continue it, and what others
    wrote meanwhile may come before it."""
    return [line for line in lines if not SUDO.match(line[0])], sorted((line for line in lines if SUDO.match(line[0])), key=str)


def hold_entries(tap, label, entries, events):
    """The journal's entries of auth and authpriv, in order, with what journald knows of who wrote them."""
    told = [(e["MESSAGE"], int(e["_PID"]), int(e["_UID"]), int(e["_GID"]), e["_TRANSPORT"], e["_BOOT_ID"],
             e.get("_EXE"), e.get("_COMM")) for e in entries if e.get("SYSLOG_FACILITY") in ("4", "10")]
    found = [(message(e), e["pid"], *map(e["provenance"].get, ("uid", "gid", "transport", "boot_id", "exe", "comm")))
             for e in events if e.get("program") != "systemd-journald"]
    told = whole_lines(told)
    tap.ok(told and in_order(found) == in_order(told), f"{label}: all {len(told)} entries, once and in order, and by whom",
           *differences(told, found, "entry")[:5])


def hold_writers(tap, label, events):
    """By the journal's word: root wrote what decides. A session's end is told by the child that runs as the user."""
    sshd = [e for e in events if is_sshd(e) and e["kind"] in ("authentication", "session")]
    logoffs = [e for e in sshd if e["activity"] == "logoff"]
    decisive = [e for e in sshd if e["activity"] != "logoff"]
    wrong = [e for e in decisive if e["provenance"]["uid"] != 0]
    wrong += [e for e in logoffs if e["provenance"]["uid"] not in (0, UIDS[e["user"]])]
    tap.ok(decisive and logoffs and not wrong,
           f"{label}: what sshd says, root wrote, or the user whose session it ends", *wrong)


def hold_known(tap, label, events):
    """No line of sshd, sudo and su that no template knows; what else is unknown is told, and no failure."""
    unknown = [e for e in events if is_unknown(e)]
    for program, count in collections.Counter(e.get("program") for e in unknown).items():
        print(f"# {label}: {count} lines of {program} that no template knows")
    ours = [e for e in unknown if is_sshd(e) or is_sudo(e) or e.get("program") == "su"]
    tap.ok(not ours, f"{label}: no line of sshd, sudo and su without a template",
           *sorted({f"{e['program']}: {message(e)[:160]}" for e in ours}))
