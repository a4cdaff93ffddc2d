//! The properties of fusion, on generated lists and on cases in which other methods fail.

use std::collections::BTreeSet;

use clipdb_index::fusion::{Fused, Fusion, FusionError, Method, RankedList, Weights};
use clipdb_index::{ListKind, RowId, Scored};
use proptest::prelude::*;

const KINDS: [ListKind; 3] = [ListKind::Keyword, ListKind::Image, ListKind::Text];

/// Lists by kind: rows, best first, with falling scores.
#[derive(Debug, Clone, Default)]
struct Lists {
    keyword: Vec<Scored>,
    image: Vec<Scored>,
    text: Vec<Scored>,
}

impl Lists {
    fn of(&self, kind: ListKind) -> &Vec<Scored> {
        match kind {
            ListKind::Keyword => &self.keyword,
            ListKind::Image => &self.image,
            ListKind::Text => &self.text,
        }
    }

    fn of_mut(&mut self, kind: ListKind) -> &mut Vec<Scored> {
        match kind {
            ListKind::Keyword => &mut self.keyword,
            ListKind::Image => &mut self.image,
            ListKind::Text => &mut self.text,
        }
    }

    fn fuse(&self, fusion: &Fusion) -> Vec<Fused> {
        let lists = KINDS.map(|kind| RankedList {
            kind,
            hits: self.of(kind),
            full_score: 10.0,
        });
        fusion.fuse(&lists)
    }
}

/// Rows in this order with scores from `best` down to half of it.
fn falling(rows: impl IntoIterator<Item = u64>, best: f32) -> Vec<Scored> {
    let rows: Vec<u64> = rows.into_iter().collect();
    let step = best / 2.0 / rows.len().max(1) as f32;
    (0u8..)
        .zip(rows)
        .map(|(at, row)| Scored {
            row: RowId(row),
            score: best - step * f32::from(at),
            passage: 0,
        })
        .collect()
}

fn rrf(k: f64) -> Fusion {
    Fusion::new(Method::Rrf { k }, Weights::default()).unwrap()
}

fn first_ten(fused: &[Fused]) -> Vec<u64> {
    fused.iter().take(10).map(|hit| hit.row.0).collect()
}

fn score_of(fused: &[Fused], row: RowId) -> f64 {
    fused
        .iter()
        .find(|hit| hit.row == row)
        .map_or(0.0, |hit| hit.score)
}

const RIGHT: u64 = 9_999;

#[test]
fn the_keyword_list_does_not_demote_images_without_text() {
    let without_words = Lists {
        image: falling(0..50, 0.3),
        ..Lists::default()
    };
    let with_words = Lists {
        keyword: falling(100..150, 9.0),
        ..without_words.clone()
    };
    for fusion in [rrf(60.0), rrf(1.0)] {
        let alone = without_words.fuse(&fusion);
        let beside = with_words.fuse(&fusion);
        for hit in &alone {
            assert_eq!(hit.score, score_of(&beside, hit.row));
        }
        assert!(first_ten(&beside).contains(&0));
    }
}

#[test]
fn texts_in_two_lists_leave_room_for_images() {
    let lists = Lists {
        keyword: falling(100..200, 10.0),
        text: falling(100..200, 0.9),
        image: falling(0..100, 0.3),
    };
    for k in [0.0, 1.0, 10.0, 60.0, 1000.0] {
        let page = first_ten(&lists.fuse(&rrf(k)));
        let pictures = page.iter().filter(|row| **row < 100).count();
        assert!((4..=6).contains(&pictures), "k = {k}: {page:?}");
    }
}

#[test]
fn two_lists_of_different_texts_fill_half_the_page_together() {
    let mut keyword = falling(100..200, 10.0);
    keyword.iter_mut().for_each(|hit| hit.score = 10.0);
    let lists = Lists {
        keyword,
        text: falling(200..240, 0.9),
        image: falling(0..40, 0.3),
    };
    let page = first_ten(&lists.fuse(&rrf(60.0)));
    assert_eq!(page.iter().filter(|row| **row < 100).count(), 5, "{page:?}");
    assert!(page.contains(&100) && page.contains(&200), "{page:?}");
}

