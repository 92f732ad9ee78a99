"""Suites: many experiments from one file, their committed results, and the regression check."""
