"""Which files' reading is worth an event, by the last part of their path or the folder they lie in.

The kernel compares the name of the file that was really opened (links followed), so neither links nor relative paths
hide it; rules look at the whole path afterwards.
"""

from __future__ import annotations

ALWAYS, CLIMBING, SOCKET = 1, 2, 4
"""Every opening; only when the caller's path climbs with `..`; unix sockets (for connects)."""

NAME_BYTES = 32

NAMES: dict[str, int] = {
    **dict.fromkeys(
        (
            # Password databases and their backups (shadow(5)).
            "shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "master.passwd", "opasswd", "krb5.keytab",
            # Keys and tokens.
            "token", "azure-identity-token", "eks-pod-identity-token", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
            "authorized_keys", "authorized_keys2", "known_hosts", "ssh_host_rsa_key", "ssh_host_ecdsa_key",
            "ssh_host_ed25519_key", "tls.key", "server.key", "client.key", "ca.key", "private.key", "privkey.pem",
            "key.pem", "sa.key", "apiserver.key", "apiserver-kubelet-client.key", "etcd.key", "kubelet.key",
            "kubelet-client-current.pem", "kubelet-server-current.pem",
            # Clients' credentials.
            "kubeconfig", "admin.conf", "super-admin.conf", "kubelet.conf", "bootstrap-kubelet.conf",
            "controller-manager.conf", "scheduler.conf", "k3s.yaml", "rke2.yaml", ".git-credentials", ".gitconfig", ".netrc",
            ".pgpass", ".my.cnf", ".npmrc", ".pypirc", ".dockercfg", ".env", ".boto", ".s3cfg", "accessTokens.json",
            "azureProfile.json", "msal_token_cache.json", "msal_token_cache.bin", "application_default_credentials.json",
            "credentials.db", "access_tokens.db", "terraform.tfstate", ".vault-token", "vault-token", "azure.json",
            "wallet.dat", "service-account.json", "hosts.yml",
            # Histories.
            ".bash_history", ".zsh_history", ".sh_history", ".ash_history", ".python_history", ".mysql_history",
            ".psql_history", ".rediscli_history", ".node_repl_history", ".lesshst", ".viminfo", "fish_history",
            # Of other processes and of the kernel.
            "environ", "mem", "kcore", "kallsyms", "kmem", "kmsg", "sched_debug", "release_agent", "core_pattern",
            "uevent_helper", "modprobe", "sysrq-trigger", "ld.so.preload",
        ),
        ALWAYS,
    ),
    **dict.fromkeys(("passwd", "group", "hosts", "hostname", "resolv.conf", "issue", "web.xml", "config.php", "cmdline",
                     "version", "boot.ini", "win.ini", "access.log", "error.log", "auth.log"), CLIMBING),
    **dict.fromkeys(
        (
            "docker.sock", "containerd.sock", "containerd.sock.ttrpc", "crio.sock", "podman.sock", "cri-dockerd.sock",
            "dockershim.sock", "buildkitd.sock", "kubelet.sock", "runc.sock", "lxd.socket", "pouchd.sock", "frakti.sock",
        ),
        SOCKET,
    ),
}  # fmt: skip
"""Last part of a path: when it counts."""

FOLDERS: dict[str, int] = dict.fromkeys(
    (
        ".ssh", ".aws", ".azure", ".kube", ".gcloud", "gcloud", ".docker", ".gnupg", "sudoers.d", "legacy_credentials",
        "serviceaccount", "pki", "manifests",
    ),
    ALWAYS,
)  # fmt: skip
"""Name of a folder whose files all count."""


INTERPRETERS = (
    "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "tcsh", "csh", "busybox", "python", "pypy", "perl", "ruby", "php",
    "node", "nodejs", "lua", "deno", "bun",
    # The loader, started by hand: it runs a program that need not be executable.
    "ld-linux-x86-64.so", "ld-linux-aarch64.so", "ld-linux.so", "ld-linux-armhf.so", "ld-musl-x86_64.so",
    "ld-musl-aarch64.so", "ld.so",
)  # fmt: skip
"""Programs whose first opened files are looked at: the script they run is among them."""


def key(name: str) -> bytes:
    """Return `struct name_key`: 31 bytes at most, like the kernel's own reading."""
    return name.encode()[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0")
