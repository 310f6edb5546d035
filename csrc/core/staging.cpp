#include "core/staging.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "core/memory.hpp"

namespace pylfr {

namespace {

constexpr std::size_t buffer_count = 4;  // pictures and faces of two batches
constexpr std::size_t plane_alignment = 256;
constexpr std::size_t part_bytes = std::size_t{1} << 18;

MemoryPool& pool_for(const Stream& stream) {
    return memory_pool(stream.device() == Device::cuda ? MemoryKind::pinned : MemoryKind::plain);
}

std::size_t aligned(std::size_t bytes) {
    return (bytes + plane_alignment - 1) / plane_alignment * plane_alignment;
}

struct PlaneSize {
    std::size_t row_bytes, rows;
};

int plane_count(const PictureView& view) {
    return view.layout == Layout::i420 ? 3 : view.layout == Layout::nv12 ? 2 : 1;
}

PlaneSize plane_size(const PictureView& view, int plane) {
    const auto width = static_cast<std::size_t>(view.width), height = static_cast<std::size_t>(view.height);
    if (view.layout == Layout::rgb) return {3 * width, height};
    if (plane == 0) return {width, height};
    const std::size_t step = view.layout == Layout::nv12 ? 2 : 1;
    return {step * static_cast<std::size_t>(view.chroma_width()), static_cast<std::size_t>(view.chroma_height())};
}

// Some rows of a plane on their way into the buffer.
struct Rows {
    const std::uint8_t* from;
    std::int64_t from_row_bytes;
    PlaneSize size;
    std::uint8_t* to;
};

void copy_rows(const Rows& rows) {
    const PlaneSize& size = rows.size;
    if (rows.from_row_bytes == static_cast<std::int64_t>(size.row_bytes)) {
        std::memcpy(rows.to, rows.from, size.row_bytes * size.rows);
        return;
    }
    for (std::size_t row = 0; row < size.rows; ++row) {
        const std::uint8_t* from = rows.from + static_cast<std::int64_t>(row) * rows.from_row_bytes;
        std::memcpy(rows.to + row * size.row_bytes, from, size.row_bytes);
    }
}

// Adds the plane in parts of about `part_bytes`, so that a batch of one large picture is divided too.
void divide_plane(Rows plane, std::vector<Rows>& parts) {
    const std::size_t rows_a_part =
        std::max<std::size_t>(1, part_bytes / std::max<std::size_t>(1, plane.size.row_bytes));
    while (plane.size.rows > 0) {
        Rows part = plane;
        part.size.rows = std::min(rows_a_part, plane.size.rows);
        parts.push_back(part);
        plane.from += static_cast<std::int64_t>(part.size.rows) * plane.from_row_bytes;
        plane.to += part.size.rows * plane.size.row_bytes;
        plane.size.rows -= part.size.rows;
    }
}

// Waking threads takes longer than a small copy.
void copy_all(ThreadPool& team, const std::vector<Rows>& parts) {
    if (parts.size() < 4) {
        for (const Rows& part : parts) copy_rows(part);
        return;
    }
    team.run(parts.size(), [&](std::size_t part) { copy_rows(parts[part]); });
}

std::size_t packer_count(std::size_t asked) {
    constexpr std::size_t most = 4;  // these saturate the bus to a device, or the memory's
    return asked != 0 ? asked : std::min<std::size_t>(most, std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace

LastReads::~LastReads() {
    try {
        for (const auto& [reader, read] : reads_) {
            for (const auto& lender : lenders_) lender->wait(*read);
        }
    } catch (...) {  // the context is gone or has failed: nothing is read there any more
    }
}

void LastReads::note(void* reader, std::shared_ptr<Event> read) {
    const std::lock_guard lock(busy_);
    reads_[reader] = std::move(read);
}

namespace {

// Two threads that write into one buffer would each send a part of the other's pictures.
class UsedAlone {
 public:
    explicit UsedAlone(std::atomic_flag& is_in_use) : is_in_use_(is_in_use) {
        if (is_in_use_.test_and_set(std::memory_order_acquire)) {
            throw std::runtime_error("a staging buffer is used by two threads at once: give each its own");
        }
    }
    ~UsedAlone() { is_in_use_.clear(std::memory_order_release); }
    UsedAlone(const UsedAlone&) = delete;
    UsedAlone& operator=(const UsedAlone&) = delete;

 private:
    std::atomic_flag& is_in_use_;
};

}  // namespace

ReadOn::ReadOn(const Pictures& pictures, const Stream& reader)
    : pictures_(pictures), owner_(*pictures.memory.stream()), reader_(reader) {
    if (reader_.handle() != owner_.handle()) reader_.wait(*pictures.uploaded);
}

ReadOn::~ReadOn() {
    const bool is_other = reader_.handle() != owner_.handle();
    if (!is_other && pictures_.last_reads == nullptr) return;
    try {
        auto read = std::make_shared<Event>(reader_, false);
        if (is_other) owner_.wait(*read);
        if (pictures_.last_reads != nullptr) pictures_.last_reads->note(reader_.handle(), std::move(read));
    } catch (...) {  // the context is gone or has failed: nothing comes into that memory any more
    }
}

Staging::Staging(std::shared_ptr<Stream> stream, std::size_t threads)
    : stream_(std::move(stream)), buffers_(buffer_count), packers_(packer_count(threads)) {}

Staging::~Staging() {
    for (Buffer& buffer : buffers_) give_back(buffer);
}

void Staging::give_back(Buffer& buffer) noexcept {
    if (buffer.memory == nullptr) return;
    try {
        if (buffer.copied != nullptr) buffer.copied->synchronise();
    } catch (...) {  // the device has failed: it reads no more
    }
    // The copy has ended, so the buffer may go to anybody: the order of the stream says nothing about the host.
    pool_for(*stream_).give_back(buffer.memory, buffer.bytes, stream_->handle());
    buffer.memory = nullptr;
}

Tensor Staging::send(std::size_t bytes, const std::function<void(std::uint8_t*, std::uint8_t*)>& fill) {
    const UsedAlone alone(is_in_use_);
    Tensor device({static_cast<std::int64_t>(bytes)}, Element::uint8, stream_);
    Buffer& buffer = buffers_[turn_];
    turn_ = (turn_ + 1) % buffers_.size();
    if (buffer.copied != nullptr) buffer.copied->synchronise();
    if (buffer.bytes < bytes || buffer.memory == nullptr) {
        give_back(buffer);
        buffer.memory = pool_for(*stream_).take(bytes, stream_->handle());
        buffer.bytes = bytes;
    }
    fill(static_cast<std::uint8_t*>(buffer.memory), static_cast<std::uint8_t*>(device.memory()));
    copy_bytes(device.memory(), stream_->device(), buffer.memory, Device::cpu, bytes, stream_->handle());
    buffer.copied = std::make_unique<Event>(*stream_, false);
    return device;
}

Pictures upload(Staging& staging, std::span<const PictureSource> sources) {
    const Stream& stream = *staging.stream();
    std::vector<PictureView> views;
    std::vector<Tensor> surfaces;
    std::vector<std::shared_ptr<Stream>> lenders;
    std::size_t bytes = aligned(sizeof(PictureView) * sources.size());
    for (const PictureSource& source : sources) {
        views.push_back(source.view);
        for (const Tensor& surface : source.surfaces) {
            if (surface.device() != stream.device()) {
                throw std::invalid_argument(std::string("surfaces must lie on ") + name_of(stream.device()) +
                                            ", got one on " + name_of(surface.device()));
            }
            const std::shared_ptr<Stream>& theirs = surface.stream();
            const bool is_known = std::find(lenders.begin(), lenders.end(), theirs) != lenders.end();
            if (theirs->handle() != stream.handle() && !is_known) {
                stream.wait(Event(*theirs, false));
                lenders.push_back(theirs);
            }
            surfaces.push_back(surface);
        }
        if (!source.surfaces.empty()) continue;
        for (int plane = 0; plane < plane_count(source.view); ++plane) {
            const PlaneSize size = plane_size(source.view, plane);
            bytes += aligned(size.row_bytes * size.rows);
        }
    }
    Tensor memory = staging.send(bytes, [&](std::uint8_t* host, std::uint8_t* device) {
        std::size_t offset = aligned(sizeof(PictureView) * sources.size());
        std::vector<Rows> parts;
        for (std::size_t i = 0; i < sources.size(); ++i) {
            if (!sources[i].surfaces.empty()) continue;
            for (int plane = 0; plane < plane_count(views[i]); ++plane) {
                const PlaneSize size = plane_size(views[i], plane);
                divide_plane({sources[i].view.planes[plane], sources[i].view.row_bytes[plane], size, host + offset},
                             parts);
                views[i].planes[plane] = device + offset;
                views[i].row_bytes[plane] = static_cast<std::int64_t>(size.row_bytes);
                offset += aligned(size.row_bytes * size.rows);
            }
        }
        copy_all(staging.packers(), parts);
        if (!views.empty()) std::memcpy(host, views.data(), sizeof(PictureView) * views.size());
    });
    std::shared_ptr<LastReads> last_reads;
    if (!lenders.empty()) last_reads = std::make_shared<LastReads>(std::move(lenders));
    return Pictures{std::move(views), std::move(memory), std::move(surfaces), std::make_shared<Event>(stream, false),
                    std::move(last_reads)};
}

}  // namespace pylfr
