"""What `/metrics`, `/healthz` and the heartbeat say of a running sensor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall_sensor.deliver import Delivery
    from seawall_sensor.learning import Learning
    from seawall_sensor.pod_sources import PodSource
    from seawall_sensor.sensor import Sensor
    from seawall_sensor.serving import Samples

STUCK_S = 30.0
"""A loop that did not turn for so long hangs."""


def samples(
    sensor: Sensor, delivery: Delivery | None, pods: PodSource | None = None, learning: Learning | None = None
) -> Samples:
    """Return the metrics."""
    status = sensor.status
    found: dict[str, float | dict[str, float]] = {
        "seawall_sensor_info": {
            f'version="{sensor.version}",kernel="{sensor.host.kernel}",node="{sensor.host.node}"': 1.0
        },
        "seawall_sensor_ready": float(status.state == "ready"),
        "seawall_sensor_events_total": status.events,
        "seawall_sensor_alerts_total": status.alerts,
        "seawall_sensor_lost_total": {
            f'stage="{stage}",class="{event_class}"': number
            for (stage, event_class), number in sorted(status.losses.items())
        }
        or {"": 0.0},
        "seawall_sensor_lag_seconds": status.lag_s,
        "seawall_sensor_cpu_share": sensor.limits.cpu_share,
        "seawall_sensor_resident_bytes": sensor.limits.resident_bytes(),
        "seawall_sensor_shed_level": sensor.limits.level,
        "seawall_sensor_hooks_attached": len(sensor.programs.hooks.attached),
        "seawall_sensor_hooks_missing": len(sensor.programs.hooks.missing),
        "seawall_sensor_processes_cached": len(sensor.processes),
        "seawall_sensor_containers": len(sensor.containers.running()),
    }
    if learning is not None:
        learnt, still = learning.counts
        found["seawall_sensor_workloads"] = {'state="learnt"': float(learnt), 'state="learning"': float(still)}
        found["seawall_sensor_workload_features"] = learning.habits.features()
        found["seawall_sensor_workloads_evicted_total"] = learning.habits.stats.evicted
    if pods is not None:
        found["seawall_sensor_pods_known"] = len(pods.directory)
        found["seawall_sensor_pods_synced"] = float(pods.directory.synced)
        found["seawall_sensor_pods_failures_total"] = pods.failures
    if delivery is not None:
        figures = delivery.figures
        found |= {
            "seawall_sensor_delivered_total": figures.delivered,
            "seawall_sensor_batches_delivered_total": figures.batches,
            "seawall_sensor_delivery_failures_total": figures.failures,
            "seawall_sensor_refused_total": figures.refused,
            "seawall_sensor_dropped_total": {
                f'reason="{reason}"': float(number) for reason, number in sorted(figures.dropped.items())
            }
            or {"": 0.0},
            "seawall_sensor_delivery_working": float(not figures.last_error),
            "seawall_sensor_spool_bytes": delivery.spool.size_bytes,
            "seawall_sensor_spool_batches": len(delivery.spool),
            "seawall_sensor_spool_disk_working": float(not delivery.spool.wrong),
            "seawall_sensor_spool_held_bytes": delivery.spool.held_bytes,
            "seawall_sensor_certificate_expiry_timestamp_seconds": figures.certificate_expires_ns / 1e9,
        }
    return found


def wrong(sensor: Sensor) -> str:
    """Return why the sensor should be started again; empty = it works. A receiver that is away is no reason."""
    if sensor.status.state == "starting":
        return "starting"
    still = time.monotonic() - sensor.status.turned
    return f"the loop has not turned for {still:.0f} s" if still > STUCK_S else ""


def facts(delivery: Delivery | None) -> dict[str, Any]:
    """Return what delivery adds to a heartbeat."""
    if delivery is None:
        return {}
    return {
        "spooled_bytes": delivery.spool.size_bytes,
        "certificate_expires_ns": delivery.figures.certificate_expires_ns,
        "delivered": delivery.figures.delivered,
        "dropped": sum(delivery.figures.dropped.values()),
        "spool_error": delivery.spool.wrong,
    }
