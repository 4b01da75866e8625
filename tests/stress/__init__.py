"""What is too long for every run of the suite: `python tests/stress NAME …`; see docs/developers/guarantees.md."""
