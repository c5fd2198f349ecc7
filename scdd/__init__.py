"""SC-DD: self-supervised compression for dataset distillation (arXiv 2404.07976)."""

__version__ = "0.1.0"
