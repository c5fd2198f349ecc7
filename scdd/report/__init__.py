"""Tables and figures: what people read.

Each table or figure is a section: one file in `scdd.report.sections`, and one line in its list
`SECTIONS`. The modules here are what sections share.
"""
