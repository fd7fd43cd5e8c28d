"""CTranslate2: which models it can say, how their weights are laid out for it, and how what was written compares."""
