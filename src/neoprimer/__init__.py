"""Ready states for the neo runtime, to use as they are or to customise; their libraries come with `protoprimer[neo]`.

Importing one of the modules below into a client's module declares its states. Each has a state of settings beside the
one that does the work: replace the settings to customise, or the work itself. See docs/reference/neoprimer.md.

`neoprimer.git_hooks`, `neoprimer.rendering`, `neoprimer.picture`, `neoprimer.shell`, `neoprimer.locks`.
"""
