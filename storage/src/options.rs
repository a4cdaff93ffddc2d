//! Options for opening a data folder.

/// Options of [`Store::open`](crate::Store::open).
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Size of sled's page cache in bytes.
    pub cache_bytes: u64,
    /// Free disk space below which writes are rejected, in bytes.
    pub reserve_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            cache_bytes: 128 << 20,
            reserve_bytes: 64 << 20,
        }
    }
}
