/* SPDX-License-Identifier: GPL-2.0 */
/* System calls on files and mounts. A part of syscalls.bpf.c. */
#ifndef SEAWALL_SYSCALLS_FILES_H
#define SEAWALL_SYSCALLS_FILES_H

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

#endif
