/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What names this instance locally, and whether a key that was made here is still at home.
 *
 * The names are kept beside the key, in KEY/instance, a line "NAME VALUE" for each:
 *
 *     asset-tag     DMI's board asset tag. On EC2 the instance's id; a property of many clouds' machines, a sticker's
 *                   number or nothing at all elsewhere
 *     product-uuid  DMI's system UUID: what a hypervisor gives each of its machines. Only root may read it, or who
 *                   has CAP_DAC_READ_SEARCH
 *     machine-id    machine-id(5): names the installation on the boot disk, and is copied with it
 *
 * How they decide, from the strongest:
 *
 *  1. Two asset tags that differ are two instances.
 *  2. Two equal ones that have the form of an EC2 instance id are one instance, whatever the rest says: no other
 *     ever gets that id, and a machine-id that was made anew there (an image was sealed from a machine that then
 *     ran on) is no other machine. Other equal tags prove nothing: many boards have the same one.
 *  3. Two product UUIDs, or two machine-ids, that differ are two instances. Where the platform does not vouch for
 *     the instance, a new machine-id on the old one looks just like a copy of the disk, and is taken for it: that
 *     costs a new key, the other mistake would be two hosts with one.
 *
 * Only a contradiction says that the key is not at home. A name that is not there on one of the two sides says
 * nothing (a kernel without DMI, a state from before there were names, a reader that is not root, a placeholder of
 * the board's maker); one that is new is added to those that are kept. A machine-id that is not on the disk
 * (machine-id(5): systemd puts one in memory until the first boot is over, or for good where /etc cannot be
 * written) is held against the one that is kept, since an image that was sealed has lost its own, but never kept.
 *
 * The disk's own names (a file system's UUID, a serial number) are no help: a copy has them too, or they change
 * where the instance does not. So what is put back onto the same instance, such as a snapshot of its disk, cannot
 * be told from inside: the receiver sees it as a fork.
 *
 * No secret, and not signed: who can write it can read the key. All values are foreign: what is longer than
 * INSTANCE_NAME_SIZE allows, or not plain ASCII, counts as not there.
 */
#ifndef HALLMARK_AGENT_INSTANCE_H
#define HALLMARK_AGENT_INSTANCE_H

#include "agent/base/buf.h"

#define INSTANCE_DMI_DIRECTORY "/sys/class/dmi/id"
#define INSTANCE_MACHINE_ID_FILE "/etc/machine-id"

enum instance_name { INSTANCE_ASSET_TAG, INSTANCE_PRODUCT_UUID, INSTANCE_MACHINE_ID, INSTANCE_NAME_MAX };

#define INSTANCE_NAME_SIZE 65 /* with the NUL */
/* For a sentence that names every name twice. */
#define INSTANCE_WHY_MAX 512u

struct instance {
	char names[INSTANCE_NAME_MAX][INSTANCE_NAME_SIZE]; /* empty: not there */
	bool transient; /* the machine-id is only in memory */
};

/* The names of this machine, from INSTANCE_DMI_DIRECTORY and INSTANCE_MACHINE_ID_FILE. */
void instance_read(const char *dmi, const char *machine_id, struct instance *ret);

enum instance_verdict {
	INSTANCE_SAME,    /* a name says so, and none the opposite */
	INSTANCE_UNKNOWN, /* there is nothing to compare */
	INSTANCE_OTHER,
};

/* With INSTANCE_OTHER, "this is another instance: NAME A before, B now" and so on is appended to `why`, which takes
 * INSTANCE_WHY_MAX bytes; a failure to do so leaves it shorter. */
enum instance_verdict instance_compare(const struct instance *kept, const struct instance *now, struct buf *why);
/* Adds to what is kept, for an instance that is the same or unknown; true where that changed it. */
bool instance_merge(struct instance *kept, const struct instance *now);

/* What stands beside the key. 1: read, 0: there is none; lines that are not understood are left out. */
int instance_load(int key_fd, struct instance *ret);
/* Durable when it returns. */
int instance_store(int key_fd, const struct instance *instance);

#endif
