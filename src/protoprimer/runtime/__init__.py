"""The order of a run: how it was called, whether the environment is ready, the switch, the client."""
