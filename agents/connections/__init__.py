"""Connections: systems that destinations and pushes reach by name, made by those who administer them."""
