"""Images that are not recovered: real ones, chosen in several ways, and noise."""
