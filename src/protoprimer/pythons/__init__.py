"""Interpreters: which one is required, which ones there are, what each is, which one is chosen."""
