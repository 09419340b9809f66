"""Deployment of Crossfade: image, Prometheus, Grafana, Kubernetes, the runbook; and `deploy.demo`, the local stack."""
