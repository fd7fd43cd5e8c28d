"""OCR engines that come with their own models, evaluated on zoo's boards."""
