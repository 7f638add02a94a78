/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HALLMARK_AGENT_SANDBOX_H
#define HALLMARK_AGENT_SANDBOX_H

/* No program is started from here on: execve and execveat fail with EPERM, for this process and whatever it
 * may become. systemd cannot deny this, since it applies its filter before its own exec. */
int sandbox_deny_exec(void);

#endif
