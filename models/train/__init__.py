"""Trains, distils, calibrates and exports Cairn's re-rankers.

Run from `models/`: `python -m train.data --help`, and so on; README.md has the
whole recipe.
"""
