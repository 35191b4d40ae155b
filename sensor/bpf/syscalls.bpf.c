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

/* The folder that a relative path starts at: a descriptor's, or the working directory. */
static __always_inline u32 append_base(struct scratch *s, u64 *at, struct task_struct *task, int fd)
{
	struct fs_struct *fs;
	struct file *file;

	if (fd == AT_FDCWD) {
		fs = READ(task, fs);
		return append_path(s, at, READ(fs, pwd.dentry), READ(fs, pwd.mnt));
	}
	file = file_of(task, fd);
	if (!file)
		return 0;
	return append_path(s, at, READ(file, f_path.dentry), READ(file, f_path.mnt));
}

/* Where a path that the caller gave begins: nothing when it is the root of the mount namespace. */
static __always_inline u32 append_start(struct scratch *s, u64 *at, struct task_struct *task, int fd,
					bool relative)
{
	struct fs_struct *fs;

	if (relative)
		return append_base(s, at, task, fd);
	fs = READ(task, fs);
	if (likely(!chrooted(fs)))
		return 0;
	return append_path(s, at, READ(fs, root.dentry), READ(fs, root.mnt));
}

/* Read a path that the caller gave, and whether it is relative. */
static __always_inline u32 append_asked(struct scratch *s, u64 *at, u64 pointer, bool *relative)
{
	char first = 0;

	bpf_probe_read_user(&first, 1, (void *)pointer);
	*relative = first != '/';
	return append_text(s, at, 1024, (void *)pointer, true);
}

static __always_inline u32 name_flags(struct scratch *s, struct dentry *dentry)
{
	struct name_key key = {};
	u32 *flags;

	bpf_probe_read_kernel_str(key.name, sizeof(key.name), READ(dentry, d_name.name));
	flags = bpf_map_lookup_elem(&sensitive_names, &key);
	if (flags)
		return *flags;
	__builtin_memset(&key, 0, sizeof(key));
	bpf_probe_read_kernel_str(key.name, sizeof(key.name), READ(dentry, d_parent, d_name.name));
	flags = bpf_map_lookup_elem(&sensitive_folders, &key);
	return flags ? *flags : 0;
}

/* Whether a path that a process gave (at `pointer`, in its memory) climbs with "..", looked for in its first bytes. */
__noinline u32 climbs(u64 pointer)
{
	char text[72] = {};
	u32 found = 0;

	if (bpf_probe_read_user_str(text, sizeof(text), (void *)pointer) < 3)
		return 0;
	for (int i = 0; i < sizeof(text) - 2; i++)
		found |= text[i] == '.' & text[i + 1] == '.' & text[i + 2] == '/';
	return found;
}

/*
 * Whether an interpreter in a container opens a file that is not from the image, among the first files that it opens:
 * the script it was started for is one of those. User space compares the name with its arguments.
 */
static __always_inline bool reads_script(struct task_struct *task, struct inode *inode, struct dentry *dentry,
					 struct vfsmount *vfs)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, *left = bpf_map_lookup_elem(&script_readers, &pid);
	u8 origin;

	if (likely(!left))
		return false;
	if (!*left) {
		bpf_map_delete_elem(&script_readers, &pid);
		return false;
	}
	*left -= 1;
	origin = origin_of(task, inode, dentry, vfs, READ(task, nsproxy, mnt_ns, ns.inum));
	return origin >= ORIGIN_UPPER && origin <= ORIGIN_BIND;
}

/*
 * What equal events on a file fold on. Name and folder belong to it: the number and the address of a removed file's inode are
 * soon given to another file.
 */
static __always_inline u64 file_subject(struct inode *inode, struct dentry *dentry)
{
	return READ(inode, i_ino) ^ (u64)device_of(inode) << 32 ^
	       (READ(dentry, d_name.hash) ^ READ(dentry, d_parent, d_inode, i_ino)) * 0x9e3779b97f4a7c15ULL;
}

/* The same for a file that was never reached: the first 127 bytes of the path that the caller gave. */
static __always_inline u64 text_subject(u64 pointer)
{
	u64 words[16] = {}, subject = 0;

	bpf_probe_read_user_str(words, sizeof(words), (void *)pointer);
	for (int i = 0; i < 16; i++)
		subject = (subject ^ words[i]) * 0x9e3779b97f4a7c15ULL;
	return subject;
}

