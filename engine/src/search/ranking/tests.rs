use super::*;

fn scored(row: u64, score: f32) -> Scored {
    Scored {
        row: RowId(row),
        score,
        passage: 0,
    }
}

#[test]
fn one_list_keeps_its_own_scores() {
    let fused = single_list(ListKind::Image, &[scored(7, 0.75), scored(3, 0.5)]);
    let found: Vec<_> = fused.iter().map(|hit| (hit.row.0, hit.score)).collect();
    assert_eq!(found, [(7, 0.75), (3, 0.5)]);
    let ranks: Vec<_> = fused.iter().map(|hit| hit.parts[0].rank).collect();
    assert_eq!(ranks, [1, 2]);
}

#[test]
fn images_come_before_texts_and_a_document_counts_once() {
    let found = [
        (ListKind::Image, vec![scored(1, 0.9), scored(2, -0.5)]),
        (
            ListKind::Text,
            vec![scored(3, 1.0), scored(1, 0.8), scored(4, 0.0)],
        ),
    ];
    let fused = images_first(&found);
    let order: Vec<u64> = fused.iter().map(|hit| hit.row.0).collect();
    assert_eq!(order, [1, 2, 3, 4]);
    let scores: Vec<f64> = fused.iter().map(|hit| hit.score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!((scores[2] - 0.5).abs() < 1e-9, "(1 + 1) / 4");
    // The rank is the position in its own list, the place that among all hits.
    assert_eq!((fused[2].parts[0].rank, fused[2].parts[0].place), (1, 3.0));
}
