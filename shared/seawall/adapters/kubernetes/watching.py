"""Watches a cluster: every kind that was listed, from the state of that list on. Feeds changes, lists again where it must."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.adapters.kubernetes.client import Gone
from seawall.adapters.kubernetes.listing import ClusterSource
from seawall.assets.rights import BY_KIND
from seawall.domain.errors import Denied, NotFound, SeawallError
from seawall.posture.loading import prune
from seawall.posture.objects import Obj, mapping, text

log = logging.getLogger(__name__)
PAUSE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class WatchedChange:
    """One object is other than it was, or gone."""

    obj: Obj
    deleted: bool


class ClusterWatch:
    """One thread per kind. `changed` is called from those threads, one call at a time; `stale` when a kind must be listed again."""

    def __init__(
        self, source: ClusterSource, changed: Callable[[WatchedChange], None], stale: Callable[[str], None]
    ) -> None:
        self._source, self._changed, self._stale = source, changed, stale
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.notes: dict[str, str] = {}
        """By kind: why it is not watched."""

    def start(self) -> None:
        """Begin, after `source.collect()`."""
        for kind, (version, since) in sorted(self._source.versions.items()):
            thread = threading.Thread(
                target=self._follow, args=(kind, version, since), name=f"watch {kind}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End; returns when every thread did."""
        self._stop.set()
        self._source.close()
        for thread in self._threads:
            thread.join(10)

    def _follow(self, kind: str, version: str, since: str) -> None:
        known = BY_KIND[kind]
        while not self._stop.is_set():
            try:
                for event in self._source.client.watch(known, version, since):
                    if self._stop.is_set():
                        return
                    body = event["object"]
                    since = text(mapping(body.get("metadata")).get("resourceVersion")) or since
                    if event["type"] in {"ADDED", "MODIFIED", "DELETED"}:
                        with self._lock:
                            self._changed(
                                WatchedChange(Obj(prune(body), source=self._source.scope), event["type"] == "DELETED")
                            )
            except Gone:
                self._stale(kind)
                return
            except (Denied, NotFound) as error:
                self.notes[kind] = error.message
                log.warning("a kind is not watched", extra={"kind": kind, "error": error.message})
                return
            except SeawallError as error:
                if not self._stop.is_set():
                    log.info("a watch broke off", extra={"kind": kind, "error": error.message})
                    self._stop.wait(PAUSE_S)
