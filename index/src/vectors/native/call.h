// The boundary to Rust: no exception crosses it, a failure becomes a message.
#pragma once

#include <cstdio>
#include <exception>

constexpr size_t clipdb_message_bytes = 512;

namespace clipdb {

/// Runs `work`. Returns 0, or 1 with the reason in `message`, which has clipdb_message_bytes.
template <typename Work>
int call(char* message, Work&& work) noexcept {
    try {
        work();
        return 0;
    } catch (const std::exception& error) {
        std::snprintf(message, clipdb_message_bytes, "%s", error.what());
    } catch (...) {
        std::snprintf(message, clipdb_message_bytes, "unknown exception");
    }
    return 1;
}

} // namespace clipdb
