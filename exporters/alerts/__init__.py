"""Alerts: rules in a subset of PromQL, evaluated here or by Prometheus, and told to those who want to know."""
