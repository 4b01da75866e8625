"""Ways to create an environment and to install into it: one file each, behind the interface in `base`."""
