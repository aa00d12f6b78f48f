# `make` alone shows this help. Everything runs from the checkout; state lives in var/ (VAXPULSE_HOME moves it).
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN = .venv/bin/python -m deploy.embedded.run
STACK = $(PYTHON) -m deploy.stack.run
PYTEST = PYTHONPATH=. .venv/bin/python -m pytest
UNIT = tests/spark_jobs tests/training tests/dags tests/plugins tests/loading tests/deploy tests/stack
# Two workers, whatever the machine has: each holds a Spark session. One starts with the platform's tests, which mostly wait for services, the
# other with the laws. A file stays in one worker, because its tests may build on each other; files are handed out in the order in which they are named.
IN_TWO_WORKERS = -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: packages
packages:
	@[ -n "$(PYTHON)" ] || { echo "install: there is no Python on PATH: install Python 3.11" >&2; exit 1; }
	@$(PYTHON) deploy/embedded/install.py --packages-only

.PHONY: install
install: packages ## install what is missing: Python packages, a JDK, jars
	@$(PYTHON) deploy/embedded/install.py

.PHONY: run
run: install ## start everything and ingest a dump: DUMP=path-or-URL, PRESETS="minilm bert" to train again
	@$(RUN) start --dump "$(DUMP)" --presets "$(PRESETS)"

.PHONY: status
status: ## services, last runs, tables, champion: FORMAT=json for machines
	@$(RUN) status --format $(or $(FORMAT),text)

.PHONY: logs
logs: ## the end of all logs, or follow one: SERVICE=mlflow
	@$(RUN) logs $(if $(SERVICE),--service $(SERVICE))

.PHONY: stop
stop: ## stop all services; data stays
	@$(RUN) stop

.PHONY: clean
clean: ## stop, ask, then remove var/ with all tables, runs and models
	@$(RUN) clean $(if $(YES),--yes)

.PHONY: stack-up
stack-up: ## the Docker stack: make .env, build, start, wait until all are healthy
	@$(STACK) up

.PHONY: stack-smoke
stack-smoke: ## land a dump in the stack, follow it, check what comes of it, logins, ports, secrets: DUMP=path
	@$(STACK) smoke --dump "$(DUMP)"

.PHONY: stack-faults
stack-faults: ## kill a DataNode, a Spark worker, the scheduler and a Celery worker while a dump is on its way
	@$(STACK) faults

.PHONY: stack-logs
stack-logs: ## the end of the containers' logs, or follow one service: SERVICE=mlflow
	@$(STACK) logs $(if $(SERVICE),--service $(SERVICE))

.PHONY: stack-down
stack-down: ## stop and remove the containers; data stays, unless VOLUMES=1
	@$(STACK) down $(if $(VOLUMES),--volumes)

.PHONY: test
test: packages ## everything: checks, unit tests, whole jobs, laws, and the whole platform on a small dump
	@# The types take one processor for a minute, jars the network and then the other.
	@$(MAKE) --no-print-directory --jobs 2 install check
	$(PYTEST) $(IN_TWO_WORKERS) --durations=15 tests/integration tests/properties tests/jobs tests/training_runs $(UNIT)

.PHONY: test-unit
test-unit: install ## unit tests of all rooms
	$(PYTEST) $(IN_TWO_WORKERS) $(UNIT)

.PHONY: fuzz
fuzz: install ## the laws with 10,000 generated dumps instead of 2,000
	VAXPULSE_FUZZ_DUMPS=10000 $(PYTEST) tests/properties

.PHONY: faults
faults: install ## kill -9 of the loader at a hundred random moments: VAXPULSE_FAULT_SEED=1
	$(PYTEST) tests/faults

.PHONY: bench-ingest
bench-ingest: install ## MB/s of load_dumps against Spark's own reader and Polars, small dumps, hard dumps
	.venv/bin/python -m benchmarks.ingest throughput --megabytes 1000
	.venv/bin/python -m benchmarks.ingest increment --rows 1000000
	.venv/bin/python -m benchmarks.ingest hard

.PHONY: bench-clean
bench-clean: install ## rows/s of clean_tweets against Polars, pandas with NLTK, and reading and writing alone
	.venv/bin/python -m benchmarks.clean throughput --tweets 2000000 --baseline-commit 981bcd8
	.venv/bin/python -m benchmarks.clean throughput --tweets 2000000 --unique
	.venv/bin/python -m benchmarks.clean increment --rows 1000000

.PHONY: weights
weights: install ## fetch the weights of a preset into a folder: PRESET=bert
	@.venv/bin/python -m training.weights --preset "$(PRESET)"

.PHONY: bench-train
bench-train: install ## samples/s of the trainer on this machine against stock Trainer and the study's way
	.venv/bin/python -m benchmarks.train

.PHONY: bench-text
bench-text: install ## accuracy, macro-F1 and RMSE of minilm on each text column: TWEETS=URI-of-tweets_clean
	.venv/bin/python -m benchmarks.text_columns --tweets "$(TWEETS)"

.PHONY: bench-score
bench-score: install ## rows/s and CPU ms a row of both scoring engines against transformers' pipeline and PyTorch
	.venv/bin/python -m benchmarks.score throughput --tweets 4000 --sample 1000
	.venv/bin/python -m benchmarks.score scaling --tweets 10000,100000,1000000 --words 6
	.venv/bin/python -m benchmarks.score copies --tweets 20000

.PHONY: check
check: packages ## what CI checks: format, lint, import rules, undeclared imports, types, scripts, schemas
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	PYTHONPATH=plugins:dags .venv/bin/lint-imports --no-logo --no-cache
	.venv/bin/python .ci/undeclared_imports.py
	.venv/bin/shellcheck .ci/run docker/*.sh deploy/conf/spark/spark-env.sh
	.venv/bin/hadolint docker/Dockerfile
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	.venv/bin/mypy

.PHONY: coverage
coverage: install ## coverage of the unit tests
	$(PYTEST) $(IN_TWO_WORKERS) --cov --cov-report term:skip-covered $(UNIT)

.PHONY: format
format: install ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: lock
lock: install ## resolve the dependencies anew: requirements.txt and jars.lock
	.venv/bin/uv pip compile pyproject.toml --all-extras --upgrade --generate-hashes --no-emit-index-url --no-annotate \
	  --python-version 3.11 --custom-compile-command 'make lock' --output-file requirements.txt --quiet
	$(PYTHON) deploy/embedded/install.py --lock-jars
