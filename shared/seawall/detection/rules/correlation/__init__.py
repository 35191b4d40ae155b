"""Analytics over several events of one identity, and over alerts."""
