/* SPDX-License-Identifier: GPL-2.0 */
/* System calls on sockets. A part of syscalls.bpf.c. */
#ifndef SEAWALL_SYSCALLS_NETWORK_H
#define SEAWALL_SYSCALLS_NETWORK_H

static __always_inline struct net_record *start_net(struct scratch *s, struct task_struct *task, u64 cgroup, u16 kind,
						    long ret)
{
	struct net_record *r = &s->net;

	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, kind);
	r->head.result = ret < 0 ? ret : 0;
	return r;
}

/* From the socket itself; from the caller's memory only when the kernel kept no peer (the call failed at once). */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_connect, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	bool compat = is_compat(task);
	u64 cgroup, key, at = sizeof(struct net_record);
	u32 count = 1, pid = bpf_get_current_pid_tgid() >> 32;
	struct sock *sk = sock_of(task, argument(regs, compat, 0));
	struct address peer = {};
	struct net_record *r;
	struct scratch *s;
	u16 family;
	bool owned;

	if (!sk || is_self())
		return 0;
	family = READ(sk, __sk_common.skc_family);
	cgroup = cgroup_of(task);
	if (family == 1) {
		struct unix_sock *peer_sk = typed(struct unix_sock, READ(typed(struct unix_sock, sk), peer));
		struct dentry *dentry = peer_sk ? READ(peer_sk, path.dentry) : NULL;

		if (!dentry || !(name_flags(NULL, dentry) & 4) || !wanted(KIND_CONNECT, cgroup))
			return 0;
		if (folded((u64)dentry, actor_of(pid, KIND_CONNECT, 0), bpf_ktime_get_boot_ns(), &count))
			return 0;
		s = take_scratch(0);
		if (!s) {
			count_loss(KIND_CONNECT);
			return 0;
		}
		r = start_net(s, task, cgroup, KIND_CONNECT, ret);
		r->head.count = count;
		r->peer.family = family;
		r->path_bytes = append_path(s, &at, dentry, READ(peer_sk, path.mnt));
		send(s, &event_ring, at);
		return 0;
	}
	if ((family != 2 && family != 10) || !wanted(KIND_CONNECT, cgroup))
		return 0;
	/* Refused while the call was still under way: what a caller that does not wait is told later. */
	if (ret == -EINPROGRESS && READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		ret = -(READ(sk, sk_err) ?: ECONNREFUSED);
	read_address(&peer, sk, true);
	if (!peer.port) {
		u64 from = argument(regs, compat, 1);
		u16 asked = 0;

		bpf_probe_read_user(&asked, sizeof(asked), (void *)from);
		if (asked != 2 && asked != 10)
			return 0;
		bpf_probe_read_user(&peer.port, sizeof(peer.port), (void *)(from + 2));
		peer.port = bpf_ntohs(peer.port);
		peer.family = asked;
		if (asked == 2)
			bpf_probe_read_user(peer.bytes, 4, (void *)(from + 4));
		else
			bpf_probe_read_user(peer.bytes, 16, (void *)(from + 8));
	}
	if (folded(address_subject(&peer), actor_of(pid, KIND_CONNECT, ret == 0 || ret == -EINPROGRESS), bpf_ktime_get_boot_ns(),
		   &count))
		count = 0;
	/* Its flow needs an owner, and so does a refusal that comes later. */
	owned = ret == -EINPROGRESS || (ret == 0 && asked_for(KIND_FLOW, cgroup));
	if (!count && !owned)
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_CONNECT);
		return 0;
	}
	r = start_net(s, task, cgroup, KIND_CONNECT, ret);
	key = (u64)sk;
	if (owned)
		bpf_map_update_elem(&socket_owners, &key, &r->head, BPF_ANY);
	if (!count) {
		s->busy = 0;
		return 0;
	}
	r->head.count = count;
	r->peer = peer;
	read_address(&r->local, sk, false);
	r->protocol = READ(sk, sk_protocol);
	check_gain(&r->head);
	send(s, &event_ring, at);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_accept, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	u32 count = 1, pid = bpf_get_current_pid_tgid() >> 32;
	struct address peer, local;
	struct net_record *r;
	struct scratch *s;
	struct sock *sk;
	u64 cgroup, key;
	u16 family;

	if (ret < 0)
		return 0;
	cgroup = cgroup_of(task);
	if (!asked_for(KIND_ACCEPT, cgroup))
		return 0;
	sk = sock_of(task, ret);
	if (!sk)
		return 0;
	family = READ(sk, __sk_common.skc_family);
	if ((family != 2 && family != 10) || !wanted(KIND_ACCEPT, cgroup))
		return 0;
	read_address(&peer, sk, true);
	read_address(&local, sk, false);
	key = address_subject(&peer) ^ (u64)peer.port << 32 ^ (u64)local.port << 48;	/* peers differ in their port */
	if (folded(key, actor_of(pid, KIND_ACCEPT, 0), bpf_ktime_get_boot_ns(), &count))
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_ACCEPT);
		return 0;
	}
	r = start_net(s, task, cgroup, KIND_ACCEPT, ret);
	r->head.count = count;
	r->peer = peer;
	r->local = local;
	r->protocol = READ(sk, sk_protocol);
	send(s, &event_ring, sizeof(*r));
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_listen, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	struct sock *sk = sock_of(task, argument(regs, is_compat(task), 0));
	struct net_record *r;
	struct scratch *s;
	u64 cgroup;
	u16 family;

	if (ret < 0 || !sk)
		return 0;
	family = READ(sk, __sk_common.skc_family);
	cgroup = cgroup_of(task);
	if ((family != 2 && family != 10) || !wanted(KIND_LISTEN, cgroup))
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_LISTEN);
		return 0;
	}
	r = start_net(s, task, cgroup, KIND_LISTEN, ret);
	read_address(&r->local, sk, false);
	r->protocol = READ(sk, sk_protocol);
	send(s, &event_ring, sizeof(*r));
	return 0;
}

/* socket(2): only raw and packet sockets, and ping sockets. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_socket, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	bool compat = is_compat(task);
	u32 family = argument(regs, compat, 0), type = argument(regs, compat, 1) & 15, protocol = argument(regs, compat, 2);
	u64 cgroup;

	if (family != 17 && !((family == 2 || family == 10) && (type == 3 || (type == 2 && (protocol == 1 || protocol == 58)))))
		return 0;
	cgroup = cgroup_of(task);
	if (!wanted(KIND_SOCKET, cgroup) || is_self())
		return 0;
	send_kernel(&event_ring, task, cgroup, KIND_SOCKET, CALL_SOCKET, ret, (u64)family << 32 | type, protocol, 0, 0, false);
	return 0;
}

#endif
