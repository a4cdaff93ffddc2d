//! The last durable sequence of each collection, recorded independently of sled.
//!
//! sled treats the first unreadable message of its log as the end of the log: a flipped bit, or a
//! truncated or deleted log, silently reverts the folder to an earlier state. The file `witness`
//! therefore records the last durable group of each collection. It is written after sled, never
//! before: after a crash it may be behind, never ahead, so a collection that is behind its record has
//! lost acknowledged writes.
//!
//! The file is not synced with each group, which would double the cost of a commit: after a power loss
//! it may be behind, never ahead. A corrupt record counts as absent.
//!
//! The record of collection `n` is at byte `32 n`: a state, the number and the sequence (little
//! endian), and a checksum of these.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::StorageError;

const RECORD: usize = 32;
const ALIVE: u8 = 1;
const DROPPED: u8 = 2;

/// The file `witness`.
pub(crate) struct DurableSequences {
    file: File,
    path: PathBuf,
    /// The records when the file was opened: the sequence of each collection, `None` for a dropped
    /// one.
    pub(crate) recorded: BTreeMap<u64, Option<u64>>,
}

impl DurableSequences {
    pub(crate) fn open(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join("witness");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(StorageError::io("read", &path))?;
        let recorded = bytes
            .chunks(RECORD)
            .zip(0..)
            .filter_map(|(record, number)| Some((number, decode(record, number)?)))
            .collect();
        Ok(DurableSequences {
            file,
            path,
            recorded,
        })
    }

    /// Records that the group of this sequence is durable.
    pub(crate) fn record_commit(&self, number: u64, sequence: u64) {
        self.write(number, ALIVE, sequence);
    }

    /// Records that the collection is about to be dropped: it may be there or not.
    pub(crate) fn record_dropping(&self, number: u64) {
        self.write(number, 0, 0);
    }

    /// Records that the collection is durably dropped.
    pub(crate) fn record_dropped(&self, number: u64) {
        self.write(number, DROPPED, 0);
    }

    /// Descriptions of the recorded collections that are not among these.
    pub(crate) fn missing(&self, numbers: &BTreeSet<u64>) -> Vec<String> {
        let alive = self
            .recorded
            .iter()
            .filter(|(_, sequence)| sequence.is_some());
        alive
            .filter(|(number, _)| !numbers.contains(number))
            .map(|(number, _)| format!("collection number {number} is missing"))
            .collect()
    }

    /// A description of the writes that a collection at this sequence has lost, if there are any.
    pub(crate) fn loss(&self, number: u64, sequence: u64) -> Option<String> {
        match self.recorded.get(&number)? {
            Some(recorded) if *recorded > sequence => Some(format!(
                "it is at group {sequence} of {recorded}; sled's log is corrupt or outdated"
            )),
            Some(_) => None,
            None => {
                Some("it was dropped and exists again; sled's log is corrupt or outdated".into())
            }
        }
    }

    /// Removes all records, after a loss was accepted.
    pub(crate) fn clear(&self) -> Result<(), StorageError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.sync_all())
            .map_err(StorageError::io("clear", &self.path))
    }

    /// Writes a record. The group is durable even if this fails; only its loss could go undetected.
    fn write(&self, number: u64, state: u8, sequence: u64) {
        let at = number.saturating_mul(RECORD as u64);
        if let Err(error) = self.file.write_all_at(&encode(number, state, sequence), at) {
            tracing::warn!(path = %self.path.display(), %error, "cannot record a durable group");
        }
    }
}

impl Drop for DurableSequences {
    fn drop(&mut self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(path = %self.path.display(), %error, "cannot sync");
        }
    }
}

fn encode(number: u64, state: u8, sequence: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[0] = state;
    record[8..16].copy_from_slice(&number.to_le_bytes());
    record[16..24].copy_from_slice(&sequence.to_le_bytes());
    let checksum = crc32fast::hash(&record[..24]);
    record[24..28].copy_from_slice(&checksum.to_le_bytes());
    record
}

/// The sequence, or `Some(None)` for a dropped collection; `None` without a valid record.
fn decode(record: &[u8], number: u64) -> Option<Option<u64>> {
    let (state, sequence) = (*record.first()?, record.get(16..24)?.first_chunk::<8>()?);
    let sequence = u64::from_le_bytes(*sequence);
    if record != encode(number, state, sequence) {
        return None;
    }
    match state {
        ALIVE => Some(Some(sequence)),
        DROPPED => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_a_corrupt_one_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let sequences = DurableSequences::open(dir.path()).unwrap();
        assert!(sequences.recorded.is_empty());
        sequences.record_commit(1, 7);
        sequences.record_commit(4, 2);
        sequences.record_commit(1, 8);
        sequences.record_commit(5, 1);
        sequences.record_dropping(5);
        sequences.record_commit(6, 1);
        sequences.record_dropped(6);
        drop(sequences);
        let found = DurableSequences::open(dir.path()).unwrap().recorded.clone();
        assert_eq!(found, [(1, Some(8)), (4, Some(2)), (6, None)].into());

        let path = dir.path().join("witness");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[RECORD + 17] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let found = DurableSequences::open(dir.path()).unwrap().recorded.clone();
        assert_eq!(found, [(4, Some(2)), (6, None)].into());
    }
}
