"""What the core asks of the outside, as Protocols. Adapters fulfil them; tests use in-memory fakes."""
