"""Augmentation: tensors in, tensors out. Nothing here reads a file or knows a dataset."""
