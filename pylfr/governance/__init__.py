"""Authorisation, the audit log, decisions on alerts, keys, retention and the public report."""
