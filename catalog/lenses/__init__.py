"""Two-way transformations between sample types, and the code that lens records refer to."""
