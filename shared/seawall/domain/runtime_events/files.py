"""Files opened, read and changed; mounts."""

from __future__ import annotations

from seawall.domain.runtime_events.base import RuntimeEvent


class FileEvent(RuntimeEvent, frozen=True):
    """A change to a file or folder."""

    path: str
    """Resolved: symlinks followed, no `..`."""

    @property
    def changed(self) -> str:
        """The path that is different afterwards: the new name of a rename or link, else `path`."""
        return self.path

    @property
    def subject(self) -> str:
        """The changed path."""
        return self.changed


class FileOpen(FileEvent, frozen=True, tag="file_open"):
    """A file was opened: for writing anywhere watched, for reading never (that is `SensitiveRead`)."""

    node_path: str = ""
    """As in `SensitiveRead`."""
    flags: int = 0
    """open(2) flags of x86-64."""
    writes: bool = False
    """O_WRONLY or O_RDWR."""
    creates: bool = False
    """O_CREAT, and the file was not there before."""
    truncates: bool = False
    asked: str = ""
    """The path as the caller gave it, when it differs from `path`."""
    mode: int = 0
    """Permission bits of the file."""
    inode: int = 0
    device: int = 0
    origin: str = ""
    """Where the file lies: as `Process.origin`."""


class FileRename(FileEvent, frozen=True, tag="file_rename"):
    """A file got another name. Source: LSM or syscall tracepoints."""

    target: str
    """The new name; `path` is the old one."""

    @property
    def changed(self) -> str:
        """The new name."""
        return self.target


class FileUnlink(FileEvent, frozen=True, tag="file_unlink"):
    """A name of a file, or an empty folder, was removed."""

    directory: bool = False


class FileChmod(FileEvent, frozen=True, tag="file_chmod"):
    """Permission bits were set."""

    mode: int
    """The new bits, 0o7777."""
    previous_mode: int = -1
    """Before; -1 = not known."""
    directory: bool = False
    """Of a folder: looked for where setuid or setgid was set."""


class FileLink(FileEvent, frozen=True, tag="file_link"):
    """A hard or symbolic link was made."""

    target: str
    """The new name; `path` is what it leads to, as the caller gave it."""
    symbolic: bool = False

    @property
    def changed(self) -> str:
        """The new name."""
        return self.target


class FileTimes(RuntimeEvent, frozen=True, tag="file_times"):
    """The modification time of a file was set to a chosen one (utimensat(2) and its kin); not told of the node's own processes."""

    path: str
    modified_s: int
    """Seconds since 1970."""

    @property
    def subject(self) -> str:
        """The file."""
        return self.path


class FileCapabilities(RuntimeEvent, frozen=True, tag="file_capabilities"):
    """A file was given capabilities (capabilities(7), the attribute security.capability)."""

    path: str
    permitted: int
    """The bits of `CAPABILITIES`; none: they were taken away."""

    @property
    def subject(self) -> str:
        """The file."""
        return self.path


class Mount(RuntimeEvent, frozen=True, tag="mount"):
    """mount(2), fsmount(2), move_mount(2) or umount(2)."""

    source: str
    """Device or folder."""
    target: str
    """Empty for fsmount(2): the mount is nowhere yet, its files can be reached all the same."""
    filesystem: str = ""
    flags: int = 0
    """MS_* flags; 0x1000 is a bind mount."""
    unmount: bool = False


class SensitiveRead(RuntimeEvent, frozen=True, tag="sensitive_read"):
    """A file on the short list of sensitive paths was opened for reading."""

    path: str
    """Resolved."""
    asked: str = ""
    """The path as the caller gave it, when it differs from `path`."""
    inode: int = 0
    target_pid: int = 0
    """For `/proc/<pid>/…`: that pid in the node's namespace; 0 = not such a path."""
    target_container: str = ""
    """Container id of `target_pid`, empty = the node or not known."""
    file_type: str = ""
    """block or char: a device; empty = a regular file."""
    node_path: str = ""
    """Where the file lies on the node, when the path leads into a folder that is mounted from there."""
    by_handle: bool = False
    """Opened by a file handle (open_by_handle_at), past every folder above it."""
