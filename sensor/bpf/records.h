/* SPDX-License-Identifier: GPL-2.0 */
/* The records that the programs send. Read by seawall_sensor/records.py; tests/sensor/test_layout.py compares the two. */
#ifndef SEAWALL_RECORDS_H
#define SEAWALL_RECORDS_H

#include "vmlinux.h"

/* Kinds of records; also bits of the masks that say which of them are wanted. */
enum kind {
	KIND_EXEC = 1,
	KIND_EXIT = 2,
	KIND_FORK = 3,
	KIND_OPEN = 4,
	KIND_RENAME = 5,
	KIND_UNLINK = 6,
	KIND_CHMOD = 7,
	KIND_LINK = 8,
	KIND_MOUNT = 9,
	KIND_CONNECT = 10,
	KIND_ACCEPT = 11,
	KIND_LISTEN = 12,
	KIND_UDP_SEND = 13,
	KIND_DNS = 14,
	KIND_SOCKET = 15,
	KIND_PTRACE = 16,
	KIND_NAMESPACE = 17,
	KIND_CREDENTIALS = 18,
	KIND_MODULE = 19,
	KIND_BPF = 20,
	KIND_IO_URING = 21,
	KIND_SIGNAL = 22,
	KIND_VM_WRITE = 23,
	KIND_CGROUP = 24,
	KIND_IN_USE = 25,
	KIND_ENFORCED = 26,
	KIND_FLOW = 27,
	KIND_READ = 28,
	KIND_BLOCKED = 29,	/* a peer, by policy: a net_record; KIND_ENFORCED is an exec, a file_record */
	KIND_TIMES = 30,
	KIND_FILE_CAPS = 31,
	KIND_KERNEL_CALL = 32,	/* further calls that reach into the kernel or into another process: by operation */
	KINDS = 64,
};

enum origin {
	ORIGIN_UNKNOWN = 0,
	ORIGIN_IMAGE = 1,
	ORIGIN_UPPER = 2,
	ORIGIN_MEMFD = 3,
	ORIGIN_TMPFS = 4,
	ORIGIN_BIND = 5,
	ORIGIN_HOST = 6,
};

#define EXE_DELETED 1
#define EXE_GAINED 2		/* secure-exec: setuid, setgid or file capabilities raised privileges */
#define EXE_SCRIPT 4		/* `script` is what was executed, `path` its interpreter */
#define EXE_ARGS_CUT 8
#define EXE_ENV_CUT 16

/* In `flags` of a file record, above those of open(2). */
#define OPEN_SCRIPT (1U << 29)	/* an interpreter opened a file that is not from the image */
#define OPEN_WRITES (1U << 30)
#define OPEN_CREATED (1U << 31)

#define ACTION_AUDIT 1
#define ACTION_KILL 2
#define ACTION_BLOCK 3

#define REASON_DRIFT 1
#define REASON_LISTED 2
#define REASON_NETWORK 3

#define DATA_BYTES 24576
#define TEXT_END 16384	/* texts begin before this; a power of two, so that a mask proves it to every verifier */
#define NAME_BYTES 256
#define PATH_PARTS 40
#define ANCESTORS 8

/* In front of every record. Widest member first. */
struct head {
	u64 ts_ns;		/* CLOCK_BOOTTIME */
	u64 start_ns;		/* start of the thread group leader, CLOCK_BOOTTIME */
	u64 cgroup;		/* inode of the cgroup in the hierarchy that user space chose */
	u64 caps;		/* effective */
	u32 pid;		/* thread group, in the initial pid namespace */
	u32 tid;
	u32 ppid;
	u32 uid;
	u32 euid;
	u32 gid;
	u32 user_ns;
	u32 count;		/* this one and the equal ones folded into it */
	char comm[16];
	s32 result;		/* of the system call */
	u16 cpu;
	/* From here to its end a record is the same whenever what happened is: records that mean nothing are known by it. */
	u16 kind;
	u32 mnt_ns;
	u32 size;		/* of the whole record */
};
_Static_assert(sizeof(struct head) == 96, "layout is shared with records.py");

