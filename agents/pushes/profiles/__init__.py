"""Systems that lists are made for, as shipped data: which ids they take, in which columns, in which files."""
