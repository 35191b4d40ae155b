"""The command line: translate, call a use case, print."""
