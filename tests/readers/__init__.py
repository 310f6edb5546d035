"""Every reader of files and lines of others, given what is malformed."""
