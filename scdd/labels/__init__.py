"""Soft labels: how views are drawn, labelled, stored and replayed."""
