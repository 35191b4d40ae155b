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
_NOTE = rb"[!_.]*(?:how|readme|read_me|restore|recover|decrypt|unlock|help|ransom|akira|conti).*\.(?:txt|html?|hta)"
_ENCRYPTED = (
    rb".*\.(?:enc|encrypted|lock|locked|lockbit|crypt|crypted|crypto|crypz|cry|akira|conti|ryuk|clop|basta|royal|play)"
)
_HIDDEN = re.compile(
    rb"(?:^|\0)\.[^\0/]+\0(?:[^\0]*\0){0,4}tmp(?:$|\0)|/tmp/(?:[^\0]*/)?\.[^\0/]", re.IGNORECASE
).search
"""A hidden file or folder below tmp, by components that come last first, or by a text."""

_REMEMBERED, _REMEMBERED_BYTES = 8192, 64
"""How many answers are kept, of parts of paths up to which length: a megabyte at most."""

_WANTED, _DOTTED, _TMP = 1, 2, 4


def _pattern() -> re.Pattern[bytes]:
    lists = indicators()
    kits = [pattern for name in ("ddos_names", "bot_names") if (pattern := lists.names(name).pattern())]
    return re.compile(
        b"|".join((_PARTS, *(kit.encode() for kit in kits), _NOTE, _ENCRYPTED)), re.IGNORECASE | re.DOTALL
    )


class HostFiles:
    """Decides over raw paths: components that end in NUL, or texts with slashes, in any order."""

    def __init__(self) -> None:
        self._matches = _pattern().fullmatch
        self._known: dict[bytes, int] = {}
        """What was said of parts: names of files are new again and again, those of folders are not."""

    def wants(self, raw: bytes) -> bool:
        """Whether any part of the paths is one that analytics look at on a node."""
        known, seen = self._known.get, 0
        for part in raw.replace(b"/", b"\0").split(b"\0"):
            found = known(part)
            if found is None:
                found = self._look_at(part)
            if found & _WANTED:
                return True
            seen |= found
        return seen == _DOTTED | _TMP and _HIDDEN(raw) is not None

    def _look_at(self, part: bytes) -> int:
        if self._matches(part):
            found = _WANTED
        elif part.startswith(b"."):
            found = _DOTTED
        else:
            found = _TMP if part.lower() == b"tmp" else 0
        if len(part) <= _REMEMBERED_BYTES:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[part] = found
        return found
