"""Commands for whoever writes definitions: check, try and publish them."""
