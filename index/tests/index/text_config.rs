//! Analyzers by field, prefixes, misspelt words, boosts and highlights.

use std::collections::BTreeMap;

use clipdb_index::{
    Analyzer, CollectionIndex, Configuration, FieldTextConfig, KeywordHits, KeywordQuery, OwnedRow,
    TextConfig,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{DIM, Truth, metadata, written};

struct Shelf {
    index: CollectionIndex,
    _dir: TempDir,
}

fn shelf(text_config: TextConfig, documents: Vec<OwnedRow>) -> Shelf {
    let dir = TempDir::new().unwrap();
    let configuration = Configuration {
        text_config,
        ..Configuration::new(DIM)
    };
    let (index, _) = CollectionIndex::open(dir.path(), &configuration).unwrap();
    Truth::default().write(&index, &[], documents, 1);
    Shelf { index, _dir: dir }
}

fn by_default(analyzer: Analyzer) -> TextConfig {
    TextConfig {
        analyzer,
        ..TextConfig::default()
    }
}

fn with_fields(fields: &[(&str, Analyzer, f32)]) -> TextConfig {
    let fields = fields.iter().map(|(path, analyzer, boost)| {
        let text_config = FieldTextConfig {
            analyzer: *analyzer,
            boost: *boost,
        };
        ((*path).to_owned(), text_config)
    });
    TextConfig {
        analyzer: Analyzer::English,
        fields: fields.collect(),
    }
}

fn texts(texts: &[&str]) -> Vec<OwnedRow> {
    (1..)
        .zip(texts)
        .map(|(row, text)| written(row, text, json!({})))
        .collect()
}

impl Shelf {
    fn hits(&self, query: &KeywordQuery) -> KeywordHits {
        self.index.keyword(query, 50, None).unwrap()
    }

    fn find(&self, query: &str) -> Vec<u64> {
        let found = self.hits(&KeywordQuery::parse(query));
        assert_eq!(found.total, found.hits.len());
        found.hits.iter().map(|hit| hit.row.0).collect()
    }

    fn highlight(
        &self,
        query: &str,
        text: Option<&str>,
        fields: Value,
    ) -> BTreeMap<String, Vec<String>> {
        let found = self.hits(&KeywordQuery::parse(query));
        found.highlighter.highlight(text, &metadata(fields))
    }

    fn marked(&self, query: &str, text: &str) -> String {
        let mut all = self.highlight(query, Some(text), json!({}));
        all.remove("text")
            .map_or(String::new(), |of| of.join(" | "))
    }
}

#[test]
fn each_language_finds_its_own_forms() {
    for (analyzer, text, query) in [
        (Analyzer::German, "Die Häuser am Fluss", "Haus"),
        (Analyzer::German, "Das Haus am Fluss", "hauser"),
        (Analyzer::French, "Les chevaux de l'homme", "homme cheval"),
        (Analyzer::Spanish, "Las canciones españolas", "canción"),
        (Analyzer::Italian, "Gli amici dell'università", "universita"),
        (Analyzer::Portuguese, "As casas brancas", "casa"),
        (Analyzer::Dutch, "De katten slapen", "kat"),
        (Analyzer::Swedish, "Flickorna springer", "flicka"),
        (Analyzer::Danish, "Hundene løber", "hund"),
        (Analyzer::Norwegian, "Husene ved sjøen", "hus"),
        (Analyzer::Finnish, "Talossa asuu kissa", "talo"),
        (Analyzer::Hungarian, "A házak nagyok", "ház"),
        (Analyzer::Romanian, "Copiii se joacă", "copii"),
        (Analyzer::Russian, "Красивые кошки", "кошка"),
        (Analyzer::Turkish, "Evlerde kediler", "kedi"),
        (Analyzer::Greek, "Οι γάτες κοιμούνται", "γάτα"),
        (Analyzer::Arabic, "الكتاب", "كتاب"),
    ] {
        let found = shelf(by_default(analyzer), texts(&[text, "zzz"])).find(query);
        assert_eq!(found, [1], "{analyzer}: {query} in {text}");
    }
    let english = shelf(TextConfig::default(), texts(&["Die Häuser am Fluss"]));
    let strict = KeywordQuery::parse("Haus").with_typos(false);
    assert_eq!(english.hits(&strict).total, 0);
}

#[test]
fn stop_words_are_those_of_the_language() {
    let german = shelf(
        by_default(Analyzer::German),
        texts(&["Die Kartoffel und der Hund", "die und der"]),
    );
    assert_eq!(german.find("der Hund und die Katze"), [1]);
    let plain = shelf(by_default(Analyzer::Plain), texts(&["the cats", "the cat"]));
    assert_eq!(plain.find("cat"), [2]);
    assert_eq!(plain.find("the"), [1, 2]);
}

#[test]
fn queries_of_stop_words_work_with_a_field_of_another_analyzer() {
    let mut text_config = TextConfig::default();
    text_config.fields.insert(
        "sku".to_owned(),
        FieldTextConfig {
            analyzer: Analyzer::Exact,
            boost: 1.0,
        },
    );
    let shelf = shelf(text_config, texts(&["To be or not to be", "the potato"]));
    assert_eq!(shelf.find("to be or not to be"), [1]);
    assert_eq!(shelf.find("the"), [2]);
    assert_eq!(shelf.find("to be the potato"), [2]);
}

#[test]
fn letters_match_in_both_cases_and_with_separate_accents() {
    let strict = |query| KeywordQuery::parse(query).with_typos(false);
    for (analyzer, text, query) in [
        (Analyzer::Turkish, "İSTANBUL ILIK KIZ", "istanbul"),
        (Analyzer::Turkish, "istanbul ılık kız", "İstanbul"),
        (Analyzer::Turkish, "İSTANBUL ILIK KIZ", "kız"),
        (Analyzer::English, "İstanbul", "istanbul"),
        (Analyzer::English, "ΣΊΣΥΦΟΣ", "σίσυφος"),
        (Analyzer::Greek, "ΣΊΣΥΦΟΣ", "σίσυφος"),
        (Analyzer::English, "re\u{301}sume\u{301}", "résumé"),
        (Analyzer::Plain, "résumé", "re\u{301}sume\u{301}"),
    ] {
        let shelf = shelf(by_default(analyzer), texts(&[text, "zzz"]));
        let found = shelf.hits(&strict(query)).total;
        assert_eq!(found, 1, "{analyzer}: {query} in {text}");
    }
}

#[test]
fn chinese_and_japanese_are_split_into_words() {
    let chinese = shelf(
        by_default(Analyzer::Chinese),
        texts(&["北京大学生前来应聘", "我喜歡土豆 potato", "豆土"]),
    );
    assert_eq!(chinese.find("大学生"), [1]);
    assert_eq!(chinese.find("大学"), [1]);
    assert_eq!(
        chinese.find("土豆"),
        [2],
        "not a text that has the characters apart"
    );
    assert_eq!(chinese.find("\"北京大学生\""), [1]);
    assert_eq!(chinese.find("Potato"), [2]);
    assert_eq!(
        chinese.marked("土豆", "我喜歡土豆"),
        "我喜歡<mark>土豆</mark>"
    );
    let japanese = shelf(
        by_default(Analyzer::Japanese),
        texts(&["東京都に住んでいます", "京都の猫"]),
    );
    assert_eq!(japanese.find("東京都"), [1]);
    assert_eq!(japanese.find("猫"), [2]);
    assert_eq!(japanese.find("京都"), [2], "not within 東京都");
    let undeclared = shelf(TextConfig::default(), texts(&["豆土", "土豆"]));
    assert_eq!(
        undeclared.find("土豆"),
        [2, 1],
        "characters, together first"
    );
}

#[test]
fn a_field_uses_its_own_analyzer() {
    let text_config = with_fields(&[
        ("title", Analyzer::German, 1.0),
        ("sku", Analyzer::Exact, 1.0),
        ("maker.name", Analyzer::Plain, 1.0),
    ]);
    let shelf = shelf(
        text_config,
        vec![
            written(
                1,
                "houses",
                json!({"title": "Häuser", "sku": "AB-1234", "maker": {"name": "Cats"}}),
            ),
            written(2, "other", json!({"sku": "AB-12345", "tags": ["runs"]})),
            written(
                3,
                "nothing",
                json!({"sku": "AB", "maker": [{"name": "cat"}]}),
            ),
        ],
    );
    assert_eq!(shelf.find("Haus"), [1]);
    assert_eq!(shelf.find("title:haus"), [1]);
    assert_eq!(shelf.find("ab-1234"), [1], "the whole value or nothing");
    assert_eq!(shelf.find("+sku:AB-1234"), [1]);
    assert_eq!(shelf.find("sku:AB-12*"), [1, 2]);
    assert_eq!(shelf.find("+maker.name:cat"), [3]);
    assert_eq!(shelf.find("tags:running"), [2]);
    assert_eq!(shelf.find("running"), [2]);
    assert_eq!(shelf.find("houses -sku:ab-1234"), [] as [u64; 0]);
}

#[test]
fn a_boost_ranks_a_field_higher() {
    let documents = || {
        vec![
            written(1, "potato", json!({"title": "something else here"})),
            written(2, "something else here", json!({"title": "potato"})),
        ]
    };
    for (boost, first) in [(3.0, 2), (0.2, 1)] {
        let shelf = shelf(
            with_fields(&[("title", Analyzer::English, boost)]),
            documents(),
        );
        assert_eq!(shelf.find("potato")[0], first, "boost {boost}");
    }
}

#[test]
fn a_prefix_finds_words_that_begin_with_it() {
    let shelf = shelf(
        TextConfig::default(),
        vec![
            written(1, "A happy potato", json!({})),
            written(2, "Potassium is a metal", json!({"name": "AB-1234"})),
            written(3, "All universities of the universe", json!({})),
            written(4, "pot", json!({"name": "AB-1299"})),
            written(5, "The Café of generalizations", json!({})),
        ],
    );
    assert_eq!(shelf.find("pota*"), [1, 2]);
    assert_eq!(shelf.find("potat*"), [1]);
    assert_eq!(shelf.find("pot*"), [4, 1, 2], "the word itself first");
    assert_eq!(shelf.find("universit*"), [3], "as written, not as stemmed");
    assert_eq!(shelf.find("CAF*"), [5]);
    assert_eq!(shelf.find("generaliz*"), [5]);
    assert_eq!(shelf.find("+pota* +happy"), [1]);
    assert_eq!(shelf.find("happy metal -pota*"), [] as [u64; 0]);
    assert_eq!(shelf.find("name:AB-12*"), [2, 4]);
    assert_eq!(shelf.find("+name:AB-123*"), [2]);
    assert_eq!(shelf.find("zebr*"), [] as [u64; 0]);
    assert_eq!(shelf.find("*"), [] as [u64; 0]);
}

#[test]
fn an_unknown_word_finds_the_nearest_words() {
    let shelf = shelf(
        TextConfig::default(),
        vec![
            written(1, "A happy potato", json!({})),
            written(2, "university", json!({})),
            written(3, "cat", json!({})),
            written(4, "code AB1234 or 1234567", json!({})),
            written(5, "running", json!({})),
            written(6, "bread", json!({})),
            written(7, "dread", json!({})),
            written(8, "not some", json!({})),
        ],
    );
    for (typed, meant) in [
        ("potaot", 1),
        ("potto", 1),
        ("ptato", 1),
        ("potatoo", 1),
        ("univeristy", 2),
        ("univresitiy", 2),
        ("runnign", 5),
    ] {
        assert_eq!(shelf.find(typed), [meant], "{typed}");
    }
    for strict in [
        "cta",        // three letters
        "bat",        // three letters
        "botato",     // the first letter counts twice
        "pottoa",     // two typos in six letters
        "AB1235",     // a code
        "1234568",    // a number
        "\"potaot\"", // in quotes
        "+potaot",
        "note", // one letter from a stop word
    ] {
        assert_eq!(shelf.find(strict), [] as [u64; 0], "{strict}");
    }
    assert_eq!(shelf.find("bread"), [6], "what is there is what is meant");
    let off = KeywordQuery::parse("potaot").with_typos(false);
    assert_eq!(shelf.hits(&off).total, 0);
    let both = shelf.hits(&KeywordQuery::parse("happi potaot zebra"));
    assert_eq!(both.hits[0].row.0, 1);
    assert!(both.hits[0].score < both.full_score);
}

#[test]
fn the_written_word_ranks_above_a_correction() {
    let shelf = shelf(
        TextConfig::default(),
        texts(&[
            "a garden of roses",
            "a gardan of weeds and cabbages",
            "garten",
        ]),
    );
    // Rows 2 and 3 have words one letter away; row 1 has the word itself.
    assert_eq!(shelf.find("garden"), [1]);
    assert_eq!(shelf.find("gardxn"), [1, 2], "the nearest, here two alike");
    let found = shelf.hits(&KeywordQuery::parse("roses gardxn"));
    assert_eq!(found.hits[0].row.0, 1);
}

#[test]
fn highlights_mark_stems_phrases_prefixes_and_typos_in_escaped_text() {
    let shelf = shelf(
        TextConfig::default(),
        texts(&["Potatoes grow in happy gardens, as AB-1234 does"]),
    );
    let text = "Potatoes & <b>happy</b> gardens; 'AB-1234'";
    for (query, marked) in [
        (
            "potato",
            "<mark>Potatoes</mark> &amp; &lt;b&gt;happy&lt;/b&gt; gardens; &#39;AB-1234&#39;",
        ),
        (
            "gard*",
            "Potatoes &amp; &lt;b&gt;happy&lt;/b&gt; <mark>gardens</mark>; &#39;AB-1234&#39;",
        ),
        (
            "gradens",
            "Potatoes &amp; &lt;b&gt;happy&lt;/b&gt; <mark>gardens</mark>; &#39;AB-1234&#39;",
        ),
        (
            "AB-1234",
            "Potatoes &amp; &lt;b&gt;happy&lt;/b&gt; gardens; &#39;<mark>AB-1234</mark>&#39;",
        ),
        ("\"gardens happy\" +in", ""),
        (
            "potato:x grow",
            "<mark>Potatoes</mark> &amp; &lt;b&gt;happy&lt;/b&gt; gardens; &#39;AB-1234&#39;",
        ),
        ("grow -happy", ""),
        ("the", ""),
    ] {
        assert_eq!(shelf.marked(query, text), marked, "{query}");
    }
}

#[test]
fn highlights_have_the_path_of_the_metadata() {
    let shelf = shelf(
        with_fields(&[("title", Analyzer::German, 1.0)]),
        vec![written(
            1,
            "a house",
            json!({"title": "Häuser", "tags": ["a house", "garden", "houses"], "place": {"city": "House"}}),
        )],
    );
    let fields = json!({"title": "Alte Häuser", "tags": ["a house", "garden", "houses"], "place": {"city": "House"}});
    let found = shelf.highlight("house haus", Some("no match"), fields.clone());
    assert_eq!(
        found,
        BTreeMap::from([
            (
                "metadata.tags".to_owned(),
                vec![
                    "a <mark>house</mark>".to_owned(),
                    "<mark>houses</mark>".to_owned()
                ]
            ),
            (
                "metadata.place.city".to_owned(),
                vec!["<mark>House</mark>".to_owned()]
            ),
            (
                "metadata.title".to_owned(),
                vec!["Alte <mark>Häuser</mark>".to_owned()]
            ),
        ])
    );
    let in_field = shelf.highlight("tags:house", Some("a house"), fields);
    assert_eq!(in_field.keys().collect::<Vec<_>>(), ["metadata.tags"]);
}

#[test]
fn a_long_text_is_cut_around_its_best_words() {
    let shelf = shelf(TextConfig::default(), texts(&["potato zebra"]));
    let filler = "lorem ipsum dolor sit amet ".repeat(40);
    let text = format!("{filler}one potato {filler}the potato and the zebra met {filler}zebra");
    let found = shelf.highlight("potato zebra", Some(&text), json!({}));
    let fragments = &found["text"];
    assert_eq!(fragments.len(), 3);
    assert!(fragments.iter().any(|fragment| {
        fragment.contains("the <mark>potato</mark> and the <mark>zebra</mark> met")
    }));
    for fragment in fragments {
        assert!(fragment.len() < 400, "{fragment}");
        assert!(fragment.starts_with("… "), "{fragment}");
    }
    assert!(
        fragments[2].ends_with("<mark>zebra</mark>"),
        "{fragments:?}"
    );
    let chinese = shelf_of_chinese();
    let text = format!("{}土豆{}", "我喜歡".repeat(200), "猫".repeat(300));
    let found = chinese.highlight("土豆", Some(&text), json!({}));
    assert!(found["text"][0].contains("<mark>土豆</mark>"));
}

fn shelf_of_chinese() -> Shelf {
    shelf(by_default(Analyzer::Chinese), texts(&["土豆"]))
}

#[test]
fn another_configuration_is_another_index() {
    let dir = TempDir::new().unwrap();
    let configuration = |text_config| Configuration {
        text_config,
        ..Configuration::new(DIM)
    };
    let english = configuration(TextConfig::default());
    let (index, _) = CollectionIndex::open(dir.path(), &english).unwrap();
    Truth::default().write(&index, &[], texts(&["potato"]), 1);
    drop(index);
    let german = configuration(by_default(Analyzer::German));
    let (index, opened) = CollectionIndex::open(dir.path(), &german).unwrap();
    assert!(matches!(opened.words, clipdb_index::State::Empty { .. }));
    Truth::default().write(&index, &[], texts(&["Kartoffel"]), 1);
    drop(index);
    let (_, opened) = CollectionIndex::open(dir.path(), &german).unwrap();
    assert!(matches!(opened.words, clipdb_index::State::Loaded { .. }));
}

#[test]
fn analyzers_are_known_by_name() {
    for analyzer in Analyzer::ALL {
        assert_eq!(analyzer.name().parse(), Ok(analyzer));
    }
    let error = "klingon".parse::<Analyzer>().unwrap_err().to_string();
    assert!(
        error.contains("klingon") && error.contains("swedish"),
        "{error}"
    );
}
