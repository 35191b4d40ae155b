"""What a deployment costs a month: list prices times quantities."""
