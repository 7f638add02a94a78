/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs in hallmarkd's place, by its unit and with its own filter on top, and tries to get out: a line of TAP for each
 * way, all of which must be closed, and for each thing that hallmarkd needs, which must work.
 *
 *     probe [outside]
 *
 * outside   run by root and by no unit: all the same ways must be open there. One that leads nowhere on this machine, since
 *           there is no such file or nobody who listens, would be closed to everybody.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/macro.h"
#include "agent/sandbox.h"

#define RESULT(r) ((r) < 0 ? -errno : 0)

/* Each tries one thing: 0 it worked, negative errno it did not. */
struct attempt {
	const char *text;
	int (*try)(const char *argument);
	const char *argument;
};

/* --- files ------------------------------------------------------------------------------------------- */

static int try_read(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char byte;
	ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

	return n < 0 ? -errno : n == 0 ? -ENODATA : 0;
}

static int try_list(const char *path)
{
	DIR *dir = opendir(path);
	int r = -ENODATA;

	if (!dir)
		return -errno;
	for (struct dirent *d = readdir(dir); d; d = readdir(dir))
		if (d->d_name[0] != '.')
			r = 0;
	closedir(dir);
	return r;
}

static int try_write(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write(fd, "x", 1) != 1 ? -errno : 0;

	if (r == 0 && strncmp(path, "/proc", 5) && strncmp(path, "/sys", 4))
		unlink(path);
	return r;
}

/* Past every mount: what an inode's number finds on the disk that /var/log lies on. */
static int try_handle(const char *path)
{
	_cleanup_(closep) int mount_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	_Alignas(struct file_handle) unsigned char bytes[sizeof(struct file_handle) + 8] = { 0 };
	struct file_handle *root = (struct file_handle *)bytes;

	/* the inode 2 and its generation, as ext4 hands them out */
	root->handle_bytes = 8;
	root->handle_type = 1;
	root->f_handle[0] = 2;
	fd = open_by_handle_at(mount_fd, root, O_RDONLY | O_CLOEXEC);
	return RESULT(fd);
}

static int try_device(const char *path)
{
	int r = RESULT(mknod(path, S_IFBLK | 0600, makedev(254, 0)));

	unlink(path);
	return r;
}

static int try_suid(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int r = RESULT(fchmod(fd, 04755));

	unlink(path);
	return r;
}

static int try_journal(const char *unused)
{
	sd_journal *j;
	int r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);

	if (r < 0)
		return r;
	r = sd_journal_seek_head(j);
	if (r >= 0)
		r = sd_journal_next(j);
	sd_journal_close(j);
	return r > 0 ? 0 : r < 0 ? r : -ENODATA;
}

/* --- sockets ----------------------------------------------------------------------------------------- */

static int try_family(const char *family)
{
	_cleanup_(closep) int fd = socket(atoi(family), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == ESOCKTNOSUPPORT) /* the family is there, and has no datagrams */
		return 0;
	return RESULT(fd);
}

/* As a stream or as datagrams; "@" begins an abstract name. */
static int try_connect(const char *path)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r = 0;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		_cleanup_(closep) int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address,
			    offsetof(struct sockaddr_un, sun_path) + (socklen_t)strlen(path)) == 0)
			return 0;
		r = -errno;
	}
	return r;
}

/* --- programs and processes ---------------------------------------------------------------------------- */

/* There is no such program: that must not even be looked for. */
static int try_exec(const char *path)
{
	char *const argv[] = { (char *)path, NULL };

	execve(path, argv, argv + 1);
	return errno == ENOENT ? 0 : -errno;
}

static int try_execveat(const char *path)
{
	char *const argv[] = { (char *)path, NULL };

	syscall(SYS_execveat, AT_FDCWD, path, argv, argv + 1, 0);
	return errno == ENOENT ? 0 : -errno;
}

static int try_spawn(const char *path)
{
	char *const argv[] = { (char *)path, NULL };
	pid_t pid;

	return -posix_spawn(&pid, path, NULL, NULL, argv, argv + 1);
}

static int try_fork(const char *unused)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return RESULT(pid);
}