struct ancestor {
	u64 start_ns;
	u32 pid;
	u32 uid;
	char comm[16];
};

struct address {
	u8 bytes[16];		/* IPv4 in the first four */
	u16 family;
	u16 port;		/* host order */
};

struct exec_record {
	struct head head;
	u64 inode;
	u64 size_bytes;
	s64 mtime_s;
	s64 ctime_s;
	u32 mtime_ns;
	u32 ctime_ns;
	u32 device;
	u32 mode;
	u32 session;
	s32 loginuid;
	u32 ns_pid;
	u32 previous_uid;
	u8 origin;
	u8 flags;
	u8 stdio[3];		/* S_IFMT >> 12 of descriptors 0 to 2; 0 closed, 13 /dev/null, 14 internet socket, 15 terminal */
	u8 ancestors_count;
	u16 path_bytes;		/* texts follow in `data`, in this order */
	u16 cwd_bytes;
	u16 asked_bytes;
	u16 args_bytes;
	u16 env_bytes;
	struct address peer;
	char tty[16];
	u32 stdin_origin;	/* of an interpreter's standard input, when that is a file */
	struct ancestor ancestors[ANCESTORS];
};
_Static_assert(sizeof(struct exec_record) == 472, "layout is shared with records.py");

struct exit_record {
	struct head head;
	u64 cpu_ns;
	u32 code;		/* as the kernel packs it: status << 8 | signal */
	u32 unused;
};

struct file_record {
	struct head head;
	u64 inode;		/* KIND_TIMES: the time that was set, seconds since 1970; KIND_FILE_CAPS: the capabilities */
	u32 device;
	u32 flags;
	u32 mode;		/* KIND_MOUNT: whether the file system lies on a device */
	u32 previous_mode;
	u16 path_bytes;		/* components, last first */
	u16 asked_bytes;	/* as the caller gave it */
	u16 target_bytes;	/* second path as the caller gave it */
	u16 cwd_bytes;		/* folder that relative paths start at: components, last first; KIND_MOUNT: type of file system */
	u16 target_cwd_bytes;
	u8 origin;
	u8 operation;
	u32 filesystem;		/* superblock magic */
};

struct net_record {
	struct head head;
	u64 sent_bytes;
	u64 received_bytes;
	u64 duration_ns;
	struct address peer;
	struct address local;
	u16 protocol;
	u16 path_bytes;		/* unix socket */
	u32 unused;
};

struct kernel_record {
	struct head head;
	u64 value;		/* request, flags, type: by kind */
	u64 size_bytes;
	u64 previous_caps;
	u32 target_pid;
	u32 previous_uid;
	u32 previous_euid;
	u16 operation;
	u16 text_bytes;
	u64 target_cgroup;
};

#define DNS_BYTES 1024
struct dns_record {
	struct head head;
	struct address server;
	u16 transport;		/* IPPROTO_UDP or IPPROTO_TCP */
	u16 payload_bytes;	/* in the packet; more than DNS_BYTES are cut */
	u16 answer;
	u16 unused[3];
	u8 payload[DNS_BYTES];
};

_Static_assert(sizeof(struct exit_record) == 112, "layout is shared with records.py");
_Static_assert(sizeof(struct file_record) == 136, "layout is shared with records.py");
_Static_assert(sizeof(struct net_record) == 168, "layout is shared with records.py");
_Static_assert(sizeof(struct kernel_record) == 144, "layout is shared with records.py");
_Static_assert(__builtin_offsetof(struct dns_record, payload) == 128, "layout is shared with records.py");

struct scratch {
	union {
		struct head head;
		struct exec_record exec;
		struct file_record file;
		struct net_record net;
		struct kernel_record kernel;
		u8 bytes[sizeof(struct exec_record) + DATA_BYTES];
	};
	char name[NAME_BYTES];
	char folder[NAME_BYTES];
	u64 address;
	u32 busy;
};

#endif
