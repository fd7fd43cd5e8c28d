"""Corpora: recipes over Debian's packages, files of your own, a generated language."""
