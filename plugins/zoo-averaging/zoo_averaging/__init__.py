"""Averages of weights: while training, and of models that are trained."""
