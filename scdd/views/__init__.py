"""Augmentation: tensors in, tensors out. Nothing here reads files or knows datasets."""
