# Needs git, make, python3 >= 3.11 with venv and, to mount, root. `make` or `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: privileges help run test test-long soak check bench bench-quick bench-docs bench-compare golden docs deb manual rules dashboards stack screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-13s %s\n", $$1, $$2 }'

run: privileges $(VENV)/runtime.stamp ## show free, the CPU count, uptime and top in a limited container beside the machine's
	@$(BIN)/python -m scripts.debian_tools exec free top uptime lscpu -- $(BIN)/python -m procfs_fuse.demo

test: privileges $(VENV)/dev.stamp ## run the whole functional suite (root; under 20 minutes on 2 cores)
	@$(BIN)/python -m scripts.suite

test-long: privileges $(VENV)/dev.stamp ## the suite and the tests that take minutes
	@$(BIN)/python -m scripts.suite --long

MINUTES ?= 10
soak: privileges $(VENV)/dev.stamp ## readers, churn, kills and scrapes for MINUTES, then: what has grown?
	@$(BIN)/python -m tests.soak --minutes $(MINUTES)

check: $(VENV)/dev.stamp ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

RESULTS ?= dist/bench.json
bench: privileges $(VENV)/dev.stamp ## measure everything beside its peers, about 20 minutes; ends 0 when every bar holds
	@mkdir -p $(dir $(RESULTS))
	@$(BIN)/python -m benchmarks --json $(RESULTS)

bench-quick: privileges $(VENV)/dev.stamp ## the same with fewer rounds and sizes, under 3 minutes
	@mkdir -p $(dir $(RESULTS))
	@$(BIN)/python -m benchmarks --quick --json $(RESULTS)

bench-docs: $(VENV)/dev.stamp ## write the last run's figures into docs/benchmarks, docs/performance.md and README.md
	@$(BIN)/python -m benchmarks.pages $(RESULTS)

BASE ?= HEAD
bench-compare: privileges $(VENV)/dev.stamp ## run BASE=<revision> and this tree in turn; or compare FILES='A.json B.json'
	@$(BIN)/python -m benchmarks.compare $(or $(FILES),--base $(BASE))

golden: $(VENV)/dev.stamp ## write the expected files anew; read the diff before committing it
	@$(BIN)/python -m pytest --update-golden tests

docs: $(VENV)/dev.stamp ## write docs/metrics.md and docs/options.md from the code, then the site into site/
	@$(BIN)/python -m exporters.catalogue > docs/metrics.md.new && mv docs/metrics.md.new docs/metrics.md
	@$(BIN)/python -m scripts.manual options > docs/options.md.new && mv docs/options.md.new docs/options.md
	@$(BIN)/python -m mkdocs build --strict --quiet

deb: $(VENV)/dev.stamp ## build a Debian package for this machine's release into dist/
	@$(BIN)/python -m scripts.deb

manual: $(VENV)/dev.stamp ## write manual pages and shell completions below dist/share
	@$(BIN)/python -m scripts.manual share dist/share

rules: $(VENV)/dev.stamp ## write Prometheus' rule files and the table in docs/alerts.md from the rules
	@$(BIN)/python -m exporters.alerts.prometheus

dashboards: $(VENV)/dev.stamp ## write Grafana's dashboards, dashboards/grafana/, from their descriptions
	@$(BIN)/python -m dashboards

stack: privileges $(VENV)/dev.stamp ## run exporter, Prometheus and Alertmanager on loopback, with containers that do something
	@$(BIN)/python -m scripts.stack

screenshots: privileges $(VENV)/dev.stamp ## photograph the exporter's page, and have ctop draw itself, into docs/screenshots/
	@$(BIN)/python -m scripts.screenshots
	@CGSCOPE_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest -q tests/integration/test_web.py -k pictures

clean: ## remove the virtual environment and caches of this folder
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Before anything is downloaded.
privileges:
	@GOAL='$(MAKECMDGOALS)' scripts/preflight root fuse

# compat: a path for the interpreter. What setuptools does otherwise finds our packages by a hook, for which every start
# imports thirty modules, 2 MiB and 20 ms that nobody who installs the package has.
EDITABLE = --use-pep517 --config-settings editable_mode=compat --editable

# The stamps are keyed to pyproject.toml: a changed dependency is installed by the next command.
$(VENV)/runtime.stamp: pyproject.toml
	@PYTHON='$(PYTHON)' scripts/preflight python
	@echo 'cgscope: setting up $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install $(EDITABLE) .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp
	@$(PIP) install $(EDITABLE) '.[dev]'
	@touch $@
