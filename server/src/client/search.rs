//! `clipdb search`: a query by text, an image or both.

use super::connection::Connection;
use super::{ClientError, ServerArguments, print_out};
use crate::table;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

#[derive(Debug, Args)]
pub struct SearchArguments {
    /// Text to search for
    #[arg(required_unless_present_any = ["image", "keywords"], value_name = "WORDS")]
    pub words: Vec<String>,

    /// Image to search for; combined with the text, if there is one
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,

    /// Search mode [default: hybrid if there is text]
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,

    /// Maximum number of hits
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N")]
    pub limit: u32,

    /// Query of the keyword search, if it differs from WORDS
    #[arg(long, value_name = "WORDS")]
    pub keywords: Option<String>,

    /// Kind of content to find [default: both; images first if only an image is searched for]
    #[arg(long, value_enum)]
    pub kinds: Option<Kinds>,

    /// Leave out hits that are less sure than this, from 0 to 1; 'auto' leaves out what is hardly
    /// related, 'none' nothing [default: auto for words by meaning, none for keywords and images]
    #[arg(long, value_name = "CONFIDENCE")]
    pub cutoff: Option<Cutoff>,

    /// Show the components of each score
    #[arg(long)]
    pub explain: bool,

    /// Print the server's response as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Vector and keyword search, fused
    Hybrid,
    /// Vector search only
    Vector,
    /// Keyword search only
    Keyword,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kinds {
    /// Documents with an image, by their image
    Images,
    /// Documents with a text, by their text
    Texts,
    /// Both
    Both,
}

/// Which hits are not sure enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cutoff {
    /// Those that are hardly related, and all if nothing matches.
    Auto,
    /// None.
    None,
    /// Those that are less sure.
    At(f32),
}

impl FromStr for Cutoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            number => match number.parse() {
                Ok(least) if (0.0..=1.0).contains(&least) => Ok(Self::At(least)),
                _ => Err("it must be 'auto', 'none' or a number from 0 to 1".to_owned()),
            },
        }
    }
}

#[derive(Deserialize)]
struct Response {
    hits: Vec<Hit>,
    #[serde(default)]
    no_match: bool,
    #[serde(default)]
    warnings: Vec<Warning>,
    took_ms: f64,
}

#[derive(Deserialize)]
struct Warning {
    detail: String,
}

#[derive(Deserialize)]
struct Hit {
    id: String,
    score: f64,
    confidence: Option<f64>,
    text: Option<String>,
    image: Option<String>,
    metadata: Option<Map<String, Value>>,
    explain: Option<Value>,
}

/// Sends the query and prints the hits.
///
/// # Errors
/// The image cannot be read, or the request fails.
pub fn run(arguments: &SearchArguments) -> Result<ExitCode, ClientError> {
    let query = query(arguments)?;
    let connection = Connection::open(&arguments.server)?;
    let response = connection.search(&query)?;
    let output = if arguments.json {
        format!("{response:#}\n")
    } else {
        let response =
            serde_json::from_value(response).map_err(|error| ClientError::NotClipdb {
                server: connection.server(),
                detail: format!("invalid response to a search: {error}"),
            })?;
        render(&response, connection.collection(), table::columns())
    };
    print_out(&output)?;
    Ok(ExitCode::SUCCESS)
}

/// The body of a search by image.
pub fn image_query(bytes: &[u8]) -> Value {
    json!({"image": {"base64": STANDARD.encode(bytes)}})
}

