"""A user's simulator run on draws from a prior: in processes that may hang or crash, kept in a file that knows it."""