static int try_code(const char *unused)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int try_code_later(const char *unused)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return RESULT(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_ptrace(const char *unused)
{
	return RESULT(ptrace(PTRACE_SEIZE, 1, 0, 0));
}

static int try_traceme(const char *unused)
{
	return RESULT(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int try_memory(const char *unused)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { &byte, 1 };

	return RESULT(process_vm_readv(1, &here, 1, &there, 1, 0));
}

static int try_pidfd(const char *unused)
{
	_cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);

	return RESULT((int)syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int try_kill(const char *unused)
{
	return RESULT(kill(1, 0));
}

/* --- the kernel ---------------------------------------------------------------------------------------- */

static int try_unshare(const char *flag)
{
	return RESULT(unshare((int)strtol(flag, NULL, 0)));
}

static int try_setns(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return RESULT(setns(fd, 0));
}

static int try_mount(const char *path)
{
	return RESULT(mount("none", path, "tmpfs", 0, NULL));
}

static int try_umount(const char *path)
{
	return RESULT(umount2(path, MNT_DETACH));
}

static int try_chroot(const char *path)
{
	return RESULT(chroot(path));
}

static int try_open_tree(const char *path)
{
	return RESULT((int)syscall(SYS_open_tree, AT_FDCWD, path, 1));
}

static int try_setuid(const char *unused)
{
	return RESULT(setuid(0));
}

static int try_setgroups(const char *unused)
{
	return RESULT((int)syscall(SYS_setgroups, 0, NULL));
}

static int try_clock(const char *unused)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return RESULT(clock_settime(CLOCK_REALTIME, &now));
}

static int try_realtime(const char *unused)
{
	return RESULT(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }));
}

static int try_name(const char *unused)
{
	return RESULT(sethostname("x", 1));
}

static int try_personality(const char *unused)
{
	return RESULT(personality(READ_IMPLIES_EXEC));
}

