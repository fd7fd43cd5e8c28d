"""Probes of what these tasks alone know, such as domain tags."""
