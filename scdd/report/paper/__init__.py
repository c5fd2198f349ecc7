"""A paper: tables and figures of several experiments on one page, numbered as the paper does, with
published values beside the measured ones.

It is put together from the experiments' reports. files.py: what it reads and writes; parts.py: its
tables and figures; compare.py: measured beside published values; markdown.py, page.py and tex.py:
the page as Markdown, HTML and LaTeX.
"""
