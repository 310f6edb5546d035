"""Who is sought: watchlists and the structures that search them."""
