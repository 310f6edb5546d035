#!/usr/bin/env bash
# What only a GPU can show, in two short plans, on a machine without a network.
usage() {
    cat <<'TEXT'
benchmarks/gpu_session.sh [--list] [PLAN] [FOLDER_FOR_RESULTS]

PLAN is proof (300 s: the core loads, kernels, stages, cameras, NVDEC, ceilings, search, simulated cameras, races) or depth
(330 s: the tests again, networks, live cameras and streams of NVDEC, memcheck, a profile, FAISS). --list prints a plan's steps and their
limits and runs nothing. Results go to FOLDER, gpu-results where none is named: results.txt, every step with its output and
exit status, and gpu.json, what was measured; both are written after every step. Fails where a step that must pass did not.

The core and the packages come from a bundle (make gpu-bundle). Where its core does not load, the core is compiled: that
needs nvcc, a CMake that knows it, ninja and pybind11. Python needs NumPy and PyTorch in any case.

PYLFR_BUNDLE              the bundle, build/gpu
PYLFR_MODELS, PYLFR_MEDIA folders of networks and footage; the bundle's where they are not set
PYLFR_CUDA_ARCHITECTURES  for which to compile, native where it is not set
PYLFR_SECONDS             how long the plan may take, 300 or 330
PYLFR_STEPS               an extended regular expression: only steps whose names it fits, of those that measure or test
PYLFR_QUICK               1: small sizes, and few tests in depth, to rehearse the plan
PYLFR_SLOWER              by how much every limit is longer, 1; for a rehearsal without a GPU
TEXT
}
set -uo pipefail

is_list=0
if [ "${1:-}" = --list ]; then is_list=1 && shift; fi
case "${1:-}" in
    -h | --help) usage && exit 0 ;;
    -*) printf 'gpu_session.sh takes a plan and a folder, got the option %s; see --help\n' "$1" >&2 && exit 2 ;;
    proof | depth) plan=$1 && shift ;;
    *) plan=proof ;;
esac
if [ $# -gt 1 ]; then
    printf 'gpu_session.sh takes a plan, proof or depth, and one folder, got %s: %s\n' $# "$*" >&2
    exit 2
fi
[ "$plan" = proof ] && seconds=${PYLFR_SECONDS:-300} || seconds=${PYLFR_SECONDS:-330}
case "$seconds" in
    '' | *[!0-9]*) printf 'PYLFR_SECONDS must be a whole number of seconds, got %s\n' "$seconds" >&2 && exit 2 ;;
esac
slower=${PYLFR_SLOWER:-1}
case "$slower" in
    '' | *[!0-9]*) printf 'PYLFR_SLOWER must be a whole number, got %s\n' "$slower" >&2 && exit 2 ;;
esac
seconds=$((seconds * slower))
quick=()
[ "${PYLFR_QUICK:-0}" != 1 ] || quick=(--quick)

out=
if [ "$is_list" = 0 ]; then
    out=$(mkdir -p "${1:-gpu-results}" && cd "${1:-gpu-results}" && pwd) || exit 2
