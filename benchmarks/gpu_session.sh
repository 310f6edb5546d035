#!/usr/bin/env bash
# Everything that only a GPU can show, from a bare machine with nvcc, PyTorch, CMake (one that knows its nvcc), ninja and
# pybind11; no network.
#
#   benchmarks/gpu_session.sh [FOLDER_FOR_RESULTS]
#
# PYLFR_WHEELS names a folder of wheels for what is missing there (of pylfr's dependencies, pytest and onnx);
# PYLFR_MODELS a folder of networks (without one only the shipped ones are measured).
# Each step is recorded with its exit status in results.txt; the script fails where a step that must pass did not.
set -uo pipefail
cd "$(dirname "$0")/.."

out=$(mkdir -p "${1:-gpu-results}" && cd "${1:-gpu-results}" && pwd)
results="$out/results.txt"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$results"
failed=0

say() { printf '%s\n' "$*" | tee -a "$results"; }

# step SECONDS NAME COMMAND...: runs it, keeps its output, never stops the session.
step() {
    local seconds=$1 name=$2 began=$SECONDS status=0
    shift 2
    say "== $name"
    timeout "$seconds" "$@" >"$work/output" 2>&1 || status=$?
    tail -n 60 "$work/output" | tee -a "$results"
    say "-- $name: exit $status after $((SECONDS - began)) s"
    return "$status"
}
must() { step "$@" || failed=1; }
may() { step "$@" || say "   (this step may fail)"; }

may 20 "the GPU" nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv
may 10 "NVDEC's library" sh -c 'ldconfig -p | grep -E "libnvcuvid|libcuda\.so"'

if [ -n "${PYLFR_WHEELS:-}" ]; then
    must 60 "wheels that were carried along" \
        python3 -m pip install -q --no-index --no-deps --no-compile --target "$work/site" "$PYLFR_WHEELS"/*.whl
fi

# A copy, so that the tree stays as it is; the core is built for this GPU only.
cp -r pylfr tests benchmarks pyproject.toml "$work/"
export PYTHONPATH="$work:$work/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
must 60 "configure" cmake -S . -B "$work/build" -G Ninja -DPYLFR_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="${PYLFR_CUDA_ARCHITECTURES:-native}" \
    -DPython_EXECUTABLE="$(command -v python3)" -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)"
must 180 "compile" cmake --build "$work/build"
must 20 "install" cmake --install "$work/build" --prefix "$work"
if [ "$failed" != 0 ]; then
    say "== the core was not built: nothing else can run"
    exit 1
fi

cd "$work" || exit 1
export PYLFR_REQUIRE_CUDA=1
kernels=(tests/native/test_batch.py tests/native/test_search_index.py tests/native/test_tensor_cuda.py)
must 90 "tests on the device" python3 -m pytest "${kernels[@]}" tests/test_cuda.py -q -m cuda -p no:cacheprovider
# The largest searches are left out: memcheck is some fifty times slower.
may 75 "compute-sanitizer memcheck" compute-sanitizer --error-exitcode 9 \
    python3 -m pytest "${kernels[@]}" -q -m cuda -p no:cacheprovider -k "not 6000 and not 3000 and not torch"
may 45 "compute-sanitizer racecheck" compute-sanitizer --tool racecheck --error-exitcode 9 \
    python3 -m pytest tests/native/test_batch.py -q -m cuda -p no:cacheprovider -k "found or measured or order"
# Stages with real networks and footage, where these and what reads them were carried along.
may 30 "stages on the device" python3 -m pytest tests/faces/test_device.py -q -m cuda -p no:cacheprovider
may 20 "TensorRT-RTX" python3 -c 'import tensorrt_rtx as t; print(t.__version__, t.Builder(t.Logger()).create_network(0))'
must 150 "benchmarks" python3 -m benchmarks.gpu
[ ! -f benchmarks/results/gpu.json ] || cp benchmarks/results/gpu.json "$out/"

say "== $([ "$failed" = 0 ] && echo "all that must pass passed" || echo "something that must pass FAILED: see above")"
exit "$failed"
