# `make` shows the help. Run it in the checkout. The state is in var/ (VAXPULSE_HOME changes it).
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN = .venv/bin/python -m deploy.embedded.run
STACK = $(PYTHON) -m deploy.stack.run
ACCEPTANCE = $(PYTHON) -m tests.stack_acceptance.run
INSTALL = $(PYTHON) -m deploy.installation.install
FABRIC = .fabric/bin/python -m deploy.fabric
# The extras of requirements.txt. `fabric` has a lock of its own, which only its targets install.
EXTRAS = airflow loading spark retention training embedded stack tracking dev
COMPILE = .venv/bin/uv pip compile pyproject.toml --upgrade --generate-hashes --no-emit-index-url --no-annotate \
  --python-version 3.11 --custom-compile-command 'make lock' --quiet
# The theme advertises its successor. MkDocs 1.6 is a bound in pyproject.toml.
SITE = NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
PYTEST = PYTHONPATH=. .venv/bin/python -m pytest
# The folders that take minutes, the longest first.
SLOW = tests/integration tests/properties tests/jobs tests/training_runs
# All other folders have unit tests, except those that only their own target runs.
UNIT = $(filter-out $(SLOW) tests/faults tests/stack_acceptance tests/conftest.py tests/__pycache__,$(wildcard tests/*))
# Two workers on any machine, because each has a Spark session. The tests of a file stay in one worker, because they may
# depend on each other. The first worker starts with the integration tests, which mostly wait for services. A worker that
# crashes is not replaced, because the new one would repeat the test that crashed it.
IN_TWO_WORKERS = -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: packages
packages:
	@[ -n "$(PYTHON)" ] || { echo "install: no Python on PATH: install Python 3.11" >&2; exit 1; }
	@$(INSTALL) --packages-only

.PHONY: install
install: packages ## install Python packages, a JDK, jars and weights, if they are missing
	@$(INSTALL)

.PHONY: run
run: install ## start all services and ingest a dump: DUMP=path-or-URL, PRESETS="bge-small bert" to train again
	@$(RUN) start --dump "$(DUMP)" --presets "$(PRESETS)"

.PHONY: status
status: ## show services, last runs, tables and champion: FORMAT=json for scripts
	@$(RUN) status --format $(or $(FORMAT),text)

.PHONY: logs
logs: ## show the last lines of all logs, or follow one: SERVICE=mlflow
	@$(RUN) logs $(if $(SERVICE),--service $(SERVICE))

.PHONY: stop
stop: ## stop all services; keep the data
	@$(RUN) stop

.PHONY: backup
backup: ## stop, copy tables, runs, models and secrets to a new folder, start again: TO=folder
	@$(RUN) backup --to "$(TO)"

.PHONY: restore
restore: install ## create the platform from a backup; it overwrites nothing: FROM=folder
	@$(RUN) restore --from "$(FROM)"

.PHONY: clean
clean: ## stop all services, ask, then delete var/ with all tables, runs and models
	@$(RUN) clean $(if $(YES),--yes)

.PHONY: stack-up
stack-up: ## start the Docker stack: create .env, build images, wait until all services are healthy
	@VAXPULSE_COMMIT=$$(git describe --always --dirty --abbrev=40 --exclude='*' || echo unknown) $(STACK) up

.PHONY: stack-smoke
stack-smoke: ## load a dump in the stack, check tables, report, models, logins, ports and secrets: DUMP=path
	@$(ACCEPTANCE) smoke --dump "$(DUMP)"

.PHONY: stack-faults
stack-faults: ## kill a DataNode, a Spark worker, the scheduler and a Celery worker while a dump is loaded
	@$(ACCEPTANCE) faults

.PHONY: stack-logs
stack-logs: ## show the last lines of the containers' logs, or follow one: SERVICE=mlflow
	@$(STACK) logs $(if $(SERVICE),--service $(SERVICE))

.PHONY: stack-down
stack-down: ## stop and remove the containers; keep the data unless VOLUMES=1
	@$(STACK) down $(if $(VOLUMES),--volumes)

.PHONY: fabric-packages
fabric-packages:
	@$(PYTHON) -m deploy.fabric.install

.PHONY: fabric-plan
fabric-plan: fabric-packages ## show the machines of a slice on the FABRIC testbed, without an account: SPEC=file
	@$(FABRIC) plan $(if $(SPEC),--spec "$(SPEC)")

.PHONY: fabric-up
fabric-up: fabric-packages ## ask, create the slice, start the stack on it; repeat it after a failure: SPEC=file
	@$(FABRIC) up $(if $(SPEC),--spec "$(SPEC)") $(if $(YES),--yes)

.PHONY: fabric-status
fabric-status: fabric-packages ## show the slice, its machines and services: SPEC=file
	@$(FABRIC) status $(if $(SPEC),--spec "$(SPEC)")

.PHONY: fabric-down
fabric-down: fabric-packages ## ask, delete the slice with all data: SPEC=file
	@$(FABRIC) down $(if $(SPEC),--spec "$(SPEC)") $(if $(YES),--yes)

.PHONY: test-fabric
test-fabric: install fabric-packages ## test the slices, also with the real FABlib, without a network
	$(PYTEST) tests/fabric

.PHONY: test
test: packages ## run everything: checks, unit tests, properties, whole jobs, and the embedded platform with a small dump
	@# In parallel: mypy uses one core for a minute, the installation the network and then the other core.
	@$(MAKE) --no-print-directory --jobs 2 install check
	$(PYTEST) $(IN_TWO_WORKERS) --durations=15 $(SLOW) $(UNIT)

.PHONY: test-unit
test-unit: install ## run the unit tests of all packages
	$(PYTEST) $(IN_TWO_WORKERS) $(UNIT)

.PHONY: fuzz
fuzz: install ## test the properties with 10,000 dumps and URLs, 10,000 hostile records and 300 hostile names
	VAXPULSE_FUZZ_DUMPS=10000 VAXPULSE_HOSTILE_RECORDS=10000 VAXPULSE_HOSTILE_NAMES=300 \
	$(PYTEST) tests/properties tests/jobs/test_hostile_records.py

.PHONY: test-faults
test-faults: install ## kill services, tasks and the loader at random times, outages, a restore: VAXPULSE_FAULT_SEED=1, VAXPULSE_FAULT_KILLS=5
	$(PYTEST) -s tests/faults

.PHONY: bench-ingest
bench-ingest: install ## measure load_dumps in MB/s by format, against Spark and Polars, and on small and difficult dumps
	.venv/bin/python -m benchmarks.ingest throughput --megabytes 1000
	.venv/bin/python -m benchmarks.ingest increment --rows 1000000
	.venv/bin/python -m benchmarks.ingest hard
	.venv/bin/python -m benchmarks.ingest_formats --megabytes 1000

.PHONY: bench-clean
bench-clean: install ## measure clean_tweets in rows/s against Polars, pandas with NLTK, and read and write only
	.venv/bin/python -m benchmarks.clean throughput --tweets 2000000 --baseline-commit 981bcd8
	.venv/bin/python -m benchmarks.clean throughput --tweets 2000000 --unique
	.venv/bin/python -m benchmarks.clean increment --rows 1000000

.PHONY: inspect
inspect: packages ## report what would happen to a dump, write nothing: DUMP=file MAPPING='{"text": "tweet"}'
	@.venv/bin/python -m loading.inspect "$(DUMP)" $(if $(MAPPING),--mapping '$(MAPPING)')

.PHONY: weights
weights: install ## download the weights of a preset: PRESET=bert
	@.venv/bin/python -m training.models.weights --preset "$(PRESET)"

.PHONY: bench-train
bench-train: install ## measure the trainer in samples/s against transformers' Trainer and the published study's code
	.venv/bin/python -m benchmarks.train

.PHONY: bench-text
bench-text: install ## measure minilm on each text column: TWEETS=URI-of-tweets_clean
	.venv/bin/python -m benchmarks.text_columns --tweets "$(TWEETS)"

.PHONY: bench-score
bench-score: install ## measure both scoring engines in rows/s against transformers' pipeline and PyTorch
	.venv/bin/python -m benchmarks.score throughput --tweets 4000 --sample 1000
	.venv/bin/python -m benchmarks.score scaling --tweets 10000,100000,1000000 --words 6
	.venv/bin/python -m benchmarks.score copies --tweets 20000

.PHONY: check
check: packages ## what CI checks: format, lint, import rules, licences, types, scripts, schemas, links of the documentation
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	PYTHONPATH=plugins:dags .venv/bin/lint-imports --no-logo --no-cache
	.venv/bin/python .ci/undeclared_imports.py
	.venv/bin/python .ci/sbom.py --packages
	.venv/bin/shellcheck .ci/run docker/*.sh deploy/fabric/host/*.sh deploy/conf/spark/spark-env.sh
	.venv/bin/hadolint docker/Dockerfile
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	@# The site, strictly: broken links and resources of other servers fail.
	$(SITE)
	.venv/bin/mypy

.PHONY: sbom
sbom: install ## write a software bill of materials (sbom.cdx.json) and licenses.csv, and check all licences
	.venv/bin/python .ci/sbom.py

.PHONY: coverage
coverage: install ## coverage of the unit tests
	$(PYTEST) $(IN_TWO_WORKERS) --cov --cov-report term:skip-covered $(UNIT)

.PHONY: format
format: install ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: docs
docs: install ## regenerate docs/pipelines.md, docs/pipeline.svg and docs/reference/ from the code
	REBUILD_GOLDEN=1 $(PYTEST) tests/dags/test_pipelines_page.py tests/dags/test_pipeline_picture.py \
	  tests/dags/test_reference_pages.py

.PHONY: site
site: packages ## build the documentation as a site in site/; a broken link fails
	$(SITE)

.PHONY: screenshots
screenshots: install ## take docs/images/*.png from the pages of the running platform, which has generated tweets only
	PYTHONPATH=. .venv/bin/python docs/take_screenshots.py

.PHONY: lock
lock: install ## resolve the dependencies again: requirements.txt, deploy/fabric/requirements.txt and jars.lock
	$(COMPILE) $(addprefix --extra ,$(EXTRAS)) --output-file requirements.txt
	$(COMPILE) --extra fabric --constraint requirements.txt --output-file deploy/fabric/requirements.txt
	@$(INSTALL) --lock-jars
