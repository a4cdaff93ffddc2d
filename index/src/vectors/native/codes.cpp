#include "codes.h"

#include "instructions.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <immintrin.h>

namespace clipdb {

namespace {

/// All kernels return the same sums: integers, which do not overflow 32 bits below 66,000 dimensions.
struct Kernels {
    /// Product of a code and a query.
    int32_t (*dot)(const uint8_t* code, const int8_t* query, size_t bytes);
    void (*dot_4)(const uint8_t* const codes[4], const int8_t* query, size_t bytes, int32_t out[4]);
    /// Product of two codes, both without their offset of 128.
    int32_t (*between)(const uint8_t* one, const uint8_t* other, size_t bytes);
};

int32_t plain_dot(const uint8_t* code, const int8_t* query, size_t bytes) {
    int32_t sum = 0;
    for (size_t at = 0; at < bytes; at++) {
        sum += int32_t(code[at]) * query[at];
    }
    return sum;
}

int32_t plain_between(const uint8_t* one, const uint8_t* other, size_t bytes) {
    int32_t sum = 0;
    for (size_t at = 0; at < bytes; at++) {
        sum += (int32_t(one[at]) - 128) * (int32_t(other[at]) - 128);
    }
    return sum;
}

template <int32_t (*dot)(const uint8_t*, const int8_t*, size_t)>
void one_by_one(
        const uint8_t* const codes[4], const int8_t* query, size_t bytes, int32_t out[4]) {
    for (size_t at = 0; at < 4; at++) {
        out[at] = dot(codes[at], query, bytes);
    }
}

#define AVX2 __attribute__((target("avx2")))

AVX2 int32_t sum_of(__m256i sums) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
}

AVX2 inline __m128i load_16(const void* bytes) {
    return _mm_loadu_si128(static_cast<const __m128i*>(bytes));
}

AVX2 int32_t avx2_dot(const uint8_t* code, const int8_t* query, size_t bytes) {
    __m256i sums = _mm256_setzero_si256();
    for (size_t at = 0; at < bytes; at += 16) {
        __m256i x = _mm256_cvtepu8_epi16(load_16(code + at));
        __m256i y = _mm256_cvtepi8_epi16(load_16(query + at));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x, y));
    }
    return sum_of(sums);
}

AVX2 int32_t avx2_between(const uint8_t* one, const uint8_t* other, size_t bytes) {
    __m128i sign = _mm_set1_epi8(char(0x80));
    __m256i sums = _mm256_setzero_si256();
    for (size_t at = 0; at < bytes; at += 16) {
        __m256i x = _mm256_cvtepi8_epi16(_mm_xor_si128(load_16(one + at), sign));
        __m256i y = _mm256_cvtepi8_epi16(_mm_xor_si128(load_16(other + at), sign));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x, y));
    }
    return sum_of(sums);
}

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI int32_t vnni_dot(const uint8_t* code, const int8_t* query, size_t bytes) {
    __m512i sums = _mm512_setzero_si512();
    for (size_t at = 0; at < bytes; at += 64) {
        sums = _mm512_dpbusd_epi32(
                sums, _mm512_loadu_si512(code + at), _mm512_loadu_si512(query + at));
    }
    return _mm512_reduce_add_epi32(sums);
}

VNNI void vnni_dot_4(
        const uint8_t* const codes[4], const int8_t* query, size_t bytes, int32_t out[4]) {
    __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (size_t at = 0; at < bytes; at += 64) {
        __m512i y = _mm512_loadu_si512(query + at);
        sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(codes[0] + at), y);
        sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(codes[1] + at), y);
        sum2 = _mm512_dpbusd_epi32(sum2, _mm512_loadu_si512(codes[2] + at), y);
        sum3 = _mm512_dpbusd_epi32(sum3, _mm512_loadu_si512(codes[3] + at), y);
    }
    out[0] = _mm512_reduce_add_epi32(sum0);
    out[1] = _mm512_reduce_add_epi32(sum1);
    out[2] = _mm512_reduce_add_epi32(sum2);
    out[3] = _mm512_reduce_add_epi32(sum3);
}

VNNI int32_t vnni_between(const uint8_t* one, const uint8_t* other, size_t bytes) {
    __m512i sign = _mm512_set1_epi8(char(0x80)), ones = _mm512_set1_epi8(1);
    __m512i sums = _mm512_setzero_si512(), surplus = sums;
    for (size_t at = 0; at < bytes; at += 64) {
        __m512i y = _mm512_xor_si512(_mm512_loadu_si512(other + at), sign);
        sums = _mm512_dpbusd_epi32(sums, _mm512_loadu_si512(one + at), y);
        surplus = _mm512_dpbusd_epi32(surplus, ones, y);
    }
    return _mm512_reduce_add_epi32(_mm512_sub_epi32(sums, _mm512_slli_epi32(surplus, 7)));
}

