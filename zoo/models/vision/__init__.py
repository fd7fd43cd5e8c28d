"""Models that read images: how images become patches, where patches stand, and what reads them."""