#[test]
fn texts_that_both_lists_find_rank_higher_than_those_of_one() {
    let lists = Lists {
        keyword: falling((100..110).chain([RIGHT]).chain(110..150), 10.0),
        text: falling((200..210).chain([RIGHT]).chain(210..250), 0.9),
        ..Lists::default()
    };
    for k in [0.0, 1.0, 60.0] {
        assert_eq!(first_ten(&lists.fuse(&rrf(k)))[0], RIGHT, "k = {k}");
    }
    assert_eq!(
        first_ten(&lists.fuse(&Fusion::new(Method::Linear, Weights::default()).unwrap()))[0],
        RIGHT
    );
}

#[test]
fn a_text_that_words_and_vectors_put_first_comes_before_an_image_with_a_word_of_the_query() {
    let picture = 0;
    let mut keyword = falling([RIGHT], 9.6);
    keyword.extend(falling([picture], 1.2));
    let lists = Lists {
        keyword,
        text: falling([RIGHT, 100, 101], 0.8),
        image: falling([picture, 1, 2], 0.5),
    };
    for fusion in [
        rrf(0.0),
        rrf(60.0),
        Fusion::new(Method::Linear, Weights::default()).unwrap(),
    ] {
        assert_eq!(
            first_ten(&lists.fuse(&fusion))[..2],
            [RIGHT, picture],
            "{fusion:?}"
        );
    }
}

#[test]
fn a_text_in_other_words_is_not_crowded_out() {
    let mut text = vec![RIGHT];
    text.extend(100..199);
    let lists = Lists {
        keyword: falling(100..200, 10.0),
        text: falling(text, 0.9),
        image: falling(0..100, 0.3),
    };
    for k in [0.0, 1.0, 60.0] {
        let page = first_ten(&lists.fuse(&rrf(k)));
        assert!(page.contains(&RIGHT), "k = {k}: {page:?}");
    }
}

#[test]
fn an_exact_code_is_first_regardless_of_its_vector() {
    let mut keyword = falling([RIGHT], 10.0);
    keyword.extend(falling(150..200, 5.0));
    for text in [
        falling(100..200, 0.4),
        falling((100..199).chain([RIGHT]), 0.4),
    ] {
        let lists = Lists {
            keyword: keyword.clone(),
            text,
            image: falling(0..100, 0.3),
        };
        for k in [0.0, 1.0, 60.0] {
            let page = first_ten(&lists.fuse(&rrf(k)));
            assert_eq!(page[0], RIGHT, "k = {k}: {page:?}");
        }
    }
}

#[test]
fn text_or_metadata_never_demote_an_image() {
    let mut image = vec![RIGHT];
    image.extend(0..99);
    let bare = Lists {
        image: falling(image, 0.3),
        text: falling(100..200, 0.9),
        keyword: falling(200..220, 10.0),
    };
    let place = |lists: &Lists| {
        let fused = lists.fuse(&rrf(60.0));
        fused.iter().position(|hit| hit.row.0 == RIGHT).unwrap()
    };
    let mut captioned = bare.clone();
    captioned.text.last_mut().unwrap().row = RowId(RIGHT);
    assert!(place(&captioned) <= place(&bare));
    captioned.keyword.last_mut().unwrap().row = RowId(RIGHT);
    assert!(place(&captioned) <= place(&bare));
}

