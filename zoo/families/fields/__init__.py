"""Networks of fields: maps and cubes of free size, seen by convolutions that know no edge."""
