// SPDX-License-Identifier: GPL-2.0
/*
 * What processes ask of the kernel, seen when the system call returns: then paths and addresses can be read from the
 * kernel's own objects (the opened file, the connected socket) instead of memory that the process may change, and the
 * result is known. One small program decides by the call's number; the rest are reached from it by tail call.
 */
#include "seawall.h"
#include "calls.h"

char LICENSE[] SEC("license") = "GPL";

#define AT_FDCWD -100
#define EPERM 1
#define EACCES 13
#define EROFS 30
#define ECONNREFUSED 111
#define EINPROGRESS 115
#define TCP_CLOSE 7
#define O_CREAT 0100
#define O_TRUNC 01000
#define FMODE_WRITE 2
#define FMODE_PATH 0x4000
#define FMODE_CREATED 0x100000
#define NAMESPACES 0x7e020080
#define UTIME_OMIT 0x3ffffffe	/* and UTIME_NOW, one more */
#define FS_REQUIRES_DEV 1

struct proc_ns_operations___6_17 {
	int type;
} __attribute__((preserve_access_index));

struct ns_common___6_17 {
	struct proc_ns_operations___6_17 *ops;
} __attribute__((preserve_access_index));

/*
 * Since 4.17; typed since 5.5. Turns the slow path of every system call on, so it is left out when no rule needs it, and where
 * the kernel has trampolines (ends.bpf.c).
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	u64 number = number_of(regs);
	u32 call;

	if (number >= NUMBERS)
		return 0;
	opaque(number);
	number &= NUMBERS - 1;
	/* Either table: most calls are in neither, and asking which one applies costs more than both look-ups. */
	call = call_table.native[number] | call_table.compat[number];
	if (likely(!call))
		return 0;
	call = call_of(regs, is_compat(current_task()));
	if (call)
		bpf_tail_call(ctx, &handlers, call);
	return 0;
}

static __always_inline bool is_self(void)
{
	return bpf_get_current_pid_tgid() >> 32 == options.self_pid;
}

/* Privileges that no call gave: a mark of a kernel exploit. Looked for where an event is sent anyway. */
static __always_inline void check_gain(const struct head *head)
{
	struct credentials now = { .start_ns = head->start_ns, .caps = head->caps, .euid = head->euid,
				   .user_ns = head->user_ns };
	struct credentials *before;
	struct kernel_record *r;
	u32 pid = head->pid;

	before = bpf_map_lookup_elem(&known_credentials, &pid);
	if (!before || before->start_ns != now.start_ns) {
		bpf_map_update_elem(&known_credentials, &pid, &now, BPF_ANY);
		return;
	}
	if (likely(before->euid == now.euid && !(now.caps & ~before->caps)) || before->user_ns != now.user_ns)
		return;
	if ((now.euid == 0 && before->euid) || (now.caps & ~before->caps)) {
		r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
		if (r) {
			__builtin_memset(r, 0, sizeof(*r));
			r->head = *head;
			r->head.kind = KIND_CREDENTIALS;
			r->head.size = sizeof(*r);
			r->head.result = 0;
			r->operation = CALL_NONE;
			r->previous_caps = before->caps;
			r->previous_uid = before->euid;
			r->previous_euid = before->euid;
			bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
		} else {
			count_loss(KIND_CREDENTIALS);
		}
	}
	bpf_map_update_elem(&known_credentials, &pid, &now, BPF_ANY);
}

static __always_inline struct file_record *start_file(struct scratch *s, struct task_struct *task, u64 cgroup, u16 kind,
						      u32 call, long ret)
{
	struct file_record *r = &s->file;

	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, kind);
	r->head.result = ret < 0 ? ret : 0;
	r->operation = call;
	r->previous_mode = -1;
	return r;
}

#include "syscalls_files.h"
#include "syscalls_network.h"
#include "syscalls_kernel.h"
