"""What an address is: private, public, a cloud provider's, or on a threat list."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import yaml

_CACHE_LIMIT = 65_536
_SHARED_SPACE = ipaddress.ip_network("100.64.0.0/10")
"""Carrier-grade NAT (RFC 6598): used inside clouds as pod and node ranges."""
_DOCUMENTATION = tuple(
    map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"))
)
"""Addresses that stand for public ones in documents, drills and logs whose addresses were replaced (RFC 5737, 3849, 9637): no
private network uses them."""


class Networks:
    """Classifies addresses. `own` are ranges that a deployment calls its own: they count as private."""

    def __init__(
        self,
        providers: Mapping[str, Iterable[str]],
        lists: Mapping[str, Iterable[str]] | None = None,
        own: Iterable[str] = (),
    ) -> None:
        self._providers = _Ranges((network, name) for name, networks in providers.items() for network in networks)
        self._lists = _Ranges((network, name) for name, networks in (lists or {}).items() for network in networks)
        self._own = _Ranges((network, "own") for network in own)
        self._kinds: dict[str, str] = {}

    def kind(self, address: str) -> str:
        """Return listed, cloud, public, private or none (empty, or not an address)."""
        known = self._kinds.get(address)
        if known is None:
            if len(self._kinds) >= _CACHE_LIMIT:
                self._kinds.clear()
            known = self._kinds[address] = self._kind(address)
        return known

    def provider(self, address: str) -> str:
        """Return aws, azure or gcp when the address is in that provider's public ranges, else empty."""
        parsed = _parse(address)
        return self._providers.find(parsed) if parsed else ""

    def threat_list(self, address: str) -> str:
        """Return the name of the threat list that has this address, else empty."""
        parsed = _parse(address)
        return self._lists.find(parsed) if parsed else ""

    def _kind(self, address: str) -> str:
        parsed = _parse(address)
        if parsed is None:
            return "none"
        if self._lists.find(parsed):
            return "listed"
        if self._own.find(parsed) or parsed.is_multicast or parsed in _SHARED_SPACE:
            return "private"
        if not parsed.is_global and not any(parsed in network for network in _DOCUMENTATION):
            return "private"
        return "cloud" if self._providers.find(parsed) else "public"


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not address or len(address) > 60:
        return None
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed


class _Ranges:
    """Sorted ranges with a binary search; where ranges nest, the one that starts last wins if it covers the address."""

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        found = []
        for text, name in entries:
            network = ipaddress.ip_network(text.strip(), strict=False)
            found.append((network.version, int(network.network_address), int(network.broadcast_address), name))
        self._entries = sorted(found)
        self._starts = [(version, start) for version, start, _, _ in self._entries]
        self._longest = max((end - start for _, start, end, _ in self._entries), default=0)

    def find(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        """Return the name of the range around `address`, or empty."""
        value = int(address)
        at = bisect_right(self._starts, (address.version, value)) - 1
        while at >= 0:
            version, start, end, name = self._entries[at]
            if version != address.version or value - start > self._longest:
                return ""
            if value <= end:
                return name
            at -= 1
        return ""


@cache
def provider_networks() -> dict[str, tuple[str, ...]]:
    """Return the coarse public ranges of the cloud providers that the package carries."""
    text = files("seawall.detection").joinpath("data/cloud_networks.yaml").read_text("utf-8")
    return {name: tuple(networks) for name, networks in yaml.safe_load(text)["providers"].items()}
