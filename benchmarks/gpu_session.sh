#!/usr/bin/env bash
# Everything that only a GPU can show, in less than eight minutes, from a bare machine without a network.
usage() {
    cat <<'TEXT'
benchmarks/gpu_session.sh [FOLDER_FOR_RESULTS]

Compiles the core for the GPU that is here, tests it, measures it, tries NVDEC, TensorRT and TensorRT-RTX, and runs
compute-sanitizer with the time that is left. Needs nvcc, a CMake that knows it, ninja and Python with pybind11, NumPy and
PyTorch. The folder (gpu-results where none is named) gets results.txt, every step with its output and exit status, and
gpu.json, what was measured. Fails where a step that must pass did not.

PYLFR_WHEELS              a folder of wheels for what Python lacks here: pylfr's dependencies, pytest, onnx
PYLFR_MODELS, PYLFR_MEDIA folders of networks and footage; without them the tests that need them are skipped
PYLFR_CUDA_ARCHITECTURES  for which to compile, where no GPU is here: 90, say. Nothing else can run there
PYLFR_SECONDS             how long it may take, 470
TEXT
}
set -uo pipefail

case "${1:-}" in
    -h | --help) usage && exit 0 ;;
    -*) printf 'gpu_session.sh takes a folder, got the option %s; see --help\n' "$1" >&2 && exit 2 ;;
esac
if [ $# -gt 1 ]; then
    printf 'gpu_session.sh takes one folder, got %s: %s\n' $# "$*" >&2
    exit 2
fi
seconds=${PYLFR_SECONDS:-470}
case "$seconds" in
    '' | *[!0-9]*) printf 'PYLFR_SECONDS must be a whole number of seconds, got %s\n' "$seconds" >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/.." || exit 2
out=$(mkdir -p "${1:-gpu-results}" && cd "${1:-gpu-results}" && pwd) || exit 2
results="$out/results.txt"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
: >"$results" || exit 2
failed=0

say() { printf '%s\n' "$*" | tee -a "$results"; }
ended() {
    say "== $1 ($SECONDS s in all)"
    exit "$2"
}

# step SECONDS NAME COMMAND...: runs it within what is left of the session, keeps its output, never stops the session.
step() {
    local most=$1 name=$2 began=$SECONDS status=0 left=$((seconds - SECONDS))
    shift 2
    say "== $name"
    if [ "$left" -lt 5 ]; then
        say "-- $name: not run, the session's $seconds s are over"
        return 125
    fi
    timeout -k 5 "$((most < left ? most : left))" "$@" >"$work/output" 2>&1 </dev/null || status=$?
    cat "$work/output" >>"$results"
    tail -n 25 "$work/output"
    [ "$status" != 124 ] || say "   (stopped: it took longer than $((most < left ? most : left)) s)"
    say "-- $name: exit $status after $((SECONDS - began)) s"
    return "$status"
}
must() { step "$@" || failed=1; }
may() { step "$@" || say "   (this step may fail)"; }

# What is missing is named all at once, before minutes of compiling.
missing=()
for tool in nvcc cmake ninja python3; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
gpus=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>&1) || gpus=""
if [ -n "$gpus" ]; then
    say "== the GPU: $gpus"
else
    say "== no GPU: nvidia-smi lists none"
    [ -n "${PYLFR_CUDA_ARCHITECTURES:-}" ] || missing+=("a GPU (or PYLFR_CUDA_ARCHITECTURES, to compile the core without one)")
fi
if [ -n "${PYLFR_WHEELS:-}" ]; then
    compgen -G "$PYLFR_WHEELS/*.whl" >/dev/null || missing+=("wheels in PYLFR_WHEELS, $PYLFR_WHEELS")
fi
if [ "${#missing[@]}" != 0 ]; then
    for each in "${missing[@]}"; do say "missing: $each"; done
    ended "nothing was run" 1
fi

