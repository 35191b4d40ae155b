// SPDX-License-Identifier: GPL-2.0
/* What cgroups are there, and what their sockets send: DNS from packets, datagrams, blocked peers. */
#include "seawall.h"

char LICENSE[] SEC("license") = "GPL";

#define DNS_PORT 53
#define DNS_PACKET_BYTES 40	/* the least: headers of IPv4, UDP and DNS */
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define ETIMEDOUT 110
#define ALLOW 1
#define DENY 0

/* Who asked, by socket cookie: an answer arrives while any process runs. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct head);
} dns_askers SEC(".maps");

static __always_inline void send_dns(struct __sk_buff *skb, struct address *server, u16 transport, u32 offset, bool answer)
{
	u64 cookie = bpf_get_socket_cookie(skb), cgroup;
	struct task_struct *task;
	struct dns_record *r;
	struct head *asker, copy;
	u64 length;

	if (skb->len <= offset)
		return;
	length = skb->len - offset;
	r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
	if (!r) {
		count_loss(KIND_DNS);
		return;
	}
	if (answer) {
		asker = bpf_map_lookup_elem(&dns_askers, &cookie);
		if (!asker)
			goto discard;
		r->head = *asker;
		r->head.ts_ns = bpf_ktime_get_boot_ns();
	} else {
		task = current_task();
		cgroup = cgroup_of(task);
		if (!wanted(KIND_DNS, cgroup))
			goto discard;
		fill_head(&r->head, task, cgroup, KIND_DNS);
		if (r->head.pid == options.self_pid)
			goto discard;
		/* From the stack: a map takes no value out of a ring's memory before 6.2. */
		copy = r->head;
		bpf_map_update_elem(&dns_askers, &cookie, &copy, BPF_ANY);
	}
	r->head.kind = KIND_DNS;
	r->head.size = sizeof(*r);
	r->server = *server;
	r->transport = transport;
	r->answer = answer;
	r->payload_bytes = length;
	if (length > DNS_BYTES)
		length = DNS_BYTES;
	/* One less and one more: a mask is what every verifier takes as proof that it is 1 to DNS_BYTES. */
	length -= 1;
	opaque(length);
	length &= DNS_BYTES - 1;
	if (bpf_skb_load_bytes(skb, offset, r->payload, length + 1))
		goto discard;
	bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
	return;
discard:
	bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
}

/* Whether a packet can be DNS, by its bytes where they lie: all packets of the node come by here. */
static __always_inline bool may_be_dns(struct __sk_buff *skb, bool answer)
{
	u8 *data = (void *)(u64)skb->data, *end = (void *)(u64)skb->data_end, *transport = data;

	if (skb->len < DNS_PACKET_BYTES)
		return false;
	if (data + DNS_PACKET_BYTES > end)
		return true;	/* not in one piece: the look-up by helper decides */
	transport += data[0] >> 4 == 4 ? (data[0] & 15) * 4 : 40;
	if (transport + 4 > end)
		return true;
	return *(u16 *)(transport + (answer ? 0 : 2)) == bpf_htons(DNS_PORT);
}

static __always_inline void look_for_dns(struct __sk_buff *skb, bool answer)
{
	struct address server = {};
	u8 first, protocol, doff;
	u32 offset;
	u16 ports[2];

	if (likely(!may_be_dns(skb, answer)) || bpf_skb_load_bytes(skb, 0, &first, 1))
		return;
	if (first >> 4 == 4) {
		offset = (first & 15) * 4;
		if (bpf_skb_load_bytes(skb, 9, &protocol, 1))
			return;
	} else {
		offset = 40;
		if (bpf_skb_load_bytes(skb, 6, &protocol, 1))
			return;
	}
	if ((protocol != 17 && protocol != 6) || bpf_skb_load_bytes(skb, offset, ports, 4) ||
	    likely(bpf_ntohs(ports[!answer]) != DNS_PORT))
		return;
	server.port = DNS_PORT;
	if (first >> 4 == 4) {
		server.family = 2;
		bpf_skb_load_bytes(skb, answer ? 12 : 16, server.bytes, 4);
	} else {
		server.family = 10;
		bpf_skb_load_bytes(skb, answer ? 8 : 24, server.bytes, 16);
	}
	if (protocol == 17) {
		offset += 8;
	} else {
		if (bpf_skb_load_bytes(skb, offset + 12, &doff, 1))
			return;
		offset += (doff >> 4) * 4;
	}
	send_dns(skb, &server, protocol, offset, answer);
}

