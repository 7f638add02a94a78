# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# For tests in sh:
#
#     . tests/lib/tap.sh
#     plan 2
#     check "a directory exists" test -d /
#     is "true says nothing" "$(true)" ""
#
# A test is run from the top of the tree. $build is where the programs are, $tmp a directory of the test's own,
# which is removed at its end.

# shellcheck disable=SC2034 # for the tests
build=${HALLMARK_BUILD:-build}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/hallmark-test.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP
tap_number=0

plan() {
	echo "1..$1"
}

skip_all() { # why
	echo "1..0 # SKIP $*"
	exit 0
}

pass() { # text
	tap_number=$((tap_number + 1))
	echo "ok $tap_number - $1"
}

fail() { # text, reason
	tap_number=$((tap_number + 1))
	echo "not ok $tap_number - $1"
	printf '%s\n' "$2" | sed 's/^/# /'
}

check() { # text, command...: the command succeeds; what it wrote is shown if it does not
	tap_text=$1
	shift
	if "$@" >"$tmp/check.log" 2>&1; then
		pass "$tap_text"
	else
		fail "$tap_text" "exit status $?: $*
$(cat "$tmp/check.log")"
	fi
}

is() { # text, got, wanted
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "got:
$2
wanted:
$3"
	fi
}
