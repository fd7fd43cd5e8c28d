"""Pages of documents with the boxes of their lines."""
