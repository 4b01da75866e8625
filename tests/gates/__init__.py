"""What is always true of this repository's text, each a module with `problems() -> list[str]`."""
