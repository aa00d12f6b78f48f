"""Look of all reports: the page template and the style of the figures."""
