#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// Hits that are read `step` at a time.
struct Listed {
    all: Vec<Candidate>,
    read: usize,
    step: usize,
    reads: usize,
}

impl Listed {
    fn new(all: Vec<Candidate>, step: usize) -> Self {
        let read = step.min(all.len());
        Self {
            all,
            read,
            step,
            reads: 1,
        }
    }
}

impl HitSource for Listed {
    fn hits(&self) -> &[Candidate] {
        &self.all[..self.read]
    }

    fn read_more(&mut self) -> Result<bool, EngineError> {
        if self.read == self.all.len() {
            return Ok(false);
        }
        self.reads += 1;
        self.read = (self.read + self.step).min(self.all.len());
        Ok(true)
    }

    fn take_hits(&mut self) -> Vec<Candidate> {
        self.all.drain(..self.read).collect()
    }
}

fn hit(row: u64, score: f64) -> Candidate {
    Candidate {
        row: RowId(row),
        score: Some(score),
        confidence: None,
        parts: Vec::new(),
        group: None,
        distance_m: None,
        place: None,
    }
}

fn placed(id: &str, row: u64) -> Candidate {
    Candidate {
        score: None,
        place: Some(SortKey::of_id(id)),
        ..hit(row, 0.0)
    }
}

/// Rows 1 to `count` with descending scores.
fn ranked(count: u64) -> Vec<Candidate> {
    (1..=count)
        .map(|row| hit(row, 1.0 - row as f64 / 1000.0))
        .collect()
}

fn rows(hits: &[Candidate]) -> Vec<u64> {
    hits.iter().map(|hit| hit.row.0).collect()
}

fn page(
    all: Vec<Candidate>,
    step: usize,
    start: &PageStart<'_>,
    limit: usize,
) -> (Vec<u64>, Option<Cursor>) {
    let (hits, next) = read_page(&mut Listed::new(all, step), start, limit).unwrap();
    (rows(&hits), next)
}

fn cursor_of(next: Option<Cursor>) -> RankedCursor {
    match next.unwrap() {
        Cursor::Ranked(cursor) => cursor,
        Cursor::Ordered(place) => panic!("{place:?}"),
    }
}

#[test]
fn pages_by_offset_are_slices_of_one_list() {
    // offset, limit, rows of the page, whether another follows
    let table: [(usize, usize, &[u64], bool); 8] = [
        (0, 3, &[1, 2, 3], true),
        (3, 3, &[4, 5, 6], true),
        (6, 4, &[7, 8, 9, 10], false),
        (6, 3, &[7, 8, 9], true),
        (9, 5, &[10], false),
        (10, 5, &[], false),
        (200, 5, &[], false),
        (0, 10, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false),
    ];
    for (offset, limit, expected, has_next) in table {
        for step in [1, 2, 7, 100] {
            let start = PageStart::Offset(offset);
            let (found, next) = page(ranked(10), step, &start, limit);
            assert_eq!(found, expected, "{offset}+{limit} by {step}");
            assert_eq!(next.is_some(), has_next, "{offset}+{limit} by {step}");
        }
    }
}

#[test]
fn only_the_page_and_one_more_hit_are_read() {
    let mut source = Listed::new(ranked(1000), 10);
    read_page(&mut source, &PageStart::Offset(20), 9).unwrap();
    assert_eq!(source.reads, 3);
    let mut source = Listed::new(ranked(1000), 10);
    read_page(&mut source, &PageStart::Offset(20), 10).unwrap();
    assert_eq!(source.reads, 4, "one read shows whether a next page exists");
}

#[test]
fn cursors_visit_every_hit_once() {
    for limit in [1, 3, 7, 25] {
        for scores in [Scores::Absolute, Scores::Relative] {
            let (mut seen, mut next) = page(ranked(25), 4, &PageStart::Offset(0), limit);
            while let Some(Cursor::Ranked(cursor)) = next {
                let start = PageStart::AfterRanked {
                    cursor: &cursor,
                    scores,
                };
                let (found, after) = page(ranked(25), 4, &start, limit);
                assert!(!found.is_empty(), "a cursor leads to a page");
                seen.extend(found);
                next = after;
            }
            assert_eq!(seen, (1..=25).collect::<Vec<_>>(), "{limit}, {scores:?}");
        }
    }
}

#[test]
fn a_cursor_follows_its_page_when_hits_come_before_it() {
    let (first, next) = page(ranked(10), 100, &PageStart::Offset(0), 3);
    assert_eq!(first, [1, 2, 3]);
    let cursor = cursor_of(next);
    let mut grown = vec![hit(50, 2.0), hit(51, 1.9)];
    grown.extend(ranked(10));
    let start = PageStart::AfterRanked {
        cursor: &cursor,
        scores: Scores::Relative,
    };
    assert_eq!(page(grown, 2, &start, 3).0, [4, 5, 6]);
}

