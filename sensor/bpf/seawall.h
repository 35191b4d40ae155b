/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all programs share: the records that they send, the maps, and reading of kernel objects by CO-RE.
 *
 * Records are read by seawall_sensor/records.py; tests/sensor/test_layout.py compares the two through BTF.
 */
#ifndef SEAWALL_H
#define SEAWALL_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Kinds of records; also bits of the masks that say which of them are wanted. */
enum kind {
	KIND_EXEC = 1,
	KIND_EXIT = 2,
	KIND_FORK = 3,
	KIND_OPEN = 4,
	KIND_RENAME = 5,
	KIND_UNLINK = 6,
	KIND_CHMOD = 7,
	KIND_LINK = 8,
	KIND_MOUNT = 9,
	KIND_CONNECT = 10,
	KIND_ACCEPT = 11,
	KIND_LISTEN = 12,
	KIND_UDP_SEND = 13,
	KIND_DNS = 14,
	KIND_SOCKET = 15,
	KIND_PTRACE = 16,
	KIND_NAMESPACE = 17,
	KIND_CREDENTIALS = 18,
	KIND_MODULE = 19,
	KIND_BPF = 20,
	KIND_IO_URING = 21,
	KIND_SIGNAL = 22,
	KIND_VM_WRITE = 23,
	KIND_CGROUP = 24,
	KIND_IN_USE = 25,
	KIND_ENFORCED = 26,
	KIND_FLOW = 27,
	KIND_READ = 28,
	KIND_BLOCKED = 29,	/* a peer, by policy: a net_record; KIND_ENFORCED is an exec, a file_record */
	KIND_TIMES = 30,
	KIND_FILE_CAPS = 31,
	KINDS = 32,
};

enum origin {
	ORIGIN_UNKNOWN = 0,
	ORIGIN_IMAGE = 1,
	ORIGIN_UPPER = 2,
	ORIGIN_MEMFD = 3,
	ORIGIN_TMPFS = 4,
	ORIGIN_BIND = 5,
	ORIGIN_HOST = 6,
};

#define EXE_DELETED 1
#define EXE_GAINED 2		/* secure-exec: setuid, setgid or file capabilities raised privileges */
#define EXE_SCRIPT 4		/* `script` is what was executed, `path` its interpreter */
#define EXE_ARGS_CUT 8
#define EXE_ENV_CUT 16

/* In `flags` of a file record, above those of open(2). */
#define OPEN_SCRIPT (1U << 29)	/* an interpreter opened a file that is not from the image */
#define OPEN_WRITES (1U << 30)
#define OPEN_CREATED (1U << 31)

#define ACTION_AUDIT 1
#define ACTION_KILL 2
#define ACTION_BLOCK 3

#define REASON_DRIFT 1
#define REASON_LISTED 2
#define REASON_NETWORK 3

#define DATA_BYTES 24576
#define TEXT_END 16384	/* texts begin before this; a power of two, so that a mask proves it to every verifier */
#define NAME_BYTES 256
#define PATH_PARTS 40
#define ANCESTORS 8

/* In front of every record. Widest member first. */
struct head {
	u64 ts_ns;		/* CLOCK_BOOTTIME */
	u64 start_ns;		/* start of the thread group leader, CLOCK_BOOTTIME */
	u64 cgroup;		/* inode of the cgroup in the hierarchy that user space chose */
	u64 caps;		/* effective */
	u32 pid;		/* thread group, in the initial pid namespace */
	u32 tid;
	u32 ppid;
	u32 uid;
	u32 euid;
	u32 gid;
	u32 user_ns;
	u32 count;		/* this one and the equal ones folded into it */
	char comm[16];
	s32 result;		/* of the system call */
	u16 cpu;
	/* From here to its end a record is the same whenever what happened is: records that mean nothing are known by it. */
	u16 kind;
	u32 mnt_ns;
	u32 size;		/* of the whole record */
};
_Static_assert(sizeof(struct head) == 96, "layout is shared with records.py");

