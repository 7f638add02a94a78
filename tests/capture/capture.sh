#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Record what the sshd, sudo, su and PAM of a Debian release really log.
#
#   tests/capture/capture.sh SUITE [DIRECTORY]
#
# builds a minimal root of SUITE (bookworm, trixie, ...) in a temporary directory, plays the scenarios of
# tests/lib/realhost.py in a chroot of it, and leaves the logs, what was really done and the versions in DIRECTORY
# (tests/capture/data). It needs root, mmdebstrap and a Debian mirror.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: capture.sh SUITE [DIRECTORY]}
data=${2:-$here/data}
packages=openssh-server,openssh-client,sudo,rsyslog,systemd,python3
versions='openssh-server openssh-client sudo sudo-rs libpam0g libpam-modules passwd login util-linux rsyslog systemd'

# Identifiers of no machine at all, so that two captures differ only in what matters.
machine_id=4a6f0d3c9b2e48d7a1f5c07be8d31962
boot_id=c27be10f83d94a56b0e4719fd26a5c38

work=$(mktemp -d)
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' HUP INT TERM

# sudo-rs came to Debian after bookworm.
case $suite in
bookworm) ;;
*) packages=$packages,sudo-rs ;;
esac

# record NAME OPTION... SCENARIO...: play scenarios; the result is in $root/out/NAME.
record() {
    name=$1
    shift
    chroot "$root" /usr/bin/python3 /realhost.py --out "/out/$name" --machine-id "$machine_id" --boot-id "$boot_id" "$@"
}

# keep NAME FILE SUFFIX: make a file of a recording part of the data.
keep() {
    cp "$root/out/$1/$2" "$data/$suite-$3"
    chmod 644 "$data/$suite-$3"
}

mmdebstrap --variant=minbase --include="$packages" "$suite" "$root"
cp "$here/../lib/realhost.py" "$root/realhost.py"
mkdir -p "$data" "$root/out"

# A day on a host: what `make run` plays.
record auth --real-delays ssh-key ssh-guessing sudo sudo-rs scanner ssh-password su accounts ssh-guessing forgery
keep auth auth.log auth.log
keep auth truth.jsonl auth-truth.jsonl

case $suite in
bookworm)
    record traditional --format traditional ssh-key su accounts
    keep traditional auth.log auth-traditional.log

    record names ssh-names
    keep names auth.log names.log
    keep names truth.jsonl names-truth.jsonl

    record journal --mode journal --real-delays ssh-key ssh-guessing sudo su forgery
    keep journal truth.jsonl journal-truth.jsonl
    chroot "$root" journalctl --quiet --output=export --directory="/out/journal/journal/$machine_id" \
        >"$data/$suite-journal.export"
    ;;
*)
    record penalties --penalties ssh-guessing
    keep penalties auth.log penalties.log
    ;;
esac

# shellcheck disable=SC2016,SC2086  # ${...} is dpkg-query's; the names are words
chroot "$root" dpkg-query --show --showformat='${Package} ${Version}\n' $versions 2>/dev/null \
    >"$data/$suite-versions.txt" || true
