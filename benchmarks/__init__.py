"""Measurements beside peers, in one run, as ratios (`make bench`). Nothing here is part of the test suite."""
