#!/usr/bin/env bash
# Builds the pinned kube-apiserver into the user's cache, once: some minutes and 2 GB of module cache.
set -euo pipefail
cd "$(dirname "$0")"
out="${XDG_CACHE_HOME:-$HOME/.cache}/seawall/kube-apiserver"
want="$(sha256sum go.sum | cut -c1-16)"
[ -x "$out" ] && [ "$(cat "$out.version" 2>/dev/null)" = "$want" ] && exit 0
mkdir -p "$(dirname "$out")"
go build -ldflags "-s -w" -o "$out" k8s.io/kubernetes/cmd/kube-apiserver
echo "$want" > "$out.version"
