/* SPDX-License-Identifier: GPL-2.0 */
/* Paths of files, and where a file comes from. */
#ifndef SEAWALL_PATH_H
#define SEAWALL_PATH_H

#include "read.h"

/*
 * Append the components of a path to `bytes` of scratch 0 from `at` on, last first, each ending in NUL, as seen from
 * the root of its mount namespace, whatever root the process has chosen itself: chroot hides nothing. User space turns
 * them round. From kernel objects, so nothing that the process does afterwards changes what is read. Returns the bytes
 * appended. A function of its own, because the verifier then walks its loop once and not once for every state of its
 * callers.
 */
__noinline u32 walk_path(u64 dentry_at, u64 vfs_at, u64 at)
{
	struct dentry *dentry = typed(struct dentry, dentry_at);
	struct vfsmount *vfs = typed(struct vfsmount, vfs_at);
	u64 mnt_offset = bpf_core_field_offset(struct mount, mnt), off = at;
	u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (!s)
		return 0;
	for (int i = 0; i < PATH_PARTS; i++) {
		struct dentry *parent, *top;
		const unsigned char *name;
		u64 place;
		long n;

		if (!dentry)
			return off - at;
		parent = READ(dentry, d_parent);
		top = READ(vfs, mnt_root);
		if (dentry == top || (dentry == parent && i)) {
			struct mount *mount = typed(struct mount, (u64)vfs - mnt_offset);
			struct mount *above = READ(mount, mnt_parent);

			if (above == mount || !above || dentry != top)
				break;
			dentry = READ(mount, mnt_mountpoint);
			vfs = typed(struct vfsmount, (u64)above + mnt_offset);
			continue;
		}
		if (off >= TEXT_END)
			break;
		name = READ(dentry, d_name.name);
		place = off;
		opaque(place);
		place &= TEXT_END - 1;
		n = bpf_probe_read_kernel_str(s->bytes + place, NAME_BYTES, name);
		if (n <= 0 || n > NAME_BYTES)
			break;
		off += n;
		if (dentry == parent)
			break;
		dentry = parent;
	}
	if (off == at && at < TEXT_END) {
		/* The root itself; or a file mounted on nothing (a runtime's sealed copy of itself): a name and no place. */
		const unsigned char *name = READ(dentry, d_name.name);
		long n;

		opaque(at);
		n = bpf_probe_read_kernel_str(s->bytes + (at & (TEXT_END - 1)), NAME_BYTES, name);
		return n > 0 && n <= NAME_BYTES ? n : 0;
	}
	return off - at;
}

static __always_inline u32 append_path(struct scratch *s, u64 *at, struct dentry *dentry, struct vfsmount *vfs)
{
	u32 n = walk_path(address(s, dentry), address(s, vfs), *at);

	*at += n;
	return n;
}

/* Whether the process's root is not that of its mount namespace: then absolute paths that it gives begin there. */
static __always_inline bool chrooted(struct fs_struct *fs)
{
	struct vfsmount *vfs = READ(fs, root.mnt);
	struct mount *mount = typed(struct mount, (u64)vfs - bpf_core_field_offset(struct mount, mnt)), *above, *top;

	if (READ(fs, root.dentry) != READ(vfs, mnt_root))
		return true;
	above = READ(mount, mnt_parent);
	top = READ(above, mnt_parent);
	return above != mount && above != top;
}

/* The overlay's inode is followed by the dentry in the upper (writable) layer, NULL while the image's file is used. */
static __always_inline bool in_upper_layer(struct inode *inode)
{
	struct dentry *upper = NULL;

	bpf_probe_read_kernel(&upper, sizeof(upper), (void *)((u64)inode + bpf_core_type_size(struct inode)));
	return upper != NULL;
}

/*
 * Whether it is the runtime, in the container's cgroup already: it runs in the node's mount namespace, or, where runtimes
 * have one of their own (snaps, nodes that are containers), in that of a parent which no policy holds for. What a container
 * starts, or somebody brings into it, is in the container's namespace, and so is its parent or not its parent's.
 */
static __always_inline bool on_its_way_in(struct task_struct *task, u64 cgroup, u32 mnt_ns)
{
	struct task_struct *parent;
	u64 above;

	if (mnt_ns == options.host_mnt_ns)
		return true;
	parent = READ(task, real_parent, group_leader);
	if (!parent || READ(parent, nsproxy, mnt_ns, ns.inum) != mnt_ns)
		return false;
	above = cgroup_of(parent);
	return above != cgroup && !bpf_map_lookup_elem(&policies, &above);
}

static __always_inline u8 origin_of(struct task_struct *task, struct inode *inode, struct dentry *dentry,
				    struct vfsmount *vfs, u32 mnt_ns)
{
	u64 magic = READ(inode, i_sb, s_magic);

	if (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC) {
		char name[8] = {};

		bpf_probe_read_kernel(name, 6, READ(dentry, d_name.name));
		if (*(u32 *)name == 0x666d656d && name[4] == 'd' && name[5] == ':' &&
		    READ(dentry, d_parent) == dentry)
			return ORIGIN_MEMFD;
	}
	if (mnt_ns == options.host_mnt_ns)
		return ORIGIN_HOST;
	if (magic == OVERLAYFS_MAGIC)
		return in_upper_layer(inode) ? ORIGIN_UPPER : ORIGIN_IMAGE;
	if (magic == TMPFS_MAGIC)
		return ORIGIN_TMPFS;
	return vfs == READ(task, fs, root.mnt) ? ORIGIN_UNKNOWN : ORIGIN_BIND;
}

#endif
