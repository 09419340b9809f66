"""A module a topic: its statements and the types of their rows."""
