"""The tables that Spark writes, a module a group of features."""
