"""Ready states for the neo runtime, to use as they are or to customise; their libraries come with `protoprimer[neo]`."""
