"""Those who are told of alerts: a log, webhooks, Alertmanager."""
