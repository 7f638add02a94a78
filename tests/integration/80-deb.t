#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make deb`: what is in the package, that it is the same bytes whoever builds it where, and that it installs,
# upgrades, is removed and purged where no init runs, as in the build of an image: in a copy-on-write view of this
# machine, or with HALLMARK_TEST_LONG=1 in a fresh Debian from the machine's own mirror, with nothing in it but what
# the package asks for.
[ -n "${HALLMARK_UNSHARED-}" ] || [ "$(id -u)" -ne 0 ] ||
	HALLMARK_UNSHARED=1 exec unshare --mount --propagation unchanged "$0" # its mounts go with it
. tests/lib/tap.sh

if ! command -v dh >/dev/null || ! command -v dpkg-buildpackage >/dev/null; then
	skip_all "there is no debhelper or dpkg-dev here"
fi
dpkg-checkbuilddeps deb/control 2>"$tmp/missing" || skip_all "$(cat "$tmp/missing")"
plan 30

skip() { # how many, why
	for _ in $(seq "$1"); do
		pass "in a system of its own # SKIP $2"
	done
	exit 0
}

# --- building -----------------------------------------------------------------------------------------

make_deb() { # directory of the tree, further arguments
	tree=$1
	shift
	env -u MAKEFLAGS make --no-print-directory -C "$tree" "$@" deb
}

mkdir "$tmp/elsewhere"
cp -r Makefile CHANGELOG.md agent collectors proto packaging deb "$tmp/elsewhere"
check "the package is built" make_deb . BUILD="$tmp/one"
build_elsewhere() (
	umask 077
	TZ=Asia/Tokyo LC_ALL=C.UTF-8 CFLAGS=-O0 make_deb "$tmp/elsewhere" CC=no-such-compiler
)
check "it is built again, elsewhere, by somebody with other settings" build_elsewhere
again=$tmp/elsewhere/build/deb
for package in "$tmp"/one/deb/*.deb; do
	check "both gave the same $(basename "$package" | sed 's/_.*//')" cmp "$package" "$again/$(basename "$package")"
done

version=$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
deb=$(echo "$tmp"/one/deb/hallmark_*.deb)
is "it has the version of the change log" "$(dpkg-deb -f "$deb" Version)" "$version"
dpkg-deb -x "$deb" "$tmp/files"
dpkg-deb -e "$deb" "$tmp/control"

# The programs are the package's: only what goes where is asked.
mkdir "$tmp/programs"
cp "$tmp/files/usr/bin/hallmark" "$tmp/files/usr/sbin/hallmarkd" "$tmp/programs"
env -u MAKEFLAGS make --no-print-directory -o all BUILD="$tmp/programs" DESTDIR="$tmp/installed" \
	UNITDIR="$(pkg-config --variable=systemdsystemunitdir systemd)" install >"$tmp/install.log" 2>&1 || cat "$tmp/install.log"
list() { # directory
	(cd "$1" && find . -type f | sed 's/\(share\/man\/.*\)\.gz$/\1/' | grep -v '/share/\(doc\|lintian\)/' | sort)
}
is "it holds what make installs, and nothing else" "$(list "$tmp/files")" "$(list "$tmp/installed")"
is "what is in /etc is the administrator's" "$(cat "$tmp/control/conffiles")" "/etc/hallmark/hallmark.conf"
is "the copyright, the changes and each override's reason are there" \
	"$(cd "$tmp/files/usr/share" && ls doc/hallmark lintian/overrides)" "$(printf '%s\n' doc/hallmark: changelog.gz copyright '' \
		lintian/overrides: hallmark)"

build_id() {
	readelf -n "$1" | sed -n 's/.*Build ID: //p'
}
dpkg-deb -c "$tmp"/one/deb/hallmark-dbgsym_*.deb >"$tmp/symbols"
has_its_symbols_apart() {
	id=$(build_id "$1")
	grep -q "/$(echo "$id" | cut -c 1-2)/$(echo "$id" | cut -c 3-).debug" "$tmp/symbols" &&
		! readelf -SW "$1" | grep -q '\.debug_info\|\.symtab'
}
check "hallmarkd has its debug symbols in a package of their own" has_its_symbols_apart "$tmp/files/usr/sbin/hallmarkd"
check "hallmark too" has_its_symbols_apart "$tmp/files/usr/bin/hallmark"
says_why() { # each override stands behind a comment
	awk '/^#/ { why = 1; next } !why { exit 1 } { why = 0 }' "$1"
}
check "no override is without a reason" says_why deb/hallmark.lintian-overrides
if command -v lintian >/dev/null; then
	is "lintian has nothing to say" "$(lintian --allow-root --fail-on none \
		"$tmp"/one/deb/*.changes 2>&1)" ""
else
	pass "lintian has nothing to say # SKIP there is no lintian here"
fi

# --- installing ---------------------------------------------------------------------------------------

