"""May we, did we, who decided, when it goes."""