/* The packet as it leaves the socket, in the context of the sender: what is sent, not what memory held. Since 4.10. */
SEC("cgroup_skb/egress")
int dns_questions(struct __sk_buff *skb)
{
	look_for_dns(skb, false);
	return ALLOW;
}

SEC("cgroup_skb/ingress")
int dns_answers(struct __sk_buff *skb)
{
	look_for_dns(skb, true);
	return ALLOW;
}

static __always_inline bool denies(struct network_rule *rule, u16 port)
{
	for (int i = 0; i < PORT_RANGES; i++) {
		struct port_range *range = &rule->ranges[i];

		if (!range->used)
			break;
		if (port >= range->low && port <= range->high)
			return range->deny;
	}
	return false;
}

/* What the policy of the calling process's cgroup says of this peer. */
static __always_inline int judge(struct address *peer, u16 protocol)
{
	struct task_struct *task = current_task();
	u32 zero = 0, address_bits = peer->family == 2 ? 32 : 128;
	struct network_rule *rule;
	struct control *c = bpf_map_lookup_elem(&control, &zero);
	struct network_key key = {};
	struct policy *policy;
	struct net_record *r;
	u64 cgroup;

	/* A policy that selects every container never cuts the sensor's own delivery. */
	if (!c || !c->enforcing || bpf_get_current_pid_tgid() >> 32 == options.self_pid)
		return ALLOW;
	cgroup = cgroup_of(task);
	policy = bpf_map_lookup_elem(&policies, &cgroup);
	if (!policy || !policy->network)
		return ALLOW;
	key.prefix_bits = 48 + address_bits;
	key.policy = policy->id;
	key.family = peer->family;
	__builtin_memcpy(key.bytes, peer->bytes, 16);
	rule = bpf_map_lookup_elem(&blocked_networks, &key);
	if (!rule || !denies(rule, peer->port))
		return ALLOW;
	r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
	if (r) {
		__builtin_memset(r, 0, sizeof(*r));
		fill_head(&r->head, task, cgroup, KIND_BLOCKED);
		r->head.size = sizeof(*r);
		r->head.result = policy->network;
		r->sent_bytes = policy->id;
		r->peer = *peer;
		r->protocol = protocol;
		bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
	} else {
		count_loss(KIND_BLOCKED);
	}
	return policy->network == ACTION_AUDIT ? ALLOW : DENY;
}

static __always_inline void datagram(struct address *peer)
{
	struct task_struct *task = current_task();
	u64 cgroup = cgroup_of(task);
	struct net_record *r;
	u32 count = 1, pid = READ(task, tgid);

	if (!wanted(KIND_UDP_SEND, cgroup) || pid == options.self_pid)
		return;
	if (folded(address_subject(peer), actor_of(pid, KIND_UDP_SEND, 0), bpf_ktime_get_boot_ns(), &count))
		return;
	r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
	if (!r) {
		count_loss(KIND_UDP_SEND);
		return;
	}
	__builtin_memset(r, 0, sizeof(*r));
	fill_head(&r->head, task, cgroup, KIND_UDP_SEND);
	r->head.count = count;
	r->head.size = sizeof(*r);
	r->peer = *peer;
	r->protocol = 17;
	bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
}

static __always_inline void peer_of(struct bpf_sock_addr *ctx, struct address *peer, bool v6)
{
	peer->port = bpf_ntohs(ctx->user_port);
	if (v6) {
		u32 *words = (void *)peer->bytes;

		peer->family = 10;
		words[0] = ctx->user_ip6[0];
		words[1] = ctx->user_ip6[1];
		words[2] = ctx->user_ip6[2];
		words[3] = ctx->user_ip6[3];
		/* An IPv4 peer in the notation of IPv6 is that IPv4 peer. */
		if (!words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
			words[0] = words[3];
			words[2] = 0;
			words[3] = 0;
			peer->family = 2;
		}
	} else {
		u32 v4 = ctx->user_ip4;

		peer->family = 2;
		__builtin_memcpy(peer->bytes, &v4, 4);
	}
}

