"""Ray Serve applications: `serve run serve_apps.NAME:app key=value ...`."""
