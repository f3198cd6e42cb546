"""Grafana dashboards, made from the exporter's catalogue by ``python -m dashboards``; not installed.

``boards/`` has a module per dashboard: panels as rows of text. ``queries`` checks their metrics against the catalogue
and puts in the variables, ``builder`` makes Grafana's JSON of them.
"""
