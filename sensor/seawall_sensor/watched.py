"""Which file changes of the node's own processes are worth an event.

A busy node opens thousands of files a second for writing; its processes are watched only where a change can mean
something: configuration, logs, start-up files, web roots, profiles, histories, names of notes and kits. Containers are
watched everywhere. Asked of a record's raw bytes, before anything is built from them.
"""

from __future__ import annotations

import re

from seawall.detection.indicators import indicators

_PARTS = (
    rb"etc|log|cron[^\0/]*|anacron|spool|systemd|autostart|init\.d|rc[^\0/]*\.d|rc\.local|udev|rules\.d|modules-load\.d"
    rb"|manifests|kubelet|kubernetes|rancher|k0s|cni|ssl|pki|security|pam\.d|apparmor[^\0/]*|selinux|audit"
    rb"|www|htdocs|html|webapps|wwwroot|public_html|inetpub|webroot|public|site-packages|dist-packages"
    rb"|\.ssh|\.aws|\.kube|\.azure|\.docker|\.gnupg|\.config|shm|mqueue|host|hostfs|rootfs|containers"
    rb"|utmp|wtmp|btmp|lastlog|docker\.sock|containerd\.sock"
    rb"|\.[a-z_]*(?:rc|profile|login|logout|env|history|hist|hsts|viminfo|lesshst)|config\.fish|fish_history"
    rb"|authorized_keys2?|known_hosts|shadow-?|sudoers|passwd|ld\.so\.preload|[^\0/]*\.(?:service|timer|socket|desktop|pth)"
    rb"|release_agent|core_pattern|uevent_helper|binfmt_misc|sysrq-trigger"
)
_NOTE = rb"(?:^|[\0/])[!_.]*(?:how|readme|read_me|restore|recover|decrypt|unlock|help|ransom|akira|conti)[^\0/]*\.(?:txt|html?|hta)(?:$|[\0/])"
_HIDDEN = rb"(?:^|\0)\.[^\0/]+\0(?:[^\0]*\0){0,4}tmp(?:$|\0)|/tmp/(?:[^\0]*/)?\.[^\0/]"
_ENCRYPTED = rb"\.(?:enc|encrypted|lock|locked|lockbit|crypt|crypted|crypto|crypz|cry|akira|conti|ryuk|clop|basta|royal|play)(?:$|\0)"

_REMEMBERED, _REMEMBERED_BYTES = 4096, 256
"""How many answers are kept, of paths up to which length: a megabyte at most."""


def _pattern() -> re.Pattern[bytes]:
    lists = indicators()
    kits = [pattern for name in ("ddos_names", "bot_names") if (pattern := lists.names(name).pattern())]
    names = b"|".join([_PARTS, *(kit.encode() for kit in kits)])
    return re.compile(
        rb"(?:^|[\0/])(?:" + names + rb")(?:$|[\0/])|" + b"|".join((_NOTE, _HIDDEN, _ENCRYPTED)), re.IGNORECASE
    )


class HostFiles:
    """Decides over raw paths: components that end in NUL, or texts with slashes, in any order."""

    def __init__(self) -> None:
        self._search = _pattern().search
        self.known: dict[bytes, bool] = {}
        """What was said of paths: a node writes the same files again and again."""

    def wants(self, raw: bytes) -> bool:
        """Whether any part of the paths is one that analytics look at on a node."""
        found = self.known.get(raw)
        if found is None:
            found = self._search(raw) is not None
            if len(raw) <= _REMEMBERED_BYTES:
                if len(self.known) >= _REMEMBERED:
                    self.known.clear()
                self.known[raw] = found
        return found