struct ancestor {
	u64 start_ns;
	u32 pid;
	u32 uid;
	char comm[16];
};

struct address {
	u8 bytes[16];		/* IPv4 in the first four */
	u16 family;
	u16 port;		/* host order */
};

struct exec_record {
	struct head head;
	u64 inode;
	u64 size_bytes;
	s64 mtime_s;
	s64 ctime_s;
	u32 mtime_ns;
	u32 ctime_ns;
	u32 device;
	u32 mode;
	u32 session;
	s32 loginuid;
	u32 ns_pid;
	u32 previous_uid;
	u8 origin;
	u8 flags;
	u8 stdio[3];		/* S_IFMT >> 12 of descriptors 0 to 2; 0 closed, 13 /dev/null, 14 internet socket, 15 terminal */
	u8 ancestors_count;
	u16 path_bytes;		/* texts follow in `data`, in this order */
	u16 cwd_bytes;
	u16 asked_bytes;
	u16 args_bytes;
	u16 env_bytes;
	struct address peer;
	char tty[16];
	u32 stdin_origin;	/* of an interpreter's standard input, when that is a file */
	struct ancestor ancestors[ANCESTORS];
};
_Static_assert(sizeof(struct exec_record) == 472, "layout is shared with records.py");

struct exit_record {
	struct head head;
	u64 cpu_ns;
	u32 code;		/* as the kernel packs it: status << 8 | signal */
	u32 unused;
};

struct file_record {
	struct head head;
	u64 inode;		/* KIND_TIMES: the time that was set, seconds since 1970; KIND_FILE_CAPS: the capabilities */
	u32 device;
	u32 flags;
	u32 mode;		/* KIND_MOUNT: whether the file system lies on a device */
	u32 previous_mode;
	u16 path_bytes;		/* components, last first */
	u16 asked_bytes;	/* as the caller gave it */
	u16 target_bytes;	/* second path as the caller gave it */
	u16 cwd_bytes;		/* folder that relative paths start at: components, last first; KIND_MOUNT: type of file system */
	u16 target_cwd_bytes;
	u8 origin;
	u8 operation;
	u32 filesystem;		/* superblock magic */
};

struct net_record {
	struct head head;
	u64 sent_bytes;
	u64 received_bytes;
	u64 duration_ns;
	struct address peer;
	struct address local;
	u16 protocol;
	u16 path_bytes;		/* unix socket */
	u32 unused;
};

struct kernel_record {
	struct head head;
	u64 value;		/* request, flags, type: by kind */
	u64 size_bytes;
	u64 previous_caps;
	u32 target_pid;
	u32 previous_uid;
	u32 previous_euid;
	u16 operation;
	u16 text_bytes;
	u64 target_cgroup;
};

#define DNS_BYTES 1024
struct dns_record {
	struct head head;
	struct address server;
	u16 transport;		/* IPPROTO_UDP or IPPROTO_TCP */
	u16 payload_bytes;	/* in the packet; more than DNS_BYTES are cut */
	u16 answer;
	u16 unused[3];
	u8 payload[DNS_BYTES];
};

_Static_assert(sizeof(struct exit_record) == 112, "layout is shared with records.py");
_Static_assert(sizeof(struct file_record) == 136, "layout is shared with records.py");
_Static_assert(sizeof(struct net_record) == 168, "layout is shared with records.py");
_Static_assert(sizeof(struct kernel_record) == 144, "layout is shared with records.py");
_Static_assert(__builtin_offsetof(struct dns_record, payload) == 128, "layout is shared with records.py");

struct scratch {
	union {
		struct head head;
		struct exec_record exec;
		struct file_record file;
		struct net_record net;
		struct kernel_record kernel;
		u8 bytes[sizeof(struct exec_record) + DATA_BYTES];
	};
	char name[NAME_BYTES];
	char folder[NAME_BYTES];
	u64 address;
	u32 busy;
};

