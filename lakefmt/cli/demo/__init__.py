"""``lakefmt demo``: the main job on real data, step by step.

Exports nothing: the writer processes import this package, and do without the command line's libraries.
"""
