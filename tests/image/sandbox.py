# SPDX-License-Identifier: Apache-2.0
"""What a program finds that is run by our unit: see probe.c."""

# The unit as it is installed, but for what it runs and how that ends.
INSIDE = r"""
systemctl cat hallmarkd.service | sed 's,^Type=.*,Type=oneshot,; s,^ExecStart=.*,ExecStart=/usr/lib/hallmark-probe,
	/^Watchdog/d; /^Restart/d' >/run/systemd/system/probe.service
systemctl daemon-reload
systemctl start probe.service
journalctl --sync
journalctl -b -u probe.service -o cat --no-pager | grep '^\(not \)\?ok '
"""
# Somebody who listens where the probe knocks; and what it mounts and calls the host is for itself.
OUTSIDE = """
systemd-run --quiet --unit=listener systemd-socket-activate --accept -l @/test/of/the/sandbox /bin/true
unshare --mount --uts /usr/lib/hallmark-probe outside
systemctl stop listener.service
"""


def check_probe(tap, machine, where, script):
    said, _ = machine.run(script, check=False)
    *tried, end = said.splitlines() or [""]
    for line in tried:
        bad, _, text = line.partition("ok ")
        tap.ok(not bad, f"{where} {text}")
    tap.ok(tried and end == "ok to the end", f"{where} the probe came to its end", said)


def check_sandbox(tap, machine):
    check_probe(tap, machine, "in the unit's sandbox", INSIDE)
    check_probe(tap, machine, "not in it", OUTSIDE)