/* open, openat, openat2, creat, open_by_handle_at. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_open, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	bool compat = is_compat(task), relative, writes;
	u32 call = call_of(regs, compat), mode, f_mode, kind, count = 1, flags = 0, names, script = 0;
	int base = AT_FDCWD;
	u64 cgroup, inode_nr, now, pointer, at = sizeof(struct file_record);
	struct file_record *r;
	struct dentry *dentry;
	struct vfsmount *vfs;
	struct inode *inode;
	struct scratch *s;
	struct file *file;

	if (is_self())
		return 0;
	pointer = argument(regs, compat, 0);
	switch (call) {
	case CALL_OPEN:
		flags = argument(regs, compat, 1);
		break;
	case CALL_CREAT:
		flags = O_CREAT | O_TRUNC | 1;
		break;
	case CALL_OPENAT:
		flags = argument(regs, compat, 2);
		base = pointer;
		pointer = argument(regs, compat, 1);
		break;
	case CALL_OPENAT2:
		bpf_probe_read_user(&flags, sizeof(flags), (void *)argument(regs, compat, 2));
		base = pointer;
		pointer = argument(regs, compat, 1);
		break;
	default:
		flags = argument(regs, compat, 2);
		base = pointer;
		pointer = 0;
	}

	if (ret < 0) {
		/* An attempt to write that was refused says as much as one that was not. */
		if ((ret != -EACCES && ret != -EPERM && ret != -EROFS) || !(flags & 3) || !pointer)
			return 0;
		cgroup = cgroup_of(task);
		if (!wanted(KIND_OPEN, cgroup) ||
		    folded(text_subject(pointer), actor_of(bpf_get_current_pid_tgid() >> 32, KIND_OPEN, -ret),
			   bpf_ktime_get_boot_ns(), &count))
			return 0;
		s = take_scratch(0);
		if (!s) {
			count_loss(KIND_OPEN);
			return 0;
		}
		r = start_file(s, task, cgroup, KIND_OPEN, call, ret);
		r->flags = flags;
		r->asked_bytes = append_asked(s, &at, pointer, &relative);
		r->cwd_bytes = append_start(s, &at, task, base, relative);
		send(s, &event_ring, at);
		return 0;
	}

	file = file_of(task, ret);
	if (!file)
		return 0;
	f_mode = READ(file, f_mode);
	inode = READ(file, f_inode);
	mode = READ(inode, i_mode);
	if (f_mode & FMODE_PATH)
		return 0;
	if ((mode & S_IFMT) == S_IFCHR) {
		u32 device = READ(inode, i_rdev);

		/* /dev/mem, /dev/kmem, /dev/port, /dev/kmsg; MSR files of processors (major 202). */
		if (!(device >> 20 == 1 && ((device & 0xfffff) == 1 || (device & 0xfffff) == 2 || (device & 0xfffff) == 4)) &&
		    device >> 20 != 202)
			return 0;
	} else if ((mode & S_IFMT) != S_IFREG && (mode & S_IFMT) != S_IFBLK) {
		return 0;
	}
	writes = f_mode & FMODE_WRITE;
	cgroup = cgroup_of(task);
	dentry = READ(file, f_path.dentry);
	inode_nr = READ(inode, i_ino);
	now = bpf_ktime_get_boot_ns();
	if (writes || (mode & S_IFMT) != S_IFREG) {
		kind = KIND_OPEN;
	} else {
		names = name_flags(NULL, dentry);
		if (names & 2 && (!pointer || !climbs(pointer)))
			names &= ~2;
		if (call == CALL_OPEN_BY_HANDLE)
			names |= 1;
		if (names & 3) {
			kind = KIND_READ;
		} else if (reads_script(task, inode, dentry, READ(file, f_path.mnt))) {
			kind = KIND_READ;
			script = OPEN_SCRIPT;
		} else {
			struct inode_key key = { .cgroup = cgroup, .inode = inode_nr };
			u8 one = 1;

			if (!(options.kinds >> KIND_IN_USE & 1) ||
			    READ(inode, i_sb, s_magic) != OVERLAYFS_MAGIC ||
			    bpf_map_lookup_elem(&used_files, &key) || !wanted(KIND_IN_USE, cgroup))
				return 0;
			bpf_map_update_elem(&used_files, &key, &one, BPF_ANY);
			if (in_upper_layer(inode))
				return 0;
			kind = KIND_IN_USE;
			pointer = 0;
		}
	}
	if (kind != KIND_IN_USE) {
		if (!wanted(kind, cgroup))
			return 0;
		if (folded(file_subject(inode, dentry),
			   actor_of(bpf_get_current_pid_tgid() >> 32, kind, (flags & O_TRUNC) >> 9), now, &count))
			return 0;
	}
	s = take_scratch(0);
	if (!s) {
		count_loss(kind);
		return 0;
	}
	r = start_file(s, task, cgroup, kind, call, ret);
	vfs = READ(file, f_path.mnt);
	r->head.count = count;
	r->inode = inode_nr;
	r->device = device_of(inode);
	r->flags = (flags & (OPEN_SCRIPT - 1)) | (writes ? OPEN_WRITES : 0) | (f_mode & FMODE_CREATED ? OPEN_CREATED : 0) |
		   script;
	r->mode = mode;
	r->filesystem = READ(inode, i_sb, s_magic);
	r->origin = origin_of(task, inode, dentry, vfs, r->head.mnt_ns);
	r->path_bytes = append_path(s, &at, dentry, vfs);
	if (pointer)
		r->asked_bytes = append_text(s, &at, 1024, (void *)pointer, true);
	if (kind != KIND_IN_USE)
		check_gain(&r->head);
	send(s, &event_ring, at);
	return 0;
}

