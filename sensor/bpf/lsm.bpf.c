// SPDX-License-Identifier: GPL-2.0
/* Blocking before anything of a program ran. Called only where "bpf" is among the kernel's security modules. */
#include "seawall.h"

char LICENSE[] SEC("license") = "GPL";

/* The last word on an exec; for a script it is asked for the script and again for its interpreter. Since 5.7. */
SEC("lsm/bprm_check_security")
int BPF_PROG(may_exec, struct linux_binprm *bprm, int before)
{
	struct task_struct *task = current_task();
	struct control *c;
	struct listed_key key = {};
	struct policy *policy;
	struct dentry *dentry;
	struct inode *inode;
	struct vfsmount *vfs;
	struct file_record *r;
	struct scratch *s;
	u64 cgroup, at = sizeof(struct file_record);
	u32 zero = 0, mnt_ns;
	u8 origin, action = 0, reason = 0;

	if (before)
		return before;
	c = bpf_map_lookup_elem(&control, &zero);
	if (!c || !c->enforcing || bpf_get_current_pid_tgid() >> 32 == options.self_pid)
		return 0;
	cgroup = cgroup_of(task);
	policy = bpf_map_lookup_elem(&policies, &cgroup);
	if (!policy)
		return 0;
	inode = READ(bprm, file, f_inode);
	dentry = READ(bprm, file, f_path.dentry);
	vfs = READ(bprm, file, f_path.mnt);
	mnt_ns = READ(task, nsproxy, mnt_ns, ns.inum);
	if (on_its_way_in(task, cgroup, mnt_ns))
		return 0;
	origin = origin_of(task, inode, dentry, vfs, mnt_ns);
	if (policy->drift == ACTION_BLOCK && origin >= ORIGIN_UPPER && origin <= ORIGIN_BIND) {
		action = ACTION_BLOCK;
		reason = REASON_DRIFT;
	}
	if (!action && policy->listed == ACTION_BLOCK) {
		key.policy = policy->id;
		bpf_probe_read_kernel_str(key.name, sizeof(key.name), READ(dentry, d_name.name));
		if (bpf_map_lookup_elem(&listed_names, &key)) {
			action = ACTION_BLOCK;
			reason = REASON_LISTED;
		}
	}
	if (!action)
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_ENFORCED);
		return -1;
	}
	r = &s->file;
	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, KIND_ENFORCED);
	r->head.result = action;
	r->operation = reason;
	r->origin = origin;
	r->inode = policy->id;
	r->path_bytes = append_path(s, &at, dentry, vfs);
	send(s, &event_ring, at);
	return -1;	/* EPERM */
}
