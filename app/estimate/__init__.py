"""Estimates for the command line and for HTTP."""
