"""Flags of API server, controller manager, scheduler and etcd on clusters that run their own control plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Check, Cluster, Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.components import Component, components, feature_gate
from seawall.posture.fields import Op
from seawall.posture.objects import Obj, mapping, mappings, number, sequence, text, texts, truth
from seawall.posture.world import World

STRONG_CIPHERS: Final = frozenset(
    [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ]
)
"""Suites with ephemeral keys and authenticated encryption. Source: RFC 9325, and Go's crypto/tls names."""

WEAK_CIPHERS: Final = ("_CBC_", "_RC4_", "_3DES_", "TLS_RSA_")
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
DURATION: Final = {"ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class FlagControl:
    """A control decided by flags of a component; every flag has to hold. `absent` is the verdict of a flag not given."""

    id: str
    component: str
    flags: tuple[str, ...]
    op: Op
    value: Any = None
    absent: Status = Status.FAIL

    def check(self) -> Check:
        """Return the check that reads these flags."""
        return Check(
            self.id,
            (f"component:{self.component}",),
            self._run,
            f"{self.component}: {', '.join(f'`--{flag}`' for flag in self.flags)}",
        )

    def _run(self, component: Component, _: World) -> Iterator[Finding]:
        for flag in self.flags:
            found = component.flags.get(flag)
            if found is None:
                if self.absent is not Status.PASS:
                    yield Finding(self.absent, component.path, None, self.wanted(flag), "not set", flag)
                continue
            raw, at = found
            verdict = self.holds(raw)
            if verdict is None:
                yield Finding(Status.UNKNOWN, at, raw, self.wanted(flag), "cannot be read", flag)
            elif not verdict:
                yield fail(at, raw, self.wanted(flag), part=flag)

    def holds(self, raw: str) -> bool | None:
        """Judge a flag's text."""
        items = {item.strip() for item in raw.split(",")}
        match self.op:
            case Op.SET:
                return bool(raw)
            case Op.EMPTY:
                return not raw
            case Op.IS:
                return None if truth(raw) is None else truth(raw) is self.value
            case Op.IS_NOT:
                return truth(raw) is not self.value
            case Op.HAS:
                return self.value in items
            case Op.LACKS:
                return self.value not in items
            case Op.AT_LEAST:
                amount = number(raw)
                return None if amount is None else bool(amount >= self.value)
            case Op.IN:
                return bool(raw in self.value)
            case _:
                return bool(raw != self.value)

    def wanted(self, flag: str) -> str:
        """Return what a result shows as expected."""
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return {
            Op.SET: f"--{flag} set", Op.EMPTY: f"--{flag} not set", Op.HAS: f"--{flag} with {value}", Op.LACKS: f"--{flag} without {value}",
            Op.AT_LEAST: f"--{flag} of {value} or more", Op.IN: f"--{flag} on loopback", Op.IS_NOT: f"--{flag} not {value}",
        }.get(self.op, f"--{flag}={value}")  # fmt: skip


API, MANAGER, SCHEDULER, ETCD = "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"
PASS = Status.PASS
TABLE: Final = (
    FlagControl("CP-102", API, ("token-auth-file",), Op.EMPTY, absent=PASS),
    FlagControl("CP-103", API, ("enable-admission-plugins",), Op.HAS, "DenyServiceExternalIPs"),
    FlagControl("CP-104", API, ("kubelet-client-certificate", "kubelet-client-key"), Op.SET),
    FlagControl("CP-105", API, ("kubelet-certificate-authority",), Op.SET),
    FlagControl("CP-109", API, ("enable-admission-plugins",), Op.HAS, "EventRateLimit"),
    FlagControl("CP-110", API, ("enable-admission-plugins",), Op.LACKS, "AlwaysAdmit", PASS),
    FlagControl("CP-111", API, ("enable-admission-plugins",), Op.HAS, "AlwaysPullImages"),
    FlagControl("CP-112", API, ("disable-admission-plugins",), Op.LACKS, "ServiceAccount", PASS),
    FlagControl("CP-113", API, ("disable-admission-plugins",), Op.LACKS, "NamespaceLifecycle", PASS),
    FlagControl("CP-114", API, ("enable-admission-plugins",), Op.HAS, "NodeRestriction"),
    FlagControl("CP-115", API, ("profiling",), Op.IS, False),
    FlagControl("CP-117", API, ("audit-log-maxage",), Op.AT_LEAST, 30),
    FlagControl("CP-118", API, ("audit-log-maxbackup",), Op.AT_LEAST, 10),
    FlagControl("CP-119", API, ("audit-log-maxsize",), Op.AT_LEAST, 100),
    FlagControl("CP-121", API, ("service-account-lookup",), Op.IS, True, PASS),
    FlagControl("CP-122", API, ("service-account-key-file",), Op.SET),
    FlagControl("CP-123", API, ("etcd-certfile", "etcd-keyfile"), Op.SET),
    FlagControl("CP-124", API, ("tls-cert-file", "tls-private-key-file"), Op.SET),
    FlagControl("CP-125", API, ("client-ca-file",), Op.SET),
    FlagControl("CP-126", API, ("etcd-cafile",), Op.SET),
    FlagControl("CP-127", API, ("encryption-provider-config",), Op.SET),
    FlagControl("CP-130", API, ("service-account-extend-token-expiration",), Op.IS, False),
    FlagControl("CP-132", API, ("secure-port",), Op.NOT_IN, "0", PASS),
    FlagControl("CP-202", MANAGER, ("profiling",), Op.IS, False),
    FlagControl("CP-203", MANAGER, ("use-service-account-credentials",), Op.IS, True),
    FlagControl("CP-204", MANAGER, ("service-account-private-key-file",), Op.SET),
    FlagControl("CP-205", MANAGER, ("root-ca-file",), Op.SET),
    FlagControl("CP-207", MANAGER, ("bind-address",), Op.IN, LOOPBACK),
    FlagControl("CP-301", SCHEDULER, ("profiling",), Op.IS, False),
    FlagControl("CP-302", SCHEDULER, ("bind-address",), Op.IN, LOOPBACK),
    FlagControl("CP-401", ETCD, ("cert-file", "key-file"), Op.SET),
    FlagControl("CP-402", ETCD, ("client-cert-auth",), Op.IS, True),
    FlagControl("CP-403", ETCD, ("auto-tls",), Op.IS, False, PASS),
    FlagControl("CP-404", ETCD, ("peer-cert-file", "peer-key-file"), Op.SET),
    FlagControl("CP-405", ETCD, ("peer-client-cert-auth",), Op.IS, True),
    FlagControl("CP-406", ETCD, ("peer-auto-tls",), Op.IS, False, PASS),
    FlagControl("CP-504", API, ("audit-policy-file",), Op.SET),
)
CHECKS: Final = tuple(row.check() for row in TABLE)


@check("CP-101", on=f"component:{API}")
def anonymous(component: Component, world: World) -> Iterator[Finding]:
    """kube-apiserver: `--anonymous-auth`, or the anonymous section of the authentication configuration."""
    if "authentication-config" in component.flags and "anonymous-auth" not in component.flags:
        for obj in world.of("AuthenticationConfiguration"):
            section = mapping(obj.body.get("anonymous"))
            if section.get("enabled") is False or section.get("conditions"):
                return
            yield fail("anonymous", section or None, "enabled: false, or conditions", target=obj)
            return
        yield unknown(
            "--authentication-config names a file that was not collected", component.flags["authentication-config"][1]
        )
    elif truth(component.flag("anonymous-auth")) is not False:
        yield fail(
            component.flags.get("anonymous-auth", ("", component.path))[1],
            component.flag("anonymous-auth"),
            "--anonymous-auth=false",
        )


def _modes(component: Component, world: World) -> tuple[set[str] | None, str]:
    found = component.flags.get("authorization-mode")
    if found is not None:
        return {item.strip() for item in found[0].split(",")}, found[1]
    if "authorization-config" in component.flags:
        for obj in world.of("AuthorizationConfiguration"):
            return {text(item.get("type")) for item in mappings(obj.body.get("authorizers"))}, "authorizers"
        return None, component.flags["authorization-config"][1]
    return {"AlwaysAllow"}, component.path


def _mode_check(name: str, mode: str, wanted: bool) -> Check:
    def run(component: Component, world: World) -> Iterator[Finding]:
        modes, at = _modes(component, world)
        if modes is None:
            yield unknown("--authorization-config names a file that was not collected", at)
        elif (mode in modes) is not wanted:
            yield fail(
                at,
                ",".join(sorted(modes)),
                f"{'with' if wanted else 'without'} {mode}",
                "the default is AlwaysAllow" if at == component.path else "",
            )

    return Check(
        name, (f"component:{API}",), run, f"{API}: `--authorization-mode` {'has' if wanted else 'lacks'} {mode}"
    )


MODES: Final = (
    _mode_check("CP-106", "AlwaysAllow", False),
    _mode_check("CP-107", "Node", True),
    _mode_check("CP-108", "RBAC", True),
)


@check("CP-116", on=f"component:{API}")
def audit_log(component: Component, _: World) -> Iterator[Finding]:
    """kube-apiserver: `--audit-log-path`, or `--audit-webhook-config-file`."""
    if not component.flag("audit-log-path") and not component.flag("audit-webhook-config-file"):
        yield fail(component.path, None, "--audit-log-path set")


def seconds(raw: str) -> float | None:
    """Return a Go duration in seconds, None when it is none."""
    import re

    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", raw)
    if not parts or "".join(f"{amount}{unit}" for amount, unit in parts) != raw:
        return None
    return sum(float(amount) * DURATION[unit] for amount, unit in parts)


@check("CP-120", on=f"component:{API}")
def request_timeout(component: Component, _: World) -> Iterator[Finding]:
    """kube-apiserver: `--request-timeout` is not above 300 s."""
    raw = component.flag("request-timeout")
    if raw is None:
        return
    amount = seconds(raw)
    if amount is None:
        yield Finding(Status.UNKNOWN, component.flags["request-timeout"][1], raw, reason="not a duration")
    elif amount <= 0 or amount > 300:
        yield fail(component.flags["request-timeout"][1], raw, "up to 300s")


@check("CP-128", on=(f"component:{API}", "EncryptionConfiguration", "EncryptionConfig"))
def strong_provider(subject: Component | Obj, world: World) -> Iterator[Finding]:
    """The first provider for secrets in the encryption configuration."""
    if isinstance(subject, Obj):
        yield from _providers(subject.body)
        return
    if not subject.flag("encryption-provider-config"):
        yield fail(subject.path, None, "--encryption-provider-config set")
    elif body := mapping(subject.config.get("encryptionProviderConfigFile")):
        yield from _providers(body)
    elif not world.of("EncryptionConfiguration", "EncryptionConfig"):
        yield manual(
            "read the file that --encryption-provider-config names: it was not collected",
            subject.flags["encryption-provider-config"][1],
        )


def _providers(body: dict[str, Any]) -> Iterator[Finding]:
    covered = False
    for index, item in enumerate(mappings(body.get("resources"))):
        if not {"secrets", "*.*", "*."} & set(texts(item.get("resources"))):
            continue
        covered = True
        providers = mappings(item.get("providers"))
        first = next(iter(providers[0]), "") if providers else ""
        if first not in {"kms", "aescbc", "aesgcm", "secretbox"}:
            yield fail(
                f"resources[{index}].providers[0]", first or None, {"one of": ["aescbc", "aesgcm", "kms", "secretbox"]}
            )
    if not covered:
        yield fail("resources", None, "a provider for secrets")


@check("CP-129", on=f"component:{API}")
def strong_ciphers(component: Component, _: World) -> Iterator[Finding]:
    """kube-apiserver: `--tls-cipher-suites` and `--tls-min-version`."""
    yield from cipher_findings(
        component.flags.get("tls-cipher-suites"),
        component.flag("tls-min-version"),
        component.path,
        "--tls-cipher-suites",
    )


def cipher_findings(suites: tuple[str, str] | None, version: str | None, path: str, name: str) -> Iterator[Finding]:
    """Judge a comma list of cipher suites."""
    if version == "VersionTLS13":
        return
    if suites is None or not suites[0]:
        yield fail(path, None, f"{name} with strong suites only", "the default allows weaker suites")
        return
    weak = sorted({item.strip() for item in suites[0].split(",")} - STRONG_CIPHERS)
    if weak:
        yield fail(suites[1], weak, "strong suites only")


@check("CP-131", on=f"component:{API}")
def insecure_port(component: Component, world: World) -> Iterator[Finding]:
    """kube-apiserver: `--insecure-port` is 0 or gone, `--insecure-bind-address` is not set."""
    port, address = component.flags.get("insecure-port"), component.flags.get("insecure-bind-address")
    if port is not None and port[0] != "0":
        yield fail(port[1], port[0], "0", part="insecure-port")
    elif port is None and world.minor is not None and world.minor < 20:
        yield fail(component.path, None, "--insecure-port=0", "open by default before 1.20", "insecure-port")
    if address is not None:
        yield fail(address[1], address[0], "not set", part="insecure-bind-address")


@check("CP-133", on=f"component:{API}")
def security_context_deny(component: Component, world: World) -> Iterator[Finding]:
    """kube-apiserver: SecurityContextDeny or PodSecurityPolicy, before Pod Security admission took their place (1.23)."""
    plugins = set(text(component.flag("enable-admission-plugins")).split(","))
    if plugins & {"SecurityContextDeny", "PodSecurityPolicy", "PodSecurity"}:
        return
    if world.minor is None or world.minor >= 23:
        yield not_applicable("Pod Security admission is on by default from 1.23")
    else:
        yield fail(component.path, sorted(plugins), "SecurityContextDeny or PodSecurityPolicy")


@check("CP-201", on=f"component:{MANAGER}")
def terminated_pods(component: Component, _: World) -> Iterator[Finding]:
    """kube-controller-manager: `--terminated-pod-gc-threshold` is set above 0."""
    raw = component.flags.get("terminated-pod-gc-threshold")
    if raw is None or (number(raw[0]) or 0) <= 0:
        yield fail(raw[1] if raw else component.path, raw[0] if raw else None, "--terminated-pod-gc-threshold above 0")


@check("CP-206", on=f"component:{MANAGER}")
def rotate_serving(component: Component, _: World) -> Iterator[Finding]:
    """kube-controller-manager: feature gate RotateKubeletServerCertificate is not false."""
    value, at = feature_gate(component, "RotateKubeletServerCertificate")
    if value is False:
        yield fail(at, False, True)


@check("CP-407", on=f"component:{ETCD}")
def own_ca(component: Component, world: World) -> Iterator[Finding]:
    """etcd: `--trusted-ca-file` differs from the API server's `--client-ca-file`."""
    own = component.flag("trusted-ca-file")
    servers = {item.flag("client-ca-file") for item in components(world).get(API, ())} - {None}
    if not own:
        yield fail(component.path, None, "--trusted-ca-file set")
    elif own in servers:
        yield fail(component.flags["trusted-ca-file"][1], own, "another CA than the API server's clients")
    elif not servers:
        yield manual(
            "see that etcd's CA is not the cluster's: the API server's flags were not collected",
            component.flags["trusted-ca-file"][1],
        )


@check("CP-501", on=Cluster)
def certificates_for_people(_: Cluster, world: World) -> Iterator[Finding]:
    """Whether people sign in by client certificates; only certificate requests and kubeconfigs tell."""
    if not world.is_cluster:
        yield not_applicable("no cluster in the input")
        return
    people = [
        obj
        for obj in world.of("CertificateSigningRequest")
        if obj.spec.get("signerName") == "kubernetes.io/kube-apiserver-client"
        and not text(obj.spec.get("username")).startswith("system:")
    ]
    if people:
        for obj in people:
            yield fail("spec.username", obj.spec.get("username"), "sign-in by OIDC", target=obj)
    else:
        yield manual("see that people sign in by OIDC or the cloud, not by client certificates")


@check("CP-502", on=Cluster)
def tokens_for_people(_: Cluster, world: World) -> Iterator[Finding]:
    """Whether people use tokens of service accounts; only the audit log tells."""
    yield (
        manual("see in the audit log that account tokens are used from pods only")
        if world.is_cluster
        else not_applicable("no cluster in the input")
    )


@check("CP-503", on=Cluster)
def bootstrap_tokens(_: Cluster, world: World) -> Iterator[Finding]:
    """Secrets of type `bootstrap.kubernetes.io/token` in kube-system."""
    for obj in world.of("Secret"):
        if obj.body.get("type") == "bootstrap.kubernetes.io/token":
            yield fail("type", obj.body.get("type"), "deleted after the nodes have joined", target=obj)
    if not world.is_cluster:
        yield not_applicable("no cluster in the input")
    elif not world.of("Secret"):
        yield unknown("secrets were not collected")


REQUESTS: Final = (
    ("get", "", "secrets", "Metadata"), ("create", "", "configmaps", "Metadata"), ("create", "authentication.k8s.io", "tokenreviews", "Metadata"),
    ("create", "", "pods", "Request"), ("patch", "apps", "deployments", "Request"), ("create", "", "pods/exec", "Metadata"),
    ("create", "", "pods/attach", "Metadata"), ("create", "", "pods/portforward", "Metadata"), ("get", "", "pods/proxy", "Metadata"), ("get", "", "services/proxy", "Metadata"),
)  # fmt: skip
"""Requests that an audit policy has to write down, and how much of them at least. Source: CIS Kubernetes Benchmark 3.2.2."""
_LEVELS: Final = {"None": 0, "Metadata": 1, "Request": 2, "RequestResponse": 3}


def audit_level(policy: dict[str, Any], verb: str, group: str, resource: str) -> str:
    """Return the level at which an audit policy writes a request by an ordinary user down: that of the first rule that matches."""
    for rule in mappings(policy.get("rules")):
        if rule.get("users") or rule.get("userGroups") or rule.get("namespaces") or rule.get("nonResourceURLs"):
            continue
        if (verbs := texts(rule.get("verbs"))) and verb not in verbs:
            continue
        entries = mappings(rule.get("resources"))
        if not entries:
            return text(rule.get("level"))
        for entry in entries:
            names = texts(entry.get("resources"))
            if entry.get("resourceNames"):
                continue
            head = resource.partition("/")[0]
            fits = not names or resource in names or "*" in names or f"{head}/*" in names
            if text(entry.get("group")) == group and fits:
                return text(rule.get("level"))
    return "None"


@check("CP-505", on=(f"component:{API}", "Policy"))
def audit_policy(subject: Component | Obj, world: World) -> Iterator[Finding]:
    """What the audit policy writes down of reads of secrets, changes of workloads, exec, attach, port-forward and proxy."""
    if isinstance(subject, Obj):
        if not subject.api_version.startswith("audit.k8s.io/"):
            yield not_applicable("not an audit policy")
            return
        body = subject.body
    else:
        body = mapping(subject.config.get("auditPolicyFile"))
        if not subject.flag("audit-policy-file"):
            yield fail(subject.path, None, "--audit-policy-file set")
            return
        if not body:
            if not any(obj.api_version.startswith("audit.k8s.io/") for obj in world.of("Policy")):
                yield manual(
                    "read the file that --audit-policy-file names: it was not collected",
                    subject.flags["audit-policy-file"][1],
                )
            return
    for verb, group, resource, least in REQUESTS:
        level = audit_level(body, verb, group, resource)
        if _LEVELS.get(level, 0) < _LEVELS[least]:
            yield fail("rules", level, f"{least} for {verb} {resource}", part=f"{verb} {resource}")


__all__ = ["CHECKS", "MODES", "sequence"]
