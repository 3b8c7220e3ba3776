"""One file per operation: what a user can ask of a table, as a plan and a commit."""
