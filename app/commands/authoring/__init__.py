"""Commands for authors of definitions: check, try and publish them."""