fn query(arguments: &SearchArguments) -> Result<Value, ClientError> {
    let words = arguments.words.join(" ");
    let words = (!words.is_empty()).then(|| json!({"text": words}));
    let image = match &arguments.image {
        Some(path) => Some(image_query(&std::fs::read(path).map_err(|source| {
            ClientError::Unreadable {
                path: path.clone(),
                source,
            }
        })?)),
        None => None,
    };
    let mut query = match (words, image) {
        (Some(words), Some(image)) => json!({"query": [words, image]}),
        (one, other) => one.or(other).unwrap_or_else(|| json!({})),
    };
    query["limit"] = json!(arguments.limit);
    let mode = arguments.mode.map(|mode| match mode {
        Mode::Hybrid => "hybrid",
        Mode::Vector => "vector",
        Mode::Keyword => "keyword",
    });
    if let Some(mode) = mode {
        query["mode"] = json!(mode);
    }
    let only = match arguments.kinds {
        Some(Kinds::Images) => Some("image"),
        Some(Kinds::Texts) => Some("text"),
        Some(Kinds::Both) => {
            query["targets"] = json!(["image", "text"]);
            None
        }
        None => None,
    };
    if let Some(only) = only {
        query["targets"] = json!([only]);
        // Words find documents of the other kind too.
        query["filter"] = json!({ format!("${only}"): true });
    }
    let by_meaning = !arguments.words.is_empty() && arguments.mode != Some(Mode::Keyword);
    let usual = if by_meaning {
        Cutoff::Auto
    } else {
        Cutoff::None
    };
    match arguments.cutoff.unwrap_or(usual) {
        Cutoff::Auto => query["cutoff"] = json!("auto"),
        Cutoff::At(least) => query["cutoff"] = json!(least),
        Cutoff::None => {}
    }
    if let Some(keywords) = &arguments.keywords {
        query["keywords"] = json!(keywords);
    }
    if arguments.explain {
        query["explain"] = json!(true);
    }
    Ok(query)
}

fn render(response: &Response, collection: &str, columns: usize) -> String {
    let warnings = response.warnings.iter();
    let warnings: String = warnings
        .map(|warning| format!("note: {}\n", warning.detail))
        .collect();
    if response.no_match {
        return format!(
            "{warnings}nothing in collection '{collection}' matches; --cutoff none shows what \
             comes closest\n"
        );
    }
    if response.hits.is_empty() {
        return format!("{warnings}nothing found in collection '{collection}'\n");
    }
    let row = |(place, hit): (usize, &Hit)| {
        [
            (place + 1).to_string(),
            format!("{:.4}", hit.score),
            hit.confidence.map_or_else(String::new, percent),
            if columns == usize::MAX {
                hit.id.clone()
            } else {
                table::fit(&hit.id, columns / 2)
            },
            content(hit),
        ]
    };
    let rows: Vec<_> = response.hits.iter().enumerate().map(row).collect();
    let table = table::render(["rank", "score", "sure", "id", "document"], &rows, columns);
    let mut lines = table.lines();
    let mut output = format!("{warnings}{}\n", lines.next().unwrap_or_default());
    for (line, hit) in lines.zip(&response.hits) {
        output += &format!("{line}\n");
        if let Some(explain) = &hit.explain {
            explain_lines(explain, 6, &mut output);
        }
    }
    output
        + &format!(
            "{} in {:.1} ms\n",
            count(response.hits.len()),
            response.took_ms
        )
}

/// A confidence in percent, with a digit more where it is small.
fn percent(confidence: f64) -> String {
    let percent = 100.0 * confidence;
    match percent < 9.5 {
        true => format!("{percent:.1}%"),
        false => format!("{percent:.0}%"),
    }
}

fn count(hits: usize) -> String {
    match hits {
        1 => "1 hit".to_owned(),
        many => format!("{many} hits"),
    }
}