/* Set once before loading; the verifier removes what is off. */
struct options {
	u64 kinds;		/* kinds that are wanted at all */
	u64 fold_ns;		/* equal events within this time are counted, not sent */
	u64 flow_bytes;		/* connections that moved less send no flow */
	u32 self_pid;
	u32 host_mnt_ns;
	s32 cgroup_subsystem;	/* index of the v1 controller whose cgroups name containers; -1 = cgroup v2 */
	u32 unused;
};
const volatile struct options options SEC(".rodata.options") = {};

/* Changed while running, mapped by user space. */
struct control {
	u64 shed;		/* kinds that self-limits have switched off */
	u32 enforcing;		/* any policy at all */
	u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} process_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} event_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct control);
} control SEC(".maps");

/* Reserve failures by kind (0 to KINDS-1), then what self-limits shed by kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * KINDS);
	__type(key, u32);
	__type(value, u64);
} losses SEC(".maps");

/* Kinds wanted of one cgroup; a cgroup that is not here counts as a container that we do not know yet. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u64);
} cgroup_kinds SEC(".maps");

struct fold_key {
	u64 subject;
	u64 actor;		/* pid << 32 | kind << 16 | operation */
};

struct fold_state {
	u64 sent_ns;
	u32 folded;
	u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct fold_key);
	__type(value, struct fold_state);
} folds SEC(".maps");

/* By 0: programs in task context; by 1: programs that can run in an interrupt of one of the former. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Last parts of sensitive paths (value 1: always, 2: only when asked for with ".."), and names of sensitive folders. */
struct name_key {
	char name[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct name_key);
	__type(value, u32);
} sensitive_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct name_key);
	__type(value, u32);
} sensitive_folders SEC(".maps");

/* File names of shells and interpreters, without the digits and dots of a version at their end. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct name_key);
	__type(value, u32);
} interpreters SEC(".maps");

/* Interpreters in containers that have not opened many files yet: how many of the next ones are looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u32);
} script_readers SEC(".maps");

/* Who opened a socket: an answer or a close can arrive while another process runs. By address of the sock. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct head);
} socket_owners SEC(".maps");

/* Credentials as the last exec or credential call left them. */
struct credentials {
	u64 start_ns;
	u64 caps;
	u32 euid;
	u32 user_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, u32);
	__type(value, struct credentials);
} known_credentials SEC(".maps");

/* What to do in one cgroup: enforcement is off where nothing is said. */
struct policy {
	u32 id;
	u8 drift;		/* ACTION_*, 0 = nothing */
	u8 listed;
	u8 network;
	u8 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct policy);
} policies SEC(".maps");

struct listed_key {
	u32 policy;
	char name[28];		/* last part of the path */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct listed_key);
	__type(value, u32);
} listed_names SEC(".maps");

struct network_key {
	u32 prefix_bits;	/* 32 for the policy, 16 for the family, then the network's */
	u32 policy;
	u16 family;
	u8 bytes[16];
	u16 unused;
};

#define PORT_RANGES 16

struct port_range {
	u16 low;
	u16 high;
	u8 deny;
	u8 used;		/* the first unused one ends the list */
	u16 unused;
};

/* What holds for a network, wider networks included: the first range that holds the port decides; none = allowed. */
struct network_rule {
	struct port_range ranges[PORT_RANGES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct network_key);
	__type(value, struct network_rule);
} blocked_networks SEC(".maps");

struct inode_key {
	u64 cgroup;
	u64 inode;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct inode_key);
	__type(value, u8);
} used_files SEC(".maps");

/* ---------------------------------------------------------------------------------------------------------------- */

