"""The Prometheus exporter: fresh per-cgroup metrics with the names and labels that cAdvisor's users know."""
