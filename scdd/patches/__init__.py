"""Patches: real images that an observer ranks, their crops, and images put together of them."""
