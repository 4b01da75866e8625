"""What an author of a repository uses: init, entry scripts, the kernel file."""
