"""The front door for pictures: `Vision`."""