/*
 * The modification time that a call set, in seconds; false when it was none or the present. From the caller's memory: a
 * second thread can change it meanwhile.
 */
static __always_inline bool read_time(u32 call, u64 from, bool narrow, s64 *seconds)
{
	u32 unit = narrow ? 4 : 8, fraction = 0;
	s64 value = 0;
	s32 value32 = 0;

	if (!from)
		return false;
	/* struct utimbuf is two times, the others two pairs; the second is the modification. */
	from += call == CALL_UTIME ? unit : 2 * unit;
	if (call == CALL_UTIMENSAT)
		bpf_probe_read_user(&fraction, sizeof(fraction), (void *)(from + unit));
	if (fraction >= UTIME_OMIT)
		return false;
	if (narrow) {
		bpf_probe_read_user(&value32, sizeof(value32), (void *)from);
		value = value32;
	} else {
		bpf_probe_read_user(&value, sizeof(value), (void *)from);
	}
	*seconds = value;
	return true;
}

/* The capabilities in a value of security.capability (struct vfs_cap_data, since 2.6.25); false for other attributes. */
static __always_inline bool read_file_caps(u64 name_at, u64 value_at, u64 *caps)
{
	union {
		char text[24];
		u64 words[3];
	} wanted = { .text = "security.capability" }, name = {};
	u32 value[5] = {};

	bpf_probe_read_user_str(name.text, sizeof(name.text), (void *)name_at);
	if (name.words[0] != wanted.words[0] || name.words[1] != wanted.words[1] || name.words[2] != wanted.words[2] ||
	    bpf_probe_read_user(value, sizeof(value), (void *)value_at))
		return false;
	*caps = (u64)value[3] << 32 | value[1];
	return true;
}

