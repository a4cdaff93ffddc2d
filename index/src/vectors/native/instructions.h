#pragma once

#include <cstdlib>
#include <cstring>

namespace clipdb {

/// Whether kernels may use AVX-512 if the processor supports it. `CLIPDB_MAX_ISA=avx2` in the
/// environment disables it, to test the code for other processors (`embed/src/instructions.rs` reads
/// the variable for models).
inline bool may_use_avx512() {
    const char* limit = std::getenv("CLIPDB_MAX_ISA");
    return limit == nullptr || std::strcmp(limit, "avx2") != 0;
}

} // namespace clipdb
