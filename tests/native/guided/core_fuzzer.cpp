// Guided fuzzing of the core, bindings and checks included: libFuzzer draws bytes, tests/native/guided/one_input.py
// makes a call of them, and what the core's own code did decides which bytes are worth keeping. Built by make
// fuzz-core.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" PyObject* PyInit__core();

namespace {

PyObject* one_input = nullptr;

[[noreturn]] void give_up(const char* step) {
    PyErr_Print();
    std::fprintf(stderr, "guided fuzzing cannot begin: %s\n", step);
    std::exit(2);
}

void start_python() {
    PyImport_AppendInittab("_core", PyInit__core);
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    // The environment whose packages the tests need: its interpreter is not run, but knows where they are.
    const char* python = std::getenv("PYLFR_FUZZ_PYTHON");
    if (python == nullptr) give_up("PYLFR_FUZZ_PYTHON must name the interpreter of the environment");
    if (PyStatus_Exception(PyConfig_SetBytesString(&config, &config.executable, python))) give_up("its interpreter");
    if (PyStatus_Exception(Py_InitializeFromConfig(&config))) give_up("Python");
    PyConfig_Clear(&config);
    const int linked = PyRun_SimpleString(
        "import importlib, sys\n"
        "sys.path.insert(0, '.')\n"
        "sys.modules['pylfr._core'] = importlib.import_module('_core')\n");
    if (linked != 0) give_up("the core");
    PyObject* module = PyImport_ImportModule("tests.native.guided.one_input");
    if (module == nullptr) give_up("tests.native.guided.one_input");
    one_input = PyObject_GetAttrString(module, "one_input");
    if (one_input == nullptr) give_up("one_input");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (one_input == nullptr) start_python();
    PyObject* done =
        PyObject_CallFunction(one_input, "y#", reinterpret_cast<const char*>(bytes), static_cast<Py_ssize_t>(size));
    if (done == nullptr) {
        PyErr_Print();
        std::abort();
    }
    Py_DECREF(done);
    return 0;
}
