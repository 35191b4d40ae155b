"""Settings: sources, precedence, and errors that say what to do."""

from __future__ import annotations

import pytest
from seawall.domain.errors import ConfigError
from seawall.settings import load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SEAWALL_"):
            monkeypatch.delenv(name)


def test_environment_wins_over_file_and_arguments_over_both(monkeypatch, tmp_path) -> None:
    file = tmp_path / "seawall.yaml"
    file.write_text("cluster: from-file\nmax_body_bytes: 4096\nwebhook: {url: 'https://x.example', secret: a}\n")
    monkeypatch.setenv("SEAWALL_CONFIG", str(file))
    monkeypatch.setenv("SEAWALL_CLUSTER", "from-environment")
    monkeypatch.setenv("SEAWALL_WEBHOOK__TIMEOUT_S", "3")
    settings = load_settings()
    assert (settings.cluster, settings.max_body_bytes) == ("from-environment", 4096)
    assert settings.webhook is not None
    assert (settings.webhook.url, settings.webhook.timeout_s) == ("https://x.example", 3)
    assert load_settings(cluster="argument").cluster == "argument"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param({"SEAWALL_STORE_URI": "x"}, "SEAWALL_STORE_URL", id="misspelt variable"),
        pytest.param(
            {"SEAWALL_WEBHOOK__URI": "x", "SEAWALL_WEBHOOK__SECRET": "y"},
            "did you mean url",
            id="misspelt nested variable",
        ),
        pytest.param({"SEAWALL_MAX_BODY_BYTES": "many"}, "max_body_bytes", id="not a number"),
        pytest.param({"SEAWALL_CONFIG": "/nowhere/seawall.yaml"}, "not a file", id="no such file"),
        pytest.param(
            {"SEAWALL_STORE_URL": "mysql://a:hunter2@b/c"},
            r"store_url \(SEAWALL_STORE_URL\): expected sqlite://, postgresql\+psycopg://",
            id="a database that is not spoken",
        ),
        pytest.param({"SEAWALL_STORE_URL": "a.sqlite"}, "SEAWALL_STORE_URL", id="a path is no database URL"),
        pytest.param({"SEAWALL_BLOB_URL": "https://a"}, "expected abfs://", id="blobs by another protocol"),
        pytest.param({"SEAWALL_SIGNING_KEY": "vault://a"}, "expected azurekms://", id="another key service"),
        pytest.param(
            {"SEAWALL_JOB_QUEUE__SERVICE": "sqs", "SEAWALL_JOB_QUEUE__ENDPOINT": "https://sqs.eu-west-1.amazonaws.com"},
            r"SEAWALL_JOB_QUEUE\): endpoint of sqs is https://sqs.<region>.amazonaws.com/<account>",
            id="a queue service without its account",
        ),
        pytest.param(
            {"SEAWALL_JOB_QUEUE__SERVICE": "pubsub", "SEAWALL_JOB_QUEUE__ENDPOINT": "my-project"},
            "endpoint of pubsub is projects/<id>",
            id="a project that is not written as one",
        ),
        pytest.param(
            {"SEAWALL_SENTINEL__ENDPOINT": "http://x", "SEAWALL_SENTINEL__RULE_ID": "dcr-" + "0" * 32},
            r"sentinel.endpoint \(SEAWALL_SENTINEL__ENDPOINT\).*\^https://",
            id="rows without TLS",
        ),
        pytest.param(
            {"SEAWALL_AWS__ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, "role_arn needs audience", id="half a trust"
        ),
    ],
)
def test_mistakes_are_named(monkeypatch, variables, said) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("clusters: a\n", "did you mean cluster", id="misspelt name"),
        pytest.param("cluster: [\n", "not YAML", id="not YAML"),
        pytest.param("webhook: {url: x}\n", "webhook.secret", id="missing part"),
    ],
)
def test_mistakes_in_the_file_are_named(monkeypatch, tmp_path, text, said) -> None:
    file = tmp_path / "seawall.yaml"
    file.write_text(text)
    monkeypatch.setenv("SEAWALL_CONFIG", str(file))
    with pytest.raises(ConfigError, match=said):
        load_settings()


def test_secrets_do_not_show(monkeypatch) -> None:
    monkeypatch.setenv("SEAWALL_WEBHOOK_SECRET", "hunter2")
    settings = load_settings()
    assert "hunter2" not in repr(settings) + str(settings.model_dump())
