"""Components of the control plane and nodes: their flags and configuration, from mirror pods, collectors and files."""

from __future__ import annotations

import base64
import binascii
import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from seawall.posture.objects import Obj, dig, mapping, mappings, sequence, text, texts, truth
from seawall.posture.workloads import Workload
from seawall.posture.world import World
from seawall.posture.yaml_reader import documents

NAMES: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet", "kube-proxy")
_HYPERKUBE: Final = {
    "apiserver": "kube-apiserver",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "kubelet": "kubelet",
    "proxy": "kube-proxy",
}


@dataclass(slots=True)
class Component:
    """One running component. `flags` by name with value and JSON path, the last one given; `config` is its configuration file."""

    name: str
    obj: Obj
    flags: dict[str, tuple[str, str]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    has_flags: bool = False
    has_config: bool = False
    path: str = ""

    @property
    def index(self) -> int:
        return self.obj.index

    def flag(self, name: str) -> str | None:
        """Return a flag's value, None when it is not given."""
        found = self.flags.get(name)
        return found[0] if found else None


@dataclass(slots=True)
class NodeFile:
    """One file of a node. `role` is the control that it belongs to; `mode` in octal digits as a number, None = unknown."""

    role: str
    obj: Obj
    path: str
    mode: int | None
    owner: str
    at: str

    @property
    def index(self) -> int:
        return self.obj.index


_LISTS: Final = frozenset(
    {
        "authorization-mode",
        "enable-admission-plugins",
        "disable-admission-plugins",
        "tls-cipher-suites",
        "feature-gates",
    }
)
"""Flags that add up when they are given more than once; of all others the last one counts. Source: pflag, StringSlice."""


def parse_flags(words: list[str], path: str) -> dict[str, tuple[str, str]]:
    """Return the flags of a command line: `--flag=value`, `--flag value` and `--flag`, with repeated lists joined."""
    found: dict[str, tuple[str, str]] = {}
    position = 0
    while position < len(words):
        word, at = words[position], f"{path}[{position}]" if path else ""
        position += 1
        if not word.startswith("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            following = words[position] if position < len(words) else "-"
            if not following.startswith("-"):
                value, position = following, position + 1
            else:
                value = "true"
        name, value = name.strip().replace("_", "-"), value.strip().strip("\"'")
        if name in _LISTS and name in found:
            value = f"{found[name][0]},{value}"
        found[name] = (value, at)
    return found


def component_of(words: list[str]) -> str:
    """Return which component a command line starts, empty when none."""
    for position, word in enumerate(words[:4]):
        base = word.rsplit("/", 1)[-1]
        if base in NAMES:
            return base
        if base == "hyperkube" and position + 1 < len(words):
            return _HYPERKUBE.get(
                words[position + 1].removeprefix("kube-"), words[position + 1] if words[position + 1] in NAMES else ""
            )
    return ""


_FOUND: WeakKeyDictionary[World, dict[str, list[Component]]] = WeakKeyDictionary()
_FILES: WeakKeyDictionary[World, dict[str, list[NodeFile]]] = WeakKeyDictionary()


def components(world: World) -> dict[str, list[Component]]:
    """Return the components that anything in the world tells of, by name."""
    if world not in _FOUND:
        found: dict[str, list[Component]] = defaultdict(list)
        for workload in world.workloads:
            for component in _of_workload(workload):
                found[component.name].append(component)
        for obj in world.of("ConfigMap"):
            for component in _of_config_map(obj):
                found[component.name].append(component)
        for obj in world.of(
            "KubeletInfo",
            "ControlPlaneInfo",
            "KubeProxyInfo",
            "KubeletConfiguration",
            "KubeProxyConfiguration",
            "NodeInfo",
        ):
            for component in _of_record(obj):
                found[component.name].append(component)
        _FOUND[world] = found
    return _FOUND[world]


def _of_workload(workload: Workload) -> Iterator[Component]:
    for container in workload.containers:
        command, args = texts(container.body.get("command")), texts(container.body.get("args"))
        if not command and not args:
            continue
        words = [*command, *args]
        if len(command) >= 2 and command[0].rsplit("/", 1)[-1] in {"sh", "bash"}:
            try:
                words = [word for part in words for word in shlex.split(part.replace("exec ", " "), comments=False)]
            except ValueError:
                continue
            words = [word for word in words if word not in {"-c", "-ec"}][1:]
        name = component_of(words)
        if not name and not command:
            last = container.image.repository.rsplit("/", 1)[-1]
            name = next((item for item in NAMES if last == item or last.startswith(f"{item}-")), "")
        if not name:
            continue
        flags = parse_flags(command, f"{container.path}.command")
        flags |= parse_flags(args, f"{container.path}.args")
        if words != [*command, *args]:
            flags = {key: (value, f"{container.path}.command") for key, (value, _) in parse_flags(words, "").items()}
        if name == "etcd":
            for index, item in enumerate(mappings(container.body.get("env"))):
                key = text(item.get("name"))
                if key.startswith("ETCD_") and isinstance(item.get("value"), str):
                    flags.setdefault(
                        key[5:].lower().replace("_", "-"), (item["value"], f"{container.path}.env[{index}].value")
                    )
        yield Component(
            name, workload.obj, flags, has_flags=True, path=f"{container.path}.{'command' if command else 'args'}"
        )
        return


def _of_config_map(obj: Obj) -> Iterator[Component]:
    """kubeadm and others keep the configuration of kube-proxy in a config map."""
    if obj.name == "kube-proxy" and obj.in_namespace == "kube-system":
        for key in ("config.conf", "config"):
            raw = mapping(obj.body.get("data")).get(key)
            if isinstance(raw, str):
                body = next((mapping(document.value) for document in documents(raw.encode())), {})
                yield Component("kube-proxy", obj, config=body, has_config=True)
                return


def decoded(content: object) -> dict[str, Any]:
    """Return the document in a collector's base64 `content`; empty when there is none."""
    try:
        raw = base64.b64decode(text(content), validate=False)
    except (ValueError, binascii.Error):
        return {}
    return next((mapping(document.value) for document in documents(raw)), {})


def _of_record(obj: Obj) -> Iterator[Component]:
    data = mapping(obj.body.get("data"))
    if obj.kind == "KubeletConfiguration":
        yield Component("kubelet", obj, config=obj.body, has_config=True)
    elif obj.kind == "KubeProxyConfiguration":
        yield Component("kube-proxy", obj, config=obj.body, has_config=True)
    elif obj.kind == "KubeletInfo":
        line, content = text(data.get("cmdLine")), mapping(data.get("configFile")).get("content")
        config = decoded(content)
        yield Component(
            "kubelet",
            obj,
            {key: (value, "data.cmdLine") for key, (value, _) in parse_flags(line.split(), "").items()},
            config,
            bool(line),
            bool(content),
            "data.cmdLine",
        )
    elif obj.kind == "KubeProxyInfo":
        line = text(data.get("cmdLine"))
        if line:
            yield Component(
                "kube-proxy",
                obj,
                {key: (value, "data.cmdLine") for key, (value, _) in parse_flags(line.split(), "").items()},
                {},
                True,
                path="data.cmdLine",
            )
    elif obj.kind == "ControlPlaneInfo":
        for key, name in (
            ("APIServerInfo", "kube-apiserver"),
            ("controllerManagerInfo", "kube-controller-manager"),
            ("schedulerInfo", "kube-scheduler"),
        ):
            part = mapping(data.get(key))
            if line := text(part.get("cmdLine")):
                at = f"data.{key}.cmdLine"
                files = {
                    file: decoded(mapping(part.get(file)).get("content"))
                    for file in ("auditPolicyFile", "encryptionProviderConfigFile", "admissionControlConfigFile")
                    if mapping(part.get(file)).get("content")
                }
                yield Component(
                    name,
                    obj,
                    {flag: (value, at) for flag, (value, _) in parse_flags(line.split(), "").items()},
                    files,
                    True,
                    path=at,
                )
    elif obj.kind == "NodeInfo":
        yield from _of_node_info(obj)


_NODE_INFO_FLAGS: Final = {
    "kubeletAnonymousAuthArgumentSet": "anonymous-auth", "kubeletAuthorizationModeArgumentSet": "authorization-mode",
    "kubeletClientCaFileArgumentSet": "client-ca-file", "kubeletReadOnlyPortArgumentSet": "read-only-port",
    "kubeletStreamingConnectionIdleTimeoutArgumentSet": "streaming-connection-idle-timeout",
    "kubeletProtectKernelDefaultsArgumentSet": "protect-kernel-defaults", "kubeletMakeIptablesUtilChainsArgumentSet": "make-iptables-util-chains",
    "kubeletHostnameOverrideArgumentSet": "hostname-override", "kubeletEventQpsArgumentSet": "event-qps",
    "kubeletTlsCertFileTlsArgumentSet": "tls-cert-file", "kubeletTlsPrivateKeyFileArgumentSet": "tls-private-key-file",
    "kubeletRotateCertificatesArgumentSet": "rotate-certificates", "kubeletRotateKubeletServerCertificateArgumentSet": "rotate-server-certificates",
    "kubeletOnlyUseStrongCryptographic": "tls-cipher-suites",
}  # fmt: skip
"""Facts of the k8s-node-collector and the kubelet flag that each stands for."""


def _of_node_info(obj: Obj) -> Iterator[Component]:
    info = mapping(obj.body.get("info"))
    flags: dict[str, tuple[str, str]] = {}
    told = False
    for key, flag in _NODE_INFO_FLAGS.items():
        if key in info:
            told = True
            values = sequence(mapping(info[key]).get("values"))
            if values:
                flags[flag] = (",".join(str(value) for value in values), f"info.{key}.values")
            else:
                flags[f"?{flag}"] = ("", f"info.{key}.values")
    if told:
        yield Component("kubelet", obj, flags, {}, False, False, "info")


KUBELET_FLAGS: Final = {
    "anonymous-auth": "authentication.anonymous.enabled", "authorization-mode": "authorization.mode",
    "client-ca-file": "authentication.x509.clientCAFile", "read-only-port": "readOnlyPort",
    "streaming-connection-idle-timeout": "streamingConnectionIdleTimeout", "make-iptables-util-chains": "makeIPTablesUtilChains",
    "event-qps": "eventRecordQPS", "tls-cert-file": "tlsCertFile", "tls-private-key-file": "tlsPrivateKeyFile",
    "rotate-certificates": "rotateCertificates", "rotate-server-certificates": "serverTLSBootstrap", "tls-cipher-suites": "tlsCipherSuites",
    "tls-min-version": "tlsMinVersion", "pod-max-pids": "podPidsLimit", "seccomp-default": "seccompDefault",
    "protect-kernel-defaults": "protectKernelDefaults", "fail-swap-on": "failSwapOn", "allowed-unsafe-sysctls": "allowedUnsafeSysctls",
    "enable-debugging-handlers": "enableDebuggingHandlers", "metrics-bind-address": "metricsBindAddress",
}  # fmt: skip
"""Kubelet flags and the configuration keys that they override. Source: Kubernetes documentation, kubelet."""

_KEYS: Final = {key: flag for flag, key in KUBELET_FLAGS.items()}


def setting(component: Component, key: str) -> tuple[Any, str]:
    """Return the effective value of a configuration key and where it stands; None when neither flag nor file sets it."""
    flag = _KEYS.get(key, "")
    if flag in component.flags:
        return component.flags[flag]
    value = dig(component.config, key)
    if value is not None:
        return value, key if component.obj.kind.endswith("Configuration") else f"data.configFile.content: {key}"
    return None, component.flags.get(f"?{flag}", ("", ""))[1] or key


def feature_gate(component: Component, name: str) -> tuple[bool | None, str]:
    """Return a feature gate's value and where it stands, None when it is not set."""
    raw = component.flags.get("feature-gates")
    if raw is not None:
        for item in raw[0].split(","):
            key, _, value = item.partition("=")
            if key.strip() == name:
                return truth(value), raw[1]
    gates = mapping(component.config.get("featureGates"))
    return (truth(gates.get(name)), f"featureGates.{name}") if name in gates else (None, "featureGates")


def node_files(world: World) -> dict[str, list[NodeFile]]:
    """Return the files of nodes that collectors tell of, by the control that judges them."""
    if world not in _FILES:
        found: dict[str, list[NodeFile]] = defaultdict(list)
        for obj in world.of("KubeletInfo", "ControlPlaneInfo", "KubeProxyInfo", "CNIInfo", "NodeInfo", "NodeFiles"):
            for file in _files_of(obj):
                found[file.role].append(file)
        _FILES[world] = found
    return _FILES[world]


_RECORD_FILES: Final = {
    "APIServerInfo.specsFile": "NF-01", "controllerManagerInfo.specsFile": "NF-02", "schedulerInfo.specsFile": "NF-03", "etcdConfigFile": "NF-04",
    "CNIConfigFiles": "NF-05", "etcdDataDir": "NF-06", "adminConfigFile": "NF-07", "schedulerInfo.configFile": "NF-08",
    "controllerManagerInfo.configFile": "NF-09", "PKIDIr": "NF-10", "PKIDir": "NF-10", "PKIFiles": "NF-10", "serviceFiles": "NF-13",
    "clientCAFile": "NF-16",
}  # fmt: skip
_NODE_INFO_FILES: Final = {
    "kubeAPIServerSpecFile": "NF-01", "kubeControllerManagerSpecFile": "NF-02", "kubeSchedulerSpecFile": "NF-03", "kubeEtcdSpecFile": "NF-04",
    "containerNetworkInterfaceFile": "NF-05", "etcdDataDirectory": "NF-06", "adminConfFile": "NF-07", "schedulerConfFile": "NF-08",
    "controllerManagerConfFile": "NF-09", "kubePKIDirectoryFile": "NF-10", "kubernetesPKICertificateFile": "NF-11", "kubePKIKeyFile": "NF-12",
    "kubeletServiceFile": "NF-13", "kubeconfigFileExists": "NF-14", "kubeletConfFile": "NF-15", "certificateAuthoritiesFile": "NF-16",
    "kubeletConfigYamlConfigurationFile": "NF-17",
}  # fmt: skip
_BY_PATH: Final = (
    ("/kube-apiserver.yaml", "NF-01"), ("/kube-controller-manager.yaml", "NF-02"), ("/kube-scheduler.yaml", "NF-03"), ("/etcd.yaml", "NF-04"),
    ("/cni/net.d/", "NF-05"), ("/var/lib/etcd", "NF-06"), ("/admin.conf", "NF-07"), ("/super-admin.conf", "NF-07"), ("/scheduler.conf", "NF-08"),
    ("/controller-manager.conf", "NF-09"), ("/pki/ca.crt", "NF-16"), (".crt", "NF-11"), (".key", "NF-12"), ("kubelet.service", "NF-13"),
    ("kube-proxy", "NF-14"), ("/kubelet.conf", "NF-15"), ("kubelet/kubeconfig", "NF-15"), ("kubelet/config", "NF-17"), ("kubelet-config", "NF-17"),
    ("/azure.json", "NF-18"), ("/pki", "NF-10"),
)  # fmt: skip


def _files_of(obj: Obj) -> Iterator[NodeFile]:
    data = mapping(obj.body.get("data"))
    if obj.kind == "NodeInfo":
        info = mapping(obj.body.get("info"))
        for stem, role in _NODE_INFO_FILES.items():
            for suffix in ("Permission", "Permissions"):
                for value in sequence(mapping(info.get(f"{stem}{suffix}")).get("values")):
                    yield NodeFile(role, obj, "", _octal(value), "", f"info.{stem}{suffix}.values")
            for value in sequence(mapping(info.get(f"{stem}Ownership")).get("values")):
                yield NodeFile(role, obj, "", None, text(value), f"info.{stem}Ownership.values")
        return
    if obj.kind == "NodeFiles":
        for index, item in enumerate(mappings(obj.body.get("files"))):
            path = text(item.get("path"))
            role = next((role for mark, role in _BY_PATH if mark in path), "")
            if role:
                yield NodeFile(
                    role,
                    obj,
                    path,
                    _octal(item.get("mode")),
                    f"{text(item.get('owner'))}:{text(item.get('group'))}",
                    f"files[{index}]",
                )
        return
    for field_name, role in _RECORD_FILES.items():
        value = dig(data, field_name)
        for index, item in enumerate(mappings(value) if isinstance(value, list) else [mapping(value)] if value else []):
            at = f"data.{field_name}[{index}]" if isinstance(value, list) else f"data.{field_name}"
            path = text(item.get("path"))
            yield _record_file(role, obj, item, at)
            if role == "NF-10" and field_name != "PKIDIr" and path.endswith((".crt", ".key")):
                yield _record_file("NF-12" if path.endswith(".key") else "NF-11", obj, item, at)
    if obj.kind == "KubeletInfo":
        for field_name, role in (("kubeConfigFile", "NF-15"), ("configFile", "NF-17")):
            if item := mapping(data.get(field_name)):
                yield _record_file(role, obj, item, f"data.{field_name}")
    elif obj.kind == "KubeProxyInfo" and (item := mapping(data.get("kubeConfigFile"))):
        yield _record_file("NF-14", obj, item, "data.kubeConfigFile")


def _record_file(role: str, obj: Obj, item: dict[str, Any], at: str) -> NodeFile:
    mode, ownership = item.get("permissions"), mapping(item.get("ownership"))
    owner = ""
    if ownership and not ownership.get("err"):
        owner = f"{_name(ownership, 'username', 'uid')}:{_name(ownership, 'groupname', 'gid')}"
    return NodeFile(
        role,
        obj,
        text(item.get("path")),
        int(f"{mode:o}") if isinstance(mode, int) and not isinstance(mode, bool) else None,
        owner,
        at,
    )


def _name(ownership: dict[str, Any], name: str, number: str) -> str:
    owner = ownership.get(number, "")
    return text(ownership.get(name)) or ("root" if owner == 0 and owner is not False else str(owner))


def _octal(value: object) -> int | None:
    """Octal digits as a number: 644 for rw-r--r--."""
    raw = str(value).strip().removeprefix("0o").lstrip("0") or "0"
    return int(raw) if raw.isdigit() and set(raw) <= set("01234567") else None
