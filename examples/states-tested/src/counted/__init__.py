"""Counts the words of this repository's texts, in several processes, as states of its own."""
