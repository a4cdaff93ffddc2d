//! The time of filters, facets and sorting: `filter_speed [ROWS] [FOLDER]`.

use std::path::PathBuf;
use std::time::Instant;

use clipdb_index::{
    CollectionIndex, Configuration, Fields, Filter, Order, OwnedRow, Point, Row, RowId, RowSet,
};
use serde_json::{Map, Value, json};

const RUNS: usize = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let kept = arguments.next().map(PathBuf::from);
    let folder = kept.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("filter-speed-{}", std::process::id()))
    });
    let (index, _) = CollectionIndex::open(&folder, &Configuration::new(8))?;
    let clock = Instant::now();
    let mut next = index.documents() as u64;
    while next < count {
        let rows: Vec<OwnedRow> = (next..count.min(next + 5_000)).map(document).collect();
        let borrowed: Vec<Row<'_>> = rows.iter().map(OwnedRow::as_row).collect();
        next += rows.len() as u64;
        index.apply(&[], &borrowed, next)?;
    }
    let sizes = index.statistics()?;
    println!(
        "{count} documents in {:.0} s, {} segments, {} bytes of tantivy a document\n",
        clock.elapsed().as_secs_f64(),
        sizes.keyword_segments,
        sizes.keyword_disk_bytes / count
    );
    println!("| question | answer | median ms |\n| --- | --- | --- |");
    for filter in [
        json!({"half": true}),
        json!({"year": {"$gte": 2020}}),
        json!({"serial": {"$gte": 1000, "$lt": 2000}}),
        json!({"price": {"$lt": 10.5}}),
        json!({"tags": "t7"}),
        json!({"tags": {"$in": ["t1", "t3", "t5", "t7", "t9", "t11"]}}),
        json!({"name": {"$contains": "999"}}),
        json!({"$id": {"$in": ["d5", "d500", "d5000"]}}),
        json!({"half": true, "year": 2003, "tags": {"$ne": "t7"}}),
        json!({"$or": [{"year": 2001}, {"$not": {"tags": {"$exists": true}}}]}),
        json!({"place": {"$geo_radius": {"lat": 45.0, "lon": 5.0, "radius_m": 50000}}}),
    ] {
        let parsed = Filter::parse(&filter, &Fields::default())?;
        let (found, took) = timed_after(
            // A commit, which invalidates cached results.
            || Ok(index.apply(&[], &[], count)?),
            || Ok(index.select(&parsed)?.len()),
        )?;
        println!("| `{filter}` | {found} | {took:.2} |");
    }
    let half = index.select(&Filter::parse(&json!({"half": true}), &Fields::default())?)?;
    let few = index.select(&Filter::parse(
        &json!({"serial": {"$lt": 1000}}),
        &Fields::default(),
    )?)?;
    let sets: [(&str, Option<&RowSet>); 3] =
        [("all", None), ("half", Some(&half)), ("1000", Some(&few))];
    for (name, rows) in sets {
        let print_row = |what: &str, took: f64| println!("| {what} of {name} | | {took:.2} |");
        let facet = |field: &str| counted(&index, rows, field);
        print_row("facet `year` (25 values)", facet("year")?);
        print_row("facet `tags` (50 values)", facet("tags")?);
        print_row("facet `serial` (all different)", facet("serial")?);
        let sort = |order: Order| -> Result<f64, Box<dyn std::error::Error>> {
            Ok(timed(|| Ok(index.ordered(rows, &order, None, 10)?.len()))?.1)
        };
        print_row("ten by `-year`", sort(Order::default().descending("year"))?);
        print_row(
            "ten by `serial`",
            sort(Order::default().ascending("serial"))?,
        );
        let here = Point {
            lat: 45.0,
            lon: 5.0,
        };
        print_row(
            "ten by distance",
            sort(Order::default().near("place", here))?,
        );
    }
    if kept.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn counted(
    index: &CollectionIndex,
    rows: Option<&RowSet>,
    field: &str,
) -> Result<f64, Box<dyn std::error::Error>> {
    let fields = [(field.to_owned(), 20)];
    Ok(timed(|| Ok(index.facets(rows, &fields)?.facets.len()))?.1)
}

fn document(row: u64) -> OwnedRow {
    // A deterministic pseudorandom number.
    let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let metadata = json!({
        "half": mixed.is_multiple_of(2),
        "year": 2000 + mixed % 25,
        "serial": row,
        "price": (mixed % 1_000_000) as f64 / 100.0,
        "name": format!("name {}", mixed % 1_000_000),
        "tags": [format!("t{}", mixed % 50), format!("t{}", mixed / 7 % 50)],
        "place": {"lat": (mixed % 18_000) as f64 / 100.0 - 90.0, "lon": (mixed / 3 % 36_000) as f64 / 100.0 - 180.0},
    });
    OwnedRow {
        id: RowId(row),
        document: format!("d{row}"),
        text: None,
        metadata: match metadata {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        },
        vectors: Vec::new(),
    }
}

/// The result, and the median of the milliseconds.
fn timed(
    work: impl Fn() -> Result<usize, Box<dyn std::error::Error>>,
) -> Result<(usize, f64), Box<dyn std::error::Error>> {
    timed_after(|| Ok(()), work)
}

/// Like [`timed`], with a preparation that is not timed.
fn timed_after(
    before: impl Fn() -> Result<(), Box<dyn std::error::Error>>,
    work: impl Fn() -> Result<usize, Box<dyn std::error::Error>>,
) -> Result<(usize, f64), Box<dyn std::error::Error>> {
    let mut answer = work()?;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        before()?;
        let clock = Instant::now();
        answer = work()?;
        times.push(clock.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok((answer, times[RUNS / 2]))
}