/* Asked before a connection is made, with the address already in the kernel: a refusal gives EPERM. Since 4.17. */
SEC("cgroup/connect4")
int may_connect4(struct bpf_sock_addr *ctx)
{
	struct address peer = {};

	peer_of(ctx, &peer, false);
	return judge(&peer, ctx->protocol);
}

SEC("cgroup/connect6")
int may_connect6(struct bpf_sock_addr *ctx)
{
	struct address peer = {};

	peer_of(ctx, &peer, true);
	return judge(&peer, ctx->protocol);
}

/* Datagrams of sockets without a fixed peer; those with one were seen when they connected. Since 4.18. */
SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct address peer = {};

	peer_of(ctx, &peer, false);
	datagram(&peer);
	return judge(&peer, 17);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct address peer = {};

	peer_of(ctx, &peer, true);
	datagram(&peer);
	return judge(&peer, 17);
}

/* A connection that its caller did not wait for and that failed: who asked was noted when the call returned. */
static __always_inline void send_failed(struct sock *sk, struct head *owner)
{
	struct net_record *r;

	if (!wanted(KIND_CONNECT, owner->cgroup))
		return;
	r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
	if (!r) {
		count_loss(KIND_CONNECT);
		return;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->head = *owner;
	r->head.kind = KIND_CONNECT;
	r->head.count = 1;
	r->head.size = sizeof(*r);
	r->head.ts_ns = bpf_ktime_get_boot_ns();
	r->head.result = -(READ(sk, sk_err) ?: ETIMEDOUT);
	r->protocol = 6;
	read_address(&r->peer, sk, true);
	read_address(&r->local, sk, false);
	bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
}

/* The end of a connection says how much went over it. Often in an interrupt, so the owner was noted before. Since 4.16. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_socket_state, const struct sock *sk, const int old_state, const int new_state)
{
	struct tcp_sock *tcp = typed(struct tcp_sock, sk);
	struct net_record *r;
	struct head *owner;
	u64 key = (u64)sk, sent, received;

	/* A socket begins: whoever had one at this address before and never closed it within sight is not its owner. */
	if (new_state != TCP_CLOSE && new_state != TCP_SYN_SENT && new_state != TCP_SYN_RECV)
		return 0;
	owner = bpf_map_lookup_elem(&socket_owners, &key);
	if (likely(!owner))
		return 0;
	if (new_state != TCP_CLOSE) {
		bpf_map_delete_elem(&socket_owners, &key);
		return 0;
	}
	if (old_state == TCP_SYN_SENT) {
		send_failed((struct sock *)sk, owner);
		bpf_map_delete_elem(&socket_owners, &key);
		return 0;
	}
	sent = READ(tcp, bytes_sent);
	received = READ(tcp, bytes_received);
	if (sent + received >= options.flow_bytes && wanted(KIND_FLOW, owner->cgroup)) {
		r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
		if (r) {
			__builtin_memset(r, 0, sizeof(*r));
			r->head = *owner;
			r->head.kind = KIND_FLOW;
			r->head.size = sizeof(*r);
			r->head.ts_ns = bpf_ktime_get_boot_ns();
			r->duration_ns = r->head.ts_ns - owner->ts_ns;
			r->sent_bytes = sent;
			r->received_bytes = received;
			r->protocol = 6;
			read_address(&r->peer, (struct sock *)sk, true);
			read_address(&r->local, (struct sock *)sk, false);
			bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
		} else {
			count_loss(KIND_FLOW);
		}
	}
	bpf_map_delete_elem(&socket_owners, &key);
	return 0;
}

/* A container's cgroup comes before its first process and goes after its last one. Since 5.0. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	struct task_struct *task = current_task();

	if (options.kinds >> KIND_CGROUP & 1)
		send_kernel(&process_ring, task, cgroup_of(task), KIND_CGROUP, 1, 0, READ(cgroup, kn, id),
			    READ(cgroup, root, hierarchy_id), 0, (u64)path, false);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	struct task_struct *task = current_task();

	if (options.kinds >> KIND_CGROUP & 1)
		send_kernel(&process_ring, task, cgroup_of(task), KIND_CGROUP, 2, 0, READ(cgroup, kn, id),
			    READ(cgroup, root, hierarchy_id), 0, (u64)path, false);
	return 0;
}
