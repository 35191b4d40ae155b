// SPDX-License-Identifier: GPL-2.0
/* Processes: fork, exec, exit, and signals between them. */
#include "seawall.h"

char LICENSE[] SEC("license") = "GPL";

#define SIGKILL 9
#define SCRIPT_LOOKS 256	/* files that an interpreter opens for reading: python takes dozens before the script */

static __always_inline u8 stdio_kind(struct task_struct *task, u32 fd, struct address *peer)
{
	struct file *file = file_of(task, fd);
	struct address found = {};
	struct sock *sk;
	u32 mode;

	if (!file)
		return 0;
	mode = READ(file, f_inode, i_mode) & S_IFMT;
	if (mode == S_IFCHR) {
		/* Majors of terminals: 4 and 5 (console, tty), 136 to 143 (Unix98 slaves). */
		u32 major = READ(file, f_inode, i_rdev) >> 20;

		if (major == 4 || major == 5 || (major >= 136 && major <= 143))
			return 15;
		if (READ(file, f_inode, i_rdev) == (1 << 20 | 3))
			return 13;
	}
	if (mode == S_IFSOCK && (sk = sock_of(task, fd))) {
		read_address(&found, sk, true);
		if (found.family == 2 || found.family == 10) {
			if (!peer->family)
				*peer = found;
			return 14;
		}
	}
	return mode >> 12;
}

static __always_inline void read_times(struct exec_record *r, struct inode *inode)
{
	struct inode___6_10 {
		struct timespec64 i_mtime, __i_mtime, i_ctime, __i_ctime;
	} *old = (void *)inode;

	/* i_mtime until 6.6, __i_mtime until 6.10, then two scalars. */
	if (bpf_core_field_exists(inode->i_mtime_sec)) {
		r->mtime_s = READ(inode, i_mtime_sec);
		r->mtime_ns = READ(inode, i_mtime_nsec);
	} else if (bpf_core_field_exists(old->__i_mtime)) {
		r->mtime_s = READ(old, __i_mtime.tv_sec);
		r->mtime_ns = READ(old, __i_mtime.tv_nsec);
	} else {
		r->mtime_s = READ(old, i_mtime.tv_sec);
		r->mtime_ns = READ(old, i_mtime.tv_nsec);
	}
	if (bpf_core_field_exists(inode->i_ctime_sec)) {
		r->ctime_s = READ(inode, i_ctime_sec);
		r->ctime_ns = READ(inode, i_ctime_nsec);
	} else if (bpf_core_field_exists(old->__i_ctime)) {
		r->ctime_s = READ(old, __i_ctime.tv_sec);
		r->ctime_ns = READ(old, __i_ctime.tv_nsec);
	} else {
		r->ctime_s = READ(old, i_ctime.tv_sec);
		r->ctime_ns = READ(old, i_ctime.tv_nsec);
	}
}

static __always_inline u32 own_ns_pid(struct task_struct *task)
{
	struct pid *pid = READ(task, group_leader, thread_pid);
	u32 level = READ(pid, level) & 31, nr = 0;
	u64 at = (u64)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)at);
	return nr;
}

static __always_inline u32 session_of(struct task_struct *task)
{
	struct pid *pid, **at = (void *)READ(task, signal) + bpf_core_field_offset(struct signal_struct, pids) +
				bpf_core_enum_value(enum pid_type, PIDTYPE_SID) * sizeof(void *);
	u32 nr = 0;

	load(pid, at);
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)pid + bpf_core_field_offset(struct pid, numbers));
	return nr;
}

/*
 * An exec that did not raise privileges and yet has an effective root that the process did not have: its credentials
 * were changed by something other than the calls that change credentials.
 */
