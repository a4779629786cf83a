"""From a figure and its caption to panels, each with its own words."""
