"""Mode and owner of files on nodes, as a collector reports them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seawall.posture.check import Check, Finding, fail
from seawall.posture.components import NodeFile
from seawall.posture.world import World


@dataclass(frozen=True, slots=True)
class FileControl:
    """A file with the mode that it may have at most (octal digits) and its owner; `managed` is the mode on managed nodes."""

    id: str
    about: str
    mode: int | None
    owner: str = "root:root"
    managed: int | None = None

    def check(self) -> Check:
        """Return the check that compares mode and owner."""
        return Check(self.id, (f"file:{self.id}",), self._run, self.about)

    def _run(self, file: NodeFile, world: World) -> Iterator[Finding]:
        most = self.managed if self.managed is not None and world.provider else self.mode
        if file.mode is not None and most is not None and not within(file.mode, most):
            yield fail(file.at, str(file.mode), f"{most} or tighter", file.path, f"{file.path} mode")
        if file.owner and file.owner != self.owner:
            yield fail(file.at, file.owner, self.owner, file.path, f"{file.path} owner")


def within(mode: int, most: int) -> bool:
    """Whether a mode gives no right to read or write that `most` does not, and no more than it to anyone.

    Both are octal digits written as numbers. An owner's right to execute instead of to write (500 for 600) opens nothing.
    """
    given, allowed = int(str(mode), 8), int(str(most), 8)
    if given & ~allowed & 0o666:
        return False
    return all((given >> shift) & 7 <= (allowed >> shift) & 7 for shift in (0, 3, 6))


TABLE: Final = (
    FileControl("NF-01", "Manifest of kube-apiserver", 600),
    FileControl("NF-02", "Manifest of kube-controller-manager", 600),
    FileControl("NF-03", "Manifest of kube-scheduler", 600),
    FileControl("NF-04", "Manifest of etcd", 600),
    FileControl("NF-05", "Files in /etc/cni/net.d", 600),
    FileControl("NF-06", "Data folder of etcd", 700, "etcd:etcd"),
    FileControl("NF-07", "admin.conf and super-admin.conf", 600),
    FileControl("NF-08", "scheduler.conf", 600),
    FileControl("NF-09", "controller-manager.conf", 600),
    FileControl("NF-10", "Folder /etc/kubernetes/pki", None),
    FileControl("NF-11", "Certificates in /etc/kubernetes/pki", 644),
    FileControl("NF-12", "Keys in /etc/kubernetes/pki", 600),
    FileControl("NF-13", "Systemd unit of the kubelet", 600, managed=644),
    FileControl("NF-14", "Kubeconfig of kube-proxy", 600, managed=644),
    FileControl("NF-15", "Kubeconfig of the kubelet", 600, managed=644),
    FileControl("NF-16", "Client CA file", 644),
    FileControl("NF-17", "Configuration file of the kubelet", 600, managed=644),
    FileControl("NF-18", "Cloud credentials file of AKS nodes", 644),
)
CHECKS: Final = tuple(row.check() for row in TABLE)
