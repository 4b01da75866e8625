"""What is known to be wrong today. Whoever mends one removes it here; tests that are marked by it fail until then."""

# A fault when an environment is first made, by one of the backends.
BACKENDS = "backends"
# A fault that shows only after several changes, or with another backend than the one that a change is tried with.
RANDOM = "random"

# The project of the table, the change (or one of the names above), and the reason.
KNOWN_FAULTS: dict[tuple[str, str], str] = {}
