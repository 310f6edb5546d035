// The memory layout of DLPack 1.0's managed tensors, which libraries exchange arrays by without a copy
// (dmlc.github.io/dlpack; the one without a version is what consumers before 1.0 ask for).
#pragma once

#include <cstdint>

namespace pylfr::dlpack {

enum DeviceType : std::int32_t { on_cpu = 1, on_cuda = 2, on_cuda_host = 3, on_cuda_managed = 13 };
enum TypeCode : std::uint8_t { is_int = 0, is_uint = 1, is_float = 2 };
constexpr std::uint64_t read_only_flag = 1;
constexpr std::uint32_t major_version = 1;

struct Device {
    std::int32_t type, index;
};

struct Type {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};

struct Array {
    void* memory;
    Device device;
    std::int32_t axes;
    Type type;
    std::int64_t* shape;
    std::int64_t* strides;  // in elements; null: row-major without gaps
    std::uint64_t byte_offset;
};

struct Managed {
    Array array;
    void* context;
    void (*deleter)(Managed*);
};

struct ManagedVersioned {
    std::uint32_t major, minor;
    void* context;
    void (*deleter)(ManagedVersioned*);
    std::uint64_t flags;
    Array array;
};

}  // namespace pylfr::dlpack
