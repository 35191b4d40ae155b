// SPDX-License-Identifier: GPL-2.0
/*
 * Files that are renamed, removed, linked or mounted on, by the kernel's own objects: a second thread of the caller can change
 * the name that it gave while the call runs, and what this name led to is looked up once. What a call is about to change is
 * noted where the kernel asks its security modules (since 2.6.29; with CONFIG_SECURITY_PATH), and sent when the call has
 * succeeded. Requests through io_uring pass here too. Only where the kernel has trampolines: elsewhere syscalls.bpf.c reads the
 * caller's names.
 */
#include "seawall.h"
#include "calls.h"

char LICENSE[] SEC("license") = "GPL";

#define NOTE_BYTES (sizeof(struct file_record) + 4096)

struct note {
	union {
		struct head head;
		u8 bytes[NOTE_BYTES];
	};
};
_Static_assert(sizeof(struct note) <= sizeof(((struct scratch *)0)->bytes), "is copied out of a scratch");

/* By thread, from the question until the call's end. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, struct note);
} notes SEC(".maps");

/*
 * A change that is about to be made: of `from`, or (a symbolic link) with the words `text`; `to` is the new name. All lie in
 * the mount of `folder`.
 */
static __always_inline void note(u32 kind, u32 flags, const struct path *folder, struct dentry *from, const char *text,
				 struct dentry *to)
{
	struct task_struct *task = current_task();
	u64 cgroup = cgroup_of(task), at = sizeof(struct file_record);
	u32 tid = bpf_get_current_pid_tgid();
	struct vfsmount *vfs = READ(folder, mnt);
	struct file_record *r;
	struct scratch *s;

	if (!wanted(kind, cgroup) || bpf_get_current_pid_tgid() >> 32 == options.self_pid)
		return;
	s = take_scratch(0);
	if (!s) {
		count_loss(kind);
		return;
	}
	r = &s->file;
	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, kind);
	r->previous_mode = -1;
	r->flags = flags;
	if (text)
		r->asked_bytes = append_text(s, &at, 1024, text, false);
	else
		r->path_bytes = append_path(s, &at, from, vfs);
	if (to)
		r->target_cwd_bytes = append_path(s, &at, to, vfs);
	r->head.size = at;
	if (at > NOTE_BYTES)
		count_loss(kind);
	else
		bpf_map_update_elem(&notes, &tid, s->bytes, BPF_ANY);
	s->busy = 0;
}

/* The call has ended. What was noted for it was noted by itself: no call succeeds without the question before. */
static __always_inline int done(u32 kind, long ret)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct note *n = bpf_map_lookup_elem(&notes, &tid);
	u64 size;

	if (!n)
		return 0;
	if (!ret && n->head.kind == kind) {
		size = n->head.size;
		opaque(size);
		if (size > NOTE_BYTES)
			size = NOTE_BYTES;
		if (bpf_ringbuf_output(&event_ring, n, size, wakeup_flags(&event_ring)))
			count_loss(kind);
	}
	bpf_map_delete_elem(&notes, &tid);
	return 0;
}

SEC("fexit/security_path_unlink")
int BPF_PROG(before_unlink, const struct path *folder, struct dentry *dentry, int refused)
{
	if (!refused)
		note(KIND_UNLINK, 0, folder, dentry, NULL, NULL);
	return 0;
}

SEC("fexit/do_unlinkat")
int BPF_PROG(after_unlink, int fd, void *name, int ret)
{
	return done(KIND_UNLINK, ret);
}

SEC("fexit/security_path_rmdir")
int BPF_PROG(before_rmdir, const struct path *folder, struct dentry *dentry, int refused)
{
	if (!refused)
		note(KIND_UNLINK, 1, folder, dentry, NULL, NULL);
	return 0;
}

SEC("fexit/do_rmdir")
int BPF_PROG(after_rmdir, int fd, void *name, int ret)
{
	return done(KIND_UNLINK, ret);
}

SEC("fexit/security_path_rename")
int BPF_PROG(before_rename, const struct path *old_folder, struct dentry *old, const struct path *new_folder, struct dentry *new,
	     u32 flags, int refused)
{
	if (!refused)
		note(KIND_RENAME, 0, old_folder, old, NULL, new);
	return 0;
}

SEC("fexit/do_renameat2")
int BPF_PROG(after_rename, int old_fd, void *from, int new_fd, void *to, u32 flags, int ret)
{
	return done(KIND_RENAME, ret);
}

SEC("fexit/security_path_link")
int BPF_PROG(before_link, struct dentry *old, const struct path *folder, struct dentry *new, int refused)
{
	if (!refused)
		note(KIND_LINK, 0, folder, old, NULL, new);
	return 0;
}

SEC("fexit/do_linkat")
int BPF_PROG(after_link, int old_fd, void *old, int new_fd, void *new, int flags, int ret)
{
	return done(KIND_LINK, ret);
}

SEC("fexit/security_path_symlink")
int BPF_PROG(before_symlink, const struct path *folder, struct dentry *dentry, const char *words, int refused)
{
	if (!refused)
		note(KIND_LINK, 1, folder, NULL, words, dentry);
	return 0;
}

SEC("fexit/do_symlinkat")
int BPF_PROG(after_symlink, void *from, int fd, void *to, int ret)
{
	return done(KIND_LINK, ret);
}

/* Everything that mount(2) was given, copied and looked up. A refused attempt counts as well. Since 5.9. */
SEC("fexit/path_mount")
int BPF_PROG(after_mount, const char *device, struct path *place, const char *type, unsigned long flags, void *data, int ret)
{
	struct task_struct *task = current_task();
	u64 cgroup = cgroup_of(task), at = sizeof(struct file_record);
	struct file_record *r;
	struct scratch *s;

	if (!wanted(KIND_MOUNT, cgroup))
		return 0;
	s = take_scratch(0);
	if (!s) {
		count_loss(KIND_MOUNT);
		return 0;
	}
	r = &s->file;
	__builtin_memset((void *)r + sizeof(r->head), 0, sizeof(*r) - sizeof(r->head));
	fill_head(&r->head, task, cgroup, KIND_MOUNT);
	r->head.result = ret < 0 ? ret : 0;
	r->operation = CALL_MOUNT;
	r->flags = flags;
	r->path_bytes = append_path(s, &at, READ(place, dentry), READ(place, mnt));
	r->asked_bytes = append_text(s, &at, 1024, device, false);
	r->cwd_bytes = append_text(s, &at, 64, type, false);
	send(s, &event_ring, at);
	return 0;
}
