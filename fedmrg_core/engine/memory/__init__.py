"""Bytes: flat buffers on the wire, memory that processes share, and what the system does with it."""
