"""Who may look for whom, where and when."""
