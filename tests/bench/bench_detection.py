"""Audit detection from raw bytes to folded alerts, every analytic on, against msgspec decoding the same bytes.

Mixed real events of `../shared/data/audit` are repeated, each time with a new audit id and later times, so that no
repeat is recognised as one. `--events N` (default a million). Exit code 1 when a required figure is missed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import msgspec
from seawall.app.detect import load_rules
from seawall.detection.engine import Engine
from seawall.detection.growing import Growing
from seawall.detection.sources.batch import Batch
from seawall.detection.sources.recognise import decode

DATA = Path(__file__).parents[3] / "shared" / "data" / "audit"
REQUIRED_PER_S = 25_000
MOST_RATIO = 4.0
CHUNK = 20_000


def lines() -> list[bytes]:
    """Return the records of the corpus as single lines, in the envelopes their sources used."""
    found = []
    for path in sorted(DATA.rglob("*.json*")):
        data = path.read_bytes()
        documents = (
            data.splitlines() if path.suffix == ".jsonl" or data.count(b"\n") <= 1 or data[:2] == b'{"' else [data]
        )
        for document in documents:
            if not document.strip():
                continue
            try:
                value = msgspec.json.decode(document)
            except msgspec.DecodeError:
                continue
            records = value.get("records") if isinstance(value, dict) else None
            found += [msgspec.json.encode(record) for record in records or [value]]
    return found


def variant(line: bytes, number: int) -> bytes:
    """Return the record as another call: audit id and time differ, length does not."""
    mark = b"%04x" % (number % 65536)
    for key in (b'"auditID":"', b'\\"auditID\\":\\"', b'"insertId":"', b'"auditID": "'):
        at = line.find(key)
        if at >= 0:
            at += len(key)
            line = line[:at] + mark + line[at + 4 :]
    clock = b"%02d:%02d" % (number // 60 % 24, number % 60)
    for key in (b'"requestReceivedTimestamp":"', b'\\"requestReceivedTimestamp\\":\\"'):
        at = line.find(key)
        if at >= 0:
            at += len(key) + 11
            line = line[:at] + clock + line[at + 5 :]
    return line


def main() -> int:
    """Run and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--judge-all", action="store_true", help="judge equal requests again each time")
    arguments = parser.parse_args()
    wanted = arguments.events
    if not DATA.is_dir():
        print("skipped: needs ../shared")
        return 0
    corpus = lines()
    rules = load_rules()
    engine = Engine(rules)
    decoder = msgspec.json.Decoder()
    growing = Growing(remember=not arguments.judge_all)
    batch = Batch()
    records = size = 0
    detect_s = decode_s = 0.0
    rounds, memory = 0, []
    while records < wanted:
        chunk = []
        while len(chunk) < CHUNK:
            chunk += [variant(line, rounds) for line in corpus]
            rounds += 1
        size += sum(map(len, chunk))
        start = time.process_time()
        for line in chunk:
            decoder.decode(line)
        middle = time.process_time()
        for line in chunk:
            batch.events.clear()
            decode(line, batch=batch)
            for event in batch.events:
                engine.feed(event, growing)
        end = time.process_time()
        decode_s += middle - start
        detect_s += end - middle
        records += len(chunk)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    start = time.process_time()
    alerts = growing.alerts()
    detect_s += time.process_time() - start
    rate, ratio = records / detect_s, detect_s / decode_s
    print(
        f"records {records:,} ({size / records:.0f} bytes each), events {engine.stats.events:,}, analytics {len(engine.rules)}, alerts {len(alerts):,} from {engine.stats.matches:,} matches"
    )
    print(f"bytes to alerts: {rate:,.0f} records/s on one core (required {REQUIRED_PER_S:,})")
    print(
        f"msgspec decoding alone: {records / decode_s:,.0f} records/s; detection takes {ratio:.2f} x that (required at most {MOST_RATIO:g})"
    )
    print(f"peak memory after the first chunk {memory[0]} MB, at the end {memory[-1]} MB")
    print(f"analytic errors: {sum(engine.stats.errors.values())}")
    return 0 if rate >= REQUIRED_PER_S and ratio <= MOST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
