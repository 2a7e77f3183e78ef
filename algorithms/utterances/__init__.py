"""ArCHer's parts (torch): utterances as actions, critics that judge them, actors that follow."""
