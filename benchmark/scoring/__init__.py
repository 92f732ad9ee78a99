"""Scores of reports: of a run, of a stored run, of anybody's file."""
