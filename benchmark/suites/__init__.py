"""Suites: many experiments from one file, and their committed results."""
