"""Images without torch: files, resize policies, what is made of pixels, and what frames write."""
