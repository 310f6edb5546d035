// The bodies of cpu/simd.hpp's loops. cpu/simd.cpp includes this once for each instruction set, in a namespace of its
// own; it must include nothing and use no function of the standard library that is not inlined.

using Lanes = float __attribute__((vector_size(row_lanes * sizeof(float)), aligned(4), may_alias));

// Lanes wherever a row begins: where a template reads through a pointer, Clang forgets the alignment of Lanes itself.
struct __attribute__((packed, aligned(4), may_alias)) LooseLanes {
    Lanes lanes;
};

// Two rows blended, the channels of packed pixels set apart. 255 * 128 fits in 16 bits.
template <int channels>
void blend_rows(const std::uint8_t* upper, const std::uint8_t* lower, std::int32_t weight, std::int64_t columns,
                std::vector<std::int16_t>* out) {
    std::int16_t* __restrict channel[channels];
    for (int c = 0; c < channels; ++c) channel[c] = out[c].data();
    if (weight == 0) {
        for (std::int64_t x = 0; x < columns; ++x) {
            for (int c = 0; c < channels; ++c) {
                channel[c][x] = static_cast<std::int16_t>(upper[x * channels + c] << tap_bits);
            }
        }
        return;
    }
    const auto below = static_cast<std::int16_t>(weight), above = static_cast<std::int16_t>(tap_one - weight);
    for (std::int64_t x = 0; x < columns; ++x) {
        for (int c = 0; c < channels; ++c) {
            channel[c][x] =
                static_cast<std::int16_t>(upper[x * channels + c] * above + lower[x * channels + c] * below);
        }
    }
}

// Blends neighbouring columns. All products are below 2^24, so float32 holds them exactly.
void blend_columns(const std::vector<std::int16_t>& row, const ColumnTaps& taps, std::int32_t columns,
                   std::vector<float>& out) {
    const std::int16_t* __restrict source = row.data();
    const std::int32_t* __restrict first = taps.first.data();
    const float* __restrict weight = taps.weight.data();
    float* __restrict sampled = out.data();
    constexpr int block = 64;
    std::int32_t pairs[block];
    for (std::int32_t start = 0; start < columns; start += block) {
        const std::int32_t count = smaller(block, columns - start);
        for (std::int32_t i = 0; i < count; ++i) {
            __builtin_memcpy(&pairs[i], source + first[start + i], sizeof(std::int32_t));  // both taps in one load
        }
        for (std::int32_t i = 0; i < count; ++i) {
            const auto left = static_cast<float>(static_cast<std::int16_t>(pairs[i] & 0xffff));
            const auto right = static_cast<float>(pairs[i] >> 16);
            const float right_weight = weight[start + i];
            sampled[start + i] =
                (left * (tap_one - right_weight) + right * right_weight) * (1.0f / (tap_one * tap_one));
        }
    }
}

template <int channels>
void sample_row(const PictureView& picture, int plane, std::int32_t columns, std::int32_t rows, std::int32_t position,
                LetterboxScratch& scratch, int into) {
    const std::uint8_t* upper = picture.planes[plane] + (position / tap_one) * picture.row_bytes[plane];
    const std::uint8_t* lower =
        picture.planes[plane] + smaller(position / tap_one + 1, rows - 1) * picture.row_bytes[plane];
    blend_rows<channels>(upper, lower, position % tap_one, columns, scratch.blended + into);
}

