"""What a stage leaves behind: file formats, atomic writes, hashes and guards.

Nothing outside this package knows how a file is laid out.
"""
