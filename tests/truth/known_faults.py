"""What is known to be wrong today. Whoever mends a fault removes it here: its test is expected to fail until then, and may not pass."""

# A fault when an environment is first made, by one of the backends.
BACKENDS = "backends"
# A fault that shows only after several changes, or with another backend than the one that a change is tried with.
RANDOM = "random"

# The project of the table, the change (or one of the names above), and the reason.
KNOWN_FAULTS: dict[tuple[str, str], str] = {}

# Other tests: the reason, and for which parameters (none: the test has none).
KNOWN_FAILURES: dict[str, tuple[str, list[str]]] = {
    "test_a_keyring_is_asked_for_credentials": (
        "issue: the keyring is not asked in the isolated builds of pip",
        ["venv"],
    ),
}
