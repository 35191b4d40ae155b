"""One module per command or command group. Each has a module-level `Command`; imports of heavy parts stay inside functions."""
