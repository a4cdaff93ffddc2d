// Vectors as 8-bit codes: what a graph is built and walked by. A code is a quarter of its
// vector, and a processor multiplies 64 of its numbers at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace clipdb {

/// Bytes of a code: one for each number, filled up to whole cache lines.
inline size_t code_bytes(size_t dim) {
    return (dim + 63) / 64 * 64;
}

/// Writes the code of `vector`; a number `x` becomes `128 + round(x / scale)`. Returns the
/// scale, the largest number divided by 127.
float encode(const float* vector, size_t dim, uint8_t* code);

/// A query, coded likewise but with signs.
struct CodedQuery {
    std::vector<int8_t> code;
    float scale = 0;
    /// What the 128 of a code add to its product with this.
    int32_t surplus = 0;

    void set(const float* query, size_t dim);
};

/// Borrowed codes: one behind the other, then a scale for each.
class Codes {
  public:
    Codes() = default;
    Codes(const uint8_t* bytes, size_t count, size_t dim)
            : stride(code_bytes(dim)),
              bytes(bytes),
              scales(reinterpret_cast<const float*>(bytes + count * stride)) {}

    /// About the inner product of the query and the vector at `position`.
    float product(const CodedQuery& query, size_t position) const;

    void products_4(const CodedQuery& query, const uint32_t positions[4], float out[4]) const;

    /// The same for any number of positions, which a scan knows beforehand.
    void products(
            const CodedQuery& query, const uint32_t* positions, size_t count, float* out) const;

    /// About the inner product of two vectors.
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