/// The text of a hit, or its metadata if it has none; images are marked.
fn content(hit: &Hit) -> String {
    let words = match (&hit.text, &hit.metadata) {
        (Some(text), _) => text.clone(),
        (None, Some(metadata)) => metadata
            .iter()
            .map(|(key, value)| format!("{key}: {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        (None, None) => String::new(),
    };
    if hit.image.is_some() {
        format!("[image] {words}")
    } else {
        words
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let real = format!("{:.4}", number.as_f64().unwrap_or_default());
            real.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        other => other.to_string(),
    }
}

/// Appends the explanation of a hit, one line per object, indented below it.
fn explain_lines(value: &Value, indent: usize, output: &mut String) {
    let blank = " ".repeat(indent);
    match value {
        Value::Object(parts) => {
            let (nested, mut flat): (Vec<_>, Vec<_>) = parts
                .iter()
                .filter(|(_, part)| !part.is_null())
                .partition(|(_, part)| part.is_object() || part.is_array());
            // Names come before numbers.
            flat.sort_by_key(|(_, part)| !part.is_string());
            if !flat.is_empty() {
                let flat: Vec<_> = flat
                    .iter()
                    .map(|(key, part)| format!("{key} {}", plain(part)))
                    .collect();
                *output += &format!("{blank}{}\n", flat.join(", "));
            }
            for (_, part) in nested {
                explain_lines(part, indent + 2, output);
            }
        }
        Value::Array(parts) => {
            for part in parts {
                explain_lines(part, indent, output);
            }
        }
        flat => *output += &format!("{blank}{}\n", plain(flat)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        search: SearchArguments,
    }

    fn parse(words: &[&str]) -> SearchArguments {
        Command::try_parse_from([&["search"], words].concat())
            .unwrap()
            .search
    }

    #[test]
    fn words_need_no_quotes_and_options_are_in_the_query() {
        assert_eq!(
            query(&parse(&["a", "happy potato"])).unwrap(),
            json!({"text": "a happy potato", "limit": 10, "cutoff": "auto"})
        );
        let all = [
            "x",
            "-n",
            "3",
            "--mode",
            "keyword",
            "--keywords",
            "+y",
            "--explain",
            "--kinds",
            "images",
            "--cutoff",
            "0.5",
        ];
        assert_eq!(
            query(&parse(&all)).unwrap(),
            json!({
                "text": "x", "limit": 3, "mode": "keyword", "keywords": "+y", "explain": true,
                "targets": ["image"], "filter": {"$image": true}, "cutoff": 0.5
            })
        );
        let all = query(&parse(&["x", "--cutoff", "none"])).unwrap();
        assert_eq!(all, json!({"text": "x", "limit": 10}));
        assert!(Command::try_parse_from(["search", "x", "--cutoff", "2"]).is_err());
        assert!(Command::try_parse_from(["search"]).is_err());
    }

    #[test]
    fn an_image_is_sent_as_base64_and_combined_with_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"bytes").unwrap();
        let path = file.path().to_str().unwrap();
        let image = json!({"base64": "Ynl0ZXM="});
        assert_eq!(
            query(&parse(&["--image", path])).unwrap(),
            json!({"image": image, "limit": 10})
        );
        assert_eq!(
            query(&parse(&["red", "--image", path])).unwrap(),
            json!({"query": [{"text": "red"}, {"image": image}], "limit": 10, "cutoff": "auto"})
        );
        assert!(matches!(
            query(&parse(&["--image", "/absent.png"])),
            Err(ClientError::Unreadable { .. })
        ));
    }

    #[test]
    fn hits_are_printed_in_one_line_each_with_their_explanation_below() {
        let response = serde_json::from_value(json!({
            "took_ms": 12.34,
            "hits": [
                {"id": "emoji/potato", "score": 0.03279, "confidence": 0.876, "text": null, "image": "/x", "metadata": {"group": "food", "name": "potato"},
                 "explain": {"score": 0.03279, "parts": [{"contribution": 0.03279, "list": "image", "rank": 1, "weight": 1.0}]}},
                {"id": "novel:4", "score": 0.5, "confidence": 0.0123, "text": "A very long sentence on excellent boiled potatoes.", "image": null, "metadata": {}},
            ]
        }))
        .unwrap();
        assert_eq!(
            render(&response, "default", 60),
            "rank  score   sure  id            document\n\
             1     0.0328  88%   emoji/potato  [image] group: food, name…\n      \
             score 0.0328\n        list image, contribution 0.0328, rank 1, weight 1\n\
             2     0.5000  1.2%  novel:4       A very long sentence on e…\n\
             2 hits in 12.3 ms\n"
        );
    }

    #[test]
    fn a_query_that_nothing_matches_is_answered_in_a_sentence_after_the_warnings() {
        let response = serde_json::from_value(json!({
            "took_ms": 1.0, "hits": [], "no_match": true,
            "warnings": [{"code": "unreadable_query", "detail": "the model reads no Han"}]
        }))
        .unwrap();
        assert_eq!(
            render(&response, "default", 60),
            "note: the model reads no Han\n\
             nothing in collection 'default' matches; --cutoff none shows what comes closest\n"
        );
    }
}
