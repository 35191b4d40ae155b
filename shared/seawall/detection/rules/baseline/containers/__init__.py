"""What a workload of a node never did: judged by the sensor, which learns it; see `seawall.detection.baselines.habits`."""

from seawall.detection.rules.runtime import EXECS, PEERS, READS

LEARNT = "learning period of 24 h of activity, on the node"
__all__ = ["EXECS", "LEARNT", "PEERS", "READS"]
