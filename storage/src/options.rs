//! How a data folder is opened.

/// Options of [`Store::open`](crate::Store::open).
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory for sled's cache of tree pages, in bytes.
    pub cache_bytes: u64,
    /// Writes are refused while the disk has less left than this, in bytes.
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
