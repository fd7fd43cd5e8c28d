"""The command line: one module per verb, argument handling only."""
