"""Tables, figures and HTML pages of runs."""
