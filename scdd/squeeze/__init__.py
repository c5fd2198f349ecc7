"""Squeezing a dataset into a backbone: one module a method, one engine for all."""
