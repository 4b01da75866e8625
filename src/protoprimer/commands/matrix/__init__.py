"""The matrix: one environment and one command for each of several Pythons."""
