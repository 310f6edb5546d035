"""The HTTP service and the pages of people who decide: sign in, review alerts, engage, audit."""
