"""What an audience is: the data that definitions are read into, equal wherever they mean the same."""
