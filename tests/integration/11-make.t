#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the Makefile and packaging/dependencies promise: what is installed where, what the programs are hardened
# with, that the same source gives the same bytes wherever it lies, and what a user without rights is told.
. tests/lib/tap.sh

plan 14

# --- installing ---------------------------------------------------------------------------------------

make_log() { # what make writes, without the directories that it enters
	MAKEFLAGS='' make --no-print-directory "$@" 2>&1
}

# $build was made with settings of its own, which make would not find here: so another build, used by all that follows.
own=$tmp/build
check "it builds into a directory of any name, with flags of the user's" \
	make_log -j2 BUILD="$own" CFLAGS='-O0 -g' CC=gcc
is "a second make has nothing to do" "$(make_log BUILD="$own" CFLAGS='-O0 -g' CC=gcc)" ""
check "it installs" make_log BUILD="$own" CFLAGS='-O0 -g' CC=gcc DESTDIR="$tmp/root" install
is "every file is where it belongs" "$(cd "$tmp/root" && find . -type f | sort | grep -v '/templates/\|/dictionaries/\|/10-backoff.conf$')" \
	"./etc/hallmark/hallmark.conf
./usr/bin/hallmark
./usr/lib/systemd/system-preset/50-hallmark.preset
./usr/lib/systemd/system/hallmark-accounts.path
./usr/lib/systemd/system/hallmark-accounts.service
./usr/lib/systemd/system/hallmarkd.service
./usr/lib/sysusers.d/hallmark.conf
./usr/lib/tmpfiles.d/hallmark.conf
./usr/sbin/hallmarkd
./usr/share/bash-completion/completions/hallmark
./usr/share/man/man1/hallmark.1
./usr/share/man/man5/hallmark-record.5
./usr/share/man/man5/hallmark-redactions.5
./usr/share/man/man5/hallmark-templates.5
./usr/share/man/man5/hallmark.conf.5
./usr/share/man/man8/hallmarkd.8"
is "all templates and redactions are installed" "$(ls "$tmp/root/usr/share/hallmark/templates")" \
	"$(ls packaging/templates)"
is "all dictionaries are installed" "$(cd "$tmp/root/usr/share/hallmark/dictionaries" && sha256sum ./*)" \
	"$(cd proto/dictionaries && sha256sum ./*)"

# --- what was built -----------------------------------------------------------------------------------

for program in hallmark hallmarkd; do
	is "$program is position-independent, and has its symbols bound and read-only from the start" \
		"$(readelf -hlW -d "$own/$program" | grep -cE 'Type: +DYN|GNU_RELRO|BIND_NOW|Flags:.*NOW.*PIE')" 4
done

newest_glibc() {
	objdump -T "$build/hallmarkd" "$build/hallmark" | grep -o 'GLIBC_2\.[0-9]*' | sort -t . -k 2n | tail -n 1
}
glibc=$(getconf GNU_LIBC_VERSION | sed 's/.*2\.//')
if [ "$glibc" -le 36 ]; then
	check "nothing newer than glibc 2.34 is needed ($(newest_glibc))" \
		test "$(newest_glibc | sed 's/.*\.//')" -le 34
else
	pass "nothing newer than glibc 2.34 is needed # SKIP only a build on an old glibc can show it"
fi

mkdir "$tmp/elsewhere"
cp -r Makefile CHANGELOG.md agent collectors proto packaging "$tmp/elsewhere"
(cd "$tmp/elsewhere" && make_log -j2 CFLAGS='-O0 -g' CC=gcc) >"$tmp/one.log" || cat "$tmp/one.log"
mv "$tmp/elsewhere" "$tmp/moved"
cp -r "$tmp/moved/build" "$tmp/first"
(cd "$tmp/moved" && rm -rf build && make_log -j2 CFLAGS='-O0 -g' CC=gcc) >"$tmp/two.log" || cat "$tmp/two.log"
check "the same source gives the same program wherever it lies" cmp "$tmp/first/hallmarkd" "$tmp/moved/build/hallmarkd"

# --- packages -----------------------------------------------------------------------------------------

# A user who is not root on a Debian where nothing is installed, without sudo.
mkdir "$tmp/bin"
for command in sh cat sed awk env mktemp rm; do
	ln -s "$(command -v $command)" "$tmp/bin/$command"
done
fake() { # name, what it does
	printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}
fake id 'echo 1000'
fake dpkg-query 'exit 1'
fake rpm 'exit 1'
fake apt-get "echo apt-get \"\$@\" >>'$tmp/calls'"
fake dnf "echo dnf \"\$@\" >>'$tmp/calls'"

status=0
PATH=$tmp/bin packaging/dependencies build >"$tmp/said" 2>&1 </dev/null || status=$?
is "without rights it stops with exit code 2" "$status" 2
check "and names the command to type" grep -qE '^    (apt-get|dnf) .*install.* gcc ' "$tmp/said"
is "and has installed nothing" "$(cat "$tmp/calls" 2>/dev/null)" ""

# shellcheck disable=SC2016 # for the script
fake sudo 'case $1 in -n | -v) shift ;; esac; [ $# -eq 0 ] || exec "$@"' # which asks for no password
fake true :
PATH=$tmp/bin packaging/dependencies build >/dev/null 2>&1 </dev/null
check "with sudo it installs through it" \
	grep -qE '^(apt-get|dnf) .* install .*gcc' "$tmp/calls"
