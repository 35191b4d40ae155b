"""What identities, workloads and namespaces usually do, in sketches that merge in any order."""