static int try_shm(const char *unused)
{
	return RESULT(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
}

static int try_keyring(const char *unused)
{
	return RESULT((int)syscall(SYS_add_key, "user", "a", "b", 1, KEY_SPEC_SESSION_KEYRING));
}

static const struct attempt closed[] = {
	{ "a program is started", try_exec, "/nowhere/program" },
	{ "a program is started, by execveat", try_execveat, "/nowhere/program" },
	{ "a program is spawned", try_spawn, "/bin/true" },
	{ "a process is made", try_fork, NULL },
	{ "memory is writable and executable", try_code, NULL },
	{ "memory that was written is executable", try_code_later, NULL },
	{ "an IPv4 socket", try_family, "2" },
	{ "an IPv6 socket", try_family, "10" },
	{ "a netlink socket", try_family, "16" },
	{ "a packet socket", try_family, "17" },
	{ "a socket of the kernel's ciphers", try_family, "38" },
	{ "a socket to the hypervisor", try_family, "40" },
	{ "the system bus", try_connect, "/run/dbus/system_bus_socket" },
	{ "the system bus, through pid 1", try_connect, "/proc/1/root/run/dbus/system_bus_socket" },
	{ "resolved", try_connect, "/run/systemd/resolve/io.systemd.Resolve" },
	{ "the service manager", try_connect, "/run/systemd/private" },
	{ "journald's stream", try_connect, "/run/systemd/journal/stdout" },
	{ "journald's socket", try_connect, "/run/systemd/journal/socket" },
	{ "the system log's socket", try_connect, "/dev/log" },
	{ "udev", try_connect, "/run/udev/control" },
	{ "the user database", try_connect, "/run/systemd/userdb/io.systemd.DynamicUser" },
	{ "an abstract socket", try_connect, "@/test/of/the/sandbox" },
	{ "/etc/shadow is read", try_read, "/etc/shadow" },
	{ "/etc/shadow is read, through pid 1", try_read, "/proc/1/root/etc/shadow" },
	{ "/etc/shadow- is read", try_read, "/etc/shadow-" },
	{ "/etc/gshadow is read", try_read, "/etc/gshadow" },
	{ "/etc/sudoers is read", try_read, "/etc/sudoers" },
	{ "a host key of ssh is read", try_read, "/etc/ssh/ssh_host_ed25519_key" },
	{ "the network's configuration is listed", try_list, "/etc/systemd/network" },
	{ "root's home is listed", try_list, "/root/.ssh" },
	{ "a user's home is listed", try_list, "/home/alice/.ssh" },
	{ "the package manager's state is listed", try_list, "/var/lib/dpkg" },
	{ "systemd's state is listed", try_list, "/var/lib/systemd" },
	{ "/boot is listed", try_list, "/boot" },
	{ "pid 1's environment is read", try_read, "/proc/1/environ" },
	{ "the disk is read", try_read, "/dev/vda" },
	{ "memory is read", try_read, "/dev/mem" },
	{ "the kernel's memory is read", try_read, "/proc/kcore" },
	{ "the kernel's log is read", try_read, "/dev/kmsg" },
	{ "the kernel's log is read, in /proc", try_read, "/proc/kmsg" },
	{ "a file by its handle", try_handle, "/var/log" },
	{ "a file in /etc", try_write, "/etc/x" },
	{ "a file in its own configuration", try_write, "/etc/hallmark/x" },
	{ "a file in /usr", try_write, "/usr/x" },
	{ "a file in /var/log", try_write, "/var/log/x" },
	{ "a file in /var/lib", try_write, "/var/lib/x" },
	{ "a file in /run", try_write, "/run/x" },
	{ "a file in /dev/shm", try_write, "/dev/shm/x" },
	{ "the kernel's settings", try_write, "/proc/sys/kernel/core_pattern" },
	{ "the control groups", try_write, "/sys/fs/cgroup/cgroup.procs" },
	{ "a device of its own making", try_device, "/var/lib/hallmark/device" },
	{ "a program that runs as its owner", try_suid, "/var/lib/hallmark/suid" },
	{ "pid 1 is traced", try_ptrace, NULL },
	{ "it has itself traced", try_traceme, NULL },
	{ "pid 1's memory is read", try_memory, NULL },
	{ "pid 1's files are taken", try_pidfd, NULL },
	{ "pid 1 is sent a signal", try_kill, NULL },
	{ "a user namespace", try_unshare, "0x10000000" },
	{ "a mount namespace", try_unshare, "0x20000" },
	{ "another's namespace", try_setns, "/proc/self/ns/net" },
	{ "a mount", try_mount, "/tmp" },
	{ "a mount is taken away", try_umount, "/etc" },
	{ "a tree is cloned", try_open_tree, "/" },
	{ "another root", try_chroot, "/proc" },
	{ "it becomes root", try_setuid, NULL },
	{ "it takes other groups", try_setgroups, NULL },
	{ "the clock is set", try_clock, NULL },
	{ "the host's name is set", try_name, NULL },
	{ "a schedule in real time", try_realtime, NULL },
	{ "another personality", try_personality, NULL },
	{ "shared memory", try_shm, NULL },
	{ "the keyring", try_keyring, NULL },
};

/* What answers an argument that is wrong with something else than "not permitted" was let in. */
static const struct {
	const char *text;
	long number;
} refused[] = {
	{ "io_uring", SYS_io_uring_setup },
	{ "userfaultfd", SYS_userfaultfd },
	{ "bpf", SYS_bpf },
	{ "perf_event_open", SYS_perf_event_open },
	{ "a kernel module", SYS_finit_module },
	{ "kexec", SYS_kexec_load },
	{ "fanotify", SYS_fanotify_init },
	{ "swapon", SYS_swapon },
	{ "reboot", SYS_reboot },
};

static const struct attempt needed[] = {
	{ "its configuration is read", try_read, "/etc/hallmark/hallmark.conf" },
	{ "its templates are listed", try_list, "/usr/share/hallmark/templates" },
	{ "the accounts are read", try_read, "/etc/passwd" },
	{ "the machine id is read", try_read, "/etc/machine-id" },
	{ "the boot id is read", try_read, "/proc/sys/kernel/random/boot_id" },
	{ "what names the machine is read", try_read, "/sys/class/dmi/id/board_asset_tag" },
	{ "a log of somebody else's is read", try_read, "/var/log/private/log" },
	{ "the journal is read", try_journal, NULL },
	{ "its state is written", try_write, "/var/lib/hallmark/x" },
	{ "its run directory is written", try_write, "/run/hallmark/x" },
	{ "the service manager is notified", try_connect, "/run/systemd/notify" },
};

static void tell(bool good, const char *what, const char *text, int r)
{
	printf("%sok %s: %s (%s)\n", good ? "" : "not ", what, text, r < 0 ? strerrorname_np(-r) : "it worked");
}

static void try_inside(void)
{
	for (size_t i = 0; i < ELEMENTSOF(closed); i++) {
		int r = closed[i].try(closed[i].argument);

		tell(r < 0, "closed", closed[i].text, r);
	}
	for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
		int r = RESULT(syscall(refused[i].number, -1, -1, -1, -1, -1));

		tell(r == -EPERM, "closed", refused[i].text, r);
	}
	for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
		int r = needed[i].try(needed[i].argument);

		tell(r == 0, "works", needed[i].text, r);
	}
}

/* What one of them changes is not for the next. */
static int try_in_child(const struct attempt *a)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(-a->try(a->argument));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static void try_outside(void)
{
	for (size_t i = 0; i < ELEMENTSOF(closed); i++) {
		int r = try_in_child(&closed[i]);

		/* it was let in, and there it was wrong */
		tell(r == 0 || r == -EINVAL || r == -EFAULT, "open outside", closed[i].text, r);
	}
	for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
		int r = RESULT(syscall(refused[i].number, -1, -1, -1, -1, -1));

		tell(r != -EPERM && r != -ENOSYS, "open outside", refused[i].text, r);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		try_outside();
	} else {
		if (sandbox_deny_exec() < 0)
			return EXIT_FAILURE;
		try_inside();
	}
	puts("ok to the end");
	return EXIT_SUCCESS;
}
