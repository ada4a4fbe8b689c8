# Everything a person or CI runs. Python 3.11 and make are enough to begin with.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

export PIPELINE ?= text-to-image
export MODEL_ID ?= demo
export HOST ?= 127.0.0.1
export PORT ?= 8000
export PREVIEWS ?= true

# Gigabytes: installed on its own and without --quiet, so that pip shows how far it is.
TORCH = $(shell grep '^torch==' requirements.txt)

.PHONY: serve test test-accelerators test-sfast test-ray test-load test-compose check lint types openapi demo-models clean

serve: $(VENV)/service  ## serve PIPELINE (text-to-image) with MODEL_ID (demo) on HOST:PORT
	$(BIN)/python -m app

test: $(VENV)/dev  ## run the tests
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder --ignore=tests/compose

test-accelerators: $(VENV)-accelerators/ready  ## run the accelerators' tests with their packages
	$(VENV)-accelerators/bin/python -m pytest tests/accelerators tests/diffusion/test_loras.py

test-sfast: $(VENV)-sfast/ready  ## run stable-fast's tests, with the real package, in its own PyTorch
	$(VENV)-sfast/bin/python -m pytest tests/accelerators/test_sfast.py

test-ray: $(VENV)-ray/ready  ## run the tests of ray_app.py on a small cluster
	$(VENV)-ray/bin/python -m pytest tests/ray

test-load: $(VENV)/dev $(VENV)-load/ready  ## run NVIDIA's load generator against the service
	PATH="$$PATH:$(abspath $(VENV)-load/bin)" $(BIN)/python -m pytest tests/openai/test_aiperf.py

test-compose: $(VENV)/dev  ## run the tests of the proxy before several containers; needs haproxy
	$(BIN)/python -m pytest tests/compose

check: lint types test  ## what people and CI run before a change lands

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck dl_checkpoints.sh .ci/run

types: $(VENV)/dev
	$(BIN)/mypy

openapi: $(VENV)/dev  ## write openapi.json and gateway.openapi.json again
	$(BIN)/python gen_openapi.py

demo-models: $(VENV)/dev  ## train the demonstration models again (an hour or two on two cores)
	$(BIN)/python -m training.make_all

$(VENV)/service: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install $(TORCH)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(VENV)/dev: $(VENV)/service requirements-dev.txt
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@

$(VENV)-accelerators/ready: requirements-accelerators.txt requirements.txt
	$(PYTHON) -m venv $(VENV)-accelerators
	$(VENV)-accelerators/bin/pip install $(TORCH)
	$(VENV)-accelerators/bin/pip install --quiet -r requirements.txt -r requirements-accelerators.txt pytest
	touch $@

$(VENV)-sfast/ready: requirements-sfast.txt
	$(PYTHON) -m venv $(VENV)-sfast
	$(VENV)-sfast/bin/pip install --quiet -r requirements-sfast.txt pytest
	touch $@

$(VENV)-ray/ready: requirements-ray.txt requirements.txt
	$(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/pip install $(TORCH)
	$(VENV)-ray/bin/pip install --quiet -r requirements-ray.txt pytest
	touch $@

$(VENV)-load/ready: requirements-load.txt
	$(PYTHON) -m venv $(VENV)-load
	$(VENV)-load/bin/pip install --quiet -r requirements-load.txt
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-accelerators $(VENV)-sfast $(VENV)-ray $(VENV)-load .pytest_cache .mypy_cache .ruff_cache
