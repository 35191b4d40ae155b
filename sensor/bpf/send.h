/* SPDX-License-Identifier: GPL-2.0 */
/* Which events are wanted, counted or lost, and the way of a record to user space. */
#ifndef SEAWALL_SEND_H
#define SEAWALL_SEND_H

#include "read.h"

#define FOLD_BURST 32
#define WAKEUP_BYTES (512 << 10)
#define WAKEUP_WINDOW (16 << 10)

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
