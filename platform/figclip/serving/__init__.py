"""The live service: a request passes the door, a route, a batch; the page stands upon search."""
