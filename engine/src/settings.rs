//! The engine's settings. The server fills them in from its configuration.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clipdb_embed::image::ImageLimits;

use crate::url_fetch::UrlIngestSettings;

/// The engine's limits and sizes.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The data folder, which holds everything that the engine stores.
    pub data: PathBuf,
    /// sled's page cache, in bytes.
    pub cache_bytes: u64,
    /// Writes are refused while the disk has less free space, in bytes.
    pub disk_reserve_bytes: u64,
    /// How long startup waits for search indexes that lack documents before the server accepts
    /// requests; a search that opens an index waits as long.
    pub start_patience: Duration,
    /// The most collections that may exist.
    pub max_collections: usize,
    /// The most collections whose indexes are open at once: the most recently used ones.
    pub open_collections: usize,
    /// Threads that commit writes, shared by all collections.
    pub commit_threads: usize,
    /// The most documents in one group commit.
    pub group_documents: usize,
    /// The most bytes of images, texts and vectors in one group commit.
    pub group_bytes: usize,
    /// The memory budget for the documents of all requests together, in bytes.
    pub ingest_bytes: usize,
    /// The longest text of a document or a query, in bytes.
    pub max_text_bytes: usize,
    /// The most distinct metadata fields in the documents of one collection.
    pub max_fields: usize,
    /// Whether and from where images are fetched.
    pub url_ingest: UrlIngestSettings,
    /// The limits on decoding a stored image for its thumbnail.
    pub image_limits: ImageLimits,
    /// Thumbnails that are rendered at the same time.
    pub thumbnail_threads: usize,
    /// The memory budget for rendering thumbnails, in bytes.
    pub thumbnail_memory: u64,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            data: PathBuf::from("./data"),
            cache_bytes: 256 << 20,
            disk_reserve_bytes: 64 << 20,
            start_patience: Duration::from_secs(2),
            max_collections: 20_000,
            open_collections: 256,
            commit_threads: (2 * cores).clamp(4, 32),
            group_documents: 512,
            group_bytes: 64 << 20,
            ingest_bytes: 512 << 20,
            max_text_bytes: 1 << 20,
            max_fields: 10_000,
            url_ingest: UrlIngestSettings::default(),
            image_limits: ImageLimits::default(),
            thumbnail_threads: 2,
            thumbnail_memory: 1 << 30,
        }
    }
}
