//! A second record of how far each collection has come, beside sled.
//!
//! sled takes the first message of its log that it cannot read for the log's end: a flipped bit
//! there, or a log that was cut or deleted, silently takes the folder back to an earlier moment.
//! So the file `witness` says, for each collection by its number, which group was the last that
//! was durable. It is written after sled, never before: a kill leaves it behind, not ahead, and a
//! collection that is behind its witness has lost acknowledged writes.
//!
//! It is not synced with each group, which would double a commit's cost: after a power loss it
//! may witness less, never too much. A record that cannot be read witnesses nothing.
//!
//! Record `n` lies at byte `32 n`: a state, the number and the sequence (little endian), and a
//! checksum of those.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::StorageError;

const RECORD: usize = 32;
const ALIVE: u8 = 1;
const DROPPED: u8 = 2;

pub(crate) struct Witness {
    file: File,
    path: PathBuf,
    /// What it said when it was opened: the sequence of each collection that was there, `None`
    /// for one that was dropped.
    pub(crate) found: BTreeMap<u64, Option<u64>>,
}

impl Witness {
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
        let found = bytes
            .chunks(RECORD)
            .zip(0..)
            .filter_map(|(record, number)| Some((number, decode(record, number)?)))
            .collect();
        Ok(Witness { file, path, found })
    }

    /// The collection's group of this sequence is durable.
    pub(crate) fn committed(&self, number: u64, sequence: u64) {
        self.write(number, ALIVE, sequence);
    }

    /// It will be dropped: from here on both its presence and its absence are right.
    pub(crate) fn dropping(&self, number: u64) {
        self.write(number, 0, 0);
    }

    /// That it was dropped is durable.
    pub(crate) fn dropped(&self, number: u64) {
        self.write(number, DROPPED, 0);
    }

    /// Collections that it said were there and that are not among these, in words.
    pub(crate) fn gone(&self, numbers: &BTreeSet<u64>) -> Vec<String> {
        let there = self.found.iter().filter(|(_, sequence)| sequence.is_some());
        there
            .filter(|(number, _)| !numbers.contains(number))
            .map(|(number, _)| format!("collection number {number} is gone"))
            .collect()
    }

    /// What a collection at this sequence has lost since, in words.
    pub(crate) fn loss(&self, number: u64, sequence: u64) -> Option<String> {
        match self.found.get(&number)? {
            Some(witnessed) if *witnessed > sequence => Some(format!(
                "it is at group {sequence} of {witnessed}; sled's log is damaged or from an earlier time"
            )),
            Some(_) => None,
            None => Some(
                "it was dropped and is back; sled's log is damaged or from an earlier time".into(),
            ),
        }
    }

    /// Forgets everything: a loss was accepted.
    pub(crate) fn forget(&self) -> Result<(), StorageError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.sync_all())
            .map_err(StorageError::io("clear", &self.path))
    }

    /// A failure makes no write less durable: it is only witnessed less.
    fn write(&self, number: u64, state: u8, sequence: u64) {
        let at = number.saturating_mul(RECORD as u64);
        if let Err(error) = self.file.write_all_at(&encode(number, state, sequence), at) {
            tracing::warn!(path = %self.path.display(), %error, "a group of writes is not witnessed");
        }
    }
}

impl Drop for Witness {
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

/// The sequence, `None` for a dropped collection; nothing where nothing is witnessed.
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
    fn it_says_what_was_written_and_nothing_of_a_damaged_record() {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::open(dir.path()).unwrap();
        assert!(witness.found.is_empty());
        witness.committed(1, 7);
        witness.committed(4, 2);
        witness.committed(1, 8);
        witness.committed(5, 1);
        witness.dropping(5);
        witness.committed(6, 1);
        witness.dropped(6);
        drop(witness);
        let found = Witness::open(dir.path()).unwrap().found.clone();
        assert_eq!(found, [(1, Some(8)), (4, Some(2)), (6, None)].into());

        let path = dir.path().join("witness");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[RECORD + 17] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let found = Witness::open(dir.path()).unwrap().found.clone();
        assert_eq!(found, [(4, Some(2)), (6, None)].into());
    }
}