void letterbox_row(const Letterbox& job, LetterboxScratch& scratch, std::int32_t y) {
    const PictureView& picture = job.picture;
    const Fit& fitting = job.fitting;
    const std::int32_t columns = fitting.width;
    const std::int32_t luma_y = fixed_position(y, fitting.source, fitting.target, picture.height);
    const bool is_yuv = picture.layout != Layout::rgb;
    if (is_yuv) {
        const std::int32_t width = picture.chroma_width(), height = picture.chroma_height();
        const std::int32_t chroma_y = fixed_position(y, fitting.source, 2 * fitting.target, height);
        sample_row<1>(picture, 0, picture.width, picture.height, luma_y, scratch, 0);
        if (picture.layout == Layout::nv12) {
            sample_row<2>(picture, 1, width, height, chroma_y, scratch, 1);
        } else {
            sample_row<1>(picture, 1, width, height, chroma_y, scratch, 1);
            sample_row<1>(picture, 2, width, height, chroma_y, scratch, 2);
        }
    } else {
        sample_row<3>(picture, 0, picture.width, picture.height, luma_y, scratch, 0);
    }
    for (int c = 0; c < 3; ++c) {
        const bool is_chroma = is_yuv && c > 0;
        blend_columns(scratch.blended[c], is_chroma ? scratch.chroma : scratch.luma, columns, scratch.sampled[c]);
    }

    const std::int64_t plane = static_cast<std::int64_t>(job.width) * job.height;
    float* row = job.out + static_cast<std::int64_t>(y) * job.width;
    const int red = job.bgr ? 2 : 0, blue = job.bgr ? 0 : 2;
    float* __restrict red_out = row + red * plane;
    float* __restrict green_out = row + plane;
    float* __restrict blue_out = row + blue * plane;
    const float* __restrict first = scratch.sampled[0].data();
    const float* __restrict second = scratch.sampled[1].data();
    const float* __restrict third = scratch.sampled[2].data();
    const float red_mean = job.mean[red], green_mean = job.mean[1], blue_mean = job.mean[blue];
    const float red_scale = job.scale[red], green_scale = job.scale[1], blue_scale = job.scale[blue];
    if (is_yuv) {
        const Colour colour = picture.colour;
#pragma GCC ivdep
        for (std::int32_t x = 0; x < columns; ++x) {
            const Rgb rgb = to_rgb(colour, first[x], second[x], third[x]);
            red_out[x] = (rgb.r - red_mean) * red_scale;
            green_out[x] = (rgb.g - green_mean) * green_scale;
            blue_out[x] = (rgb.b - blue_mean) * blue_scale;
        }
    } else {
#pragma GCC ivdep
        for (std::int32_t x = 0; x < columns; ++x) {
            red_out[x] = (first[x] - red_mean) * red_scale;
            green_out[x] = (second[x] - green_mean) * green_scale;
            blue_out[x] = (third[x] - blue_mean) * blue_scale;
        }
    }
}

constexpr int warp_block = 64;

// Where a block of positions lies on one axis; see taps_at.
struct BlockTaps {
    std::int32_t first[warp_block], second[warp_block];
    float weight[warp_block];
};

void block_taps(const float* __restrict position, std::int32_t size, BlockTaps& taps) {
    for (int i = 0; i < warp_block; ++i) {
        const Taps at = taps_at(position[i], size);
        taps.first[i] = at.first;
        taps.second[i] = at.second;
        taps.weight[i] = at.weight;
    }
}

// The four neighbours are fetched one by one, the blending is done for all at once; the arithmetic is that of `sample`.
void sample_block(const std::uint8_t* plane, std::int64_t row_bytes, int step, const BlockTaps& x, const BlockTaps& y,
                  float* __restrict out) {
    float upper_left[warp_block], upper_right[warp_block], lower_left[warp_block], lower_right[warp_block];
    for (int i = 0; i < warp_block; ++i) {
        const std::uint8_t* upper = plane + y.first[i] * row_bytes;
        const std::uint8_t* lower = plane + y.second[i] * row_bytes;
        const std::int64_t left = static_cast<std::int64_t>(x.first[i]) * step;
        const std::int64_t right = static_cast<std::int64_t>(x.second[i]) * step;
        upper_left[i] = upper[left];
        upper_right[i] = upper[right];
        lower_left[i] = lower[left];
        lower_right[i] = lower[right];
    }
    for (int i = 0; i < warp_block; ++i) {
        out[i] = between(between(upper_left[i], upper_right[i], x.weight[i]),
                         between(lower_left[i], lower_right[i], x.weight[i]), y.weight[i]);
    }
}

// The colours of a block of positions, each channel on the scale 0 to 255.
void sample_colours(const PictureView& picture, const float* x, const float* y, float (*channels)[warp_block]) {
    BlockTaps across, down;
    block_taps(x, picture.width, across);
    block_taps(y, picture.height, down);
    if (picture.layout == Layout::rgb) {
        for (int c = 0; c < 3; ++c) {
            sample_block(picture.planes[0] + c, picture.row_bytes[0], 3, across, down, channels[c]);
        }
        return;
    }
    sample_block(picture.planes[0], picture.row_bytes[0], 1, across, down, channels[0]);
    float chroma_x[warp_block], chroma_y[warp_block];
    for (int i = 0; i < warp_block; ++i) {
        chroma_x[i] = (x[i] + 0.5f) * 0.5f - 0.5f;
        chroma_y[i] = (y[i] + 0.5f) * 0.5f - 0.5f;
    }
    block_taps(chroma_x, picture.chroma_width(), across);
    block_taps(chroma_y, picture.chroma_height(), down);
    const bool packed = picture.layout == Layout::nv12;
    const int step = packed ? 2 : 1;
    const std::uint8_t* v_plane = packed ? picture.planes[1] + 1 : picture.planes[2];
    const std::int64_t v_row = packed ? picture.row_bytes[1] : picture.row_bytes[2];
    sample_block(picture.planes[1], picture.row_bytes[1], step, across, down, channels[1]);
    sample_block(v_plane, v_row, step, across, down, channels[2]);
    for (int i = 0; i < warp_block; ++i) {
        const Rgb rgb = to_rgb(picture.colour, channels[0][i], channels[1][i], channels[2][i]);
        channels[0][i] = rgb.r;
        channels[1][i] = rgb.g;
        channels[2][i] = rgb.b;
    }
}