fi
cd "$(dirname "$0")/.." || exit 2
tree=$PWD
bundle=${PYLFR_BUNDLE:-$tree/build/gpu}
case "$bundle" in /*) ;; *) bundle="$tree/$bundle" ;; esac
results="$out/results.txt"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0 is_measuring=0

say() {
    if [ "$is_list" = 1 ]; then return 0; fi
    printf '%s\n' "$*" | tee -a "$results"
}
ended() {
    if [ "$is_list" = 1 ]; then exit 0; fi
    say "== $1 ($SECONDS s in all)"
    exit "$2"
}

# step SECONDS NAME COMMAND...: runs it within what is left of the plan, keeps its output, never stops the plan.
step() {
    local most=$(($1 * slower)) name=$2 began=$SECONDS status=0 left=$((seconds - SECONDS))
    shift 2
    if [ "$is_measuring" = 1 ] && [ -n "${PYLFR_STEPS:-}" ] && ! [[ $name =~ $PYLFR_STEPS ]]; then
        say "== $name: not asked for"
        return 0
    fi
    if [ "$is_list" = 1 ]; then
        printf '%6s s at most  %s\n' "$most" "$name"
        return 0
    fi
    say "== $name"
    if [ "$left" -lt 5 ]; then
        say "-- $name: not run, the plan's $seconds s are over"
        return 125
    fi
    timeout -k 5 "$((most < left ? most : left))" "$@" >"$work/output" 2>&1 </dev/null || status=$?
    cat "$work/output" >>"$results"
    tail -n 12 "$work/output"
    [ "$status" != 124 ] || say "   (stopped: it took longer than $((most < left ? most : left)) s)"
    say "-- $name: exit $status after $((SECONDS - began)) s"
    [ ! -f "$work/benchmarks/results/gpu.json" ] || cp "$work/benchmarks/results/gpu.json" "$out/gpu-$plan.json"
    return "$status"
}
must() { step "$@" || failed=1; }
may() { step "$@" || say "   (this step may fail)"; }

if [ "$is_list" = 1 ]; then
    printf '%s, %s s:\n' "$plan" "$seconds"
else
    : >"$results" || exit 2
fi

# What is missing is named all at once, before anything runs.
if [ "$is_list" = 0 ]; then
    missing=()
    command -v python3 >/dev/null || missing+=("python3")
    gpus=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>&1) || gpus=""
    if [ -n "$gpus" ]; then say "== the GPU: $gpus"; else missing+=("a GPU: nvidia-smi lists none"); fi
    capability=${gpus##*, }
    has_core=0
    if compgen -G "$bundle/core/_core*.so" >/dev/null; then has_core=1; fi
    if [ "$has_core" = 0 ]; then
        for tool in nvcc cmake ninja; do
            command -v "$tool" >/dev/null || missing+=("$tool, or a core in the bundle $bundle (make gpu-bundle)")
        done
    fi
    if [ "${#missing[@]}" != 0 ]; then
        for each in "${missing[@]}"; do say "missing: $each"; done
        ended "nothing was run" 1
    fi
    # A copy, so that the tree stays as it is.
    cp -r pylfr tests benchmarks examples pyproject.toml "$work/"
    rm -rf "$work/benchmarks/results" "$work"/pylfr/_core*.so
    mkdir -p "$work/benchmarks/results" "$work/site"
    export PYTHONPATH="$work:$work/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
    for pair in PYLFR_MODELS:models PYLFR_MEDIA:media; do
        name=${pair%%:*} folder="$bundle/${pair##*:}"
        value=${!name:-}
        [ -n "$value" ] || { [ -d "$folder" ] && value=$folder; } || continue
        export "$name=$(cd "$value" && pwd)"
    done
    # In some containers the driver's libraries lie where the loader does not look.
    for library in libcuda.so.1 libnvcuvid.so.1; do
        ldconfig -p 2>/dev/null | grep -q "$library" && continue
        at=$(find /usr/local/nvidia -name "$library" -print -quit 2>/dev/null)
        [ -z "$at" ] || export LD_LIBRARY_PATH="$(dirname "$at")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        say "   $library: ${at:-found neither by ldconfig nor in /usr/local/nvidia}"
    done
fi

[ ! -f "$bundle/site.tar.xz" ] || must 15 "packages of the bundle" tar -xJf "$bundle/site.tar.xz" -C "$work/site"
must 20 "modules that Python has" python3 -c '
import importlib.util as util, sys
print(sys.version)
needed = "numpy pytest alembic av cryptography onnxruntime PIL platformdirs pydantic rich sqlalchemy typer"
lacking = [name for name in needed.split() if util.find_spec(name) is None]
for name in ("torch", "onnx", "tensorrt", "tensorrt_rtx", "faiss", "pycuda", "cupy"):
    print(name + (": present" if util.find_spec(name) else ": missing, what needs it is left out"))
if lacking:
    sys.exit("missing: " + ", ".join(lacking) + ": make gpu-bundle packs them")'
if [ "$failed" != 0 ]; then ended "Python lacks what must be installed" 1; fi

counts='
from pylfr import ops
print("CUDA devices:", ops.cuda_device_count())
ops.require_device("cuda")'
try_core() { cp "$bundle"/core/_core*.so "$work/pylfr/" && cd "$work" && python3 -c "$counts"; }
export -f try_core 2>/dev/null
export bundle work counts
if [ "$is_list" = 1 ] || [ "$has_core" = 1 ]; then
    step 10 "the core of the bundle counts devices" bash -c try_core || has_core=0
fi
if [ "$is_list" = 1 ]; then
    printf '%6s s at most  %s\n' 60 "compile the core, where the bundle's does not load"
elif [ "$has_core" = 0 ]; then
    rm -f "$work"/pylfr/_core*.so
    # Warnings of a compiler that nobody has tried are no reason to stop.
    must 20 "configure" cmake -S . -B "$work/build" -G Ninja -DPYLFR_CUDA=ON -DPYLFR_WARNINGS_AS_ERRORS=OFF \
        -DCMAKE_CUDA_ARCHITECTURES="${PYLFR_CUDA_ARCHITECTURES:-native}" -DPython_EXECUTABLE="$(command -v python3)" \
        -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)"
    [ "$failed" != 0 ] || must 60 "compile" cmake --build "$work/build"
    [ "$failed" != 0 ] || cp "$work"/build/_core*.so "$work/pylfr/"
    if [ "$failed" != 0 ]; then ended "the core was not built: nothing else can run" 1; fi
    cd "$work" || exit 2
    must 10 "the core that was compiled counts devices" python3 -c "$counts"
    if [ "$failed" != 0 ]; then ended "no CUDA device: the core loads, and nothing else can run" 1; fi
fi

cd "$work" || exit 2
is_measuring=1
export PYLFR_REQUIRE_CUDA=1
# The last of them asks the CPU that plays a device, in a rehearsal; a device skips it.
kernels=(tests/native/test_batch.py tests/native/test_search_index.py tests/native/test_finish.py tests/gallery/index/test_device.py
    tests/native/test_tensor_cuda.py tests/native/test_stand_in.py)
pytest=(python3 -m pytest -q -rs -m cuda -p no:cacheprovider)
measure=(python3 -m benchmarks.gpu "${quick[@]}" --only)

if [ "$plan" = proof ]; then
    must 50 "kernels" "${pytest[@]}" "${kernels[@]}"
    must 30 "stages, arrays of PyTorch and CuPy" "${pytest[@]}" tests/faces/device tests/runtimes/torch/test_finish.py \
        tests/system/test_interop.py tests/system/test_cuda.py
    must 50 "six cameras, networks in PyTorch" "${pytest[@]}" tests/system/test_rehearsal_on_device.py -k "not decoded_there"
    # Where a test hangs it says in what.
    may 50 "NVDEC" "${pytest[@]}" -vv --durations=0 -o faulthandler_timeout=35 tests/video/decoding/test_nvdec.py tests/system/test_rehearsal_on_device.py -k "nvdec or decoded_there"
    must 50 "ceilings, letterbox, search" "${measure[@]}" ceilings,preprocessing,finish,search
    must 55 "simulated cameras" "${measure[@]}" ceilings,loads
    may 30 "races in shared memory" compute-sanitizer --tool racecheck --error-exitcode 9 \
        "${pytest[@]}" tests/native/test_batch.py tests/native/test_search_index.py -k "found or measured or order or wherever"
else
    again=("${kernels[@]}" tests/faces/device tests/system/test_interop.py tests/system/test_rehearsal_on_device.py)
    if [ "${PYLFR_QUICK:-0}" = 1 ]; then kernels=(tests/system/test_cuda.py) again=(tests/system/test_cuda.py); fi
    must 50 "the tests again" "${pytest[@]}" "${again[@]}"
    must 45 "simulated cameras again" "${measure[@]}" ceilings,loads --cameras 180 64 128 256
    # What proof looks at with eight probes at most, here with all that tensor cores take at once.
    may 20 "races of scans by tensor cores" compute-sanitizer --tool racecheck --error-exitcode 9 \
        "${pytest[@]}" tests/native/test_search_index.py -k "best_by and 41-3000 and not float32"
    must 50 "networks" "${measure[@]}" ceilings,networks,installed
    may 20 "kernels of networks" "${measure[@]}" profile-networks
    may 30 "live cameras by NVDEC" "${measure[@]}" live --cameras 180 64
    may 40 "streams of NVDEC" "${measure[@]}" ceilings,decoding
    # The largest searches are left out: memcheck is some fifty times slower.
    may 40 "memory errors" compute-sanitizer --error-exitcode 9 "${pytest[@]}" "${kernels[@]}" -k "not 6000 and not 3000 and not lent"
    may 30 "a profile of the scan and the letterbox" ncu --clock-control none --set basic --kernel-name-base demangled \
        -k "regex:scan_|LetterboxTiles|FinishConvolution" --launch-count 6 python3 -m benchmarks.gpu "${quick[@]}" --only profile
    if python3 -c 'import faiss, sys; sys.exit(not hasattr(faiss, "StandardGpuResources"))' 2>/dev/null || [ "$is_list" = 1 ]; then
        may 40 "FAISS" "${measure[@]}" ceilings,peers
    else
        say "== FAISS: no build with its GPU half is installed (faiss-gpu-cu12 has no code for Hopper and cannot run there)"
    fi
    if [ "$is_list" = 0 ] && [ "$capability" = 9.0 ]; then
        say "== TensorRT-RTX: its support matrix lacks capability 9.0; TensorRT itself cannot be had from PyPI alone, where its
   package only points to NVIDIA's index"
    else
        for library in tensorrt tensorrt-rtx; do
            may 45 "$library" "${pytest[@]}" tests/runtimes/tensorrt/test_runtime.py -k "[$library]"
        done
    fi
fi

if [ "$failed" != 0 ]; then ended "something that must pass FAILED: see above" 1; fi
ended "all that must pass passed" 0