#[test]
fn a_list_with_a_clear_answer_leaves_the_page_to_the_other() {
    let clear = |rows: std::ops::Range<u64>, best: f32| {
        let mut list = falling(rows, best);
        for hit in &mut list[1..] {
            hit.score = best * 0.4;
        }
        list
    };
    let lists = Lists {
        text: clear(100..200, 0.9),
        image: falling(0..100, 0.3),
        keyword: Vec::new(),
    };
    let page = first_ten(&lists.fuse(&rrf(60.0)));
    assert!(page.contains(&100));
    assert_eq!(page.iter().filter(|row| **row < 100).count(), 9, "{page:?}");
}

#[test]
fn weights_change_the_order() {
    let lists = Lists {
        image: falling(0..50, 0.3),
        text: falling(100..150, 0.9),
        keyword: falling(200..250, 10.0),
    };
    let only = |weights| {
        let fusion = Fusion::new(Method::Rrf { k: 60.0 }, weights).unwrap();
        lists.fuse(&fusion)
    };
    let pictures = only(Weights {
        image: 1.0,
        text: 0.0,
        keyword: 0.0,
    });
    assert_eq!(first_ten(&pictures), (0..10).collect::<Vec<_>>());
    assert_eq!(pictures.len(), 50);
    let texts = only(Weights {
        image: 0.1,
        text: 1.0,
        keyword: 0.1,
    });
    assert_eq!(texts[0].row, RowId(100));
}

#[test]
fn invalid_weights_are_refused() {
    let weights = Weights {
        image: -1.0,
        ..Weights::default()
    };
    assert_eq!(
        Fusion::new(Method::Linear, weights),
        Err(FusionError::Weight {
            list: ListKind::Image,
            weight: -1.0
        })
    );
    assert_eq!(
        Fusion::new(Method::Rrf { k: -2.0 }, Weights::default()),
        Err(FusionError::K(-2.0))
    );
    assert!(Fusion::new(Method::Rrf { k: f64::NAN }, Weights::default()).is_err());
}

#[test]
fn no_lists_fuse_to_no_hits() {
    assert!(Fusion::default().fuse(&[]).is_empty());
    assert!(Lists::default().fuse(&Fusion::default()).is_empty());
}

fn scored_list() -> impl Strategy<Value = Vec<Scored>> {
    let hit = (0u64..60, 0u16..40);
    proptest::collection::vec(hit, 0..70).prop_map(|hits| {
        let mut seen = BTreeSet::new();
        let mut list: Vec<Scored> = hits
            .into_iter()
            .filter(|(row, _)| seen.insert(*row))
            .map(|(row, score)| Scored {
                row: RowId(row),
                score: f32::from(score) / 4.0,
                passage: 0,
            })
            .collect();
        order(&mut list);
        list
    })
}

fn order(list: &mut [Scored]) {
    list.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
}

fn lists() -> impl Strategy<Value = Lists> {
    (scored_list(), scored_list(), scored_list()).prop_map(|(keyword, image, text)| Lists {
        keyword,
        image,
        text,
    })
}

fn fusions() -> impl Strategy<Value = Fusion> {
    let method = prop_oneof![
        (0.0f64..100.0).prop_map(|k| Method::Rrf { k }),
        Just(Method::Linear)
    ];
    let weight = || prop_oneof![Just(0.0f64), Just(1.0), 0.01f64..3.0];
    (method, weight(), weight(), weight()).prop_map(|(method, keyword, image, text)| {
        let weights = Weights {
            keyword,
            image,
            text,
        };
        Fusion::new(method, weights).unwrap()
    })
}

fn kind() -> impl Strategy<Value = ListKind> {
    prop_oneof![Just(KINDS[0]), Just(KINDS[1]), Just(KINDS[2])]
}

