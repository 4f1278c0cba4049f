"""Tests of app.publish.named."""
