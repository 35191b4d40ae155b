/* SPDX-License-Identifier: GPL-2.0 */
/* System calls that reach into the kernel, namespaces, credentials or other processes. A part of syscalls.bpf.c. */
#ifndef SEAWALL_SYSCALLS_KERNEL_H
#define SEAWALL_SYSCALLS_KERNEL_H

/* Calls that reach into another process, into namespaces, or into the kernel. Refused attempts count. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_kernel, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	bool compat = is_compat(task);
	u32 call = call_of(regs, compat), kind, count, target = 0;
	u64 cgroup, value = argument(regs, compat, 0), size = 0, text = 0, inner = 0;
	bool user_text = true;
	struct file *file;

	if (is_self())
		return 0;
	switch (call) {
	case CALL_PTRACE:
		/* traceme, peek, poke, kill, regs, attach, seize, register sets; not the debugger's cont and step. */
		if (value > 6 && value != 12 && value != 13 && value != 16 && (value < 0x4204 || value > 0x4206))
			return 0;
		kind = KIND_PTRACE;
		target = argument(regs, compat, 1);
		if (ret == 0 && (value == 16 || value == 0x4206)) {
			/* The newest tracee: its pid in our namespace, while the argument is in the caller's. */
			struct list_head *first = READ(task, ptraced.next);
			struct task_struct *tracee =
				typed(struct task_struct, (u64)first - bpf_core_field_offset(struct task_struct, ptrace_entry));

			inner = READ(tracee, tgid);
		}
		break;
	case CALL_SETNS:
		kind = KIND_NAMESPACE;
		value = argument(regs, compat, 1);
		file = file_of(task, argument(regs, compat, 0));
		if (!value && file) {
			struct ns_common *ns = typed(struct ns_common, READ(file, f_inode, i_private));
			struct ns_common___6_17 *old = (void *)ns;

			/* The kind of a namespace moved from its operations into itself in 6.18. */
			value = bpf_core_field_exists(ns->ns_type) ? READ(ns, ns_type)
								   : (u32)READ(old, ops, type);
		}
		break;
	case CALL_UNSHARE:
		kind = KIND_NAMESPACE;
		if (!(value & NAMESPACES))
			return 0;
		break;
	case CALL_CLONE3:
		bpf_probe_read_user(&inner, sizeof(inner), (void *)value);
		value = inner;
		inner = 0;
		/* fall through */
	case CALL_CLONE:
		kind = KIND_NAMESPACE;
		/* The low byte of clone's flags is a signal, so a new time namespace comes through clone3 only. */
		if (!ret || !(value & (call == CALL_CLONE ? NAMESPACES & ~0xff : NAMESPACES)))
			return 0;
		break;
	case CALL_INIT_MODULE:
		kind = KIND_MODULE;
		text = argument(regs, compat, 2);
		value = 0;
		break;
	case CALL_FINIT_MODULE:
		kind = KIND_MODULE;
		file = file_of(task, value);
		text = file ? (u64)READ(file, f_path.dentry, d_name.name) : 0;
		user_text = false;
		value = 0;
		break;
	case CALL_DELETE_MODULE:
		kind = KIND_MODULE;
		text = value;
		value = 0;
		break;
	case CALL_BPF:
		if (value != 5)		/* BPF_PROG_LOAD */
			return 0;
		kind = KIND_BPF;
		value = 0;
		text = argument(regs, compat, 1);
		bpf_probe_read_user(&value, 4, (void *)text);
		text += 48;		/* prog_name, linux/bpf.h */
		break;
	case CALL_IO_URING_SETUP:
		if (ret >= 0)
			return 0;	/* iouring.bpf.c sees rings that were made */
		kind = KIND_IO_URING;
		break;
	case CALL_USERFAULTFD:
	case CALL_KEXEC_LOAD:
	case CALL_KEXEC_FILE_LOAD:
		kind = KIND_KERNEL_CALL;
		break;
	case CALL_PIDFD_GETFD:
		kind = KIND_KERNEL_CALL;
		file = file_of(task, value);
		if (file && ret != -9) {	/* EBADF: it is no pidfd */
			/* In the file until 6.9, then in its inode. */
			u64 pid = (u64)READ(file, private_data);

			if (!pid)
				pid = (u64)READ(file, f_inode, i_private);
			bpf_probe_read_kernel(&target, sizeof(target), (void *)pid + bpf_core_field_offset(struct pid, numbers));
		}
		value = argument(regs, compat, 1);
		break;
	case CALL_VM_WRITEV:
		kind = KIND_VM_WRITE;
		target = value;
		size = ret > 0 ? ret : 0;
		break;
	default:
		return 0;
	}
	cgroup = cgroup_of(task);
	if (!wanted(kind, cgroup))
		return 0;
	if ((kind == KIND_PTRACE || kind == KIND_VM_WRITE) &&
	    folded((u64)target << 32 | value, actor_of(bpf_get_current_pid_tgid() >> 32, kind, call),
		   bpf_ktime_get_boot_ns(), &count))
		return 0;
	send_kernel(&event_ring, task, cgroup, kind, call, ret, kind == KIND_PTRACE ? value | inner << 32 : value, size, target, text,
		    user_text);
	if (kind == KIND_NAMESPACE) {
		/* A new user namespace brings every capability: that is no gain out of nothing. */
		u32 pid = bpf_get_current_pid_tgid() >> 32;

		bpf_map_delete_elem(&known_credentials, &pid);
	}
	return 0;
}

/* setuid and its kin, setgid, capset: sent when something really changed. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_credentials, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	u32 call = call_of(regs, is_compat(task)), pid = bpf_get_current_pid_tgid() >> 32;
	const struct cred *cred = READ(task, cred);
	struct credentials now = { .start_ns = start_of(task), .caps = caps_of(cred), .euid = READ(cred, euid.val),
				   .user_ns = READ(cred, user_ns, ns.inum) };
	struct credentials *before, old = {};
	struct kernel_record *r;
	struct scratch *s;
	u64 cgroup;

	if (ret < 0 || is_self())
		return 0;
	before = bpf_map_lookup_elem(&known_credentials, &pid);
	if (before)
		old = *before;
	bpf_map_update_elem(&known_credentials, &pid, &now, BPF_ANY);
	if (!before || old.start_ns != now.start_ns || (old.caps == now.caps && old.euid == now.euid))
		return 0;
	cgroup = cgroup_of(task);
	if (!wanted(KIND_CREDENTIALS, cgroup))
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_CREDENTIALS);
		return 0;
	}
	r = &s->kernel;
	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, KIND_CREDENTIALS);
	r->operation = call;
	r->previous_caps = old.caps;
	r->previous_uid = old.euid;
	r->previous_euid = old.euid;
	send(s, &event_ring, sizeof(*r));
	return 0;
}

/* A module that was really loaded, by whatever way. Since 2.6.30. */
SEC("tp_btf/module_load")
int BPF_PROG(on_module_load, struct module *module)
{
	struct task_struct *task = current_task();
	u64 cgroup = cgroup_of(task);

	if (wanted(KIND_MODULE, cgroup))
		send_kernel(&event_ring, task, cgroup, KIND_MODULE, CALL_NONE, 0, 0, 0, 0, (u64)module->name, false);
	return 0;
}

#endif