#[test]
fn a_cursor_survives_the_removal_of_rows_of_its_page() {
    let cursor = cursor_of(page(ranked(10), 100, &PageStart::Offset(3), 3).1);
    assert_eq!(cursor.rows, [4, 5, 6]);
    let table: [(&[u64], &[u64]); 4] = [
        // removed rows, next page
        (&[], &[7, 8, 9]),
        (&[6], &[7, 8, 9]),
        (&[5, 6], &[7, 8, 9]),
        (&[4, 5], &[7, 8, 9]),
    ];
    for (removed, expected) in table {
        let mut left = ranked(10);
        left.retain(|hit| !removed.contains(&hit.row.0));
        for scores in [Scores::Absolute, Scores::Relative] {
            let start = PageStart::AfterRanked {
                cursor: &cursor,
                scores,
            };
            let found = page(left.clone(), 2, &start, 3).0;
            assert_eq!(found, expected, "without {removed:?}, {scores:?}");
        }
    }
}

#[test]
fn a_cursor_whose_page_is_gone_continues_by_absolute_score() {
    let cursor = cursor_of(page(ranked(10), 100, &PageStart::Offset(3), 3).1);
    let mut left = ranked(10);
    left.retain(|hit| ![4, 5, 6].contains(&hit.row.0));
    // Two better hits were added before the page.
    left.insert(0, hit(50, 2.0));
    left.insert(0, hit(51, 2.0));
    let lasting = PageStart::AfterRanked {
        cursor: &cursor,
        scores: Scores::Absolute,
    };
    assert_eq!(page(left.clone(), 2, &lasting, 3).0, [7, 8, 9]);
    // Relative scores cannot be compared; the next page moved up by three rows.
    let relative = PageStart::AfterRanked {
        cursor: &cursor,
        scores: Scores::Relative,
    };
    assert_eq!(page(left, 2, &relative, 3).0, [2, 3, 7]);
}

#[test]
fn a_cursor_past_the_last_hit_finds_nothing() {
    let cursor = RankedCursor {
        score: 0.0,
        rows: vec![99],
        seen: 500,
    };
    for scores in [Scores::Absolute, Scores::Relative] {
        let start = PageStart::AfterRanked {
            cursor: &cursor,
            scores,
        };
        let (found, next) = page(ranked(10), 3, &start, 3);
        assert!(found.is_empty(), "{scores:?}");
        assert!(next.is_none(), "{scores:?}");
    }
}

#[test]
fn a_cursor_holds_the_last_rows_of_a_long_page() {
    let cursor = cursor_of(page(ranked(500), 1000, &PageStart::Offset(0), 300).1);
    assert_eq!(cursor.rows.len(), MAX_CURSOR_ROWS);
    assert_eq!(
        (cursor.rows[0], cursor.rows[99], cursor.seen),
        (201, 300, 300)
    );
    // All rows in the cursor are gone, so the complete page counts as gone.
    let mut left = ranked(500);
    left.retain(|hit| !(1..=300).contains(&hit.row.0));
    let start = PageStart::AfterRanked {
        cursor: &cursor,
        scores: Scores::Relative,
    };
    let (found, _) = page(left, 1000, &start, 300);
    assert_eq!(found, (301..=500).collect::<Vec<_>>());
}

#[test]
fn equal_scores_are_skipped_together_when_the_page_is_gone() {
    let cursor = RankedCursor {
        score: 0.5,
        rows: vec![90, 91],
        seen: 2,
    };
    let left = vec![hit(1, 0.9), hit(2, 0.5), hit(3, 0.5), hit(4, 0.1)];
    let start = PageStart::AfterRanked {
        cursor: &cursor,
        scores: Scores::Absolute,
    };
    assert_eq!(page(left, 1, &start, 5).0, [4]);
}

#[test]
fn pages_in_the_order_of_fields_follow_a_sort_key() {
    let all: Vec<_> = (1..=6).map(|row| placed(&format!("d{row}"), row)).collect();
    let order = Order::default();
    let (first, next) = page(all.clone(), 2, &PageStart::Offset(0), 2);
    assert_eq!(first, [1, 2]);
    let Some(Cursor::Ordered(place)) = next else {
        panic!("a place");
    };
    let start = PageStart::AfterPlace {
        place: &place,
        order: &order,
    };
    let (second, _) = page(all.clone(), 2, &start, 2);
    assert_eq!(second, [3, 4]);
    // The hit with the sort key itself may be gone.
    let mut left = all;
    left.retain(|hit| hit.row.0 != 2);
    assert_eq!(page(left, 2, &start, 2).0, [3, 4]);
}

#[test]
fn a_failed_read_fails_the_page() {
    struct Broken(Vec<Candidate>);
    impl HitSource for Broken {
        fn hits(&self) -> &[Candidate] {
            &self.0
        }
        fn read_more(&mut self) -> Result<bool, EngineError> {
            Err(EngineError::Interrupted)
        }
        fn take_hits(&mut self) -> Vec<Candidate> {
            std::mem::take(&mut self.0)
        }
    }
    let start = PageStart::Offset(0);
    assert!(matches!(
        read_page(&mut Broken(ranked(2)), &start, 2),
        Err(EngineError::Interrupted)
    ));
    let complete = read_page(&mut Broken(ranked(3)), &start, 2).unwrap();
    assert_eq!(rows(&complete.0), [1, 2], "no read was needed");
}
