"""Lists a cluster kind by kind, in pages. What may not or cannot be read becomes a note; the rest counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from seawall.adapters.kubernetes.client import PAGE, Gone, KubeClient
from seawall.assets.rights import BY_KIND, KUBERNETES, KubernetesKind
from seawall.domain.errors import Denied, InputError, NotFound, TooLarge, Unavailable
from seawall.ports.inventory_source import Collected
from seawall.posture.loading import MAX_OBJECTS, prune
from seawall.posture.objects import Note, Obj

_RESTARTS: Final = 2


class ClusterSource:
    """Fulfils `ports.inventory_source.InventorySource` and `ObjectReader` over one API server."""

    def __init__(
        self,
        scope: str,
        connect: Callable[[], KubeClient],
        *,
        kinds: Iterable[KubernetesKind] = KUBERNETES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        page: int = PAGE,
    ) -> None:
        self._scope, self._connect, self._now, self._page = scope, connect, now, page
        self._kinds = tuple(kinds)
        self._client: KubeClient | None = None
        self.versions: dict[str, tuple[str, str]] = {}
        """By kind: the API version that is served, and the resource version that a watch goes on from."""

    @property
    def scope(self) -> str:
        """See the port."""
        return self._scope

    @property
    def client(self) -> KubeClient:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def collect(self) -> Collected:
        """See the port. The time is that of the begin: what changes meanwhile comes by event or with the next listing."""
        collected = Collected(self.scope, self._now())
        # The first call says whether the server can be reached and knows us; everything after it may fail in part.
        version = self.client.version()
        collected.objects.append(Obj({"kind": "ServerVersion", "apiVersion": "version", **version}, name="version"))
        for kind in self._kinds:
            self._collect(kind, collected)
        if not collected.complete and len(collected.objects) == 1 and collected.notes:
            raise Denied(f"nothing of {self.scope} can be read", hint=collected.notes[0].reason)
        return collected

    def read(self, kind: str, namespace: str, name: str) -> Obj | None:
        """See the port."""
        known = BY_KIND.get(kind)
        if known is None:
            return None
        try:
            return Obj(prune(self.client.read(known, namespace, name)), source=self.scope)
        except NotFound:
            return None

    def _collect(self, kind: KubernetesKind, collected: Collected) -> None:
        for version in kind.versions:
            before = len(collected.objects)
            try:
                since = self._list(kind, version, collected)
            except NotFound:
                continue
            except (Denied, Unavailable, TooLarge, InputError, Gone) as error:
                found = len(collected.objects) - before
                collected.unread.add(kind.kind)
                after = f" after {found:,} objects" if found else ""
                collected.notes.append(
                    Note(kind.kind, f"the list broke off{after}: {error.message}" if found else _why(error))
                )
                return
            collected.complete.add(kind.kind)
            self.versions[kind.kind] = version, since
            return
        if kind.optional:
            collected.complete.add(kind.kind)  # not served: there is none
        else:
            collected.unread.add(kind.kind)
            collected.notes.append(Note(kind.kind, f"the API server does not serve {kind.resource}"))

    def _list(self, kind: KubernetesKind, version: str, collected: Collected) -> str:
        """Add all objects of a kind; return the resource version that the list is of."""
        seen: dict[tuple[Any, Any], int] = {}
        token, limit, restarts, since = "", self._page, 0, ""
        while True:
            try:
                page = self.client.page(kind, version, limit=limit, token=token)
            except Gone as gone:
                # The server forgot the state that the list began with: it may offer to go on with the present one.
                token, restarts = gone.token, restarts + 1
                if restarts > _RESTARTS:
                    raise
                continue
            except (TooLarge, Unavailable) as error:
                # Large objects make large pages: smaller ones may pass.
                if limit <= 25:
                    raise
                if isinstance(error, Unavailable) and restarts > _RESTARTS:
                    raise
                restarts += isinstance(error, Unavailable)
                limit //= 4
                continue
            since = since or page.resource_version
            for item in page.items:
                meta = item.get("metadata")
                key = (meta.get("namespace"), meta.get("name")) if isinstance(meta, dict) else (None, None)
                obj = Obj(prune(item), source=self.scope)
                if key in seen:
                    collected.objects[seen[key]] = obj  # after a restart: the later one counts
                    continue
                seen[key] = len(collected.objects)
                collected.objects.append(obj)
                if len(collected.objects) > MAX_OBJECTS:
                    raise TooLarge(f"more than {MAX_OBJECTS:,} objects")
            token = page.next
            if not token:
                return since


def _why(error: Exception) -> str:
    return str(getattr(error, "message", error))
