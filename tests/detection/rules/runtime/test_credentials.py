"""Tokens, credential files and metadata services."""

from __future__ import annotations

import pytest
from seawall.detection.rules.runtime.credentials import password_file_read
from seawall.domain.severity import Severity

from tests.detection.runtime_events import HOST, PLATFORM, Case, Cases, dialled, raised, ran, read, rows

CASES: Cases = {
    "RT-0601": (
        [
            read("/run/secrets/kubernetes.io/serviceaccount/..2026_1/token"),
            read("/var/run/secrets/azure/tokens/azure-identity-token", "curl x"),
            read("/var/run/secrets/kubernetes.io/serviceaccount/token", "python -c x"),
        ],
        [
            read("/run/secrets/kubernetes.io/serviceaccount/token", "app"),
            read("/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
            read("/run/secrets/kubernetes.io/serviceaccount/token", where=PLATFORM),
            read("/run/secrets/kubernetes.io/serviceaccount/token", "python app.py"),
        ],
    ),
    "RT-0602": (
        [
            ran("sh -c 'cat /var/run/secrets/kubernetes.io/serviceaccount/token'"),
            ran("curl -k -H 'Authorization: Bearer eyJhbGciOi' https://kubernetes.default/api/v1"),
        ],
        [
            ran("sh -c 'ls /var/run/secrets'"),
            ran("curl -H 'Authorization: Bearer eyJhbGciOi' https://shop.example/api/v1/x"),
        ],
    ),
    "RT-0603": (
        [
            read("/root/.git-credentials"),
            read("/root/.ssh/id_rsa", "tar cf x"),
            read("/home/a/.aws/credentials", "python -c x"),
        ],
        [
            read("/root/.git-credentials", "git push"),
            read("/root/.aws/credentials", "aws s3 ls"),
            read("/root/.aws/credentials", "app"),
            read("/app/readme"),
        ],
    ),
    "RT-0604": (
        [
            ran("find / -name .git-credentials"),
            ran("grep -r password /etc"),
            ran("sh -c 'env | grep -i token'"),
            ran("grep -i secret /proc/self/environ"),
        ],
        [
            ran("find / -name app.log"),
            ran("grep password config.txt"),
            ran("sh -c 'env | sort'"),
            ran("find /app/src/x/y -name secrets.py"),
        ],
    ),
    "RT-0605": (
        [read("/etc/shadow"), read("/host/etc/shadow"), read("/srv/x/shadow", node_path="/etc/shadow")],
        [
            read("/etc/shadow", "sshd"),
            read("/etc/passwd"),
            read("/etc/shadow", "cp a b", where=HOST),
            read("/srv/x/shadow", node_path="/var/lib/kubelet/pods/1/volumes/a/etc/shadow"),
        ],
    ),
    "RT-0606": (
        [
            read("/host/var/lib/kubelet/kubeconfig"),
            read("/k/pki/kubelet-client-current.pem", node_path="/var/lib/kubelet/pki/kubelet-client-current.pem"),
            read("/var/lib/kubelet/pki/kubelet-client-current.pem", "bash", where=HOST),
        ],
        [read("/var/lib/kubelet/kubeconfig", "kubelet", where=HOST), read("/var/lib/kubelet/config.yaml", where=HOST)],
    ),
    "RT-0607": (
        [
            ran("curl -H Metadata:true http://169.254.169.254/metadata/identity/oauth2/token"),
            ran("curl -X PUT http://169.254.169.254/latest/api/token"),
            ran("wget -qO- http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"),
        ],
        [
            ran("app --endpoint http://169.254.169.254/"),
            ran("curl http://169.254.1.1/"),
            ran("curl http://169.254.169.254/", where=HOST),
        ],
    ),
    "RT-0608": (
        [
            dialled("169.254.169.254", 80, "curl x"),
            dialled("169.254.169.254", 80, "python -c x"),
            dialled("169.254.169.254", 80, "x", drift=True),
        ],
        [
            dialled("169.254.169.254", 80, "app"),
            dialled("169.254.169.254", 80, "python app.py"),
            dialled("168.63.129.16", 80, "curl x"),
            dialled("169.254.169.254", 53, "sh"),
        ],
    ),
    "RT-0609": (
        [read("/root/.bash_history"), read("/home/a/.mysql_history", "grep x"), read("/root/.bash_history", "sh")],
        [
            read("/root/.bash_history", "bash -i", tty="pts0"),
            read("/root/.psql_history", "psql"),
            read("/root/.bashrc"),
        ],
    ),
    "RT-0610": (
        [
            read("/proc/1/environ", "cat x", asked="/proc/1/environ", target_pid=1, target_container=""),
            read("/proc/kcore"),
            read("/proc/7/environ", "ps auxe", asked="/proc/7/environ", target_pid=7, target_container="c" * 64),
            read("/proc/7/environ", "ps aux", asked="/proc/7/environ", target_pid=7, target_container=""),
        ],
        [
            read("/proc/7/environ", "ps aux", asked="/proc/7/environ", target_pid=7, target_container="c" * 64),
            read("/proc/self/environ", asked="/proc/self/environ"),
            read("/proc/4000/environ", target_pid=4000, target_container="c" * 64),
            read("/proc/1/environ", where=PLATFORM, target_pid=1),
        ],
    ),
    "RT-0611": (
        [
            ran("aws sts get-caller-identity"),
            ran("python /usr/bin/az account show", script="/usr/bin/az"),
            ran("gcloud compute instances list"),
        ],
        [ran("aws --version"), ran("aws s3 ls", where=HOST), ran("aws s3 ls", where=PLATFORM), ran("python app.py")],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_credentials(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires


def test_a_perl_script_that_asks_for_a_home_folder_is_no_reader_by_hand():
    asked = password_file_read(read("/etc/shadow", "/usr/bin/perl /usr/bin/psql -X", where=HOST))
    by_hand = password_file_read(read("/etc/shadow", "perl -ne print /etc/shadow", where=HOST))
    assert asked is not None
    assert asked.severity is None
    assert by_hand is not None
    assert by_hand.severity is Severity.MEDIUM
