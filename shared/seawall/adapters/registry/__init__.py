"""Container registries over HTTP (OCI distribution-spec 1.1)."""
