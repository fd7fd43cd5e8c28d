"""Box losses."""
