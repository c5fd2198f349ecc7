"""Config → stages → digests → paths. Imports neither torch nor snakemake: a dry run stays fast."""
