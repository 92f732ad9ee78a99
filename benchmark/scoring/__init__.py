"""Scoring of reports: of a run as it ends, of a stored run, of a file; and the files that scores are written to."""
