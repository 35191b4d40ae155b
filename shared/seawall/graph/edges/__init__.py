"""The catalogue of attack edges, by subject."""
