"""Unit, paper, contract and property tests of `memberlist`."""
