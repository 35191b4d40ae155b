/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where each member of a record lies, in the order of the formats in seawall_sensor/records.py. The loader compares them with
 * what Python computes from its formats: objects of another version would send records that nobody can read.
 */
#ifndef SEAWALL_LAYOUT_H
#define SEAWALL_LAYOUT_H

#include "records.h"
#include <bpf/bpf_helpers.h>

#define AT(record, member) __builtin_offsetof(struct record, member)

const volatile u16 layout[] SEC(".rodata.layout") = {
	KINDS,
	AT(head, ts_ns), AT(head, start_ns), AT(head, cgroup), AT(head, caps), AT(head, pid), AT(head, tid), AT(head, ppid),
	AT(head, uid), AT(head, euid), AT(head, gid), AT(head, user_ns), AT(head, count), AT(head, comm), AT(head, result),
	AT(head, cpu), AT(head, kind), AT(head, mnt_ns), AT(head, size), sizeof(struct head),

	AT(exec_record, inode), AT(exec_record, size_bytes), AT(exec_record, mtime_s), AT(exec_record, ctime_s),
	AT(exec_record, mtime_ns), AT(exec_record, ctime_ns), AT(exec_record, device), AT(exec_record, mode),
	AT(exec_record, session), AT(exec_record, loginuid), AT(exec_record, ns_pid), AT(exec_record, previous_uid),
	AT(exec_record, origin), AT(exec_record, flags), AT(exec_record, stdio), AT(exec_record, ancestors_count),
	AT(exec_record, path_bytes), AT(exec_record, cwd_bytes), AT(exec_record, asked_bytes), AT(exec_record, args_bytes),
	AT(exec_record, env_bytes), AT(exec_record, peer.bytes), AT(exec_record, peer.family), AT(exec_record, peer.port),
	AT(exec_record, tty), AT(exec_record, stdin_origin), AT(exec_record, ancestors),
	AT(ancestor, start_ns), AT(ancestor, pid), AT(ancestor, uid), AT(ancestor, comm), sizeof(struct ancestor),

	AT(exit_record, cpu_ns), AT(exit_record, code), AT(exit_record, unused), sizeof(struct exit_record),

	AT(file_record, inode), AT(file_record, device), AT(file_record, flags), AT(file_record, mode),
	AT(file_record, previous_mode), AT(file_record, path_bytes), AT(file_record, asked_bytes),
	AT(file_record, target_bytes), AT(file_record, cwd_bytes), AT(file_record, target_cwd_bytes),
	AT(file_record, origin), AT(file_record, operation), AT(file_record, filesystem), sizeof(struct file_record),

	AT(net_record, sent_bytes), AT(net_record, received_bytes), AT(net_record, duration_ns), AT(net_record, peer.bytes),
	AT(net_record, peer.family), AT(net_record, peer.port), AT(net_record, local.bytes), AT(net_record, local.family),
	AT(net_record, local.port), AT(net_record, protocol), AT(net_record, path_bytes), AT(net_record, unused),
	sizeof(struct net_record),

	AT(kernel_record, value), AT(kernel_record, size_bytes), AT(kernel_record, previous_caps),
	AT(kernel_record, target_pid), AT(kernel_record, previous_uid), AT(kernel_record, previous_euid),
	AT(kernel_record, operation), AT(kernel_record, text_bytes), AT(kernel_record, target_cgroup),
	sizeof(struct kernel_record),

	AT(dns_record, server.bytes), AT(dns_record, server.family), AT(dns_record, server.port), AT(dns_record, transport),
	AT(dns_record, payload_bytes), AT(dns_record, answer), AT(dns_record, unused[0]), AT(dns_record, unused[1]),
	AT(dns_record, unused[2]), AT(dns_record, payload),
};

#endif