/*
 * unlink, rename, link, symlink, chmod, truncate, utime and setxattr by name: the names are the caller's, joined to their
 * folder.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_path, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	bool compat = is_compat(task), relative, target_relative;
	u32 call = call_of(regs, compat), kind, flags = 0, mode = 0, count = 1;
	int base = AT_FDCWD, target_base = AT_FDCWD;
	u64 cgroup, pointer, target = 0, at = sizeof(struct file_record), value = 0, times = 0;
	struct file_record *r;
	struct scratch *s;
	struct file *file;

	if (ret < 0 || is_self())
		return 0;
	pointer = argument(regs, compat, 0);
	switch (call) {
	case CALL_UNLINK:
	case CALL_RMDIR:
		kind = KIND_UNLINK;
		flags = call == CALL_RMDIR;
		break;
	case CALL_UNLINKAT:
		kind = KIND_UNLINK;
		base = pointer;
		pointer = argument(regs, compat, 1);
		flags = argument(regs, compat, 2) >> 9 & 1;	/* AT_REMOVEDIR */
		break;
	case CALL_RENAME:
		kind = KIND_RENAME;
		target = argument(regs, compat, 1);
		break;
	case CALL_RENAMEAT:
		kind = KIND_RENAME;
		base = pointer;
		pointer = argument(regs, compat, 1);
		target_base = argument(regs, compat, 2);
		target = argument(regs, compat, 3);
		break;
	case CALL_LINK:
	case CALL_SYMLINK:
		kind = KIND_LINK;
		flags = call == CALL_SYMLINK;
		target = argument(regs, compat, 1);
		break;
	case CALL_LINKAT:
		kind = KIND_LINK;
		base = pointer;
		pointer = argument(regs, compat, 1);
		target_base = argument(regs, compat, 2);
		target = argument(regs, compat, 3);
		break;
	case CALL_SYMLINKAT:
		kind = KIND_LINK;
		flags = 1;
		target_base = argument(regs, compat, 1);
		target = argument(regs, compat, 2);
		break;
	case CALL_CHMOD:
		kind = KIND_CHMOD;
		mode = argument(regs, compat, 1);
		break;
	case CALL_FCHMOD:
		kind = KIND_CHMOD;
		base = pointer;
		pointer = 0;
		mode = argument(regs, compat, 1);
		break;
	case CALL_FCHMODAT:
		kind = KIND_CHMOD;
		base = pointer;
		pointer = argument(regs, compat, 1);
		mode = argument(regs, compat, 2);
		break;
	case CALL_UTIME:
	case CALL_UTIMES:
		kind = KIND_TIMES;
		times = argument(regs, compat, 1);
		break;
	case CALL_FUTIMESAT:
	case CALL_UTIMENSAT:
		kind = KIND_TIMES;
		base = pointer;
		pointer = argument(regs, compat, 1);
		times = argument(regs, compat, 2);
		break;
	case CALL_SETXATTR:
	case CALL_FSETXATTR:
		kind = KIND_FILE_CAPS;
		if (!read_file_caps(argument(regs, compat, 1), argument(regs, compat, 2), &value))
			return 0;
		if (call == CALL_FSETXATTR) {
			base = pointer;
			pointer = 0;
		}
		break;
	case CALL_SETXATTRAT:
		kind = KIND_FILE_CAPS;
		bpf_probe_read_user(&target, sizeof(target), (void *)argument(regs, compat, 4));	/* struct xattr_args */
		if (!read_file_caps(argument(regs, compat, 3), target, &value))
			return 0;
		target = 0;
		base = pointer;
		pointer = argument(regs, compat, 1);
		break;
	case CALL_TRUNCATE:
		kind = KIND_OPEN;
		flags = O_TRUNC | 1 | OPEN_WRITES;
		break;
	case CALL_FTRUNCATE:
		if (argument(regs, compat, 1))
			return 0;	/* databases and downloads set sizes all day; emptying is what logs suffer */
		kind = KIND_OPEN;
		flags = O_TRUNC | 1 | OPEN_WRITES;
		base = pointer;
		pointer = 0;
		break;
	default:
		return 0;
	}
	/* 412 is utimensat_time64: the only one of them that gives 32-bit programs 64-bit times. */
	if (kind == KIND_TIMES &&
	    !read_time(call, times, compat && !(call == CALL_UTIMENSAT && number_of(regs) == 412), (s64 *)&value))
		return 0;
	cgroup = cgroup_of(task);
	if (!wanted(kind, cgroup))
		return 0;
	if (call == CALL_FTRUNCATE) {
		struct inode *inode;

		file = file_of(task, base);
		inode = READ(file, f_inode);
		/* Only files that may have had something in them: an editor's or a download's new file is no news. */
		if (!file || READ(file, f_mode) & FMODE_CREATED || (READ(inode, i_mode) & S_IFMT) != S_IFREG ||
		    folded(file_subject(inode, READ(file, f_path.dentry)),
			   actor_of(bpf_get_current_pid_tgid() >> 32, kind, call), bpf_ktime_get_boot_ns(), &count))
			return 0;
	}
	if (call == CALL_FCHMOD) {
		file = file_of(task, base);
		if (file && folded(file_subject(READ(file, f_inode), READ(file, f_path.dentry)) ^ (u64)mode << 48,
				   actor_of(bpf_get_current_pid_tgid() >> 32, kind, call), bpf_ktime_get_boot_ns(), &count))
			return 0;
	}
	s = take_scratch(0);
	if (!s) {
		count_loss(kind);
		return 0;
	}
	r = start_file(s, task, cgroup, kind, call, ret);
	r->head.count = count;
	r->flags = flags;
	r->mode = mode;
	if (!pointer) {
		file = file_of(task, base);
		if (file) {
			r->inode = READ(file, f_inode, i_ino);
			r->path_bytes = append_path(s, &at, READ(file, f_path.dentry),
						    READ(file, f_path.mnt));
		}
	} else {
		r->asked_bytes = append_asked(s, &at, pointer, &relative);
		if (target)
			r->target_bytes = append_asked(s, &at, target, &target_relative);
		r->cwd_bytes = append_start(s, &at, task, base, relative);
		if (target)
			r->target_cwd_bytes = append_start(s, &at, task, target_base, target_relative);
	}
	if (kind == KIND_TIMES || kind == KIND_FILE_CAPS)
		r->inode = value;
	send(s, &event_ring, at);
	return 0;
}

