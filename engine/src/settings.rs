//! The engine's limits and sizes. The server's configuration fills them in.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clipdb_embed::image::ImageLimits;

use crate::url_fetch::UrlIngestSettings;

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The one folder of data.
    pub data: PathBuf,
    /// sled's page cache, in bytes.
    pub cache_bytes: u64,
    /// Writes are refused while the disk has less left, in bytes.
    pub disk_reserve_bytes: u64,
    /// How long a start waits for search indexes that lack documents, before it serves what can be
    /// read.
    pub start_patience: Duration,
    /// The most collections.
    pub max_collections: usize,
    /// Collections whose indexes are open at once; those that were used last.
    pub open_collections: usize,
    /// Threads that commit writes, of all collections together.
    pub commit_threads: usize,
    /// The most documents that one group commits together.
    pub group_documents: usize,
    /// The most bytes of pictures and texts that one group holds.
    pub group_bytes: usize,
    /// Bytes of documents that may be under way in all requests together.
    pub ingest_bytes: usize,
    /// The longest text of a document or a query, in bytes.
    pub max_text_bytes: usize,
    /// The most different metadata fields that the documents of a collection have.
    pub max_fields: usize,
    /// Whether and from where pictures are fetched.
    pub url_ingest: UrlIngestSettings,
    /// What a stored picture may need when its thumbnail is drawn.
    pub image_limits: ImageLimits,
    /// Thumbnails that are drawn at the same time.
    pub thumbnail_threads: usize,
    /// Bytes that drawing thumbnails may take, all together.
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