[ "$(id -u)" -eq 0 ] || skip 18 "only root can have one"
mkdir "$tmp/system"
# Where this is a chroot, / is no mount: then it is the trap that takes them away outside.
mount --make-rprivate / 2>/dev/null || :
mount -t tmpfs tmpfs "$tmp/system"
trap 'umount -R "$tmp/system"; rm -rf "$tmp"' EXIT
root=$tmp/system/root
mkdir "$root" "$tmp/system/changes" "$tmp/system/work"
if [ -n "${HALLMARK_TEST_LONG-}" ]; then
	# shellcheck source=/dev/null
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mmdebstrap --quiet --variant=minbase --include="$(dpkg-deb -f "$deb" Depends | sed 's/ *([^)]*)//g; s/ *//g')" \
		"$suite" "$root" >"$tmp/mmdebstrap.log" 2>&1 || skip 18 "$(tail -n 1 "$tmp/mmdebstrap.log")"
else
	[ ! -e /usr/sbin/hallmarkd ] || skip 18 "hallmark is installed on this machine"
	mount -t overlay -o "lowerdir=/,upperdir=$tmp/system/changes,workdir=$tmp/system/work" overlay "$root" ||
		skip 18 "there is no overlay file system here"
fi
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run" # with no init in it

inside() {
	DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}
install_deb() {
	cp "$1" "$root/tmp/package.deb"
	inside dpkg --no-triggers --force-confdef -i /tmp/package.deb </dev/null
}
enabled() {
	inside systemctl is-enabled hallmarkd.service
}
# As the unit starts it.
hallmarkd() {
	inside setpriv --reuid=hallmark --regid=hallmark-spool --clear-groups /usr/sbin/hallmarkd "$@"
}
verify() {
	inside hallmark verify --trust-first --report-only /var/lib/hallmark/spool
}

check "it installs where no init runs" install_deb "$deb"
is "it is enabled" "$(enabled)" enabled
is "its directories are empty, and belong to it" \
	"$(inside find /var/lib/hallmark /run/hallmark -printf '%p %M %u %g\n' | sort)" \
	"/run/hallmark drwxr-xr-x hallmark hallmark-spool
/var/lib/hallmark drwxr-x--- hallmark hallmark-spool
/var/lib/hallmark/spool drwxr-x--- hallmark hallmark-spool"
is "its user can log in nowhere" "$(inside getent passwd hallmark | cut -d : -f 6-)" /var/lib/hallmark:/usr/sbin/nologin
check "systemd understands its units" inside systemd-analyze verify --man=no hallmarkd.service hallmark-accounts.path

printf '[Sources]\nsources = files\nfiles = /var/log/mine.log\n' >"$root/etc/hallmark/hallmark.conf"
echo 'Nov 23 12:00:00 web1 sshd[7]: Accepted password for alice from 192.0.2.7 port 4242 ssh2' >"$root/var/log/mine.log"
check "it does its work there, as its own user" hallmarkd --until-caught-up
check "what it recorded is proved" verify
# shellcheck disable=SC2016 # for the shell inside
is "the spool's group may read the spool, and not the key" \
	"$(inside setpriv --reuid=nobody --regid=hallmark-spool --clear-groups sh -c \
		'for f in /var/lib/hallmark/spool/*.seg /var/lib/hallmark/key/key.pem; do [ ! -r "$f" ] || echo "${f##*.}"; done')" seg
settled=$(cd "$root/var/lib/hallmark" && find . -type f -exec sha256sum {} + | sort)

# A later version with another default.
dpkg-deb -R "$deb" "$tmp/later"
sed -i "s/^Version: .*/Version: $version+later/" "$tmp/later/DEBIAN/control"
echo '# another default' >>"$tmp/later/etc/hallmark/hallmark.conf"
dpkg-deb --root-owner-group -b "$tmp/later" "$tmp/later.deb" >/dev/null
inside systemctl disable hallmarkd.service >/dev/null 2>&1
check "it is upgraded" install_deb "$tmp/later.deb"
is "the administrator's configuration stands" "$(sed -n 3p "$root/etc/hallmark/hallmark.conf")" "files = /var/log/mine.log"
is "and that it was disabled" "$(enabled)" disabled
is "and what was recorded" "$(cd "$root/var/lib/hallmark" && find . -type f -exec sha256sum {} + | sort)" "$settled"
inside systemctl enable hallmarkd.service >/dev/null 2>&1

check "it is removed" inside dpkg --no-triggers -r hallmark
is "what was recorded stays" "$(cd "$root/var/lib/hallmark" && find . -type f -exec sha256sum {} + | sort)" "$settled"

said=$(inside dpkg --no-triggers -P hallmark 2>&1)
is "purging says what evidence it deletes" "$(echo "$said" | sed -n 's/, [0-9]* KiB//; s/^hallmark: //p')" \
	"deleting this host's evidence and its key: /var/lib/hallmark (1 segments, up to batch 2)"
is "and nothing of it is left" "$(inside find /etc /var/lib/hallmark /run /usr -xdev -name '*hallmark*' 2>/dev/null)" ""

mkdir -p "$root/etc/systemd/system-preset"
echo 'disable hallmarkd.service' >"$root/etc/systemd/system-preset/00-mine.preset"
check "it installs where the administrator's presets are against it" install_deb "$deb"
is "and is not enabled there" "$(enabled)" disabled
