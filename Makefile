# make build test lint floors bench demo: all you need to know.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Development checkouts may have networks and footage beside them; a user's machine names its own or has none.
PYLFR_MODELS ?= $(abspath $(wildcard ../shared/models))
PYLFR_MEDIA  ?= $(abspath $(wildcard ../shared/media))
export PYLFR_MODELS PYLFR_MEDIA

# `make wheels PYTHONS="python3.11 python3.12 python3.13"` builds for each of them.
PYTHONS ?= $(BIN)/python

.PHONY: demo build test chaos chaos-cluster fuzz fuzz-guided fuzz-native fuzz-core sanitize lint scripts format floors docs wheels cuda stand-in gpu-bundle rtx openvino torch bench bench-quick clean
.DEFAULT_GOAL := build

$(VENV)/.dev: pyproject.toml
	@echo "== making $(VENV) and installing the tools of the trade"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/.built: $(VENV)/.dev CMakeLists.txt $(shell find csrc -type f 2>/dev/null)
	@echo "== compiling the native core and installing pylfr (editable)"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[cluster,faiss,mqtt,evaluation,monitoring,service,tracing]'
	@touch $@

build: $(VENV)/.built ## compile and install into .venv

demo: build ## run the main job; ends with a picture and a short report in demo/
	@test -n "$(PYLFR_MEDIA)" || $(BIN)/python -m pip install --quiet --group demo
	@$(BIN)/python -m examples.demo

test: build ## every test that this machine can run; says what it skipped
	@$(BIN)/python -m pytest

# Seconds for all readers together; hours by hand: make fuzz SECONDS=36000.
SECONDS ?= 60
fuzz: build ## damage what every reader of files is given; what breaks one is left in build/fuzz
	@$(BIN)/python -W error -m tests.readers.fuzz --seconds $(SECONDS) --seed $${SEED:-0}

fuzz-native: build ## damage what the native core is called with; under sanitizers: make sanitize
	@$(BIN)/python -m tests.native.fuzz --seconds $(SECONDS) --seed $${SEED:-0}

# The core under sanitizers takes its time: 30 s of damaged calls, and by hand as many as make sanitize SECONDS=36000 says.
sanitize: SECONDS = 30
sanitize: build ## the native tests, and damaged calls, with a core compiled with ASan and UBSan, then with TSan
	@$(BIN)/python -m tests.native.sanitize --seconds $(SECONDS) --seed $${SEED:-0}

fuzz-core: build ## as fuzz-native, after coverage of the core's own code, with libFuzzer; needs clang
	@$(BIN)/python -m tests.native.guided.build_and_run --seconds $(SECONDS)

fuzz-guided: build ## as fuzz, one READER after coverage, with atheris
	@$(BIN)/python -m pip install --quiet --group fuzz
	@$(BIN)/python -m tests.readers.guided --seconds $(SECONDS) --reader "$(READER)"

chaos: build ## hurt a complete deployment for PYLFR_CHAOS_SECONDS (an hour) from PYLFR_CHAOS_SEED, and judge what is left
	@PYLFR_CHAOS_SECONDS=$${PYLFR_CHAOS_SECONDS:-3600} $(BIN)/python -m pytest tests/chaos

chaos-cluster: build ## as chaos, to a cluster of three nodes on real footage, for half an hour; needs root, PYLFR_MODELS and PYLFR_MEDIA
	@PYLFR_CHAOS_SECONDS=$${PYLFR_CHAOS_SECONDS:-1800} $(BIN)/python -m pytest -s tests/system/test_cluster_chaos.py

lint: $(VENV)/.dev ## ruff, mypy --strict, clang-format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run --Werror $$(git ls-files csrc)

scripts: ## types of the modules of the pages, by TypeScript (needs Node)
	@npx --yes --package typescript@5 tsc --project tests/service/tsconfig.json

format: $(VENV)/.dev ## put everything into shape
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/clang-format -i $$(git ls-files csrc)

floors: build ## imports go downward only
	@$(BIN)/lint-imports

docs: build ## build the documentation site into build/site; warnings are errors
	@$(BIN)/python -m pip install --quiet --group docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

wheels: $(VENV)/.dev ## build and repair wheels (manylinux) and the source distribution into dist/
	@$(BIN)/python -m pip install --quiet --group wheels
	@rm -rf build/raw && mkdir -p build/raw dist
	@for python in $(PYTHONS); do echo "== wheel for $$python"; \
	  case $$python in $(BIN)/python) isolation=--no-build-isolation;; *) isolation=;; esac; \
	  $$python -m pip wheel --quiet $$isolation --no-deps --wheel-dir build/raw . || exit 1; done
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m auditwheel repair --wheel-dir dist build/raw/*.whl
	@$(BIN)/python -m build --no-isolation --sdist --outdir dist .

cuda: $(VENV)/.dev ## compile the CUDA half with nvcc; needs no GPU
	@echo "== compiling the CUDA core (no GPU needed)"
	@$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps -Ccmake.define.PYLFR_CUDA=ON -Cbuild-dir=build/cuda -w build/wheels .
	@$(BIN)/python tests/native/import_cuda_wheel.py build/wheels

stand-in: build ## compile the CUDA half for a CPU that plays a device, so that tests run it; needs neither nvcc nor a GPU
	@echo "== compiling the CUDA half for a CPU that plays a device"
	@for folder in build/cp*; do $(BIN)/cmake --build $$folder --target _core_stand_in >/dev/null && mkdir -p build/stand-in && cp $$folder/stand_in/_core*.so build/stand-in/ || exit 1; done

gpu-bundle: build ## all that a GPU machine without a network lacks, in build/gpu: core, packages, networks, clips
	@test -n "$(PYLFR_MEDIA)" || { echo "PYLFR_MEDIA must name the folder of footage that the tests need"; exit 1; }
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m benchmarks.gpu_bundle --python $(PYLFR_GPU_PYTHON) --media "$(PYLFR_MEDIA)"

rtx: build ## install TensorRT-RTX (about 230 MB), so that the tests build engines with it; needs no GPU
	@$(BIN)/python -m pip install --quiet onnx 'tensorrt-rtx==1.7.1.116'

openvino: build ## install OpenVINO (about 60 MB), so that the tests run networks in it
	@$(BIN)/python -m pip install --quiet 'openvino>=2024.4'

torch: build ## install PyTorch (gigabytes: its wheel does not load without NVIDIA's libraries) and what training/ needs, for the tests
	@$(BIN)/python -m pip install --quiet --no-cache-dir 'onnx>=1.16' 'torch>=2.4' 'opencv-python-headless>=4.10' 'tqdm>=4.66'

bench: build ## measure the stages and the whole; writes benchmarks/results/*.json
	@$(BIN)/python -m benchmarks.stages
	@$(BIN)/python -m benchmarks.end_to_end
	@$(BIN)/python -m benchmarks.tables
	@$(BIN)/python -m benchmarks.figures

bench-quick: build ## has anything become slower? by ratio to fixed work in the same run, in under a minute
	@$(BIN)/python -m benchmarks.quick

clean: ## remove what make has built
	@rm -rf $(VENV) build
