"""The all-in-one server: the same use cases behind HTTP doors, a durable local queue and timers."""
