#pragma once

#include <cstdlib>
#include <cstring>

namespace clipdb {

/// Whether kernels may use AVX-512 where the processor has it: not with `CLIPDB_MAX_ISA=avx2` in
/// the environment, which tests on one machine what runs on another
/// (`embed/src/instructions.rs` reads it for models).
inline bool may_use_avx512() {
    const char* limit = std::getenv("CLIPDB_MAX_ISA");
    return limit == nullptr || std::strcmp(limit, "avx2") != 0;
}

} // namespace clipdb
