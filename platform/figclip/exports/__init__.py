"""A corpus in other projects' formats."""