/// Rounding errors of scores that should be unchanged.
const ROUNDING: f64 = 1e-12;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn parts_add_up_and_order_is_determined(lists in lists(), fusion in fusions()) {
        let fused = lists.fuse(&fusion);
        for hit in &fused {
            let sum: f64 = hit.parts.iter().map(|part| part.contribution).sum();
            prop_assert_eq!(sum, hit.score);
            for part in &hit.parts {
                let listed = lists.of(part.list)[part.rank - 1];
                prop_assert_eq!((listed.row, listed.score), (hit.row, part.raw_score));
                prop_assert!(part.place >= 1.0);
            }
        }
        for pair in fused.windows(2) {
            let exactness = |hit: &Fused| {
                let keyword = hit.parts.iter().find(|part| part.list == ListKind::Keyword);
                keyword.map_or(0.25, |part| part.closeness)
            };
            let key = |hit: &Fused| (hit.score, exactness(hit));
            let tie_by_row = key(&pair[0]) == key(&pair[1]) && pair[0].row < pair[1].row;
            prop_assert!(key(&pair[0]) > key(&pair[1]) || tie_by_row);
        }
        let mut turned = KINDS.map(|kind| RankedList { kind, hits: lists.of(kind), full_score: 10.0 });
        turned.reverse();
        prop_assert_eq!(fusion.fuse(&turned), fused);
    }

    #[test]
    fn texts_alone_are_ordered_by_both_lists(keyword in scored_list(), text in scored_list(), k in 0.0f64..100.0) {
        let lists = Lists { keyword, text, ..Lists::default() };
        let fused = lists.fuse(&rrf(k));
        for (at, hit) in fused.iter().enumerate() {
            prop_assert!(hit.parts.iter().all(|part| part.place == (at + 1) as f64));
            let beats = |other: &&Fused| {
                other.parts.iter().all(|other| {
                    let own = hit.parts.iter().find(|part| part.list == other.list);
                    own.is_some_and(|own| own.raw_score > other.raw_score)
                })
            };
            prop_assert_eq!(fused[..at].iter().find(beats), None);
        }
    }

    #[test]
    fn a_better_rank_never_lowers_a_score(
        lists in lists(), fusion in fusions(), kind in kind(), at in any::<prop::sample::Index>()
    ) {
        prop_assume!(lists.of(kind).len() >= 2);
        let lower = 1 + at.index(lists.of(kind).len() - 1);
        let risen = lists.of(kind)[lower].row;
        let mut after = lists.clone();
        let list = after.of_mut(kind);
        let overtaken = list[lower - 1].row;
        list[lower - 1].row = risen;
        list[lower].row = overtaken;
        let before = score_of(&lists.fuse(&fusion), risen);
        prop_assert!(score_of(&after.fuse(&fusion), risen) >= before - ROUNDING);
    }

    #[test]
    fn one_more_list_never_lowers_a_score(
        lists in lists(), fusion in fusions(), kind in kind(), score in 0u16..60, row in 0u64..60
    ) {
        let row = RowId(row);
        let mut before = lists;
        before.of_mut(kind).retain(|hit| hit.row != row);
        // With the first image, texts begin to share the page.
        if kind == ListKind::Image && before.image.is_empty() {
            return Ok(());
        }
        // A new end of the text list would change what the others' scores are compared with.
        let end = before.of(kind).last().map_or(0.0, |hit| hit.score);
        let mut after = before.clone();
        let list = after.of_mut(kind);
        list.push(Scored { row, score: end + f32::from(score) / 4.0, passage: 0 });
        order(list);
        let score = score_of(&before.fuse(&fusion), row);
        prop_assert!(score_of(&after.fuse(&fusion), row) >= score - ROUNDING);
    }

    #[test]
    fn keywords_change_no_score_of_pictures_alone(lists in lists(), fusion in fusions(), other in scored_list()) {
        let mut after = lists.clone();
        after.keyword = other;
        let (before, after_fused) = (lists.fuse(&fusion), after.fuse(&fusion));
        for hit in lists.image.iter().map(|hit| hit.row) {
            let in_words = [&lists.keyword, &after.keyword, &lists.text]
                .iter()
                .any(|list| list.iter().any(|other| other.row == hit));
            if !in_words {
                prop_assert_eq!(score_of(&before, hit), score_of(&after_fused, hit));
            }
        }
    }
}
