"""The ways in and out on the command line, a module for each subcommand; nothing here is imported by the client."""
