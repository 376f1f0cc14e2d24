"""The reader: question and passage read together, to find which segments of the passage answer."""