# One by one: a wheel for another Python costs itself, not the others.
if [ -n "${PYLFR_WHEELS:-}" ]; then
    # shellcheck disable=SC2016  # the shell that is started expands these
    may 60 "wheels that were carried along" bash -c '
        status=0
        for wheel in "$1"/*.whl; do
            python3 -m pip install -q --disable-pip-version-check --no-index --no-deps --no-compile --target "$2" \
                "$wheel" || { status=1 && printf "not installed: %s\n" "$wheel"; }
        done
        exit "$status"' - "$PYLFR_WHEELS" "$work/site"
fi

# A copy, so that the tree stays as it is.
cp -r pylfr tests benchmarks pyproject.toml "$work/"
rm -rf "$work/benchmarks/results"
export PYTHONPATH="$work:$work/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
must 20 "modules that Python has" python3 -c '
import importlib.metadata as metadata, importlib.util as util, sys
print(sys.version)
needed = "pybind11 numpy pytest alembic av cryptography onnxruntime PIL platformdirs pydantic rich sqlalchemy typer"
lacking = [name for name in needed.split() if util.find_spec(name) is None]
for name in ("torch", "onnx", "tensorrt", "tensorrt_rtx", "faiss", "pycuda", "cupy"):
    print(name + (": here" if util.find_spec(name) else ": missing, what needs it is left out"))
if lacking:
    sys.exit("missing: " + ", ".join(lacking) + ": carry their wheels in PYLFR_WHEELS")'
if [ "$failed" != 0 ]; then ended "Python lacks what must be here" 1; fi

must 40 "configure" cmake -S . -B "$work/build" -G Ninja -DPYLFR_CUDA=ON \
    -DCMAKE_CUDA_ARCHITECTURES="${PYLFR_CUDA_ARCHITECTURES:-native}" -DPython_EXECUTABLE="$(command -v python3)" \
    -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)"
[ "$failed" != 0 ] || must "${PYLFR_COMPILE_SECONDS:-150}" "compile" cmake --build "$work/build"
[ "$failed" != 0 ] || must 20 "install" cmake --install "$work/build" --prefix "$work"
if [ "$failed" != 0 ]; then ended "the core was not built: nothing else can run" 1; fi

cd "$work" || exit 2
must 20 "the core counts devices" python3 -c '
from pylfr import ops
print("CUDA devices:", ops.cuda_device_count())
ops.require_device("cuda")'
if [ "$failed" != 0 ]; then ended "no CUDA device: the core was compiled and loaded, and nothing else can run" 1; fi

export PYLFR_REQUIRE_CUDA=1
kernels=(tests/native/test_batch.py tests/native/test_search_index.py tests/native/test_tensor_cuda.py)
pytest=(python3 -m pytest -q -m cuda -p no:cacheprovider)
must 60 "tests of the kernels" "${pytest[@]}" "${kernels[@]}" tests/system/test_cuda.py
must 40 "stages, arrays of others" "${pytest[@]}" tests/faces/device/test_recognise.py tests/system/test_interop.py
must 60 "six cameras on the device" "${pytest[@]}" tests/system/test_rehearsal_on_device.py -k "not decoded_there"
may 5 "NVDEC's library" sh -c 'ldconfig -p | grep -E "libnvcuvid|libcuda\.so"'
may 15 "NVDEC can be opened" python3 -c '
from pylfr.video.decoding.nvdec import require_nvdec
require_nvdec()
print("it can")'
may 60 "NVDEC" "${pytest[@]}" -rs tests/video/decoding/test_nvdec.py tests/system/test_rehearsal_on_device.py -k "nvdec or decoded_there"
must 180 "benchmarks" python3 -m benchmarks.gpu
[ ! -f benchmarks/results/gpu.json ] || cp benchmarks/results/gpu.json "$out/"
for library in tensorrt tensorrt-rtx; do
    may 45 "$library" "${pytest[@]}" -rs tests/runtimes/tensorrt/test_runtime.py -k "[$library]"
done
# The largest searches are left out: memcheck is some fifty times slower.
may 75 "compute-sanitizer memcheck" compute-sanitizer --error-exitcode 9 \
    "${pytest[@]}" "${kernels[@]}" -k "not 6000 and not 3000 and not torch and not whoever"
may 45 "compute-sanitizer racecheck" compute-sanitizer --tool racecheck --error-exitcode 9 \
    "${pytest[@]}" tests/native/test_batch.py -k "found or measured or order"

if [ "$failed" != 0 ]; then ended "something that must pass FAILED: see above" 1; fi
ended "all that must pass passed" 0
