//! Text tables that fit the terminal.

use console::{Term, measure_text_width, truncate_str};
use std::borrow::Cow;

/// The width of the terminal in columns. Unlimited if standard output is a pipe or a file: a program
/// that reads the output needs complete ids.
pub fn columns() -> usize {
    Term::stdout()
        .size_checked()
        .map_or(usize::MAX, |(_, columns)| usize::from(columns))
}

/// One line of at most `width` columns. Each run of white space and control characters becomes one
/// space; a longer text is cut and ends in an ellipsis. Wide characters (Chinese, emoji) count as two
/// columns.
pub fn fit(text: &str, width: usize) -> String {
    let blank: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let line = blank.split_whitespace().collect::<Vec<_>>().join(" ");
    truncate_str(&line, width, "…").into_owned()
}

/// A table with a header. Columns are as wide as their widest cell; the last column takes the rest of
/// `width`.
pub fn render<const N: usize>(header: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let mut widths = header.map(measure_text_width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(measure_text_width(cell));
        }
    }
    let before: usize = widths.iter().take(N - 1).map(|width| width + 2).sum();
    let line = |cells: [Cow<'_, str>; N]| {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if column + 1 == N {
                line += cell;
            } else {
                line += cell;
                line += &" ".repeat(width - measure_text_width(cell) + 2);
            }
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut table = line(header.map(Cow::from));
    for row in rows {
        let mut cells = row.each_ref().map(|cell| Cow::from(cell.as_str()));
        if let Some(last) = cells.last_mut() {
            *last = fit(last, width.saturating_sub(before).max(20)).into();
        }
        table += &line(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line_of_at_most_the_given_width() {
        assert_eq!(fit("two\n\t lines\u{1b}[31m", 40), "two lines [31m");
        assert_eq!(fit("a happy potato", 8), "a happy…");
        assert_eq!(measure_text_width(&fit("土豆很开心今天", 8)), 7);
    }

    #[test]
    fn columns_line_up_under_their_header() {
        let rows = [
            [
                "1".to_owned(),
                "土豆".to_owned(),
                "long words that are cut".to_owned(),
            ],
            ["10".to_owned(), "potato".to_owned(), String::new()],
        ];
        assert_eq!(
            render(["rank", "id", "what"], &rows, 34),
            "rank  id      what\n1     土豆    long words that are…\n10    potato\n"
        );
    }
}
