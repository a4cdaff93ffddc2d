//! Test collections of information retrieval in the form that TREC distributes, and the measures
//! that are customary for them.
//!
//! - **documents**: `<DOC>` elements with a `<DOCNO>`; every other element's text is the document.
//! - **topics**: `<top>` elements with a `<num>` and a `<title>`, whose end tags may be missing.
//! - **judgments**: lines `TOPIC 0 DOCUMENT GRADE`.

use std::collections::HashMap;

/// A collection with its questions and judgments.
#[derive(Debug, Default)]
pub struct TestCollection {
    /// Documents that have a text, in the order of their file.
    pub documents: Vec<Document>,
    /// Topics that have at least one relevant document, in the order of their file.
    pub topics: Vec<Topic>,
}

#[derive(Debug, PartialEq)]
pub struct Document {
    pub id: String,
    pub text: String,
}

#[derive(Debug, PartialEq)]
pub struct Topic {
    pub number: String,
    pub title: String,
    /// The positive grades by document.
    pub grades: HashMap<String, u32>,
}

/// How topics are numbered in the judgments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// By their `<num>`.
    Named,
    /// From 1, in the order of their file, whatever their `<num>` is (Cranfield).
    Counted,
}

impl TestCollection {
    /// Reads the three files.
    pub fn read(documents: &str, topics: &str, judgments: &str, numbering: Numbering) -> Self {
        let mut grades = read_judgments(judgments);
        let topics = elements(topics, "top")
            .enumerate()
            .filter_map(|(index, topic)| {
                let number = match numbering {
                    Numbering::Named => {
                        let number = field(topic, "num")?.trim();
                        number.trim_start_matches("Number:").trim().to_owned()
                    }
                    Numbering::Counted => (index + 1).to_string(),
                };
                Some(Topic {
                    title: plain(field(topic, "title")?),
                    grades: grades.remove(&number)?,
                    number,
                })
            });
        Self {
            documents: elements(documents, "doc")
                .filter_map(read_document)
                .collect(),
            topics: topics.collect(),
        }
    }
}

/// The normalised discounted cumulative gain of the first ten, with the grade as the gain
/// (Järvelin and Kekäläinen 2002, as `trec_eval`'s `ndcg_cut_10` computes it).
pub fn ndcg_at_10(ranking: &[String], grades: &HashMap<String, u32>) -> f64 {
    let gain = |(position, grade): (usize, u32)| f64::from(grade) / (position as f64 + 2.0).log2();
    let found = ranking
        .iter()
        .take(10)
        .map(|id| grades.get(id).copied().unwrap_or(0));
    let mut best: Vec<u32> = grades.values().copied().collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    let ideal: f64 = best.into_iter().take(10).enumerate().map(gain).sum();
    found.enumerate().map(gain).sum::<f64>() / ideal
}

/// The proportion of the relevant documents among the first hundred.
pub fn recall_at_100(ranking: &[String], grades: &HashMap<String, u32>) -> f64 {
    let found = ranking
        .iter()
        .take(100)
        .filter(|id| grades.contains_key(*id));
    found.count() as f64 / grades.len() as f64
}

fn read_judgments(text: &str) -> HashMap<String, HashMap<String, u32>> {
    let mut grades: HashMap<String, HashMap<String, u32>> = HashMap::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [topic, _, document, grade] = fields[..] else {
            panic!(
                "judgments, line {}: not `TOPIC 0 DOCUMENT GRADE`: {line}",
                number + 1
            );
        };
        let grade: i32 = grade
            .parse()
            .unwrap_or_else(|error| panic!("judgments, line {}: {grade}: {error}", number + 1));
        if let Ok(grade @ 1..) = u32::try_from(grade) {
            grades
                .entry(topic.to_owned())
                .or_default()
                .insert(document.to_owned(), grade);
        }
    }
    grades
}

fn read_document(element: &str) -> Option<Document> {
    let id = field(element, "docno")?.trim();
    let after = element.split_once(id)?.1;
    let text = plain(after);
    (!text.is_empty()).then(|| Document {
        id: id.to_owned(),
        text,
    })
}

/// The contents of each element of this name, in any case of letters.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let lower = text.to_ascii_lowercase();
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + lower[at..].find(&open)? + open.len();
        let end = begin + lower[begin..].find(&close)?;
        at = end + close.len();
        Some(&text[begin..end])
    })
}

/// The text after a tag, up to the next tag: `<num> Number: 3` has no end tag in TREC's topics.
fn field<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let open = format!("<{name}>");
    let begin = element.to_ascii_lowercase().find(&open)? + open.len();
    element[begin..].split('<').next()
}

/// Text without tags and entities, with single spaces.
fn plain(markup: &str) -> String {
    let mut text = String::new();
    for (index, piece) in markup.split('<').enumerate() {
        let piece = if index == 0 {
            piece
        } else {
            piece.split_once('>').map_or("", |(_, text)| text)
        };
        text.push_str(piece);
        text.push(' ');
    }
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"");
    let text = text.replace("&apos;", "'").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: &str = "<DOC>\n<DOCNO> a-1 </DOCNO>\n<TITLE>Wings</TITLE><TEXT>in a\nslip &amp; stream</TEXT></DOC>
        <doc><docno>2</docno><text></text></doc><doc><docno>3</docno><text>heat</text></doc>";
    const TOPICS: &str = "<top>\n<num> Number: 7\n<title> what of wings\n<desc> more </top>
        <top><num>9</num><title>heat</title></top>";

    #[test]
    fn documents_topics_and_judgments_are_read() {
        let read =
            TestCollection::read(DOCUMENTS, TOPICS, "7 0 a-1 2\n7 0 3 -1\n", Numbering::Named);
        assert_eq!(
            read.documents,
            [("a-1", "Wings in a slip & stream"), ("3", "heat")].map(|(id, text)| Document {
                id: id.into(),
                text: text.into()
            })
        );
        let wings = Topic {
            number: "7".into(),
            title: "what of wings".into(),
            grades: HashMap::from([("a-1".into(), 2)]),
        };
        assert_eq!(read.topics, [wings]);
    }

    #[test]
    fn topics_can_be_counted() {
        let read = TestCollection::read(DOCUMENTS, TOPICS, "2 0 3 1\n", Numbering::Counted);
        assert_eq!(read.topics.len(), 1);
        assert_eq!(
            (
                read.topics[0].number.as_str(),
                read.topics[0].title.as_str()
            ),
            ("2", "heat")
        );
    }

    #[test]
    fn the_measures_agree_with_values_computed_by_hand() {
        let grades = HashMap::from([
            ("a".to_owned(), 2),
            ("b".to_owned(), 1),
            ("c".to_owned(), 1),
        ]);
        let ranking = ["x", "a", "b"].map(str::to_owned);
        // (2 / log2(3) + 1 / log2(4)) / (2 / log2(2) + 1 / log2(3) + 1 / log2(4))
        assert!((ndcg_at_10(&ranking, &grades) - 0.562_73).abs() < 1e-5);
        assert!((recall_at_100(&ranking, &grades) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(ndcg_at_10(&[], &grades), 0.0);
    }
}
