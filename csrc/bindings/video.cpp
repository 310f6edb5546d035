// What FFmpeg calls while it reads a camera, and what reads a camera's packets in PyAV's place.
#include <cstdint>
#include <memory>
#include <utility>

#include "bindings/checks.hpp"
#include "core/ffmpeg_log.hpp"
#include "core/interruption.hpp"
#include "core/undue_packets.hpp"

namespace pylfr {

namespace {

void* address(std::uintptr_t number, const char* name) {
    if (number == 0) throw py::value_error(std::string(name) + " must be an address, got 0");
    return reinterpret_cast<void*>(number);
}

template <typename Function>
Function function(const py::dict& calls, const char* name) {
    return reinterpret_cast<Function>(address(calls[name].cast<std::uintptr_t>(), name));
}

std::unique_ptr<UndueReader> reader_of(const py::dict& calls, std::uintptr_t container, std::uintptr_t decoder,
                                       std::uintptr_t deadline, std::int32_t stream,
                                       std::shared_ptr<Interruption> interruption) {
    const FfmpegCalls found{
        function<decltype(FfmpegCalls::read_frame)>(calls, "av_read_frame"),
        function<decltype(FfmpegCalls::send_packet)>(calls, "avcodec_send_packet"),
        function<decltype(FfmpegCalls::receive_frame)>(calls, "avcodec_receive_frame"),
        function<decltype(FfmpegCalls::unref_packet)>(calls, "av_packet_unref"),
        function<decltype(FfmpegCalls::alloc_frame)>(calls, "av_frame_alloc"),
        function<decltype(FfmpegCalls::unref_frame)>(calls, "av_frame_unref"),
        function<decltype(FfmpegCalls::free_frame)>(calls, "av_frame_free"),
    };
    const PyavContexts contexts{address(container, "container"), address(decoder, "decoder"),
                                static_cast<PyavDeadline*>(address(deadline, "deadline"))};
    return std::make_unique<UndueReader>(found, contexts, stream, std::move(interruption));
}

int read_packet(UndueReader& reader, std::uintptr_t packet, const DueTime& due) {
    auto* into = static_cast<PacketHead*>(address(packet, "packet"));
    const py::gil_scoped_release others_may_run;
    return reader.read(into, due);
}

py::tuple take_passed(UndueReader& reader) {
    const PassedPackets passed = reader.take_passed();
    return py::make_tuple(passed.video, passed.keys, passed.others, passed.pictures);
}

}  // namespace

void bind_video(py::module_& module) {
    module.def("ffmpeg_listener", [] { return reinterpret_cast<std::uintptr_t>(&hear_ffmpeg); });
    module.def("take_redirect", &take_redirect);
    py::class_<Interruption, std::shared_ptr<Interruption>>(module, "Interruption")
        .def(py::init<>())
        .def("interrupt", &Interruption::interrupt)
        .def_property_readonly("is_over", &Interruption::is_over);
    module.def("interrupted_by", &interrupted_by, py::arg("interruption").none(true));
    module.def("waiting_clock", &waiting_clock);
    py::class_<DueTime>(module, "DueTime")
        .def(py::init<>())
        .def_property_readonly("at_s", &DueTime::at_s)
        .def("set", &DueTime::set, py::arg("at_s"));
    py::class_<UndueReader>(module, "UndueReader")
        .def(py::init(&reader_of), py::kw_only(), py::arg("calls"), py::arg("container"), py::arg("decoder"),
             py::arg("deadline"), py::arg("stream"), py::arg("interruption").none(true))
        .def("read", &read_packet, py::arg("packet"), py::arg("due"))
        .def("take_passed", &take_passed);
}

}  // namespace pylfr
