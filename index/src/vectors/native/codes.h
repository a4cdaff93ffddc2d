// Vectors as 8-bit codes, by which graphs are built and traversed. A code has a quarter of the size
// of its vector, and a processor multiplies 64 of its dimensions at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace clipdb {

/// Bytes of a code: one for each dimension, padded to a multiple of the cache line.
inline size_t code_bytes(size_t dim) {
    return (dim + 63) / 64 * 64;
}

/// Writes the code of `vector`: a dimension `x` becomes `128 + round(x / scale)`. Returns the scale,
/// which is the largest magnitude divided by 127.
float encode(const float* vector, size_t dim, uint8_t* code);

/// An encoded query: like a code, but signed.
struct CodedQuery {
    std::vector<int8_t> code;
    float scale = 0;
    /// The contribution of a code's offset of 128 to its product with the query.
    int32_t surplus = 0;

    void set(const float* query, size_t dim);
};

/// Borrowed codes, contiguous and followed by their scales.
class Codes {
  public:
    Codes() = default;
    Codes(const uint8_t* bytes, size_t count, size_t dim)
            : stride(code_bytes(dim)),
              bytes(bytes),
              scales(reinterpret_cast<const float*>(bytes + count * stride)) {}

    /// The approximate inner product of the query and the vector at `position`.
    float product(const CodedQuery& query, size_t position) const;

    void products_4(const CodedQuery& query, const uint32_t positions[4], float out[4]) const;

    /// The products with any number of positions, for scans.
    void products(
            const CodedQuery& query, const uint32_t* positions, size_t count, float* out) const;

    /// The approximate inner product of two vectors.
    float between(size_t one, size_t other) const;

    void prefetch(size_t position) const {
        for (size_t at = 0; at < std::min<size_t>(stride, 1024); at += 64) {
            __builtin_prefetch(bytes + position * stride + at);
        }
        __builtin_prefetch(scales + position);
    }

  private:
    size_t stride = 0;
    const uint8_t* bytes = nullptr;
    const float* scales = nullptr;
};

} // namespace clipdb
