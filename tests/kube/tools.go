//go:build tools

// Package kube pins the API server that the tests start.
package kube

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
