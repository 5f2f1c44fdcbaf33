"""Commands and results as bytes."""
