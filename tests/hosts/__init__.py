"""Locked-down hosts, simulated for real: see `rows.py` for the list, and docs/hosts.md for what works on each."""
