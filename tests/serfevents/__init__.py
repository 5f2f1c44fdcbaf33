"""Tests of the package, file by file, and its properties."""