/// The kernels for an instruction set, the fastest first.
struct Level {
    bool supported;
    Kernels kernels;
} const levels[] = {
        {__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                 may_use_avx512(),
         {vnni_dot, vnni_dot_4, vnni_between}},
        {bool(__builtin_cpu_supports("avx2")),
         {avx2_dot, one_by_one<avx2_dot>, avx2_between}},
        {true, {plain_dot, one_by_one<plain_dot>, plain_between}},
};

const Kernels kernels = std::find_if(std::begin(levels), std::end(levels), [](const Level& level) {
                            return level.supported;
                        })->kernels;

float scale_of(const float* vector, size_t dim) {
    float most = 0;
    for (size_t at = 0; at < dim; at++) {
        most = std::max(most, std::fabs(vector[at]));
    }
    return most / 127;
}

int32_t rounded(float number, float inverse) {
    return std::clamp(int32_t(std::lrint(number * inverse)), -127, 127);
}

float inverse_of(float scale) {
    // A vector so short that this is infinite is treated as zero.
    float inverse = 1 / scale;
    return std::isfinite(inverse) ? inverse : 0;
}

} // namespace

float encode(const float* vector, size_t dim, uint8_t* code) {
    float scale = scale_of(vector, dim), inverse = inverse_of(scale);
    for (size_t at = 0; at < dim; at++) {
        code[at] = uint8_t(128 + rounded(vector[at], inverse));
    }
    std::fill(code + dim, code + code_bytes(dim), uint8_t(128));
    return scale;
}

void CodedQuery::set(const float* query, size_t dim) {
    code.assign(code_bytes(dim), 0);
    scale = scale_of(query, dim);
    float inverse = inverse_of(scale);
    int32_t sum = 0;
    for (size_t at = 0; at < dim; at++) {
        code[at] = int8_t(rounded(query[at], inverse));
        sum += code[at];
    }
    surplus = 128 * sum;
}

float Codes::product(const CodedQuery& query, size_t position) const {
    int32_t sum = kernels.dot(bytes + position * stride, query.code.data(), stride);
    return query.scale * scales[position] * float(sum - query.surplus);
}

void Codes::products_4(const CodedQuery& query, const uint32_t positions[4], float out[4]) const {
    const uint8_t* codes[4];
    for (size_t at = 0; at < 4; at++) {
        codes[at] = bytes + positions[at] * stride;
    }
    int32_t sums[4];
    kernels.dot_4(codes, query.code.data(), stride, sums);
    for (size_t at = 0; at < 4; at++) {
        out[at] = query.scale * scales[positions[at]] * float(sums[at] - query.surplus);
    }
}

void Codes::products(
        const CodedQuery& query, const uint32_t* positions, size_t count, float* out) const {
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        for (size_t next = at + 8; next < std::min(at + 12, count); next++) {
            prefetch(positions[next]);
        }
        products_4(query, positions + at, out + at);
    }
    for (; at < count; at++) {
        out[at] = product(query, positions[at]);
    }
}

float Codes::between(size_t one, size_t other) const {
    int32_t sum = kernels.between(bytes + one * stride, bytes + other * stride, stride);
    return scales[one] * scales[other] * float(sum);
}

} // namespace clipdb

extern "C" {

size_t clipdb_code_bytes(size_t dim) noexcept {
    return clipdb::code_bytes(dim);
}

/// Writes codes and scales of `count` vectors.
void clipdb_encode(
        const float* vectors, size_t count, size_t dim, uint8_t* codes, float* scales) noexcept {
    size_t stride = clipdb::code_bytes(dim);
    for (size_t at = 0; at < count; at++) {
        scales[at] = clipdb::encode(vectors + at * dim, dim, codes + at * stride);
    }
}

/// The sums of the kernels of `level`, for the test that compares them: the products of a query and
/// five codes, and the product of the first two codes. False if this processor does not support them.
bool clipdb_code_sums(
        size_t level, const uint8_t* codes, const int8_t* query, size_t bytes, int32_t sums[6]) noexcept {
    const clipdb::Kernels& kernels = clipdb::levels[level].kernels;
    if (!clipdb::levels[level].supported) {
        return false;
    }
    const uint8_t* four[4] = {codes, codes + bytes, codes + 2 * bytes, codes + 3 * bytes};
    kernels.dot_4(four, query, bytes, sums);
    sums[4] = kernels.dot(codes + 4 * bytes, query, bytes);
    sums[5] = kernels.between(codes, codes + bytes, bytes);
    return true;
}

} // extern "C"
