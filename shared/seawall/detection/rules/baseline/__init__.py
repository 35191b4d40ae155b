"""Analytics that compare with what is usual; see `seawall.detection.baselines`."""
