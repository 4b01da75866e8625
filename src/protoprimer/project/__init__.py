"""What the repository says: metadata of projects, the plan of installation, locks, what a build reads."""
