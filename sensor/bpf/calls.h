/* SPDX-License-Identifier: GPL-2.0 */
/* System calls by what they do, the same on every architecture. Numbers come from user space (seawall_sensor/calls.py). */
#ifndef SEAWALL_CALLS_H
#define SEAWALL_CALLS_H

enum call {
	CALL_NONE = 0,
	CALL_OPEN = 1,
	CALL_CREAT = 2,
	CALL_OPENAT = 3,
	CALL_OPENAT2 = 4,
	CALL_OPEN_BY_HANDLE = 5,
	CALL_TRUNCATE = 6,
	CALL_UNLINK = 7,
	CALL_UNLINKAT = 8,
	CALL_RMDIR = 9,
	CALL_RENAME = 10,
	CALL_RENAMEAT = 11,
	CALL_LINK = 12,
	CALL_LINKAT = 13,
	CALL_SYMLINK = 14,
	CALL_SYMLINKAT = 15,
	CALL_CHMOD = 16,
	CALL_FCHMOD = 17,
	CALL_FCHMODAT = 18,
	CALL_MOUNT = 19,
	CALL_UMOUNT = 20,
	CALL_MOVE_MOUNT = 21,
	CALL_PIVOT_ROOT = 22,
	CALL_CONNECT = 23,
	CALL_ACCEPT = 24,
	CALL_LISTEN = 25,
	CALL_SOCKET = 26,
	CALL_PTRACE = 27,
	CALL_SETNS = 28,
	CALL_UNSHARE = 29,
	CALL_CLONE = 30,
	CALL_CLONE3 = 31,
	CALL_CAPSET = 32,
	CALL_SETUID = 33,
	CALL_SETGID = 34,
	CALL_INIT_MODULE = 35,
	CALL_FINIT_MODULE = 36,
	CALL_DELETE_MODULE = 37,
	CALL_BPF = 38,
	CALL_IO_URING_SETUP = 39,
	CALL_VM_WRITEV = 40,
	CALL_FTRUNCATE = 41,
	CALL_UTIME = 42,
	CALL_UTIMES = 43,
	CALL_FUTIMESAT = 44,
	CALL_UTIMENSAT = 45,
	CALL_SETXATTR = 46,
	CALL_FSETXATTR = 47,
	CALL_SETXATTRAT = 48,
	CALL_FSMOUNT = 49,
	CALL_USERFAULTFD = 50,
	CALL_PIDFD_GETFD = 51,
	CALL_KEXEC_LOAD = 52,
	CALL_KEXEC_FILE_LOAD = 53,
	CALLS = 64,
};

#define NUMBERS 512

struct call_table {
	u8 native[NUMBERS];
	u8 compat[NUMBERS];	/* 32-bit programs have numbers of their own: without them they would be a way round */
};

/* By enum call. Programs of one kind only: those of the tracepoint, or those of the functions' ends. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, u32);
	__type(value, u32);
} handlers SEC(".maps");

const volatile struct call_table call_table SEC(".rodata.calls") = {};

#if defined(__TARGET_ARCH_arm64)
struct pt_regs___call {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
} __attribute__((preserve_access_index));
struct thread_info___call {
	unsigned long flags;
} __attribute__((preserve_access_index));
struct task_struct___call {
	struct thread_info___call thread_info;
} __attribute__((preserve_access_index));
#define THREAD_IS_32BIT (1 << 22)
#else
#define THREAD_IS_32BIT 2	/* TS_COMPAT in thread_info.status */
#endif

static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_arm64)
	struct task_struct___call *t = (void *)task;

	return READ(t, thread_info.flags) & THREAD_IS_32BIT;
#else
	return READ(task, thread_info.status) & THREAD_IS_32BIT;
#endif
}

static __always_inline u32 number_of(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_arm64)
	return ((struct pt_regs___call *)regs)->syscallno;
#else
	return regs->orig_ax;
#endif
}

static __always_inline u32 call_of(struct pt_regs *regs, bool compat)
{
	u64 number = number_of(regs);

	if (number >= NUMBERS)
		return CALL_NONE;
	opaque(number);
	number &= NUMBERS - 1;
	return compat ? call_table.compat[number] : call_table.native[number];
}

/* Argument `n` of the call; after it, because registers other than the result's keep their values. */
static __always_inline u64 argument(struct pt_regs *regs, bool compat, int n)
{
#if defined(__TARGET_ARCH_arm64)
	struct pt_regs___call *r = (void *)regs;
	u64 value;

	switch (n) {	/* the first one's register was overwritten by the result */
	case 0: value = r->orig_x0; break;
	case 1: value = r->regs[1]; break;
	case 2: value = r->regs[2]; break;
	case 3: value = r->regs[3]; break;
	default: value = r->regs[4]; break;
	}
	return compat ? (u32)value : value;
#else
	if (compat) {
		switch (n) {
		case 0: return (u32)regs->bx;
		case 1: return (u32)regs->cx;
		case 2: return (u32)regs->dx;
		case 3: return (u32)regs->si;
		default: return (u32)regs->di;
		}
	}
	switch (n) {
	case 0: return regs->di;
	case 1: return regs->si;
	case 2: return regs->dx;
	case 3: return regs->r10;
	default: return regs->r8;
	}
#endif
}

#endif
