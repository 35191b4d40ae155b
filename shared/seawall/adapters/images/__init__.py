"""Images on this machine and in registries, opened for a scan."""
