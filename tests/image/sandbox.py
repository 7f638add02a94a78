# SPDX-License-Identifier: Apache-2.0
"""What a program finds that is run by our unit: see probe.c."""

# The unit as it is installed, but for what it runs and how that ends.
MAKE_UNIT = r"""
systemctl cat hallmarkd.service | sed 's,^Type=.*,Type=oneshot,; s,^ExecStart=.*,ExecStart=/usr/lib/hallmark-probe,
	/^Watchdog/d; /^Restart/d' >/run/systemd/system/probe.service
systemctl daemon-reload
systemctl start probe.service
journalctl --sync
journalctl -b -u probe.service -o cat --no-pager | grep '^\(not \)\?ok '
"""


def check_sandbox(tap, machine):
    said, _ = machine.run(MAKE_UNIT, check=False)
    *tried, end = said.splitlines() or [""]
    for line in tried:
        bad, _, text = line.partition("ok ")
        tap.ok(not bad, "in the unit's sandbox " + text)
    tap.ok(tried and end == "ok to the end", "in the unit's sandbox the probe came to its end", said)
