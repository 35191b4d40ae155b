"""The one place that picks implementations for ports, from typed settings."""
