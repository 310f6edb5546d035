// References on a device, searched there.
#include "bindings/checks.hpp"
#include "ops/search_index.hpp"

namespace pylfr {

namespace {

using SharedStream = std::shared_ptr<Stream>;

Precision precision_named(const std::string& name) {
    if (name == "float32") return Precision::float32;
    if (name == "float16") return Precision::float16;
    if (name == "int8") return Precision::int8;
    throw py::value_error("precision must be float32, float16 or int8, got '" + name + "'");
}

void require_stream(const SharedStream& stream) {
    if (stream == nullptr) throw py::type_error("stream must be a Stream, got None");
}

Held<SearchIndex> make_index(std::int64_t count, std::int64_t dimension, const std::string& precision,
                             const SharedStream& stream) {
    require_stream(stream);
    SearchIndex::require(count, dimension);
    const Precision named = precision_named(precision);
    const py::gil_scoped_release release;
    return Held<SearchIndex>(new SearchIndex(count, dimension, named, stream));
}

void fill(SearchIndex& index, const py::array& rows, std::int64_t start) {
    const float* from = values<float>(rows, {any_length, static_cast<py::ssize_t>(index.dimension())}, "rows");
    const std::int64_t count = rows.shape(0);
    if (start < 0 || count > index.count() || start > index.count() - count) {
        throw py::value_error("rows must lie in an index of " + std::to_string(index.count()) + ", got " +
                              std::to_string(count) + " from " + std::to_string(start));
    }
    const py::gil_scoped_release release;
    index.fill(from, start, count);
}

Tensor search(const SearchIndex& index, const Tensor& probes, std::int64_t kept, const SharedStream& stream) {
    require_stream(stream);
    require_tensor(probes, Element::float32, {any_length, static_cast<py::ssize_t>(index.dimension())}, *stream,
                   "probes");
    if (kept < 1 || kept > most_shortlisted) {
        throw py::value_error("kept must be 1 to " + std::to_string(most_shortlisted) + ", got " +
                              std::to_string(kept));
    }
    const py::gil_scoped_release release;
    return index.search(probes, kept, stream);
}

Tensor score_all(const SearchIndex& index, const Tensor& probes, const SharedStream& stream) {
    require_stream(stream);
    require_tensor(probes, Element::float32, {any_length, static_cast<py::ssize_t>(index.dimension())}, *stream,
                   "probes");
    const py::gil_scoped_release release;
    return index.score_all(probes, stream);
}

}  // namespace

void bind_search(py::module_& module) {
    py::class_<SearchIndex, Held<SearchIndex>>(module, "SearchIndex")
        .def(py::init(&make_index), py::arg("count"), py::arg("dimension"), py::arg("precision"), py::arg("stream"))
        .def("__len__", &SearchIndex::count)
        .def_property_readonly("dimension", &SearchIndex::dimension)
        .def_property_readonly("nbytes", &SearchIndex::bytes)
        .def_property_readonly("most_error",
                               py::cpp_function(&SearchIndex::most_error, py::call_guard<py::gil_scoped_release>()))
        .def("fill", &fill, py::arg("rows"), py::arg("start"))
        .def("search", &search, py::arg("probes"), py::arg("kept"), py::arg("stream"))
        .def("score_all", &score_all, py::arg("probes"), py::arg("stream"));
    module.attr("MOST_SHORTLISTED") = most_shortlisted;
}

}  // namespace pylfr
