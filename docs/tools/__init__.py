"""What generates pages of the site."""
