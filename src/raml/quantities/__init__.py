"""Quantities: named numbers of one training seed and one question, each made from one measurement table.

They are all that intervals, claims and exhibits are made from (`raml.claims.effects`).
"""
