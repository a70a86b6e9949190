"""Descriptions in words."""
