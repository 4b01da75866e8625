"""What a repository asks for, and whether its environment is that: a table of projects, an oracle, and tests of both."""
