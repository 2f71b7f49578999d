"""Hub: models kept in folders and repositories as model hubs lay them out, each with a card."""