void warp_row(const Warp& job, std::int64_t face, std::int32_t row) {
    const PictureView& picture = job.pictures[job.picture_index[face]];
    const Affine& map = job.to_frame[face];
    const std::int64_t plane = static_cast<std::int64_t>(job.side) * job.side;
    float* out = job.out + face * 3 * plane + static_cast<std::int64_t>(row) * job.side;
    const auto down = static_cast<float>(row);
    for (std::int32_t start = 0; start < job.side; start += warp_block) {
        float x[warp_block], y[warp_block], inside[warp_block], channels[3][warp_block];
        for (int i = 0; i < warp_block; ++i) {
            const auto across = static_cast<float>(start + i);
            x[i] = map.xx * across + map.xy * down + map.x0;
            y[i] = map.yx * across + map.yy * down + map.y0;
            inside[i] = coverage(x[i], picture.width) * coverage(y[i], picture.height);
        }
        sample_colours(picture, x, y, channels);
        const int count = smaller(warp_block, job.side - start);
        for (int c = 0; c < 3; ++c) {
            const float* channel = channels[job.bgr ? 2 - c : c];
            for (int i = 0; i < count; ++i) {
                const float value = inside[i] > 0.0f ? channel[i] * inside[i] : 0.0f;
                out[c * plane + start + i] = (value - job.mean[c]) * job.scale[c];
            }
        }
    }
}

Lanes lanes_at(const float* row, std::int64_t count) {
    Lanes lanes = {};
    __builtin_memcpy(&lanes, row, static_cast<std::size_t>(count) * sizeof(float));
    return lanes;
}

// A tile of dot products at once: each row is read once for all rows that it meets. The last lanes of a row are filled
// up with zeros: their products leave sums as they are to the bit, since a sum that begins with 0 is never -0.
template <int tall, int wide>
void dot_tile(const float* probes, const float* references, std::int64_t dimension, float* scores,
              std::int64_t score_stride) {
    Lanes sums[tall][wide] = {};
    const auto add = [&](std::int64_t d, auto load) __attribute__((always_inline)) {
        Lanes right[wide];
#pragma GCC unroll 4
        for (int r = 0; r < wide; ++r) right[r] = load(references + r * dimension + d);
#pragma GCC unroll 4
        for (int p = 0; p < tall; ++p) {
            const Lanes left = load(probes + p * dimension + d);
#pragma GCC unroll 4
            for (int r = 0; r < wide; ++r) sums[p][r] += left * right[r];
        }
    };
    const std::int64_t rest = dimension % row_lanes, whole = dimension - rest;
    for (std::int64_t d = 0; d < whole; d += row_lanes) {
        add(d, [](const float* row)
                   __attribute__((always_inline)) { return reinterpret_cast<const LooseLanes*>(row)->lanes; });
    }
    if (rest > 0) add(whole, [rest](const float* row) { return lanes_at(row, rest); });
#pragma GCC unroll 4
    for (int p = 0; p < tall; ++p) {
#pragma GCC unroll 4
        for (int r = 0; r < wide; ++r) {
            float lanes[row_lanes];
            __builtin_memcpy(lanes, &sums[p][r], sizeof(lanes));
            scores[p * score_stride + r] = sum_of_lanes(lanes);
        }
    }
}

template <int tall>
void dot_rows(const float* probes, const float* references, std::int64_t reference_count, std::int64_t dimension,
              float* scores, std::int64_t score_stride) {
    constexpr int wide = tall == 1 ? 4 : 2;
    std::int64_t r = 0;
    for (; r + wide <= reference_count; r += wide) {
        dot_tile<tall, wide>(probes, references + r * dimension, dimension, scores + r, score_stride);
    }
    for (; r < reference_count; ++r) {
        dot_tile<tall, 1>(probes, references + r * dimension, dimension, scores + r, score_stride);
    }
}

void dot_products(const float* probes, std::int64_t probe_count, const float* references, std::int64_t reference_count,
                  std::int64_t dimension, float* scores, std::int64_t score_stride) {
    constexpr int tall = 4;
    std::int64_t p = 0;
    for (; p + tall <= probe_count; p += tall) {
        dot_rows<tall>(probes + p * dimension, references, reference_count, dimension, scores + p * score_stride,
                       score_stride);
    }
    for (; p < probe_count; ++p) {
        dot_rows<1>(probes + p * dimension, references, reference_count, dimension, scores + p * score_stride,
                    score_stride);
    }
}
