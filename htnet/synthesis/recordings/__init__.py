"""Generated recordings: minutes of a face that does not exist, with the truth of every event."""
