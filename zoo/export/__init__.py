"""Models in other forms: what an exported folder holds, who writes one, and what runs it.

Importing this package, or `zoo.export.runtime`, imports neither torch nor transformers.
"""