#define FOLD_BURST 32
#define WAKEUP_BYTES (512 << 10)
#define WAKEUP_WINDOW (16 << 10)
#define OVERLAYFS_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define PROC_MAGIC 0x9fa0
#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_IFSOCK 0140000
#define S_IFCHR 0020000
#define S_IFBLK 0060000
#define S_IFDIR 0040000

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

/*
 * READ(p, a, b) is p->a->b of kernel objects. With bpf_rdonly_cast (since 6.2) these are plain loads that the kernel guards;
 * before, a call of a helper each, about ten times as dear. Two objects from one source, because a kernel of 5.13 to 5.15
 * refuses a program that names a function that it does not have, even where it is never called.
 * `typed` gives a pointer the kernel's type of that name, after which nothing but constants may be added to it; `load` reads
 * through a pointer into a typed object.
 */
#ifdef DIRECT_READS
extern void *bpf_rdonly_cast(const void *object, u32 type) __ksym;
#define typed(type, p) ((type *)bpf_rdonly_cast((const void *)(p), bpf_core_type_id_kernel(type)))
#define READ(p, ...) ___arrow((p), __VA_ARGS__)
#define load(to, from) ((to) = *(from))
#else
#define typed(type, p) ((type *)(p))
#define READ(p, ...) BPF_CORE_READ(p, __VA_ARGS__)
#define load(to, from) bpf_probe_read_kernel(&(to), sizeof(to), from)
#endif

/* Keeps clang from turning a checked number into another register that the verifier knows nothing about. */
#define opaque(x) asm volatile("" : "+r"(x))

static __always_inline struct task_struct *current_task(void)
{
	return typed(struct task_struct, bpf_get_current_task());
}

static __always_inline void count_loss(u32 index)
{
	u64 *n = bpf_map_lookup_elem(&losses, &index);

	if (n)
		*n += 1;
}

/*
 * The reader is woken while the level crosses a mark and by its own timer otherwise: forcing a wake-up on every record
 * above the mark would cost most of the throughput.
 */
static __always_inline u64 wakeup_flags(void *ring)
{
	u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return waiting - WAKEUP_BYTES < WAKEUP_WINDOW ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline u64 cgroup_of(struct task_struct *task)
{
	s32 subsystem = options.cgroup_subsystem;
	struct css_set *set = READ(task, cgroups);
	struct cgroup_subsys_state *css, **at;

	if (subsystem < 0)
		return READ(set, dfl_cgrp, kn, id);
	at = (void *)set + bpf_core_field_offset(struct css_set, subsys) + (subsystem & 31) * sizeof(void *);
	load(css, at);
	return READ(css, cgroup, kn, id);
}

static __always_inline u64 caps_of(const struct cred *cred)
{
	const u64 *at = (const void *)cred + bpf_core_field_offset(struct cred, cap_effective);
	u64 caps = 0;

	/* Two u32 before 6.3, one u64 since; the same bits on little-endian machines. */
	load(caps, at);
	return caps;
}

static __always_inline u64 start_of(struct task_struct *task)
{
	return READ(task, group_leader, start_boottime);
}

/* Whether user space wants this kind of this cgroup at all, self-limits aside. */
static __always_inline bool asked_for(u32 kind, u64 cgroup)
{
	u64 *kinds;

	if (!(options.kinds >> kind & 1))
		return false;
	kinds = bpf_map_lookup_elem(&cgroup_kinds, &cgroup);
	return !kinds || *kinds >> kind & 1;
}

/* Whether events of this kind are wanted of this cgroup, before anything costly is read. */
static __always_inline bool wanted(u32 kind, u64 cgroup)
{
	struct control *c;
	u32 zero = 0;

	if (!asked_for(kind, cgroup))
		return false;
	c = bpf_map_lookup_elem(&control, &zero);
	if (c && unlikely(c->shed >> kind & 1)) {
		count_loss(KINDS + kind);
		return false;
	}
	return true;
}

/*
 * True when an equal event was sent a short time ago; then this one is only counted. `count` says how many equal
 * ones the next record stands for.
 */
static __always_inline bool folded(u64 subject, u64 actor, u64 now_ns, u32 *count)
{
	struct fold_key key = { .subject = subject, .actor = actor };
	struct fold_state *state, fresh = { .sent_ns = now_ns };

	*count = 1;
	if (!options.fold_ns)
		return false;
	state = bpf_map_lookup_elem(&folds, &key);
	if (!state) {
		bpf_map_update_elem(&folds, &key, &fresh, BPF_ANY);
		return false;
	}
	/* A burst is told while it lasts: guessing passwords is many equal connections. */
	if (now_ns - state->sent_ns < options.fold_ns) {
		__sync_fetch_and_add(&state->folded, 1);
		if (likely(state->folded < FOLD_BURST))
			return true;
		*count = state->folded;
		state->folded = 0;
		return false;
	}
	*count = state->folded + 1;
	state->folded = 0;
	state->sent_ns = now_ns;
	return false;
}

static __always_inline u64 actor_of(u32 pid, u32 kind, u32 operation)
{
	return (u64)pid << 32 | kind << 16 | (operation & 0xffff);
}

static __always_inline struct scratch *take_scratch(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s || s->busy)
		return NULL;
	s->busy = 1;
	return s;
}

