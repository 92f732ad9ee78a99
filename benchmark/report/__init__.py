"""Boards as people see them: Markdown, a static page, a picture. All three show the same columns (`columns.py`)."""
