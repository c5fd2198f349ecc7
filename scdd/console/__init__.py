"""What a person sees of a run: its jobs in words, how far they are, and how long it may still take.

It knows nothing of Snakemake: `snakemake_logger_plugin_scdd` tells it what happens.
"""
