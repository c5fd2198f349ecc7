"""Backbones and students, and how they are built and loaded."""
