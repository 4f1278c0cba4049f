"""Who has which identity: the claims that evaluation writes, followed into stores of their own."""
