"""The cases of others' readers, run against ours."""
