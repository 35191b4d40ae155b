"""Parts of a pod template: workloads that are equal in the parts that a control reads are judged once."""

from __future__ import annotations

import marshal
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from seawall.posture.workloads import Workload

if TYPE_CHECKING:
    from seawall.posture.world import World


class Part(Enum):
    """What a control may read of a workload when it says so: the pod's fields and each container's.

    Every part also holds the place, the list, the name and the `restartPolicy` of each container.
    """

    CONTEXT = (
        ("securityContext", "hostPID", "hostIPC", "hostNetwork", "hostUsers", "hostAliases", "shareProcessNamespace", "os", "nodeSelector"),
        ("securityContext", "stdin", "tty"),
    )  # fmt: skip
    """who the processes are and what they share; with the annotations for seccomp and AppArmor"""
    UPKEEP = (
        ("resources", "restartPolicy"),
        ("resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"),
    )
    """what it may use and how it is watched; with the LimitRanges of its namespace"""
    STORAGE = (("volumes",), ("volumeMounts",))
    """what is mounted where"""
    PROGRAM = ((), ("command", "args", "env", "envFrom", "ports"))
    """what is run, with which arguments and variables, behind which ports"""

    def __init__(self, pod: tuple[str, ...], container: tuple[str, ...]) -> None:
        self.pod, self.container = pod, container


_ANNOTATIONS: Final = ".security."
"""In the names of all annotations for seccomp and AppArmor."""


def is_read(annotation: str) -> bool:
    """Whether an annotation of pods belongs to `Part.CONTEXT`."""
    return _ANNOTATIONS in annotation


def part_of(field: str, *, pod: bool) -> Part | None:
    """Return the part that a field of the pod spec, or of a container, belongs to."""
    key = field.partition(".")[0].removesuffix("[*]")
    return next((part for part in Part if key in (part.pod if pod else part.container)), None)


def fingerprint(workload: Workload, part: Part, world: World) -> bytes | None:
    """Return the same 16 bytes for workloads that are equal in a part; None where its values have no plain form."""
    spec, obj = workload.spec, workload.obj
    values: list[Any] = [workload.path, *[spec.get(key) for key in part.pod]]
    for container in workload.containers:
        body = container.body
        values += [container.path, body.get("name"), body.get("restartPolicy"), *[body.get(key) for key in part.container]]  # fmt: skip
    if part is Part.CONTEXT:
        for notes in (workload.annotations, obj.annotations):
            values += [item for item in notes.items() if is_read(item[0])]
            values.append(None)
    elif part is Part.UPKEEP:
        values += [workload.is_job, workload.namespace if workload.namespace in world.limit_ranges else ""]
    try:
        return blake2b(marshal.dumps(values, 2), digest_size=16).digest()
    except ValueError:
        return None
