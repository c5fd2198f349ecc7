"""What every stage program shares: arguments, saved states, locks, costs, GPUs, progress."""