/* What stands behind the name's NUL is not told apart here: readers stop there. */
static __always_inline void read_comm(char to[16], struct task_struct *task)
{
	u64 *at = (void *)task->comm, low, high;

	load(low, at);
	load(high, at + 1);
	((u64 *)to)[0] = low;
	((u64 *)to)[1] = high;
}

static __always_inline void fill_head(struct head *h, struct task_struct *task, u64 cgroup, u16 kind)
{
	const struct cred *cred = READ(task, cred);

	h->ts_ns = bpf_ktime_get_boot_ns();
	h->start_ns = start_of(task);
	h->cgroup = cgroup;
	h->caps = caps_of(cred);
	/* From the task: programs of sockets have no helper for the current one's ids before 6.10. */
	h->pid = READ(task, tgid);
	h->tid = READ(task, pid);
	h->ppid = READ(task, real_parent, tgid);
	h->uid = READ(cred, uid.val);
	h->euid = READ(cred, euid.val);
	h->gid = READ(cred, gid.val);
	h->mnt_ns = READ(task, nsproxy, mnt_ns, ns.inum);
	h->user_ns = READ(cred, user_ns, ns.inum);
	h->count = 1;
	h->result = 0;
	h->kind = kind;
	h->cpu = bpf_get_smp_processor_id();
	h->size = 0;
	read_comm(h->comm, task);
}

/*
 * What user space has to see at once: a new container waits for its policy, and what is executed and not from the image is read
 * while it is still there. The others are read when there are enough of them.
 */
static __always_inline bool urgent(const struct scratch *s)
{
	switch (s->head.kind) {
	case KIND_CGROUP:
		return true;
	case KIND_EXEC:
		return s->exec.origin >= ORIGIN_UPPER && s->exec.origin <= ORIGIN_BIND;
	case KIND_READ:
		return s->file.flags & OPEN_SCRIPT;
	}
	return false;
}

/* Send the first `size` bytes, texts included, and give the scratch back. */
static __always_inline void send(struct scratch *s, void *ring, u64 size)
{
	u32 kind = s->head.kind & (KINDS - 1);
	u64 flags = urgent(s) ? BPF_RB_FORCE_WAKEUP : wakeup_flags(ring);

	s->head.size = size;
	opaque(size);
	if (size > sizeof(s->bytes))
		size = sizeof(s->bytes);
	if (bpf_ringbuf_output(ring, s, size, flags))
		count_loss(kind);
	s->busy = 0;
}

