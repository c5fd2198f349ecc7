"""Students trained on distilled images, and other networks that look at them."""
