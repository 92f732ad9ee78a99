"""Bytes: flat buffers on the wire, memory that processes share, and how a process uses its own."""
