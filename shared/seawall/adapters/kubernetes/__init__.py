"""Kubernetes clusters: ports fulfilled through kubeconfig or the in-cluster account."""
