/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs are told before they load and while they run, and what they remember. */
#ifndef SEAWALL_MAPS_H
#define SEAWALL_MAPS_H

#include "layout.h"

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

#endif
