#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What programs print, by their own format strings, and what the shipped templates must make of it.

One table: tags, what the event is, the format string with the names of the facts, a value for each. Each row is tried
with its values, and then many times with names that somebody made up in order to deceive.
"""
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent import BUILD, Tap  # noqa: E402

ROUNDS = 40
# What a stranger or an administrator may choose freely, each with what stands for it where a row states none.
NAMES = {"user": "alice", "target_user": "bob", "group": "wheel", "new_name": "carol", "command": "/bin/id -u",
         "cwd": "/home/alice", "cmdline": "/usr/bin/app --x", "auth_user": "admin", "members": "a,b",
         "detail": "text", "ruser": "carl", "path": "/etc/passwd", "shell": "/bin/sh", "home": "/home/bob"}
FREE = {*NAMES, "old_value", "new_value", "reason", "entry", "name", "who"}
DECISIVE = {"outcome", "user", "target_user", "auth_user", "src_ip", "src_host"}
VALUES = dict(NAMES, error="Authentication failure", uid=1001, gid=1002, by_uid=1000, src_ip="192.0.2.7",
              src_host="h.example", tty="pts/3", attempts=3, repeat=4, exit_status="12", days="40", limit="3",
              code="7", new_gid="1003", service="sshd", session="c42", logname="alice", old_value="1", new_value="2",
              origin="tty1", action="org.x.y", scope="unix-session:3", subject="unix-process:1:2", grant="TEMPORARY",
              pam_service="vsftpd", stage="auth", entry="x:y", reason="crontab command not allowed", who="CRON",
              seat="seat0", attribute="uid", operator=">=", value="1000", bus_name=":1.5", object="/org/x",
              locale="C", database="passwd", name="bob", what="reading", euid=0, option="x y", unit="42",
              variable="PATH", session_type="tty", **{"class": "user"})

SUCCESS, FAILURE = ("account", "account_change", "success"), ("account", "account_change", "failure")
LOGIN, NO_LOGIN = ("authentication", "logon", "success"), ("authentication", "logon", "failure")
AUTH, AUTH_NO = ("authentication", "other", "success"), ("authentication", "other", "failure")
STEP = ("authentication", "other", None)
USED, REFUSED = ("privilege", "privilege", "success"), ("privilege", "privilege", "failure")
OPEN, CLOSED, LOGOFF = (("session", word, "success") for word in ("session_open", "session_close", "logoff"))
NOT_OPEN = ("session", "session_open", "failure")
NOTE = ("log", "other", None)
ACCOUNT_NO = ("account", "other", "failure")
ALLOWED, DENIED = ("privilege", "other", "success"), ("privilege", "other", "failure")
PRIVILEGE = ("privilege", "other", None)

FROM = "on '{tty}' from '{src_ip}'"
UNIX = "pam_unix({service}:auth): authentication failure; logname={logname} uid={uid} euid={euid} tty={tty} ruser= rhost="
SSS = "pam_sss({service}:auth): authentication %s; logname={logname} uid={uid} euid={euid} tty={tty} "

# (program, what it is, format, [facts that differ or are implied], [names that this format does not tell from what is
# around them: no made-up ones there]). Those are accounts' names before free text, which would have to hold the words
# of the format themselves (or ":", which none can), and directories.
CATALOGUE = [
    # accounts
    ("useradd", (*SUCCESS, "create-group"), "new group: name={group}, GID={gid}"),
    ("useradd", (*SUCCESS, "create-user"), "new user: name={target_user}, UID={uid}, GID={gid}, home={home}, shell={shell}, from={tty}"),
    ("useradd", (*SUCCESS, "create-user"), "new user: name={target_user}, UID={uid}, GID={gid}, home={home}, shell={shell}"),
    ("useradd", (*SUCCESS, "add-member"), "add '{target_user}' to group '{group}'"),
    ("useradd", (*SUCCESS, "add-member"), "add '{target_user}' to shadow group '{group}'"),
    ("useradd", (*FAILURE, "create-user"), "failed adding user '{target_user}', exit code: {exit_status}"),
    ("useradd", (*FAILURE, "create-user"), "failed adding user '{target_user}', data deleted"),
    ("useradd", ("account", "other", None), "useradd defaults: {detail}"),
    ("usermod", (*SUCCESS, "change-password"), "change user '{target_user}' password"),
    ("usermod", (*SUCCESS, "lock"), "lock user '{target_user}' password"),
    ("usermod", (*SUCCESS, "unlock"), "unlock user '{target_user}' password"),
    ("usermod", (*SUCCESS, "change-user"), "change user name '{target_user}' to '{new_name}'"),
    ("usermod", (*SUCCESS, "change-user"), "change user '{target_user}' UID from '{old_value}' to '{new_value}'"),
    ("usermod", (*SUCCESS, "change-user"), "change user '{target_user}' GID from '{old_value}' to '-2'", {"new_value": "-2"}),
    ("usermod", (*SUCCESS, "change-user"), "change user '{target_user}' inactive from '-1' to '{new_value}'", {"old_value": "-1"}),
    ("usermod", (*SUCCESS, "change-user"), "change user '{target_user}' expiration from '{old_value}' to '2027-01-01'",
     {"new_value": "2027-01-01"}),
    ("usermod", (*SUCCESS, "change-user"), "change user '{target_user}' home from '{old_value}' to '{new_value}'"),
    ("usermod", (*SUCCESS, "change-user"), "change user '{target_user}' shell from '{old_value}' to '{new_value}'"),
    ("usermod", (*SUCCESS, "add-member"), "add '{target_user}' to group '{group}'"),
    ("usermod", (*SUCCESS, "add-member"), "add '{target_user}' to shadow group '{group}'"),
    ("usermod", (*SUCCESS, "remove-member"), "delete '{target_user}' from group '{group}'"),
    ("usermod", (*SUCCESS, "remove-member"), "delete '{target_user}' from shadow group '{group}'"),
    ("usermod", (*SUCCESS, "change-member"), "change '{target_user}' to '{new_name}' in group '{group}'"),
    ("usermod", (*SUCCESS, "change-member"), "change '{target_user}' to '{new_name}' in shadow group '{group}'"),
    ("usermod", (*SUCCESS, "change-member"), "change admin '{target_user}' to '{new_name}' in shadow group '{group}'"),
    ("userdel", (*SUCCESS, "delete-user"), "delete user '{target_user}'"),
    ("userdel", (*SUCCESS, "remove-member"), "delete '{target_user}' from group '{group}'"),
    ("userdel", (*SUCCESS, "remove-member"), "delete '{target_user}' from shadow group '{group}'"),
    ("userdel", (*SUCCESS, "delete-group"), "removed group '{group}' owned by '{target_user}'"),
    ("userdel", (*SUCCESS, "delete-group"), "removed shadow group '{group}' owned by '{target_user}'"),
    ("userdel", (*SUCCESS, "delete-group"), "removed group '{group}' owned by '{target_user}'#012"),
    ("userdel", (*SUCCESS, "delete-user"), "delete user '{target_user}' "),
    ("userdel", NOTE, "{path} not owned by {target_user}, not removed"),
    ("groupadd", (*SUCCESS, "create-group"), "group added to /etc/group: name={group}, GID={gid}", {"path": "/etc/group"}),
    ("groupadd", (*SUCCESS, "create-group"), "group added to /etc/gshadow: name={group}"),
    ("groupadd", (*SUCCESS, "create-group"), "new group: name={group}, GID={gid}"),
    ("groupmod", (*SUCCESS, "change-group"), "group changed in /etc/group (group {group}/{gid}, new name: {new_name}, new gid: {new_gid})",
     {"path": "/etc/group"}),
    ("groupmod", (*SUCCESS, "change-group"), "group changed in /etc/gshadow (group {group}/{gid}, new name: {new_name})",
     {"path": "/etc/gshadow"}),
    ("groupmod", (*SUCCESS, "change-group"), "group changed in /etc/gshadow (group {group}/{gid}, new password)", {"path": "/etc/gshadow"},
     ("group",)),
    ("groupmod", (*SUCCESS, "change-group"), "group changed in /etc/passwd ({detail})", {"path": "/etc/passwd"}),
    ("groupdel", (*SUCCESS, "delete-group"), "group '{group}' removed from /etc/group", {"path": "/etc/group"}),
    ("groupdel", (*SUCCESS, "delete-group"), "group '{group}' removed from /etc/gshadow", {"path": "/etc/gshadow"}),
    ("groupdel", (*SUCCESS, "delete-group"), "group '{group}' removed"),
    ("gpasswd", (*SUCCESS, "add-member"), "user {target_user} added by {user} to group {group}"),
    ("gpasswd", (*SUCCESS, "add-member"), "user {target_user} added by {user} to group {group} in /etc/group"),
    ("gpasswd", (*SUCCESS, "remove-member"), "user {target_user} removed by {user} from group {group} in /etc/gshadow"),
    ("gpasswd", (*SUCCESS, "change-group"), "password of group {group} changed by {user}"),
    ("gpasswd", (*SUCCESS, "change-group"), "password of group {group} removed by {user} in /etc/group"),
    ("gpasswd", (*SUCCESS, "change-group"), "access to group {group} restricted by {user} in /etc/gshadow"),
    ("gpasswd", (*SUCCESS, "change-group"), "administrators of group {group} set by {user} to {members} in /etc/gshadow"),
    ("gpasswd", (*SUCCESS, "change-group"), "members of group {group} set by {user} to {members}"),
    ("gpasswd", (*FAILURE, "add-member"), "{user} failed to add user {target_user} to group {group} in /etc/group"),
    ("gpasswd", (*FAILURE, "remove-member"), "{user} failed to remove user {target_user} from group {group}"),
    ("gpasswd", (*FAILURE, "change-group"), "{user} failed to change password of group {group}"),
    ("gpasswd", (*FAILURE, "change-group"), "{user} failed to remove password of group {group}"),
    ("gpasswd", (*FAILURE, "change-group"), "{user} failed to restrict access to group {group}"),
    ("gpasswd", (*FAILURE, "change-group"), "{user} failed to set the administrators of group {group} to {members}"),
    ("gpasswd", (*FAILURE, "change-group"), "{user} failed to set the members of group {group} to {members} in /etc/group"),
    ("passwd", (*SUCCESS, "change-password"), "password for '{target_user}' changed by '{user}'"),
    ("passwd", (*SUCCESS, "lock"), "password locked for '{target_user}'"),
    ("passwd", (*FAILURE, "change-password"), "incorrect password for {target_user}"),
    ("passwd", (*FAILURE, "change-password"), "can't view or modify password information for {target_user}"),
    ("passwd", (*FAILURE, "change-password"), "root is not authorized by SELinux to change the password of {target_user}"),
    ("chage", (*SUCCESS, "change-user"), "changed password expiry for {target_user}"),
    ("chfn", (*SUCCESS, "change-user"), "changed user '{target_user}' information"),
    ("chsh", (*SUCCESS, "change-user"), "changed user '{target_user}' shell to '{shell}'"),
    ("chsh", (*FAILURE, "change-user"), "can't change shell for '{target_user}'"),
    ("vipw", SUCCESS, "file {path} edited"),
    ("pwck", SUCCESS, "delete passwd line '{entry}'"),
    ("pwck", SUCCESS, "delete shadow line '{entry}'"),
    ("grpck", SUCCESS, "delete group line '{entry}'"),
    ("pwck", SUCCESS, "add user '{target_user}' to '/etc/shadow'", {"path": "/etc/shadow"}),
    ("grpck", (*SUCCESS, "change-group"), "add group '{group}' to '/etc/gshadow'", {"path": "/etc/gshadow"}),
    ("chpasswd", FAILURE, "failure while writing changes to {path}"),
    ("newusers", ACCOUNT_NO, "failed to unlock {path}"),
    ("groupadd", ACCOUNT_NO, "cannot open {path}"),
    ("useradd", FAILURE, "failed to prepare the new {database} entry '{name}'"),
    ("groupmod", (*FAILURE, "create-group"), "failed to add group {group}"),
    ("groupmod", (*FAILURE, "create-group"), "failed to add group {group} to /etc/gshadow"),
    ("groupdel", (*FAILURE, "delete-group"), "failed to remove group {group} from /etc/group"),
    ("groupmod", FAILURE, "failed to change /etc/group ({detail})", {"path": "/etc/group"}),
    ("passwd", ACCOUNT_NO, "Cannot determine the user name of the caller (UID {by_uid})"),
    # su, login, newgrp
    ("su", USED, "(to {target_user}) {user} on {tty}", {}, ("target_user",)),
    ("su", REFUSED, "FAILED SU (to {target_user}) {user} on {tty}", {}, ("target_user",)),
    ("runuser", USED, "(to {target_user}) {user} on {tty}", {}, ("target_user",)),
    ("runuser", REFUSED, "FAILED RUNUSER (to {target_user}) {user} on {tty}", {}, ("target_user",)),
    ("su", USED, "Successful su for {target_user} by {user}", {}, ("target_user",)),
    ("su", REFUSED, "FAILED su for {target_user} by {user}", {}, ("target_user",)),
    ("su", USED, "+ {tty} {user}:{target_user}", {}, ("user", "target_user")),
    ("su", REFUSED, "- {tty} ???:{target_user}", {"user": "???"}),
    ("su", REFUSED, "pam_authenticate: {error}"),
    ("su", REFUSED, "Authentication failed for {target_user}"),
    ("su", REFUSED, "No passwd entry for user '{target_user}'"),
    ("su", REFUSED, "BAD SU {user} to {target_user} on {tty}", {}, ("user", "target_user")),
    ("su", USED, "{user} to {target_user} on {tty}"),
    ("login", LOGIN, "LOGIN ON {tty} BY {user} FROM {src_ip}"),
    ("login", LOGIN, "LOGIN ON {tty} BY {user} FROM {src_host}"),
    ("login", LOGIN, "LOGIN ON {tty} BY {user}", {}, ("user",)),  # a name may end in " FROM host"
    ("login", LOGIN, "DIALUP AT {tty} BY {user}"),
    ("login", LOGIN, "ROOT LOGIN ON {tty}", {"user": "root"}),
    ("login", LOGIN, "ROOT LOGIN ON {tty} FROM {src_ip}", {"user": "root"}),
    ("LOGIN", LOGIN, "ROOT LOGIN ON {tty} FROM {src_host}", {"user": "root"}),
    *[("login", NO_LOGIN, text + origin + " FOR {user}, {error}")
      for text in ("FAILED LOGIN {attempts} FROM ", "TOO MANY LOGIN TRIES ({attempts}) FROM ", "FAILED LOGIN SESSION FROM ")
      for origin in ("{src_ip}", "{src_host}", "(null)", "{tty}")],
    ("login", NO_LOGIN, "FAILED LOGIN ({attempts}) " + FROM + " FOR '{user}', {error}"),
    ("login", NO_LOGIN, "FAILED LOGIN ({attempts}) on '{tty}' FOR '{user}', {error}"),
    ("login", NO_LOGIN, "FAILED LOGIN ({attempts}) on '{tty}' from '{src_host}' FOR '{user}', {error}"),
    ("login", NO_LOGIN, "TOO MANY LOGIN TRIES ({attempts}) " + FROM + " FOR '{user}'"),
    ("login", NO_LOGIN, "invalid password for '{user}' " + FROM),
    ("login", NO_LOGIN, "LOGIN '{user}' REFUSED  " + FROM),
    ("login", NO_LOGIN, "ILLEGAL ROOT LOGIN  " + FROM, {"user": "root"}),
    ("login", NO_LOGIN, "REPEATED login failures " + FROM),
    ("login", NO_LOGIN, "exceeded failure limit for `{user}'  " + FROM),
    ("login", NO_LOGIN, "exceeded failure limit for '{user}' " + FROM),
    *[("login", NO_LOGIN, text + "on '{tty}' from '{src_host}'" + end) for text, end in (
        ("TOO MANY LOGIN TRIES ({attempts}) ", " FOR '{user}'"), ("invalid password for '{user}' ", ""),
        ("LOGIN '{user}' REFUSED ", ""), ("exceeded failure limit for `{user}' ", ""),
        ("exceeded failure limit for '{user}' ", ""), ("REPEATED login failures ", ""))],
    ("login", NO_LOGIN, "ILLEGAL ROOT LOGIN  on '{tty}' from '{src_host}'", {"user": "root"}),
    ("login", NOTE, "login: PAM Failure, aborting: {error}"),
    ("login", LOGIN, "'{user}' logged in  " + FROM),
    ("login", LOGIN, "'{user}' logged in  on '{tty}'"),
    ("login", LOGIN, "ROOT LOGIN  " + FROM, {"user": "root"}),
    ("login", LOGIN, "ROOT LOGIN  on '{tty}' from '{src_host}'", {"user": "root"}),
    ("login", NOTE, "login '{user}' re-enabled after temporary lockout ({attempts} failures)"),
    ("newgrp", USED, "user '{user}' (login '{logname}' on {tty}) switched to group '{group}'"),
    ("newgrp", ALLOWED, "user '{user}' (login '{logname}' on {tty}) returned to group '{group}'"),
    ("sg", REFUSED, "Invalid password for group '{group}' from '{user}'"),
    ("newgrp", REFUSED, "unknown GID '{gid}' used by user '{user}'"),
    # PAM
    *[("sshd", (*FAILURE, "change-password"), "pam_unix({service}:chauthtok): " + text) for text in (
        "new password not acceptable", "new password not acceptable 2", "password - new password not acceptable",
        "password - (old) token not obtained", "user not authenticated", "user password changed by another process",
        "user shadow entry expired", 'user "{target_user}" does not exist in /etc/passwd',
        'user "{target_user}" does not exist in /etc/passwd or NIS')],
    ("sshd", STEP, "pam_unix({service}:auth): user [{user}] has blank password; authenticated without it"),
    ("sshd", STEP, "pam_unix({service}:auth): username [{user}] obtained"),
    ("sshd", STEP, "pam_unix({service}:auth): user [{user}] has expired blank password, enabling nullok"),
    ("sshd", NOTE, "pam_unix({service}:{stage}): unix_chkpwd {detail}"),
    ("sshd", NOTE, "pam_unix({service}:{stage}): unrecognized option [{option}]"),
    ("sshd", AUTH_NO,
     "pam_tally({service}:{stage}): user {user} ({uid}) tally {attempts}, deny {limit}", {"reason": "locked"}),
    ("login", STEP, "pam_securetty({service}:{stage}): access allowed for '{user}' on '{tty}'"),
    ("sshd", STEP, "pam_faillock({service}:{stage}): User unknown: {user} [preauth]", {}, ("user",)),
    ("sshd", NOTE, "pam_unix({service}:account): password for user {user} will expire in {days} days"),
    *[("vsftpd", what, SSS % word + "ruser={ruser} rhost=" + origin + " user={user}")
      for what, word in ((AUTH, "success"), (NO_LOGIN, "failure")) for origin in ("{src_ip}", "{src_host}", "")],
    *[("sshd", what, SSS % word + "ruser= rhost=" + origin + " user={user}")
      for what, word in ((AUTH, "success"), (NO_LOGIN, "failure")) for origin in ("{src_ip}", "{src_host}", "")],
    ("sshd", STEP, "pam_sss({service}:{stage}): received for user {user}: {code} ({error})"),
    ("sshd", NO_LOGIN,
     "pam_sss({service}:account): Access denied for user {user}: {code} ({error})", {"stage": "account"}),
    ("sshd", AUTH_NO, "pam_sss({service}:{stage}): Authentication failed for user {user}: {code} ({error})"),
    ("passwd", (*FAILURE, "change-password"),
     "pam_sss({service}:chauthtok): Password change failed for user {target_user}: {code} ({error})"),
    ("sshd", NOTE, "pam_sss({service}:{stage}): User info message: {detail}"),
    ("sshd", AUTH_NO,
     "pam_faillock({service}:{stage}): Consecutive login failures for user {user} account temporarily locked",
     {"reason": "locked"}),
    ("sshd", STEP, "pam_faillock({service}:{stage}): User unknown"),
    ("sshd", STEP, "pam_faillock({service}:{stage}): User unknown: {user}"),
    ("sshd", NOTE, "pam_faillock({service}:{stage}): Error {what} the tally file for {user}: {error}"),
    ("sshd", AUTH_NO,
     "pam_tally2({service}:{stage}): user {user} ({uid}) tally {attempts}, deny {limit}", {"reason": "locked"}),
    ("sshd", STEP,
     'pam_succeed_if({service}:{stage}): requirement "{attribute} {operator} {value}" not met by user "{user}"'),
    ("sshd", STEP,
     'pam_succeed_if({service}:{stage}): requirement "{attribute} {operator} {value}" was met by user "{user}"'),
    ("sshd", NO_LOGIN, "pam_access({service}:{stage}): access denied for user `{user}' from `{src_ip}'"),
    ("cron", NO_LOGIN, "pam_access({service}:{stage}): access denied for user `{user}' from `{origin}'"),
    ("vsftpd", NO_LOGIN, "pam_listfile({service}:{stage}): Refused user {user} for service {pam_service}"),
    ("sshd", NO_LOGIN, "pam_time({service}:{stage}): user {user} rejected"),
    ("sshd", NO_LOGIN, "pam_lastlog({service}:{stage}): user {user} inactive for {days} days - denied"),
    ("login", NO_LOGIN, "pam_securetty({service}:{stage}): access denied: tty '{tty}' is not secure !"),
    ("sshd", NO_LOGIN, "pam_shells({service}:{stage}): User has an invalid shell '{shell}'"),
    ("su", REFUSED, "pam_wheel({service}:{stage}): Access denied to '{user}' for '{target_user}'"),
    ("su", ALLOWED, "pam_wheel({service}:{stage}): Access granted to '{user}' for '{target_user}'"),
    ("su", PRIVILEGE, "pam_wheel({service}:{stage}): Ignoring access request '{user}' for '{target_user}'"),
    ("sshd", NOT_OPEN, "pam_limits({service}:session): Too many logins (max {limit}) for {user}"),
    ("sshd", NOT_OPEN, "pam_limits({service}:session): Too many system logins (max {limit})"),
    ("sshd", NOT_OPEN, "pam_limits({service}:session): No logins allowed for '{user}'"),
    ("sshd(pam_google_authenticator)", AUTH,
     "Accepted google_authenticator for {user}", {"method": "google_authenticator"}),
    ("sshd(pam_google_authenticator)", AUTH_NO,
     "Invalid verification code for {user}", {"method": "google_authenticator"}),
    ("sshd(pam_google_authenticator)", STEP, 'Failed to read "{path}" for "{user}": {error}',
     {"method": "google_authenticator"}, ("path",)),
    ("sshd(pam_google_authenticator)", AUTH_NO, "Too many concurrent login attempts{detail}",
     {"method": "google_authenticator"}),
    *[("sshd", NOTE, module + "({service}:{stage}): {detail}") for module in (
        "pam_env", "pam_limits", "pam_loginuid", "pam_systemd", "pam_lastlog", "pam_motd", "pam_mail", "pam_mkhomedir",
        "pam_namespace", "pam_selinux", "pam_umask", "pam_group", "pam_kwallet", "pam_kwallet5", "pam_gnome_keyring")],
    ("gdm-password", NOTE, "gkr-pam: {detail}"),
    # repetitions
    *[(program, NO_LOGIN, "message repeated {repeat} times: [ " + UNIX + origin + "  user={user}]", {}, ("user",))
      for origin in ("{src_ip}", "{src_host}", "") for program in ("sshd", "dovecot")],
    ("anything", NOTE, "message repeated {repeat} times: [ {detail}]"),
    ("anything", NOTE, "message repeated {repeat} times: [ {detail}", {}, ("detail",)),
    ("anything", NOTE, "last message repeated {repeat} times"),
    # logind
    ("systemd-logind", OPEN, "New session {session} of user {user}."),
    ("systemd-logind", OPEN,
     "New session '{session}' of user '{user}' with class '{class}' and type '{session_type}'."),
    ("systemd-logind", LOGOFF, "Session {session} logged out. Waiting for processes to exit."),
    ("systemd-logind", LOGOFF, "Session '{session}' logged out. Waiting for processes to exit."),
    ("systemd-logind", CLOSED, "Removed session {session}."),
    ("systemd-logind", CLOSED, "Removed session '{session}'."),
    ("systemd-logind", NOTE, "New seat {seat}."),
    ("systemd-logind", NOTE, "Removed seat {seat}."),
    ("systemd-logind", NOTE, "Watching system buttons on {detail}"),
    ("systemd-logind", NOTE, "System is rebooting.", {"detail": "rebooting."}),
    ("systemd-logind", NOTE, "Power key pressed{detail}"),
    ("systemd-logind", NOTE, "Lid {detail}"),
    ("systemd-logind", NOTE, "The system will {detail}"),
    ("systemd", NOTE, "Started session-{unit}.scope - Session {session} of User {user}."),
    ("systemd", NOTE, "session-{session}.scope: {detail}"),
    ("systemd", NOTE, "Started Session {session} of User {user}."),
    # polkit, pkexec
    ("polkitd", USED,
     "Operator of {scope} successfully authenticated as unix-user:{auth_user} to gain {grant} authorization "
     "for action {action} for {subject} [{cmdline}] (owned by unix-user:{user})", {}, ("user", "auth_user")),
    ("polkitd", USED, "Operator of {scope} successfully authenticated as unix-user:{auth_user} to gain authorization "
     "for action {action} for {subject} [{cmdline}] (owned by unix-user:{user})", {}, ("user", "auth_user")),
    ("polkitd", REFUSED, "Operator of {scope} FAILED to authenticate to gain authorization for action {action} for "
     "{subject} [{cmdline}] (owned by unix-user:{user})", {}, ("user",)),
    # the owner stands between two texts of strangers, and is not read
    ("polkitd", ALLOWED, "ALLOWING action {action} for {subject} [{detail}])"),
    ("polkitd", DENIED, "DENYING action {action} for {subject} [{detail}])"),
    ("polkitd", NOTE,
     "Registered Authentication Agent for {subject} (system bus name {bus_name} [{cmdline}], object path "
     "{object}, locale {locale})"),
    ("polkitd", NOTE,
     "Unregistered Authentication Agent for {subject} (system bus name {bus_name}, object path {object}, "
     "locale {locale}) (disconnected from bus)"),
    ("polkit-agent-helper-1", STEP, "inappropriate use of helper, {detail} [uid={uid}]", {}, ("detail",)),
    *[("pkexec", what, "{user}: " + text + " [USER={target_user}] [TTY={tty}] [CWD={cwd}] [COMMAND={command}]", facts,
       ("user", "target_user", "cwd"))
      for what, text, facts in (
          (USED, "Executing command", {}),
          (REFUSED, "Error executing command as another user: Not authorized", {"reason": "not-authorized"}),
          (REFUSED, "Error executing command as another user: Request dismissed", {"reason": "dismissed"}),
          (REFUSED, "The value for the SHELL variable was not found in the /etc/shells file", {"reason": "shell"}),
          (REFUSED, "The value for environment variable {variable} contains suspicious content",
           {"reason": "environment"}))],
    # cron
    *[("CRON", NOTE, "({user}) " + event + " ({command})", {}, ("user",)) for event in ("CMD", "CMDEND")],
    *[("crontab", NOTE, "({user}) " + event + " ({target_user})", {}, ("user",))
      for event in ("LIST", "REPLACE", "DELETE", "BEGIN EDIT", "END EDIT")],
    *[("crond", NOTE, "({user}) " + event + " ({detail})", {}, ("user",)) for event in ("CMDOUT", "MAIL")],
    ("crontab", DENIED, "({user}) AUTH ({reason})", {}, ("user",)),
    ("CRON", AUTH_NO, "({user}) FAILED to authorize user with PAM ({error})", {}, ("user",)),
    ("crond", AUTH_NO, "({user}) PAM ERROR ({error})", {}, ("user",)),
    *[("cron", NOTE, "({who}) " + event + " ({detail})") for event in (
        "RELOAD", "ORPHAN", "ERROR", "INFO", "info", "STARTUP", "DEATH", "FAILED", "WARNING", "NOT REGULAR",
        "WRONG FILE OWNER", "WRONG INODE INFO", "BAD FILE MODE", "INSECURE MODE")],
    # doas: a command or a directory may hold " as … from …"; the target can then be wrong, who ran it cannot
    ("doas", USED, "{user} ran command {command} as {target_user} from {cwd}", {}, ("user", "target_user", "cwd")),
    ("doas", ("authentication", "privilege", "failure"), "failed auth for {user}"),
    ("doas", REFUSED, "command not permitted for {user}: {command}", {}, ("user",)),
    ("sshd", NOTE, "Set /proc/self/oom_score_adj to {new_value}"),
]

# What names are made of: what the formats themselves put behind a name, above all. Left out is sshd's " [preauth]" at the
# end of a message and gpasswd's " in /etc/group", which nothing tells from a name that ends so.
PIECES = ["root", "x", " ", "  ", "'", '"', ")", "(", "]", "[", ",", ":", "/", "`", ";", "=", ".", "\\", "\t", "\x7f",
          "é", "0", " by root", "' changed by 'root'", "' to group 'wheel'", ", UID=0, GID=0, home=/, shell=/bin/sh",
          " from 10.6.6.6", " FROM 10.6.6.6", "' from '10.6.6.6'", " port 22 ssh2", " user=root", " rhost=10.6.6.6",
          "]  (owned by unix-user:root)", "] (owned by unix-user:root", "] [COMMAND=/bin/true", ") CMD (x",
          " on pts/9", " as root from /", "' for 'root", "' owned by 'root", " to group wheel",
          " added by root to group wheel", ", exit code: 0", "' removed", "', Success", "' logged in  on 'tty9",
          "\" not met by user \"root", ": 0 (Success)", ".", " authentication success;",
          " account temporarily locked", " (0) tally 1, deny 2", "#012", "failure", "Accepted"]

FIELD = re.compile(r"{([a-z_]+)}")
tap = Tap()


def parse(rows):
    """The events of (program, message)."""
    lines = "".join(json.dumps({"line": message, "program_in": program}) + "\n" for program, message in rows)
    command = [BUILD + "/hallmark", "parse", "--templates", "packaging/templates", "--format", "json", "--input", "jsonl"]
    done = subprocess.run(command, input=lines.encode(), capture_output=True, timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def printed(text, values):
    return FIELD.sub(lambda field: str(values[field[1]]), text)


def expected(row, values):
    what, text, *more = row[1:]
    facts = dict(zip(("kind", "activity", "outcome", "change"), what))
    facts.update((name, values[name]) for name in FIELD.findall(text))
    facts.update(more[0] if more else {})
    return facts


def wrong(event, facts):
    return {name: (value, event.get(name)) for name, value in facts.items() if event.get(name) != value}


def check_table():
    messages = [(row[0], printed(row[2], VALUES)) for row in CATALOGUE]
    for row, (_, message), event in zip(CATALOGUE, messages, parse(messages)):
        differs = wrong(event, expected(row, VALUES))
        known = {"time", "host", "program", "pid", "message", "template", "severity"}
        invented = set(event) - known - set(expected(row, VALUES))
        tap.ok(event["template"] is not None and not differs and not invented, f"{row[0]}: {message}",
               event["template"], differs, invented)


def check_lines():
    """A line of each form, with no more said of it than what it is."""
    with open("tests/lib/catalogue.txt", encoding="ascii") as file:
        rows = [line.rstrip("\n").split("|", 4) for line in file if not line.startswith("#")]
    for row, event in zip(rows, parse((row[0], row[4]) for row in rows)):
        said = [event.get(name, "-") for name in ("kind", "activity", "outcome")]
        tap.ok(event["template"] is not None and said == row[1:4], f"{row[0]}: {row[4]}", event["template"], said)


def made_up(rng, blanks):
    name = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 4)))
    return name if blanks else re.sub(r"\s", "", name) or "x"


def names_of(row):
    """Those that the format tells apart from what stands around them."""
    ambiguous = row[4] if len(row) > 4 else ()
    return [name for name in FIELD.findall(row[2]) if name in NAMES and name not in ambiguous]


def is_alone(row):
    """One name, and no other text that anybody chose."""
    return sum(name in FREE for name in FIELD.findall(row[2])) == 1


def hostile(rng, blanks, rows):
    """[(row, its values, the event)], ROUNDS for each row that has a name."""
    tried = [(row, dict(VALUES, **{name: made_up(rng, blanks) for name in names_of(row)}))
             for row in rows if names_of(row) for _ in range(ROUNDS)]
    return [(*pair, event) for pair, event in zip(tried, parse((row[0], printed(row[2], values)) for row, values in tried))]


def check_exact(label, tried):
    bad = [(row[0], event["message"], event["template"], wrong(event, expected(row, values)))
           for row, values, event in tried if wrong(event, expected(row, values))]
    tap.ok(tried and not bad, f"{label}: {len(tried)} come back exactly", *bad[:10])


def check_honest(label, tried):
    """Right, or not said at all; and enough of them are said."""
    bad, said = [], 0
    for row, values, event in tried:
        facts = expected(row, values)
        lies = {name: (value, event[name]) for name, value in facts.items()
                if name in DECISIVE and event.get(name) not in (None, value)}
        said += event["template"] is not None
        if lies:
            bad.append((row[0], event["message"], event["template"], lies))
    tap.ok(tried and not bad, f"{label}: {said} of {len(tried)} are read, none says what did not happen, or who did not do it",
           *bad[:10])


def main():
    check_table()
    check_lines()
    rng = random.Random(20261123)
    check_exact("made-up names without blanks", hostile(rng, False, CATALOGUE))
    check_exact("any made-up name, where it is the only one", hostile(rng, True, filter(is_alone, CATALOGUE)))
    check_honest("several made-up names", hostile(rng, True, [row for row in CATALOGUE if not is_alone(row)]))
    return tap.done()


sys.exit(main())
