"""How accurate a deployment will be, and how sure that is: rates with intervals, thresholds with a promise."""
