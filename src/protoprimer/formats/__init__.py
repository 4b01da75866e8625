"""Text in, values out: TOML, versions, markers, requirement lines."""
