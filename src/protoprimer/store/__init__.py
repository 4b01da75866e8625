"""Environments on disk: the state directory, the file lock, fingerprints, generations, and what is ready."""
