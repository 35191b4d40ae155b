"""Credentials in clear text, and how secrets reach programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from seawall.posture.check import Finding, check, fail, in_container, manual, not_applicable
from seawall.posture.objects import Obj, mapping, mappings, quote, sequence, text
from seawall.posture.parts import Part
from seawall.posture.workloads import Workload
from seawall.posture.world import World

_NAMES: Final = re.compile(
    r"(?i)(passw(or)?d|passphrase|(?<![a-z])pwd(?![a-z])|secret|api_?-?key|access_?-?key|private_?-?key|auth_?-?token|bearer|credential"
    r"|(?<![a-z])token(?!ize|s_|_url|_type|_path|_file|_expir|_ttl|_name)|batch_?key|storage_?key|account_?key|client_?key|connection_?string|(?<![a-z])jwt(?![a-z])|(?<![a-z])dsn(?![a-z]))"
)
"""Names of variables and keys whose value is a credential."""

_HARMLESS_NAMES: Final = re.compile(
    r"(?i)(_file|_path|_dir|_url|_uri|_host|_name|_namespace|_ref|_id|_enabled|_ttl|_type|_issuer|_version|_length|_policy|_algorithm|_expiration|_location|_provider|_key_id|_mount|_class|secretname|keyfile|publickey|public_key|_arn|_interval|_timeout|_required)$"
)
_VALUES: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|BEGIN \w+ PRIVATE KEY|(?<![A-Z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Z0-9])|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}"
    r"|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,}|AIza[0-9A-Za-z_-]{35}|sk_live_[0-9a-zA-Z]{20,}|SG\.[\w-]{20,}\.[\w-]{20,}|npm_[A-Za-z0-9]{36}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*|AccountKey=[A-Za-z0-9+/=]{20,}|SharedAccessKey=[A-Za-z0-9+/=]{20,}"
    r"|(?i:\bbearer\s+[\w.~+/-]{6,})|^(?i:jwt|bearer)$"
    r"|[a-z][a-z0-9+.-]*://[^\s:/@$\{\}]+:[^\s:/@$\{\}]{3,}@[\w.-]+"
)
"""Values that are credentials by their form."""

_SHORTEST: Final = 9
"""No form of a credential above is shorter, but for the two words that stand for one."""
_PLACEHOLDERS: Final = re.compile(
    r"(?i)^(|\s+|true|false|yes|no|null|none|\d{1,2}|<.*>|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|/[\w./-]+|\*+)$"
)
_LINE_NAME: Final = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_.]*$")
_FLAG_NAMES: Final = re.compile(
    r"(?i)(?:passw(?:or)?d|passphrase|api_?key|(?:access|secret)_key|client_secret|(?:^|auth_|access_|api_|bearer_|bot_)token)$"
)
"""Flags that take a credential itself. `--tls-secret` and its kin take the name of a Secret."""
_SYSTEM_MAPS: Final = frozenset(
    {"kube-root-ca.crt", "openshift-service-ca.crt", "cluster-info", "extension-apiserver-authentication"}
)


def reveals(name: str, value: str) -> bool:
    """Whether a named value is a credential in clear text."""
    if (len(value) >= _SHORTEST or value.lower() in {"jwt", "bearer"}) and _VALUES.search(value[:100_000]):
        return True
    if not _NAMES.search(name) or _HARMLESS_NAMES.search(name):
        return False
    return not _PLACEHOLDERS.match(value.strip()) and "\n" not in value.strip()


def _line_reveals(value: str) -> bool:
    """Whether a properties or environment file holds a line `NAME=value` that reveals a credential."""
    for line in value[:200_000].splitlines():
        name, equals, rest = line.partition("=")
        if equals and _LINE_NAME.match(name.strip()) and reveals(name.strip(), rest.strip().strip("\"'")):
            return True
    return False


@check("WL-050", on=Workload, reads=(Part.PROGRAM,))
def secret_in_environment(workload: Workload, _: World) -> Iterator[Finding]:
    """`env[*].valueFrom.secretKeyRef` and `envFrom[*].secretRef`."""
    for container in workload.containers:
        for index, item in enumerate(mappings(container.body.get("env"))):
            if mapping(item.get("valueFrom")).get("secretKeyRef") is not None:
                yield in_container(
                    container, f"env[{index}].valueFrom.secretKeyRef", item.get("name"), "a mounted file"
                )
        for index, item in enumerate(mappings(container.body.get("envFrom"))):
            if item.get("secretRef") is not None:
                yield in_container(
                    container, f"envFrom[{index}].secretRef", mapping(item["secretRef"]).get("name"), "a mounted file"
                )


@check("WL-051", on=(Workload, "ConfigMap"), reads=(Part.PROGRAM,))
def clear_text_credential(subject: Workload | Obj, _: World) -> Iterator[Finding]:
    """Literal values of variables, arguments and ConfigMap keys that are credentials by name or form; the value is not shown."""
    if isinstance(subject, Obj):
        if subject.name in _SYSTEM_MAPS:
            return
        for key, value in mapping(subject.body.get("data")).items():
            if isinstance(value, str) and (reveals(str(key), value) or _line_reveals(value)):
                yield fail(f"data{quote(str(key))}", f"{len(value)} characters", "no credential", part=str(key))
        return
    for container in subject.containers:
        for index, item in enumerate(mappings(container.body.get("env"))):
            value = item.get("value")
            if isinstance(value, str) and reveals(text(item.get("name")), value):
                yield in_container(
                    container,
                    f"env[{index}].value",
                    f"{len(value)} characters",
                    "no credential",
                    f"variable {item.get('name')}",
                )
        for field in ("command", "args"):
            for index, word in enumerate(sequence(container.body.get(field))):
                name, equals, value = text(word).partition("=")
                name = name.lstrip("-").replace("-", "_") if name.startswith("-") else ""
                if equals and name and reveals(name if _FLAG_NAMES.search(name) else "", value):
                    yield in_container(
                        container, f"{field}[{index}]", f"{len(value)} characters", "no credential", f"flag {name}"
                    )


@check(
    "WL-079",
    on=Workload,
    reads=(
        Part.STORAGE,
        Part.PROGRAM,
    ),
)
def what_is_read(workload: Workload, _: World) -> Iterator[Finding]:
    """Volumes and variables that name Secrets, ConfigMaps and claims. A fact for attack paths."""
    mounted = {
        text(mount.get("name"))
        for container in workload.containers
        for mount in mappings(container.body.get("volumeMounts"))
    }
    for index, volume in workload.volumes:
        if text(volume.get("name")) not in mounted:
            continue
        for source, name in (("secret", "secretName"), ("configMap", "name"), ("persistentVolumeClaim", "claimName")):
            if volume.get(source) is not None:
                yield fail(
                    workload.at(f"volumes[{index}].{source}"),
                    mapping(volume[source]).get(name),
                    "reviewed",
                    part=text(volume.get("name")),
                )
        for number, part in enumerate(mappings(mapping(volume.get("projected")).get("sources"))):
            for source in ("secret", "configMap"):
                if part.get(source) is not None:
                    yield fail(
                        workload.at(f"volumes[{index}].projected.sources[{number}].{source}"),
                        mapping(part[source]).get("name"),
                        "reviewed",
                        part=text(volume.get("name")),
                    )
    for container in workload.containers:
        for index, item in enumerate(mappings(container.body.get("env"))):
            for source in ("secretKeyRef", "configMapKeyRef"):
                if mapping(item.get("valueFrom")).get(source) is not None:
                    yield in_container(
                        container,
                        f"env[{index}].valueFrom.{source}",
                        mapping(mapping(item.get("valueFrom"))[source]).get("name"),
                        "reviewed",
                    )
        for index, item in enumerate(mappings(container.body.get("envFrom"))):
            for source in ("secretRef", "configMapRef"):
                if item.get(source) is not None:
                    yield in_container(
                        container, f"envFrom[{index}].{source}", mapping(item[source]).get("name"), "reviewed"
                    )


@check("RB-028", on="Secret")
def long_lived_token(obj: Obj, _: World) -> Iterator[Finding]:
    """Secrets of type `kubernetes.io/service-account-token`."""
    if obj.body.get("type") == "kubernetes.io/service-account-token":
        yield fail(
            "type",
            obj.body.get("type"),
            "a short-lived token",
            part=text(obj.annotations.get("kubernetes.io/service-account.name")),
        )


@check("WL-069", on=("StorageClass", "PersistentVolume"))
def volumes_encrypted(obj: Obj, world: World) -> Iterator[Finding]:
    """Encryption parameters of StorageClasses, and of volumes that have none."""
    if obj.kind == "PersistentVolume":
        if obj.spec.get("hostPath") is not None or obj.spec.get("local") is not None or obj.spec.get("nfs") is not None:
            yield manual("encryption of this storage is set outside the cluster", "spec")
            return
        named = world.find("StorageClass", "", text(obj.spec.get("storageClassName")))
        attributes = mapping(mapping(obj.spec.get("csi")).get("volumeAttributes"))
        if named is not None or attributes.get("encrypted") == "true":
            return
        driver = text(mapping(obj.spec.get("csi")).get("driver")) or (
            "kubernetes.io/aws-ebs" if obj.spec.get("awsElasticBlockStore") else ""
        )
        if "ebs" in driver or "efs" in driver:
            yield manual("look at the volume in the cloud: the object does not say whether it is encrypted", "spec.csi")
        return
    provisioner, parameters = text(obj.body.get("provisioner")), mapping(obj.body.get("parameters"))
    if "ebs" in provisioner:
        if text(parameters.get("encrypted")).lower() != "true":
            yield fail("parameters.encrypted", parameters.get("encrypted"), "true")
    elif "secrets-store" in provisioner or provisioner == "kubernetes.io/no-provisioner":
        yield not_applicable("provisions no disk")
    elif not any(word in provisioner for word in _ENCRYPTING) and not any(
        "encrypt" in str(key).lower() or "kms" in str(key).lower() for key in parameters
    ):
        yield manual(f"see whether the storage behind {provisioner or 'this class'} encrypts", "parameters")


_ENCRYPTING: Final = ("disk.csi.azure", "azure-disk", "file.csi.azure", "azure-file", "gke.io", "gce-pd", "efs")
"""Provisioners of clouds that encrypt every disk with a key of theirs."""
