"""The web application: REST API and Explorer."""
