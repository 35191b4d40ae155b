"""Which analytics an audit event could meet, told by what is known without looking into it."""

from __future__ import annotations

from seawall.detection.declaration import Detection
from seawall.domain.audit_events import AuditEvent

CALLERS = ("user", "anonymous", "node", "service_account", "system")
"""Kinds of caller; the position is the low three bits of an event's traits."""
ORIGIN_BITS = {"none": 0, "private": 128, "public": 256, "cloud": 512, "listed": 1024}
"""Where a call came from, as bits of its event's traits."""


def caller_kind(name: str) -> str:
    """Return the kind of a user name, as the API server's own prefixes say it."""
    if not name.startswith("system:"):
        return "user"
    if name in ("system:anonymous", "system:unauthenticated"):
        return "anonymous"
    if name.startswith("system:serviceaccount:"):
        return "service_account"
    return "node" if name.startswith("system:node:") else "system"


def could_match(rule: Detection, key: tuple[str, str, str, int]) -> bool:
    """True when an event with this key (verb, resource, sub-resource, traits) could raise `rule`.

    Traits: bits 0 to 2 the kind of caller, 16 denied, 32 failed, 64 impersonated, 128 to 1024 the origin, 2048 enriched by
    a pipeline before us, 4096 a user agent that some rule looks for.
    """
    verb, resource, subresource, traits = key
    if rule.verbs and verb not in rule.verbs and "*" not in rule.verbs:
        return False
    full = f"{resource}/{subresource}" if subresource else resource
    if rule.resources and not any(_names(pattern, resource, full) for pattern in rule.resources):
        return False
    if rule.actors and CALLERS[traits & 7] not in rule.actors:
        return False
    outcome = "denied" if traits & 16 else "failed" if traits & 32 else "allowed"
    if outcome not in rule.outcomes:
        return False
    if rule.impersonated is not None and rule.impersonated is not bool(traits & 64):
        return False
    if rule.agents is not None and not traits & 4096:
        return False
    if rule.enriched and not traits & 2048:
        return False
    return not rule.origins or any(traits & ORIGIN_BITS[origin] for origin in rule.origins)


def body_of(event: AuditEvent) -> bytes:
    """What was logged of the object: the request's body and the answer, each where there is one."""
    return bytes(event.request_raw) + bytes(event.response_raw)


def mentions_any(body: bytes, words: tuple[bytes, ...]) -> bool:
    """True when one of `words` stands in `body`, or could: the API server logs a patch as its sender wrote it, and
    `privile\\u0067ed` is the same name.
    """
    for word in words:  # not any(): it costs twice as much, and this is asked for most rules of every body
        if word in body:
            return True
    return b"\\u" in body


def _names(pattern: str, resource: str, full: str) -> bool:
    if pattern.endswith("*"):
        return resource == pattern[:-2] if pattern.endswith("/*") else resource.startswith(pattern[:-1])
    return pattern == full