/* Texts are appended to `bytes` of the scratch, from `*at` on. Returns the bytes appended, NUL included. */
static __always_inline u32 append_text(struct scratch *s, u64 *at, u64 limit, const void *from, bool user)
{
	u64 off = *at;
	long n;

	if (!from || off >= TEXT_END)
		return 0;
	opaque(off);
	off &= TEXT_END - 1;
	n = user ? bpf_probe_read_user_str(s->bytes + off, limit, from)
		 : bpf_probe_read_kernel_str(s->bytes + off, limit, from);
	if (n <= 0 || n > 4096)
		return 0;
	*at = off + n;
	return n;
}

/* The number behind a typed pointer: functions of their own take nothing else. */
static __always_inline u64 address(struct scratch *s, const void *p)
{
#ifdef DIRECT_READS
	*(volatile u64 *)&s->address = (u64)p;
	return *(volatile u64 *)&s->address;
#else
	return (u64)p;
#endif
}

/*
 * Append the components of a path to `bytes` of scratch 0 from `at` on, last first, each ending in NUL, as seen from
 * the root of its mount namespace, whatever root the process has chosen itself: chroot hides nothing. User space turns
 * them round. From kernel objects, so nothing that the process does afterwards changes what is read. Returns the bytes
 * appended. A function of its own, because the verifier then walks its loop once and not once for every state of its
 * callers.
 */
__noinline u32 walk_path(u64 dentry_at, u64 vfs_at, u64 at)
{
	struct dentry *dentry = typed(struct dentry, dentry_at);
	struct vfsmount *vfs = typed(struct vfsmount, vfs_at);
	u64 mnt_offset = bpf_core_field_offset(struct mount, mnt), off = at;
	u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (!s)
		return 0;
	for (int i = 0; i < PATH_PARTS; i++) {
		struct dentry *parent, *top;
		const unsigned char *name;
		u64 place;
		long n;

		if (!dentry)
			return off - at;
		parent = READ(dentry, d_parent);
		top = READ(vfs, mnt_root);
		if (dentry == top || (dentry == parent && i)) {
			struct mount *mount = typed(struct mount, (u64)vfs - mnt_offset);
			struct mount *above = READ(mount, mnt_parent);

			if (above == mount || !above || dentry != top)
				break;
			dentry = READ(mount, mnt_mountpoint);
			vfs = typed(struct vfsmount, (u64)above + mnt_offset);
			continue;
		}
		if (off >= TEXT_END)
			break;
		name = READ(dentry, d_name.name);
		place = off;
		opaque(place);
		place &= TEXT_END - 1;
		n = bpf_probe_read_kernel_str(s->bytes + place, NAME_BYTES, name);
		if (n <= 0 || n > NAME_BYTES)
			break;
		off += n;
		if (dentry == parent)
			break;
		dentry = parent;
	}
	if (off == at && at < TEXT_END) {
		/* The root itself; or a file mounted on nothing (a runtime's sealed copy of itself): a name and no place. */
		const unsigned char *name = READ(dentry, d_name.name);
		long n;

		opaque(at);
		n = bpf_probe_read_kernel_str(s->bytes + (at & (TEXT_END - 1)), NAME_BYTES, name);
		return n > 0 && n <= NAME_BYTES ? n : 0;
	}
	return off - at;
}

static __always_inline u32 append_path(struct scratch *s, u64 *at, struct dentry *dentry, struct vfsmount *vfs)
{
	u32 n = walk_path(address(s, dentry), address(s, vfs), *at);

	*at += n;
	return n;
}

/* Whether the process's root is not that of its mount namespace: then absolute paths that it gives begin there. */
static __always_inline bool chrooted(struct fs_struct *fs)
{
	struct vfsmount *vfs = READ(fs, root.mnt);
	struct mount *mount = typed(struct mount, (u64)vfs - bpf_core_field_offset(struct mount, mnt)), *above, *top;

	if (READ(fs, root.dentry) != READ(vfs, mnt_root))
		return true;
	above = READ(mount, mnt_parent);
	top = READ(above, mnt_parent);
	return above != mount && above != top;
}

