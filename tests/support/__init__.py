"""Real servers and doubles that tests start on free ports in temporary folders."""
