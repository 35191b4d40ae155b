"""Rows into Log Analytics by the Logs Ingestion API.

azure-monitor-ingestion 1.1 cuts batches without counting the separators and so runs into the limit it wants to keep;
batches are cut here, by what goes over the wire.
Source: Microsoft Learn, "Logs Ingestion API in Azure Monitor", "Azure Monitor service limits".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from seawall.adapters.azure.http import azure_http
from seawall.adapters.azure.rows import Row
from seawall.domain.errors import InputError, SeawallError, TooLarge

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

BATCH_BYTES = 900_000
"""The service takes 1 MB, compressed and uncompressed."""
API_VERSION = "2023-01-01"
ROLE = "the role Monitoring Metrics Publisher on the data collection rule (Microsoft.Insights/Telemetry/Write)"

Numbered = tuple[int, bytes]


class LogsIngestion:
    """One data collection rule behind its endpoint."""

    def __init__(
        self, endpoint: str, rule_id: str, credential: TokenCredential, *, audience: str, ca_file: str = ""
    ) -> None:
        self._rule = rule_id
        self._http = azure_http(endpoint, audience, credential, needs=ROLE, ca_file=ca_file)

    def send(self, stream: str, rows: Iterable[Row]) -> dict[int, SeawallError]:
        """Deliver `rows`; return the error of every row (by position) that was not taken.

        A batch that is too large is halved; of a batch that is refused the bad rows are found by halving, so the good
        ones arrive. After an error that concerns the service (429, 5xx, 403) nothing more is sent in this call: what
        was not tried fails with the same error.
        """
        failed: dict[int, SeawallError] = {}
        waiting = list(batches(rows))
        stop: SeawallError | None = None
        for batch in waiting:
            stop = self._batch(stream, batch, failed, stop)
        return failed

    def _batch(
        self, stream: str, batch: Sequence[Numbered], failed: dict[int, SeawallError], stop: SeawallError | None
    ) -> SeawallError | None:
        """Deliver one batch; return the error that ends the call, if any."""
        if stop is not None:
            failed.update((position, stop) for position, _ in batch)
            return stop
        try:
            self._http.call(
                "POST",
                f"/dataCollectionRules/{self._rule}/streams/{stream}",
                b"[" + b",".join(raw for _, raw in batch) + b"]",
                params={"api-version": API_VERSION},
                compress=True,
            )
        except (TooLarge, InputError) as error:
            if len(batch) == 1:
                failed[batch[0][0]] = error
                return None
            middle = len(batch) // 2
            stop = self._batch(stream, batch[:middle], failed, None)
            return self._batch(stream, batch[middle:], failed, stop)
        except SeawallError as error:
            failed.update((position, error) for position, _ in batch)
            return error
        return None


def batches(rows: Iterable[Row], limit: int = BATCH_BYTES) -> Iterator[list[Numbered]]:
    """Yield lists of (position, JSON) whose array, brackets and separators included, stays within `limit` bytes.

    A row that alone is larger makes a batch of its own: the service refuses it, and only it.
    """
    batch: list[Numbered] = []
    size = 2
    for position, row in enumerate(rows):
        raw = json.dumps(row, separators=(",", ":"), default=str).encode()
        if batch and size + len(raw) + 1 > limit:
            yield batch
            batch, size = [], 2
        batch.append((position, raw))
        size += len(raw) + 1
    if batch:
        yield batch
