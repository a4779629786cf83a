"""The endpoints: protocol, limits, deployments, and the search page."""
