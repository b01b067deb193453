"""Fields of matter over many cosmologies, as maps and cubes."""
