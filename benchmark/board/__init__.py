"""Leaderboards: committed results as tables, pages and plots."""
