"""What the user asked for: the command line, the five leaps of configuration, index and build settings."""
