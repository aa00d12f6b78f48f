"""What all reports share: the page template, the style of the figures, shares with intervals, periods."""
