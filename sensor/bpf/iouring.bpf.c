// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that go through an io_uring make no system call of their own. This tracepoint sees each one after the kernel
 * has copied and checked it.
 */
#include "seawall.h"

char LICENSE[] SEC("license") = "GPL";

#define IORING_OP_ACCEPT 13
#define IORING_OP_CONNECT 16
#define IORING_OP_OPENAT 18
#define IORING_OP_OPENAT2 28
#define IORING_OP_RENAMEAT 35
#define IORING_OP_UNLINKAT 36
#define IORING_OP_LINKAT 39
#define IORING_OP_SYMLINKAT 38
#define IORING_OP_MKDIRAT 37
#define IORING_OP_SOCKET 45

/* Where a request keeps a name: a pointer, since 7.0 a structure with nothing but it. Early kernels lack some of them. */
struct delayed_filename___here {
	struct filename *__incomplete_filename;
} __attribute__((preserve_access_index));

#define NAMES(type, member)                                                            \
	struct type##___pointer {                                                      \
		struct filename *member;                                               \
	} __attribute__((preserve_access_index));                                      \
	struct type##___delayed {                                                      \
		struct delayed_filename___here member;                                 \
	} __attribute__((preserve_access_index))
NAMES(io_open, filename);
NAMES(io_unlink, filename);
NAMES(io_rename, oldpath);
NAMES(io_link, oldpath);

#define NAME(type, member, req)                                                        \
	(bpf_core_field_exists(((struct type##___pointer *)0)->member) ?               \
		 READ(typed(struct type##___pointer, req), member) :                   \
	 bpf_core_field_exists(((struct type##___delayed *)0)->member) ?               \
		 READ(typed(struct type##___delayed, req), member.__incomplete_filename) : \
		 NULL)

static __always_inline int on_request(struct io_kiocb *req)
{
	struct task_struct *task = current_task();
	u64 cgroup, at = sizeof(struct net_record);
	u32 opcode = READ(req, opcode);
	struct filename *name = NULL;
	struct net_record *r;
	struct scratch *s;
	u64 flags = 0, from = 0;
	u16 family = 0;

	switch (opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2:
		name = NAME(io_open, filename, req);
		flags = READ(typed(struct io_open, req), how.flags);
		break;
	case IORING_OP_UNLINKAT:
		name = NAME(io_unlink, filename, req);
		break;
	case IORING_OP_RENAMEAT:
		name = NAME(io_rename, oldpath, req);
		break;
	case IORING_OP_LINKAT:
	case IORING_OP_SYMLINKAT:
		name = NAME(io_link, oldpath, req);
		break;
	case IORING_OP_CONNECT:
		from = (u64)READ(typed(struct io_connect, req), addr);
		break;
	case IORING_OP_ACCEPT:
	case IORING_OP_MKDIRAT:
	case IORING_OP_SOCKET:
		break;
	default:
		return 0;	/* reads and writes go to descriptors whose opening was seen */
	}
	cgroup = cgroup_of(task);
	if (!wanted(KIND_IO_URING, cgroup) || bpf_get_current_pid_tgid() >> 32 == options.self_pid)
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_IO_URING);
		return 0;
	}
	r = &s->net;
	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, KIND_IO_URING);
	r->protocol = opcode;
	r->sent_bytes = flags;
	if (from) {
		bpf_probe_read_user(&family, sizeof(family), (void *)from);
		r->peer.family = family;
		bpf_probe_read_user(&r->peer.port, 2, (void *)(from + 2));
		r->peer.port = bpf_ntohs(r->peer.port);
		if (family == 2)
			bpf_probe_read_user(r->peer.bytes, 4, (void *)(from + 4));
		else if (family == 10)
			bpf_probe_read_user(r->peer.bytes, 16, (void *)(from + 8));
	}
	if (name)
		r->path_bytes = append_text(s, &at, 1024, READ(name, name), false);
	send(s, &event_ring, at);
	return 0;
}

/* A ring that was really made, whoever asked for it. Since 5.2. */
SEC("tp_btf/io_uring_create")
int BPF_PROG(on_ring_create, int fd, void *ring, u32 submissions, u32 completions, u32 flags)
{
	struct task_struct *task = current_task();
	u64 cgroup = cgroup_of(task);

	if (wanted(KIND_IO_URING, cgroup) && bpf_get_current_pid_tgid() >> 32 != options.self_pid)
		send_kernel(&event_ring, task, cgroup, KIND_IO_URING, 0, 0, submissions, 0, 0, 0, false);
	return 0;
}

/* Since 6.3. */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_submit_req, struct io_kiocb *req)
{
	return on_request(req);
}

/* 6.0 to 6.2: the same under its older name. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_submit_sqe, struct io_kiocb *req, bool force_nonblock)
{
	return on_request(req);
}

/* 5.14 to 5.19, and 5.10 as it is maintained: the request comes after its ring. Before, it does not come at all. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_submit_to_ring, void *ring, struct io_kiocb *req)
{
	return on_request(req);
}