/* What a file that stands for a mount (fsmount, open_tree) shows: the device or name, and the type. */
static __always_inline void append_filesystem(struct scratch *s, struct file_record *r, u64 *at, struct file *file)
{
	struct super_block *sb = READ(file, f_path.dentry, d_sb);

	r->mode = READ(sb, s_type, fs_flags) & FS_REQUIRES_DEV;
	r->asked_bytes = append_text(s, at, 256, (void *)sb + bpf_core_field_offset(struct super_block, s_id), false);
}

/* mount, umount2, fsmount, move_mount, pivot_root. A refused attempt from a container counts as well. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_mount, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	bool compat = is_compat(task);
	u32 call = call_of(regs, compat);
	u64 cgroup, source = argument(regs, compat, 0), target = argument(regs, compat, 1), at = sizeof(struct file_record);
	struct file_record *r;
	struct scratch *s;

	if (call == CALL_FSMOUNT && ret < 0)
		return 0;
	cgroup = cgroup_of(task);
	if (!wanted(KIND_MOUNT, cgroup))
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_MOUNT);
		return 0;
	}
	r = start_file(s, task, cgroup, KIND_MOUNT, call, ret);
	if (call == CALL_UMOUNT) {
		r->target_bytes = append_text(s, &at, 1024, (void *)source, true);
	} else if (call == CALL_MOVE_MOUNT || call == CALL_FSMOUNT) {
		/* A mount need not be put anywhere: its files can be opened from the descriptor that fsmount gives. */
		struct file *file = file_of(task, call == CALL_FSMOUNT ? ret : source);

		if (file)
			append_filesystem(s, r, &at, file);
		if (call == CALL_MOVE_MOUNT)
			r->target_bytes = append_text(s, &at, 1024, (void *)argument(regs, compat, 3), true);
		if (file)
			r->cwd_bytes = append_text(s, &at, 64, READ(file, f_path.dentry, d_sb, s_type, name), false);
	} else {
		r->asked_bytes = append_text(s, &at, 1024, (void *)source, true);
		r->target_bytes = append_text(s, &at, 1024, (void *)target, true);
		if (call == CALL_MOUNT) {
			r->flags = argument(regs, compat, 3);
			r->cwd_bytes = append_text(s, &at, 64, (void *)argument(regs, compat, 2), true);
		}
	}
	send(s, &event_ring, at);
	return 0;
}

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
