"""The deployment's own policy reaches every scan."""

from __future__ import annotations

import pytest
from seawall.bootstrap import standing_exceptions
from seawall.domain.errors import ConfigError
from seawall.settings import Settings, VulnerabilitySettings


def settings(policy):
    return Settings(vulnerabilities=VulnerabilitySettings(policy=policy))


def test_rules_of_the_policy_file(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("ignore: [{id: CVE-2026-1, reason: why, expires: 2026-12-31}]")
    assert [rule.id for rule in standing_exceptions(settings(path)).rules] == ["CVE-2026-1"]
    assert not standing_exceptions(settings(None))


def test_a_policy_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        standing_exceptions(settings(tmp_path / "none.yaml"))