static __always_inline void check_credentials(struct exec_record *r, u32 ppid)
{
	struct credentials now = { .start_ns = r->head.start_ns, .caps = r->head.caps, .euid = r->head.euid,
				   .user_ns = r->head.user_ns };
	u32 pid = r->head.pid;
	struct credentials *before = bpf_map_lookup_elem(&known_credentials, &pid);

	if (!before || before->start_ns != now.start_ns)
		before = bpf_map_lookup_elem(&known_credentials, &ppid);
	r->previous_uid = before ? before->euid : (u32)-1;
	if (before && before->user_ns != now.user_ns)
		r->previous_uid = -1;
	bpf_map_update_elem(&known_credentials, &pid, &now, BPF_ANY);
}

static __always_inline void enforce(struct scratch *s, struct exec_record *r, u64 cgroup, struct dentry *dentry)
{
	struct policy *policy = bpf_map_lookup_elem(&policies, &cgroup);
	struct listed_key key = {};
	bool drifted = r->origin >= ORIGIN_UPPER && r->origin <= ORIGIN_BIND;
	u8 action = 0;

	if (!policy || r->head.pid == options.self_pid || on_its_way_in(current_task(), cgroup, r->head.mnt_ns))
		return;
	if (drifted)
		action = policy->drift;
	if (!action && policy->listed) {
		key.policy = policy->id;
		bpf_probe_read_kernel_str(key.name, sizeof(key.name), READ(dentry, d_name.name));
		if (bpf_map_lookup_elem(&listed_names, &key))
			action = policy->listed;
	}
	/* Where the LSM hook can block, this point is not reached; elsewhere "block" means: killed before it ran. */
	if (action >= ACTION_KILL) {
		bpf_send_signal(SIGKILL);
		action = ACTION_KILL;
	}
	r->head.result = action;
}

/*
 * By the name of the file without the version at its end: python3.11 is python. A function of its own, so that the
 * verifier walks its loops once.
 */
__noinline u32 is_interpreter(u64 name_at)
{
	struct name_key key = {};
	u32 kept = 0;

	bpf_probe_read_kernel_str(key.name, sizeof(key.name), (void *)name_at);
	/* Without branches, or the verifier would walk every combination of them: each test gives its answer as bit 31. */
	for (u32 i = 0; i < sizeof(key.name); i++) {
		u32 c = (u8)key.name[i], is_version = (c - '0' - 10) & ~(c - '0'), is_dot = (c ^ '.') - 1, is_dash = (c ^ '-') - 1,
		    is_end = c - 1;

		kept |= (~(is_version | is_dot | is_dash | is_end) >> 31) << i;
	}
	kept |= kept >> 1;
	kept |= kept >> 2;
	kept |= kept >> 4;
	kept |= kept >> 8;
	kept |= kept >> 16;
	for (u32 i = 0; i < sizeof(key.name); i++)
		key.name[i] &= -(u8)(kept >> i & 1);
	return bpf_map_lookup_elem(&interpreters, &key) != NULL;
}

static __always_inline u8 file_origin(struct task_struct *task, struct file *file, u32 mnt_ns)
{
	return origin_of(task, READ(file, f_inode), READ(file, f_path.dentry),
			 READ(file, f_path.mnt), mnt_ns);
}

/* What descriptors 0 to 2 are, and the peer of one that is a connection, into the exec record of scratch 0. */
__noinline u32 read_stdio(u64 task_at)
{
	struct task_struct *task = typed(struct task_struct, task_at);
	u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct address peer = {};

	if (!s)
		return 0;
	for (u32 fd = 0; fd < 3; fd++)
		s->exec.stdio[fd] = stdio_kind(task, fd, &peer);
	s->exec.peer = peer;
	return 1;
}

/* Those above a process into the exec record of scratch 0. A function of its own for the verifier's sake. */
__noinline u32 fill_ancestors(u64 task_at)
{
	struct task_struct *up = typed(struct task_struct, task_at);
	u32 zero = 0, count = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (!s)
		return 0;
	for (u32 i = 0; i < ANCESTORS; i++) {
		struct ancestor *a = &s->exec.ancestors[i];

		up = READ(up, real_parent, group_leader);
		if (!up)
			break;
		a->pid = READ(up, tgid);
		if (!a->pid)
			break;
		a->start_ns = READ(up, start_boottime);
		a->uid = READ(up, cred, uid.val);
		read_comm(a->comm, up);
		count = i + 1;
	}
	s->exec.ancestors_count = count;
	return count;
}

