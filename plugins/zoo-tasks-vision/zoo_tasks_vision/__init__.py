"""Tasks and metrics of images: lines of text, pages, boxes."""
