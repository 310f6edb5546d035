#include "ops/batch.hpp"

#include <cstring>
#include <stdexcept>

namespace pylfr {

namespace {

template <class T>
T* of(const Tensor& tensor) {
    return static_cast<T*>(tensor.memory());
}

// Two arrays in one copy. The first is of 4-byte numbers, so that the second is aligned.
struct Pair {
    Tensor memory;
    std::size_t second_at;

    template <class T>
    const T* first() const {
        return of<const T>(memory);
    }
    template <class T>
    const T* second() const {
        return reinterpret_cast<const T*>(of<const std::uint8_t>(memory) + second_at);
    }
};

Pair send_both(Staging& staging, const Tensor& out, const std::int32_t* first, const void* second,
               std::size_t second_bytes, std::int64_t count) {
    if (staging.stream()->handle() != out.stream()->handle()) {
        throw std::invalid_argument("staging must be of the stream of out: what it sends is read in that order");
    }
    const std::size_t first_bytes = sizeof(std::int32_t) * static_cast<std::size_t>(count);
    Tensor memory = staging.send(first_bytes + second_bytes, [&](std::uint8_t* host, std::uint8_t*) {
        std::memcpy(host, first, first_bytes);
        std::memcpy(host + first_bytes, second, second_bytes);
    });
    return Pair{std::move(memory), first_bytes};
}

}  // namespace

std::vector<float> letterbox(const Pictures& pictures, const Tensor& out, const Encoding& encoding) {
    const bool is_half = out.element() == Element::float16;
    const auto height = static_cast<std::int32_t>(out.shape()[is_half ? 1 : 2]);
    const auto width = static_cast<std::int32_t>(out.shape()[is_half ? 2 : 3]);
    const LetterboxTiles program{pictures.table(),
                                 out.memory(),
                                 width,
                                 height,
                                 LetterboxTiles::tiles(width, LetterboxTiles::tile_width),
                                 LetterboxTiles::tiles(height, LetterboxTiles::tile_height),
                                 is_half,
                                 encoding.bgr,
                                 {encoding.mean[0], encoding.mean[1], encoding.mean[2]},
                                 {encoding.scale[0], encoding.scale[1], encoding.scale[2]}};
    const ReadOn reading(pictures, *out.stream());
    const auto tiles = static_cast<std::int64_t>(program.across) * program.down;
    launch_blocks(program, static_cast<std::int64_t>(pictures.views.size()) * tiles, out.stream()->place());
    std::vector<float> factors;
    for (const PictureView& view : pictures.views) factors.push_back(fit(view, width, height).factor());
    return factors;
}

void warp(const Pictures& pictures, Staging& staging, const std::int32_t* picture_index, const Affine* to_frame,
          std::int64_t count, const Tensor& out, const Encoding& encoding) {
    if (count == 0) return;
    const Pair sent =
        send_both(staging, out, picture_index, to_frame, sizeof(Affine) * static_cast<std::size_t>(count), count);
    const ReadOn reading(pictures, *out.stream());
    warp(pictures.table(), sent.first<std::int32_t>(), sent.second<Affine>(), count, of<float>(out),
         static_cast<std::int32_t>(out.shape()[2]), encoding, true, out.stream()->place());
}

void measure_quality(const Pictures& pictures, Staging& staging, const std::int32_t* picture_index,
                     const float* landmarks, std::int64_t count, const Tensor& out) {
    if (count == 0) return;
    const std::size_t bytes = sizeof(float) * 2 * landmark_count * static_cast<std::size_t>(count);
    const Pair sent = send_both(staging, out, picture_index, landmarks, bytes, count);
    const ReadOn reading(pictures, *out.stream());
    measure_quality(pictures.table(), sent.first<std::int32_t>(), sent.second<float>(), count, of<float>(out),
                    out.stream()->place());
}

void measure_scenes(const Pictures& pictures, const Tensor& out) {
    const ReadOn reading(pictures, *out.stream());
    measure_scenes(pictures.table(), static_cast<std::int64_t>(pictures.views.size()), of<float>(out),
                   out.stream()->place());
}

void find_faces(const Pictures& pictures, const Head& head, std::int32_t width, std::int32_t height, float score_floor,
                float iou, const Tensor& found, const Tensor& counts) {
    const auto batch = static_cast<std::int64_t>(pictures.views.size());
    if (batch == 0) return;
    const std::int64_t most = found.shape()[1];
    const std::shared_ptr<Stream>& stream = found.stream();
    const Place place = stream->place();
    const ReadOn reading(pictures, *stream);
    const Tensor keys({batch, head.anchors}, Element::int64, stream);
    const Tensor boxes({batch, SuppressDoubles::most_candidates, 4}, Element::float32, stream);
    counts.wipe(*stream);
    found.wipe(*stream);
    launch(PickAnchors{head, score_floor, of<std::uint64_t>(keys), of<std::int32_t>(counts)}, batch * head.anchors,
           place);
    launch_blocks(
        SuppressDoubles{head, of<std::uint64_t>(keys), of<std::int32_t>(counts), of<Box>(boxes), pictures.table(),
                        of<FoundFace>(found), static_cast<std::int32_t>(most), width, height, iou},
        batch, place);
    auto* first = of<FoundFace>(found);
    launch_blocks(MeasureQuality{pictures.table(), nullptr, most, of<std::int32_t>(counts), first->landmarks,
                                 first->measures, found_numbers, found_numbers},
                  batch * most, place);
}

}  // namespace pylfr
