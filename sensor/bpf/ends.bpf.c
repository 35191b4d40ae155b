// SPDX-License-Identifier: GPL-2.0
/*
 * The end of each system call that matters, by trampolines at the functions behind them. The other calls are not touched,
 * while the tracepoint of syscalls.bpf.c sends every call of every process through the kernel's slow path. Handlers are the
 * same: both hooks give the caller's registers and the result. Which functions a kernel has, and which of them a rule needs,
 * the loader decides (seawall_sensor/calls.py).
 */
#include "seawall.h"
#include "calls.h"

char LICENSE[] SEC("license") = "GPL";

/* Since 5.5 on x86-64, 6.0 on arm64; where the kernel has function tracing with direct calls. */
#define END(function)									\
	SEC("fexit/" #function)								\
	int BPF_PROG(end_##function, struct pt_regs *regs)				\
	{										\
		u32 call = call_of(regs, is_compat(current_task()));	\
											\
		if (call)								\
			bpf_tail_call(ctx, &handlers, call);				\
		return 0;								\
	}

#if defined(__TARGET_ARCH_arm64)
#define END_OF(name) END(__arm64_sys_##name)
#define END_OF_32BIT(name) END(__arm64_compat_sys_##name)
#define END_OF_OLD(name)
#else
#define END_OF(name) END(__x64_sys_##name) END(__ia32_sys_##name)
#define END_OF_32BIT(name) END(__ia32_compat_sys_##name)
#define END_OF_OLD(name) END(__ia32_sys_##name)
#endif

END_OF(open)
END_OF(creat)
END_OF(openat)
END_OF(openat2)
END_OF(open_by_handle_at)
END_OF(truncate)
END_OF(ftruncate)
END_OF(unlink)
END_OF(unlinkat)
END_OF(rmdir)
END_OF(rename)
END_OF(renameat)
END_OF(renameat2)
END_OF(link)
END_OF(linkat)
END_OF(symlink)
END_OF(symlinkat)
END_OF(chmod)
END_OF(fchmod)
END_OF(fchmodat)
END_OF(fchmodat2)
END_OF(mount)
END_OF(umount)
END_OF(move_mount)
END_OF(pivot_root)
END_OF(connect)
END_OF(accept)
END_OF(accept4)
END_OF(listen)
END_OF(socket)
END_OF(ptrace)
END_OF(setns)
END_OF(unshare)
END_OF(clone)
END_OF(clone3)
END_OF(capset)
END_OF(setuid)
END_OF(setreuid)
END_OF(setresuid)
END_OF(setfsuid)
END_OF(setgid)
END_OF(setregid)
END_OF(setresgid)
END_OF(init_module)
END_OF(finit_module)
END_OF(delete_module)
END_OF(bpf)
END_OF(process_vm_writev)
END_OF(utime)
END_OF(utimes)
END_OF(futimesat)
END_OF(utimensat)
END_OF(setxattr)
END_OF(lsetxattr)
END_OF(fsetxattr)
END_OF(setxattrat)
END_OF(fsmount)
END_OF(userfaultfd)
END_OF(pidfd_getfd)
END_OF(kexec_load)
END_OF(kexec_file_load)

/* Functions of their own for 32-bit programs. */
END_OF_32BIT(open)
END_OF_32BIT(openat)
END_OF_32BIT(open_by_handle_at)
END_OF_32BIT(truncate)
END_OF_32BIT(ftruncate)
END_OF_32BIT(ptrace)
END_OF_32BIT(ia32_clone)
END_OF_32BIT(kexec_load)
END_OF_OLD(ia32_truncate64)
END_OF_OLD(ia32_ftruncate64)
END_OF_OLD(setuid16)
END_OF_OLD(setreuid16)
END_OF_OLD(setresuid16)
END_OF_OLD(setfsuid16)
END_OF_OLD(setgid16)
END_OF_OLD(setregid16)
END_OF_OLD(setresgid16)
END_OF_OLD(utime32)
END_OF_OLD(utimes_time32)
END_OF_OLD(futimesat_time32)
END_OF_OLD(utimensat_time32)
