"""The kubelet and kube-proxy: configuration file, overridden by flags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Check, Finding, check, fail, manual
from seawall.posture.checks.control_plane import STRONG_CIPHERS
from seawall.posture.components import Component, feature_gate, setting
from seawall.posture.objects import number, text, truth
from seawall.posture.world import World

ON: Final = "component:kubelet"


def _row(name: str, key: str, holds: Callable[[Any], bool], wanted: Any, absent: Status, about: str = "") -> Check:
    def run(component: Component, _: World) -> Iterator[Finding]:
        value, at = setting(component, key)
        if value is None:
            verdict = _absent(component, key, absent)
            if verdict is not Status.PASS:
                yield Finding(verdict, at, None, wanted, "not set")
        elif not holds(value):
            yield fail(at, value, wanted)

    return Check(name, (ON,), run, about or f"kubelet: `{key}`")


def _absent(component: Component, key: str, verdict: Status) -> Status:
    """Flags had laxer defaults than the configuration file; without a file at hand the file's value is not known."""
    if component.has_flags and not component.has_config and component.flag("config"):
        return Status.UNKNOWN
    if key in {"authentication.anonymous.enabled", "authorization.mode"} and (
        component.has_config or component.obj.kind == "NodeInfo"
    ):
        # The configuration file's defaults are false and Webhook; those of the flags were true and AlwaysAllow.
        return Status.PASS
    if key == "readOnlyPort" and component.has_flags and not component.has_config:
        return Status.FAIL
    return verdict


FAIL, PASS = Status.FAIL, Status.PASS
ROWS: Final = (
    _row("KL-101", "authentication.anonymous.enabled", lambda value: truth(value) is False, False, FAIL),
    _row("KL-102", "authorization.mode", lambda value: "AlwaysAllow" not in str(value), "Webhook", FAIL),
    _row("KL-103", "authentication.x509.clientCAFile", lambda value: bool(value), "set", FAIL),
    _row("KL-104", "readOnlyPort", lambda value: number(value) == 0, 0, PASS),
    _row(
        "KL-105",
        "streamingConnectionIdleTimeout",
        lambda value: str(value).strip() not in {"0", "0s", "0m", "0h", "0m0s", "0h0m0s"},
        "above 0",
        PASS,
    ),
    _row("KL-106", "makeIPTablesUtilChains", lambda value: truth(value) is True, True, PASS),
    _row(
        "KL-108",
        "eventRecordQPS",
        lambda value: str(number(value)).isdigit(),
        "0 or more",
        PASS,
    ),
    _row("KL-113", "podPidsLimit", lambda value: (number(value) or 0) > 0, "above 0", FAIL),
    _row("KL-114", "seccompDefault", lambda value: truth(value) is True, True, FAIL),
    _row("KL-115", "protectKernelDefaults", lambda value: truth(value) is True, True, FAIL),
)


@check("KL-107", on=ON)
def hostname(component: Component, _: World) -> Iterator[Finding]:
    """kubelet: `--hostname-override` is not set."""
    if "hostname-override" in component.flags:
        value, at = component.flags["hostname-override"]
        yield fail(at, value, "not set")


@check("KL-109", on=ON)
def serving_certificate(component: Component, _: World) -> Iterator[Finding]:
    """kubelet: `tlsCertFile` and `tlsPrivateKeyFile`, or `serverTLSBootstrap`."""
    bootstrap, _at = setting(component, "serverTLSBootstrap")
    if truth(bootstrap) is True:
        return
    told = [key for key in ("tlsCertFile", "tlsPrivateKeyFile") if _told(component, key)]
    for key in told:
        value, at = setting(component, key)
        if not value:
            verdict = _absent(component, key, FAIL)
            yield Finding(verdict, at, None, "set", "not set", key)
        elif component.obj.kind == "NodeInfo" and not text(value).endswith((".crt", ".pem", ".cert", ".key")):
            yield fail(at, value, "a certificate file", part=key)


def _told(component: Component, key: str) -> bool:
    """A collector may tell of single flags only."""
    flag = {"tlsCertFile": "tls-cert-file", "tlsPrivateKeyFile": "tls-private-key-file"}[key]
    return component.obj.kind != "NodeInfo" or flag in component.flags or f"?{flag}" in component.flags


@check("KL-110", on=ON)
def client_rotation(component: Component, _: World) -> Iterator[Finding]:
    """kubelet: `rotateCertificates` is true, which is the default of the configuration file."""
    value, at = setting(component, "rotateCertificates")
    if value is None:
        if component.obj.kind == "NodeInfo" and "?rotate-certificates" in component.flags:
            yield fail(at, None, True, "not set")
    elif truth(value) is not True:
        yield fail(at, value, True)


@check("KL-111", on=ON)
def serving_rotation(component: Component, _: World) -> Iterator[Finding]:
    """kubelet: feature gate RotateKubeletServerCertificate and `serverTLSBootstrap` are not false."""
    gate, at = feature_gate(component, "RotateKubeletServerCertificate")
    if gate is False:
        yield fail(at, False, True)
    elif component.obj.kind == "NodeInfo":
        value, at = setting(component, "serverTLSBootstrap")
        if truth(value) is not True and ("?rotate-server-certificates" in component.flags or value is not None):
            yield fail(at, value, True)


@check("KL-112", on=ON)
def ciphers(component: Component, _: World) -> Iterator[Finding]:
    """kubelet: `tlsCipherSuites` and `tlsMinVersion`."""
    value, at = setting(component, "tlsCipherSuites")
    version, _at = setting(component, "tlsMinVersion")
    if version == "VersionTLS13":
        return
    suites = value if isinstance(value, list) else [item.strip() for item in text(value).split(",") if item.strip()]
    if not suites:
        verdict = _absent(component, "tlsCipherSuites", FAIL)
        yield Finding(verdict, at, None, "strong suites only", "not set")
    elif weak := sorted(str(item) for item in suites if item not in STRONG_CIPHERS):
        yield fail(at, weak, "strong suites only")


@check("KL-116", on=ON)
def loose_ends(component: Component, _: World) -> Iterator[Finding]:
    """kubelet: `allowedUnsafeSysctls` is empty, `failSwapOn` not false; `enableDebuggingHandlers` is for review."""
    value, at = setting(component, "allowedUnsafeSysctls")
    if value:
        yield fail(at, value, "not set", part="sysctls")
    value, at = setting(component, "failSwapOn")
    if truth(value) is False:
        yield fail(at, value, True, part="swap")
    value, at = setting(component, "enableDebuggingHandlers")
    if component.has_config and truth(value) is True and component.obj.kind == "KubeletInfo":
        yield manual("debugging handlers are switched on explicitly: exec, logs and port-forward need them", at)


@check("KP-101", on="component:kube-proxy")
def proxy_metrics(component: Component, _: World) -> Iterator[Finding]:
    """kube-proxy: `metricsBindAddress` is on loopback."""
    value, at = setting(component, "metricsBindAddress")
    if value is not None and not str(value).startswith(("127.0.0.1", "localhost", "[::1]")) and value != "":
        yield fail(at, value, "127.0.0.1:10249")


__all__ = ["ROWS"]
