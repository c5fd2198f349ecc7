"""Learned images: the classic methods, whose pixels are trained directly."""
