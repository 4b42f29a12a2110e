"""Scripts of the project's own making; not part of the package."""