/* Fires after the new image is committed: failed execs never appear, arguments can not change any more. Since 3.4. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	u64 cgroup = cgroup_of(task), start, end;
	u64 at = sizeof(struct exec_record);
	u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&control, &zero);
	struct exec_record *r;
	struct mm_struct *mm;
	struct dentry *dentry;
	struct inode *inode;
	struct vfsmount *vfs;
	struct scratch *s;
	struct file *file;

	if (!wanted(KIND_EXEC, cgroup))
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_EXEC);
		return 0;
	}
	r = &s->exec;
	fill_head(&r->head, task, cgroup, KIND_EXEC);
	file = bprm->file;
	inode = READ(file, f_inode);
	dentry = READ(file, f_path.dentry);
	vfs = READ(file, f_path.mnt);
	r->inode = READ(inode, i_ino);
	r->size_bytes = READ(inode, i_size);
	r->device = device_of(inode);
	r->mode = READ(inode, i_mode);
	read_times(r, inode);
	r->session = session_of(task);
	r->loginuid = -1;
	if (bpf_core_field_exists(task->loginuid))
		r->loginuid = READ(task, loginuid.val);
	r->ns_pid = own_ns_pid(task);
	r->origin = origin_of(task, inode, dentry, vfs, r->head.mnt_ns);
	r->flags = 0;
	if (!READ(inode, __i_nlink))
		r->flags |= EXE_DELETED;
	if (BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec))
		r->flags |= EXE_GAINED;
	if (bprm->interp != bprm->filename)
		r->flags |= EXE_SCRIPT;
	read_stdio(bpf_get_current_task());
	__builtin_memset(r->tty, 0, sizeof(r->tty));
	if (READ(task, signal, tty))
		bpf_probe_read_kernel_str(r->tty, sizeof(r->tty), READ(task, signal, tty, name));
	check_credentials(r, r->head.ppid);
	r->stdin_origin = 0;
	if (r->head.mnt_ns != options.host_mnt_ns && is_interpreter(address(s, READ(dentry, d_name.name)))) {
		u32 pid = r->head.pid, looks = SCRIPT_LOOKS;

		bpf_map_update_elem(&script_readers, &pid, &looks, BPF_ANY);
		if (r->stdio[0] == S_IFREG >> 12 && (file = file_of(task, 0)))
			r->stdin_origin = file_origin(task, file, r->head.mnt_ns);
	}

	fill_ancestors(bpf_get_current_task());

	r->path_bytes = append_path(s, &at, dentry, vfs);
	r->cwd_bytes = append_path(s, &at, READ(task, fs, pwd.dentry),
				   READ(task, fs, pwd.mnt));
	r->asked_bytes = append_text(s, &at, 1024, bprm->filename, false);
	mm = task->mm;
	start = mm->arg_start;
	end = mm->arg_end;
	r->args_bytes = 0;
	r->env_bytes = 0;
	if (end > start && at < TEXT_END) {
		u64 length = end - start;

		if (end - start > 8191) {
			length = 8191;
			r->flags |= EXE_ARGS_CUT;
		}
		opaque(length);
		length &= 8191;
		opaque(at);
		at &= TEXT_END - 1;
		if (!bpf_probe_read_user(s->bytes + at, length, (void *)start)) {
			r->args_bytes = length;
			at += length;
		}
	}
	start = mm->env_start;
	end = mm->env_end;
	if (end > start && at < TEXT_END) {
		u64 length = end - start;

		if (end - start > 4095) {
			length = 4095;
			r->flags |= EXE_ENV_CUT;
		}
		opaque(length);
		length &= 4095;
		opaque(at);
		at &= TEXT_END - 1;
		if (!bpf_probe_read_user(s->bytes + at, length, (void *)start)) {
			r->env_bytes = length;
			at += length;
		}
	}
	if (c && c->enforcing)
		enforce(s, r, cgroup, dentry);
	send(s, &process_ring, at);
	return 0;
}

/* Runs for every thread that ends; the last of a process says so through signal->live. Since 2.6. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct exit_record *r;
	u64 cgroup;
	u32 pid = task->tgid;

	if (signal->live.counter)
		return 0;
	bpf_map_delete_elem(&known_credentials, &pid);
	if (READ(task, nsproxy, mnt_ns, ns.inum) != options.host_mnt_ns)
		bpf_map_delete_elem(&script_readers, &pid);
	cgroup = cgroup_of(task);
	if (!wanted(KIND_EXIT, cgroup))
		return 0;
	r = bpf_ringbuf_reserve(&process_ring, sizeof(*r), 0);
	if (!r) {
		count_loss(KIND_EXIT);
		return 0;
	}
	fill_head(&r->head, task, cgroup, KIND_EXIT);
	r->head.size = sizeof(*r);
	r->cpu_ns = task->utime + task->stime + signal->utime + signal->stime;
	r->code = signal->flags & 4 /* SIGNAL_GROUP_EXIT */ ? signal->group_exit_code : task->exit_code;
	r->unused = 0;
	bpf_ringbuf_submit(r, wakeup_flags(&process_ring));
	return 0;
}

