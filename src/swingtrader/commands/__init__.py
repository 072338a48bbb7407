"""One module a command: gather, decide, apply."""
