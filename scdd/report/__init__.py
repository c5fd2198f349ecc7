"""Tables and figures: what people read."""
