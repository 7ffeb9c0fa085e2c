"""Metrics, calibration, confidence intervals, significance tests."""
