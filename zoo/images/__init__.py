"""Images before any model: files, resize policies, what is made of pixels. Nothing here imports torch."""