/* Only where a rule wants forks: user space fills gaps in the tree from the ancestors of an exec. Since 2.6. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct kernel_record *r;
	u64 cgroup;

	if (child->tgid != child->pid)
		return 0;
	cgroup = cgroup_of(parent);
	if (!wanted(KIND_FORK, cgroup))
		return 0;
	r = bpf_ringbuf_reserve(&process_ring, sizeof(*r), 0);
	if (!r) {
		count_loss(KIND_FORK);
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	fill_head(&r->head, parent, cgroup, KIND_FORK);
	r->head.size = sizeof(*r);
	r->target_pid = child->tgid;
	r->value = child->start_boottime;
	bpf_ringbuf_submit(r, wakeup_flags(&process_ring));
	return 0;
}

/* The kernel's own decision to deliver: no argument of kill(2) is trusted. Can run in an interrupt. Since 2.6. */
SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info, struct task_struct *target, int group, int result)
{
	struct task_struct *task;
	struct kernel_record *r;
	u32 from, to, count;
	u64 cgroup, now;

	/* HUP, INT, QUIT, KILL, TERM, STOP: what ends or stops a process. */
	if (signal > 31 || !((1U << signal) & (1U << 1 | 1U << 2 | 1U << 3 | 1U << 9 | 1U << 15 | 1U << 19)))
		return 0;
	task = current_task();
	from = bpf_get_current_pid_tgid() >> 32;
	to = target->tgid;
	/* SEND_SIG_NOINFO 0 and a real siginfo with SI_USER (0) or SI_TKILL (-6) come from processes. */
	if ((u64)info == 1 || from == to || from == options.self_pid || !from)
		return 0;
	if ((u64)info > 1 && READ(typed(struct kernel_siginfo, info), si_code) > 0)
		return 0;
	cgroup = cgroup_of(task);
	if (!wanted(KIND_SIGNAL, cgroup))
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (folded(to, actor_of(from, KIND_SIGNAL, signal), now, &count))
		return 0;
	r = bpf_ringbuf_reserve(&event_ring, sizeof(*r), 0);
	if (!r) {
		count_loss(KIND_SIGNAL);
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	fill_head(&r->head, task, cgroup, KIND_SIGNAL);
	r->head.count = count;
	r->head.size = sizeof(*r);
	r->operation = signal;
	r->target_pid = to;
	r->target_cgroup = cgroup_of(target);
	bpf_ringbuf_submit(r, wakeup_flags(&event_ring));
	return 0;
}
