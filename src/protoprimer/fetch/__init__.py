"""Verified tools: index pages, downloads, wheels, pins."""
