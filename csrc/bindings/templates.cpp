// Templates: the layer that computes them, unit length, exact search, and the pool that is wiped.
#include <algorithm>
#include <memory>

#include "bindings/checks.hpp"
#include "core/template_pool.hpp"

namespace pylfr {

namespace {

py::array_t<float> normalise_all(py::array vectors) {
    float* rows = room<float>(vectors, {any_length, any_length}, "vectors");
    const py::ssize_t count = vectors.shape(0), dimension = vectors.shape(1);
    py::array_t<float> lengths(count);
    float* out = lengths.mutable_data();
    const py::gil_scoped_release release;
    normalise(rows, out, count, dimension, Place{});
    return lengths;
}

void apply_linear_layer(const py::array& features, const py::array& weight, const py::array& bias, py::array out) {
    const float* given = values<float>(features, {any_length, any_length}, "features");
    const py::ssize_t count = features.shape(0), inputs = features.shape(1);
    const float* rows = values<float>(weight, {any_length, inputs}, "weight");
    const py::ssize_t outputs = weight.shape(0);
    const float* added = values<float>(bias, {outputs}, "bias");
    float* written = room<float>(out, {count, outputs}, "out");
    const py::gil_scoped_release release;
    apply_linear(given, count, rows, added, inputs, outputs, written);
}

// Throws ValueError unless `k` scores of each probe are 1 or more, and not more than an array may hold.
void require_scores(py::ssize_t probes, std::int64_t k) {
    constexpr std::int64_t most = std::int64_t{1} << 40;
    if (k < 1) throw py::value_error("k must be 1 or more, got " + std::to_string(k));
    if (k > most / std::max<py::ssize_t>(1, probes)) {
        throw py::value_error("k scores of each probe must be at most 2^40 in all, got " + std::to_string(probes) +
                              "x" + std::to_string(k));
    }
}

// Rows of no numbers take no memory: there may be more of them than a search would ever end with.
void require_numbers(py::ssize_t rows, py::ssize_t dimension) {
    if (rows == 0 || dimension > 0) return;
    throw py::value_error("references must have one number a row or more, got " + std::to_string(rows) +
                          " rows of none");
}

py::tuple search_all(const py::array& probes, const py::array& references, std::int64_t k) {
    const float* sought = values<float>(probes, {any_length, any_length}, "probes");
    const py::ssize_t count = probes.shape(0), dimension = probes.shape(1);
    const float* rows = values<float>(references, {any_length, dimension}, "references");
    const py::ssize_t reference_count = references.shape(0);
    require_numbers(reference_count, dimension);
    require_scores(count, k);
    py::array_t<float> scores({count, static_cast<py::ssize_t>(k)});
    py::array_t<std::int64_t> found({count, static_cast<py::ssize_t>(k)});
    float* score = scores.mutable_data();
    std::int64_t* row = found.mutable_data();
    {
        const py::gil_scoped_release release;
        search_exact(sought, count, rows, reference_count, dimension, k, score, row);
    }
    return py::make_tuple(scores, found);
}

std::unique_ptr<EntryNumbers> make_entry_numbers(const py::array& entry) {
    const std::int64_t* numbers = values<std::int64_t>(entry, {any_length}, "entry");
    const py::ssize_t count = entry.shape(0);
    const py::gil_scoped_release release;
    return std::make_unique<EntryNumbers>(numbers, count);
}

py::tuple search_by_entry(const py::array& probes, const py::array& references, const EntryNumbers& entry,
                          std::int64_t k) {
    const float* sought = values<float>(probes, {any_length, any_length}, "probes");
    const py::ssize_t count = probes.shape(0), dimension = probes.shape(1);
    const auto reference_count = static_cast<py::ssize_t>(entry.count());
    const float* rows = values<float>(references, {reference_count, dimension}, "references");
    require_numbers(reference_count, dimension);
    require_scores(count, k);
    py::array_t<float> scores({count, static_cast<py::ssize_t>(k)});
    py::array_t<std::int64_t> found({count, static_cast<py::ssize_t>(k)});
    float* score = scores.mutable_data();
    std::int64_t* number = found.mutable_data();
    {
        const py::gil_scoped_release release;
        search_entries(sought, count, rows, entry, dimension, k, score, number);
    }
    return py::make_tuple(scores, found);
}

std::unique_ptr<TemplatePool> make_pool(std::int64_t rows, std::int64_t dimension) {
    constexpr std::int64_t most = std::int64_t{1} << 28;  // 1 GiB
    if (rows < 1 || dimension < 1 || rows > most / dimension) {
        throw py::value_error("a pool must have 1 row and 1 dimension or more and at most 2^28 numbers, got " +
                              std::to_string(rows) + "x" + std::to_string(dimension));
    }
    return std::make_unique<TemplatePool>(rows, dimension);
}

// The view holds the pool's Python object: the memory lives for as long as anybody looks at it.
py::array_t<float> view_of(const py::object& self) {
    const auto& pool = self.cast<const TemplatePool&>();
    return py::array_t<float>({pool.row_count(), pool.dimension()}, pool.rows(), self);
}

}  // namespace

void bind_templates(py::module_& module) {
    module.def("normalise", &normalise_all, py::arg("vectors"));
    module.def("apply_linear", &apply_linear_layer, py::arg("features"), py::arg("weight"), py::arg("bias"),
               py::arg("out"));
    module.def("search_exact", &search_all, py::arg("probes"), py::arg("references"), py::arg("k"));
    py::class_<EntryNumbers>(module, "EntryNumbers")
        .def(py::init(&make_entry_numbers), py::arg("entry"))
        .def("__len__", &EntryNumbers::count);
    module.def("search_entries", &search_by_entry, py::arg("probes"), py::arg("references"), py::arg("entry"),
               py::arg("k"));
    py::class_<TemplatePool>(module, "TemplatePool")
        .def(py::init(&make_pool), py::arg("rows"), py::arg("dimension"))
        .def_property_readonly("is_locked", &TemplatePool::is_locked)
        .def_property_readonly("array", &view_of)
        .def("wipe", &TemplatePool::wipe, py::call_guard<py::gil_scoped_release>());
}

}  // namespace pylfr
