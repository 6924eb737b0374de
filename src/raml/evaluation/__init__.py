"""How good models are: exact Pass@k metrics from counts, bootstrap intervals, and the tables of both."""
