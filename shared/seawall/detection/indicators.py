"""Lists that rules match against: tool names, domains, addresses, hashes. Built-in ones are `data/runtime/*.txt`.

A deployment's own feeds join them: `use(Indicators.built_in().with_extra({"threat_domains": [...]}))`.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

from seawall.domain.errors import ConfigError

MAX_ENTRIES = 5_000_000


class Names:
    """File names, exact or with a `*` at the end."""

    def __init__(self, entries: Iterable[str]) -> None:
        words = {entry.lower() for entry in entries}
        self._exact = frozenset(word for word in words if not word.endswith("*"))
        self._starts = tuple(sorted(word[:-1] for word in words if len(word) > 3 and word.endswith("*")))

    def __contains__(self, name: str) -> bool:
        name = name.lower()
        return name in self._exact or name.startswith(self._starts) if self._starts else name in self._exact

    def __len__(self) -> int:
        return len(self._exact) + len(self._starts)

    def pattern(self) -> str:
        """Return a regular expression that a whole name matches when it is listed, for searches in raw bytes."""
        return "|".join(
            [re.escape(name) for name in sorted(self._exact)]
            + [re.escape(start) + r"[^\0/]*" for start in self._starts]
        )


class Domains:
    """Domain names; a name below an entry matches it."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = frozenset(entry.lower().strip(".") for entry in entries if entry.strip("."))

    def find(self, name: str) -> str:
        """Return the entry that covers `name`, the longest one first, or empty."""
        name = name.lower().rstrip(".")
        while name:
            if name in self._entries:
                return name
            _, _, name = name.partition(".")
        return ""

    def __contains__(self, name: str) -> bool:
        return bool(self.find(name))

    def __len__(self) -> int:
        return len(self._entries)


class Addresses:
    """IP addresses and networks.

    Raises:
        ConfigError: an entry is neither.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        ranges: list[tuple[int, int, int]] = []
        for entry in entries:
            try:
                network = ipaddress.ip_network(entry.strip(), strict=False)
            except ValueError as error:
                raise ConfigError(f"{entry!r} is not an address or network") from error
            ranges.append((network.version, int(network.network_address), int(network.broadcast_address)))
        self._ranges = _merged(sorted(ranges))

    def __contains__(self, address: str) -> bool:
        if not self._ranges:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        value = int(parsed)
        at = bisect_right(self._ranges, (parsed.version, value, 1 << 130)) - 1
        return at >= 0 and self._ranges[at][0] == parsed.version and value <= self._ranges[at][2]

    def __len__(self) -> int:
        return len(self._ranges)


def _merged(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    merged: list[tuple[int, int, int]] = []
    for version, start, end in ranges:
        if merged and merged[-1][0] == version and start <= merged[-1][2] + 1:
            merged[-1] = (version, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((version, start, end))
    return merged


KINDS: dict[str, type[Names] | type[Domains] | type[Addresses] | type[frozenset[str]]] = {
    "attack_tools": Names,
    "bot_names": Names,
    "credential_tools": Names,
    "dark_web_gateways": Domains,
    "ddos_names": Names,
    "doh_addresses": Addresses,
    "doh_domains": Domains,
    "dynamic_dns_domains": Domains,
    "kubernetes_tools": Names,
    "miner_names": Names,
    "mining_domains": Domains,
    "network_scanners": Names,
    "oast_domains": Domains,
    "paste_domains": Domains,
    "phishing_domains": Domains,
    "proxyware_names": Names,
    "sinkhole_addresses": Addresses,
    "sinkhole_names": Domains,
    "suspicious_tlds": frozenset,
    "test_domains": Domains,
    "threat_addresses": Addresses,
    "threat_domains": Domains,
    "threat_hashes": frozenset,
    "tor_addresses": Addresses,
    "tor_domains": Domains,
    "tunnel_tools": Names,
}
"""Every list, and how it matches."""


class Indicators:
    """The lists of one deployment; each is read when a rule first asks for it."""

    def __init__(self, extra: Mapping[str, Iterable[str]] | None = None) -> None:
        unknown = set(extra or {}) - KINDS.keys()
        if unknown:
            raise ConfigError(f"{min(unknown)!r} is not a list", hint=f"known: {', '.join(KINDS)}")
        self._extra = {name: tuple(entries) for name, entries in (extra or {}).items()}
        if sum(map(len, self._extra.values())) > MAX_ENTRIES:
            raise ConfigError(f"more than {MAX_ENTRIES} list entries")
        self._read: dict[str, Names | Domains | Addresses | frozenset[str]] = {}

    def names(self, name: str) -> Names:
        """A list of file names."""
        found = self._list(name)
        assert isinstance(found, Names)
        return found

    def domains(self, name: str) -> Domains:
        """A list of domains."""
        found = self._list(name)
        assert isinstance(found, Domains)
        return found

    def addresses(self, name: str) -> Addresses:
        """A list of addresses."""
        found = self._list(name)
        assert isinstance(found, Addresses)
        return found

    def words(self, name: str) -> frozenset[str]:
        """A list of exact words (hashes, top-level domains)."""
        found = self._list(name)
        assert isinstance(found, frozenset)
        return found

    def _list(self, name: str) -> Names | Domains | Addresses | frozenset[str]:
        found = self._read.get(name)
        if found is None:
            found = self._read[name] = KINDS[name]((*built_in_list(name), *self._extra.get(name, ())))
        return found


@cache
def built_in_list(name: str) -> tuple[str, ...]:
    """Return the entries of `data/runtime/<name>.txt` without comments."""
    text = files("seawall.detection").joinpath(f"data/runtime/{name}.txt").read_text("utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


@cache
def built_in() -> Indicators:
    """Return the lists that the package carries."""
    return Indicators()


_current: ContextVar[Indicators | None] = ContextVar("seawall_indicators", default=None)


def indicators() -> Indicators:
    """Return the lists that rules match against now."""
    return _current.get() or built_in()


@contextmanager
def use(value: Indicators | None) -> Iterator[None]:
    """Match against `value` (None = the built-in lists) inside the block."""
    token = _current.set(value)
    try:
        yield
    finally:
        _current.reset(token)
