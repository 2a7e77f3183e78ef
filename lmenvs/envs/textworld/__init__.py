"""TextWorld games, played on the real interpreter: quests, coin collectors, a user's own files."""