/* The overlay's inode is followed by the dentry in the upper (writable) layer, NULL while the image's file is used. */
static __always_inline bool in_upper_layer(struct inode *inode)
{
	struct dentry *upper = NULL;

	bpf_probe_read_kernel(&upper, sizeof(upper), (void *)((u64)inode + bpf_core_type_size(struct inode)));
	return upper != NULL;
}

static __always_inline u8 origin_of(struct task_struct *task, struct inode *inode, struct dentry *dentry,
				    struct vfsmount *vfs, u32 mnt_ns)
{
	u64 magic = READ(inode, i_sb, s_magic);

	if (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC) {
		char name[8] = {};

		bpf_probe_read_kernel(name, 6, READ(dentry, d_name.name));
		if (*(u32 *)name == 0x666d656d && name[4] == 'd' && name[5] == ':' &&
		    READ(dentry, d_parent) == dentry)
			return ORIGIN_MEMFD;
	}
	if (mnt_ns == options.host_mnt_ns)
		return ORIGIN_HOST;
	if (magic == OVERLAYFS_MAGIC)
		return in_upper_layer(inode) ? ORIGIN_UPPER : ORIGIN_IMAGE;
	if (magic == TMPFS_MAGIC)
		return ORIGIN_TMPFS;
	return vfs == READ(task, fs, root.mnt) ? ORIGIN_UNKNOWN : ORIGIN_BIND;
}

static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct fdtable *table = READ(task, files, fdt);
	struct file **files = READ(table, fd), *file = NULL;

	if (fd >= READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return typed(struct file, file);
}

static __always_inline struct sock *sock_of(struct task_struct *task, u32 fd)
{
	struct file *file = file_of(task, fd);
	struct socket *socket;

	if (!file || (READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = typed(struct socket, READ(file, private_data));
	return READ(socket, sk);
}

static __always_inline void read_address(struct address *to, struct sock *sk, bool peer)
{
	u16 family = READ(sk, __sk_common.skc_family);

	__builtin_memset(to, 0, sizeof(*to));
	to->family = family;
	to->port = peer ? bpf_ntohs(READ(sk, __sk_common.skc_dport)) : READ(sk, __sk_common.skc_num);
	if (family == 10) {
		struct in6_addr *from = (void *)((u64)sk + (peer ? bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr)
						 : bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr)));

		bpf_probe_read_kernel(to->bytes, 16, from);
	} else if (family == 2) {
		u32 v4 = peer ? READ(sk, __sk_common.skc_daddr) : READ(sk, __sk_common.skc_rcv_saddr);

		__builtin_memcpy(to->bytes, &v4, 4);
	}
}

static __always_inline u64 address_subject(const struct address *a)
{
	const u64 *halves = (const void *)a->bytes;

	return halves[0] * 0x9e3779b97f4a7c15ULL ^ halves[1] ^ (u64)a->port << 32 ^ a->family;
}

static __always_inline u32 device_of(struct inode *inode)
{
	return READ(inode, i_sb, s_dev);
}

static __always_inline void send_kernel(void *ring, struct task_struct *task, u64 cgroup, u16 kind, u32 call, long ret,
					u64 value, u64 size_bytes, u32 target_pid, u64 text, bool user_text)
{
	u64 at = sizeof(struct kernel_record);
	struct kernel_record *r;
	struct scratch *s = take_scratch(0);

	if (!s) {
		count_loss(kind);
		return;
	}
	r = &s->kernel;
	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, kind);
	r->head.result = ret < 0 ? ret : 0;
	r->operation = call;
	r->value = value;
	r->size_bytes = size_bytes;
	r->target_pid = target_pid;
	if (text)
		r->text_bytes = append_text(s, &at, 512, (void *)text, user_text);
	send(s, ring, at);
}

#endif
