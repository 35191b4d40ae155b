/* SPDX-License-Identifier: GPL-2.0 */
/* Reading of kernel objects, by CO-RE. */
#ifndef SEAWALL_READ_H
#define SEAWALL_READ_H

#include "maps.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

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

/* What stands behind the name's NUL is not told apart here: readers stop there. */
static __always_inline void read_comm(char to[16], struct task_struct *task)
{
	u64 *at = (void *)task->comm, low, high;

	load(low, at);
	load(high, at + 1);
	((u64 *)to)[0] = low;
	((u64 *)to)[1] = high;
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

static __always_inline u32 device_of(struct inode *inode)
{
	return READ(inode, i_sb, s_dev);
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

/* The number behind a typed pointer: functions of their own take nothing else. */
static __always_inline u64 address(struct scratch *s, const void *p)
{
	*(volatile u64 *)&s->address = (u64)p;
	return *(volatile u64 *)&s->address;
}

#endif
