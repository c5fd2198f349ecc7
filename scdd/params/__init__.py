"""Every parameter: one frozen dataclass a section, read by the plan and by the programs alike.

Nothing here imports torch or pydantic: a stage program reads its frozen parameters as fast as it
reads JSON, also where pydantic is not installed. The plan checks types and ranges
(`scdd.plan.config`), by pydantic, from these same classes.
"""
