"""One module for each driver's suite."""
