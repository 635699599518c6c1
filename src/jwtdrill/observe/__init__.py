"""Rules, routes and dashboards built from the catalogue, and the Prometheus and Alertmanager that run them."""
