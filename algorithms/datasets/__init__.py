"""Files of episodes: made, imported, described and read without being held in memory."""
