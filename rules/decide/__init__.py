"""From a row and an instant to memberships, and what a new definition does to them."""
