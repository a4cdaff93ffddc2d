//! Words of all scripts: equal-looking texts and spelling variants match each other.

use clipdb_index::{
    Analyzer, CollectionIndex, Configuration, FieldTextConfig, KeywordQuery, OwnedRow, TextConfig,
};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{DIM, Truth, metadata, written};

struct Shelf {
    index: CollectionIndex,
    _dir: TempDir,
}

fn shelf(analyzer: Analyzer, documents: Vec<OwnedRow>) -> Shelf {
    let text_config = TextConfig {
        analyzer,
        ..TextConfig::default()
    };
    read_as(text_config, documents)
}

fn read_as(text_config: TextConfig, documents: Vec<OwnedRow>) -> Shelf {
    let dir = TempDir::new().unwrap();
    let configuration = Configuration {
        text_config,
        ..Configuration::new(DIM)
    };
    let (index, _) = CollectionIndex::open(dir.path(), &configuration).unwrap();
    Truth::default().write(&index, &[], documents, 1);
    Shelf { index, _dir: dir }
}

fn texts(analyzer: Analyzer, texts: &[&str]) -> Shelf {
    let rows = (1..).zip(texts);
    shelf(
        analyzer,
        rows.map(|(row, text)| written(row, text, json!({})))
            .collect(),
    )
}

impl Shelf {
    /// Searches without correcting typos.
    fn find(&self, query: &str) -> Vec<u64> {
        let query = KeywordQuery::parse(query).with_typos(false);
        let found = self.index.keyword(&query, 50, None).unwrap();
        found.hits.iter().map(|hit| hit.row.0).collect()
    }

    fn found(&self, query: &str) -> Vec<u64> {
        let mut rows = self.find(query);
        rows.sort_unstable();
        rows
    }

    fn marked(&self, query: &str, text: &str) -> String {
        let found = self
            .index
            .keyword(&KeywordQuery::parse(query), 50, None)
            .unwrap();
        let mut all = found
            .highlighter
            .highlight(Some(text), &metadata(json!({})));
        all.remove("text")
            .map_or(String::new(), |of| of.join(" | "))
    }
}

/// The analyzers that ignore accents, and one of another language.
const ANALYZERS: [Analyzer; 5] = [
    Analyzer::English,
    Analyzer::German,
    Analyzer::Plain,
    Analyzer::Chinese,
    Analyzer::Japanese,
];

/// Asserts that each text finds the other.
fn alike(analyzer: Analyzer, one: &str, other: &str) {
    let shelf = texts(
        analyzer,
        &[&format!("see {one} there"), &format!("see {other} there")],
    );
    for query in [one, other] {
        assert_eq!(
            shelf.found(query),
            [1, 2],
            "{analyzer}: {query} of {one} {other}"
        );
        let must = format!("+\"{query}\"");
        assert_eq!(
            shelf.found(&must),
            [1, 2],
            "{analyzer}: {must} of {one} {other}"
        );
    }
}

#[test]
fn forms_of_unicode_are_equal() {
    for analyzer in ANALYZERS {
        for (one, other) in [
            ("re\u{301}sume\u{301}", "résumé"),
            ("Zu\u{308}rich", "Zürich"),
            ("ＡＢＣ１２３", "abc123"),
            ("e\u{fb03}cient", "efficient"),
            ("ſtraſſe", "strasse"),
            ("и\u{306}од", "йод"),
            ("Ⅷ", "VIII"),
            ("m²", "m2"),
            ("𝓗𝓮𝓵𝓵𝓸", "hello"),
        ] {
            alike(analyzer, one, other);
        }
    }
    for (one, other) in [
        ("ｶﾞｰﾃﾞﾝ", "ガーデン"),
        ("\u{1112}\u{1161}\u{11ab}", "한"),
        ("か\u{3099}", "が"),
    ] {
        alike(Analyzer::English, one, other);
    }
}

#[test]
fn invisible_characters_split_no_word() {
    for analyzer in ANALYZERS {
        for character in [
            '\u{ad}', '\u{2060}', '\u{feff}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}',
            '\u{200b}', '\u{2063}', '\u{34f}', '\u{61c}', '\u{202a}', '\u{fe0f}',
        ] {
            let hidden = format!("Ge{character}samt{character}kon{character}zept");
            alike(analyzer, &hidden, "Gesamtkonzept");
        }
    }
    let shelf = texts(Analyzer::English, &["Gesamt\u{ad}konzept"]);
    assert_eq!(shelf.found("gesamt\u{ad}ko*"), [1]);
    assert_eq!(
        shelf.marked("gesamtkonzept", "das Gesamt\u{ad}konzept da"),
        "das <mark>Gesamt\u{ad}konzept</mark> da"
    );
}

#[test]
fn spelling_variants_of_letters_are_equal() {
    for analyzer in [Analyzer::English, Analyzer::Plain, Analyzer::German] {
        for (one, other) in [
            ("STRASSE", "Straße"),
            ("ещё", "еще"),
            ("за\u{301}мок", "замок"),
            ("ΟΔΟΣ", "οδός"),
            ("οδος", "οδός"),
            ("İstanbul", "istanbul"),
            ("ıstanbul", "istanbul"),
            ("תִּקּוּן", "תקון"),
            ("צה״ל", "צה\u{5f4}ל"),
            ("كَتَبَ", "كتب"),
            ("محـــمد", "محمد"),
            ("أحمد", "احمد"),
            ("مدرسة", "مدرسه"),
            ("على", "علي"),
            ("مسؤول", "مسوول"),
            ("کتاب", "كتاب"),
            ("فارسی", "فارسي"),
            ("هندوستاں٣", "هندوستاں3"),
            ("फ़िल्म", "फिल्म"),
            ("चाँद", "चांद"),
            ("don’t", "don't"),
            ("пʼять", "п'ять"),
            ("Hawaiʻi", "Hawai'i"),
            ("col·lecció", "collecció"),
            ("٣٤५६", "3456"),
        ] {
            alike(analyzer, one, other);
        }
    }
    for (analyzer, one, other) in [
        (Analyzer::Arabic, "كَتَبَ", "كتب"),
        (Analyzer::Arabic, "الأحمر", "الاحمر"),
        (Analyzer::Arabic, "المدرسة", "المدرسه"),
        (Analyzer::Arabic, "کتابي", "كتابي"),
        (Analyzer::Russian, "Ёлка", "елка"),
        (Analyzer::Greek, "ΣΊΣΥΦΟΣ", "σισυφος"),
        (Analyzer::Turkish, "DİYARBAKIR", "diyarbakır"),
        (Analyzer::German, "Müller", "Mueller"),
        (Analyzer::German, "Straße", "Strasse"),
        (Analyzer::Danish, "Århus", "Aarhus"),
        (Analyzer::Swedish, "Færøerne", "Färöerne"),
        (Analyzer::French, "œuvre", "oeuvre"),
        (Analyzer::English, "Ærø", "aero"),
    ] {
        alike(analyzer, one, other);
    }
    let german = texts(Analyzer::German, &["neue Quelle", "Pot", "Poet"]);
    assert_eq!(german.found("neu"), [1], "not 'neü'");
    assert_eq!(german.found("quelle"), [1]);
}

#[test]
fn file_names_are_analyzed_like_texts() {
    for analyzer in [Analyzer::English, Analyzer::Plain] {
        let shelf = shelf(
            analyzer,
            vec![
                written(
                    1,
                    "",
                    json!({"filename": "Cafe\u{301}_Zu\u{308}rich_2034.jpg"}),
                ),
                written(2, "", json!({"filename": "IMG_2034.JPG"})),
                written(3, "", json!({"filename": "my-holiday (1).png"})),
                written(
                    4,
                    "",
                    json!({"filename": "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}.txt"}),
                ),
            ],
        );
        assert_eq!(shelf.found("café"), [1]);
        assert_eq!(shelf.found("zurich"), [1]);
        assert_eq!(shelf.found("img"), [2]);
        assert_eq!(shelf.found("2034"), [1, 2]);
        assert_eq!(shelf.find("IMG_2034.jpg")[0], 2);
        assert_eq!(shelf.found("+filename:\"Café_Zürich_2034.jpg\""), [1]);
        assert_eq!(shelf.found("myholiday"), [3]);
        assert_eq!(shelf.found("\"한글\""), [4]);
    }
    let mut text_config = TextConfig::default();
    let exact = FieldTextConfig {
        analyzer: Analyzer::Exact,
        boost: 1.0,
    };
    text_config.fields.insert("filename".to_owned(), exact);
    let shelf = read_as(
        text_config,
        vec![
            written(1, "", json!({"filename": "Cafe\u{301} Straße\u{200e}.JPG"})),
            written(2, "", json!({"filename": "Cafe Strasse.jpg"})),
        ],
    );
    assert_eq!(shelf.found("+filename:\"café strasse.jpg\""), [1]);
    assert_eq!(
        shelf.found("+filename:\"cafe straße.jpg\""),
        [2],
        "accents count there"
    );
}

#[test]
fn scripts_without_spaces_are_split_into_words() {
    for (text, word) in [
        ("เขากำลังกินข้าวที่บ้าน", "ข้าว"),
        ("เขากำลังกินข้าวที่บ้าน", "บ้าน"),
        ("นักวิทยาศาสตร์ชาวไทยค้นพบสมุนไพร", "สมุนไพร"),
        ("ข้าพเจ้าดื่มน้ำเย็น", "น\u{e49}\u{e4d}\u{e32}"),
        ("ຂ້ອຍກິນເຂົ້າຢູ່ເຮືອນ", "ເຂົ້າ"),
        ("ភាសាខ្មែរនៅកម្ពុជា", "ខ្មែរ"),
        ("မြန်မာဘာသာစကား", "ဘာသာ"),
        ("ကျွန်တော်ထမင်းစားတယ်", "ထမင်း"),
    ] {
        for analyzer in ANALYZERS {
            let shelf = texts(analyzer, &[text, "something else"]);
            assert_eq!(shelf.found(word), [1], "{analyzer}: {word} in {text}");
            assert_eq!(
                shelf.found(&format!("+\"{word}\"")),
                [1],
                "{analyzer}: {word} in {text}"
            );
            assert_eq!(shelf.found(text), [1], "{analyzer}: {text}");
        }
    }
    let thai = "เขากำลังกินข้าวที่บ้าน";
    let shelf = texts(Analyzer::English, &[thai, "บ้านที่กิน"]);
    assert_eq!(shelf.marked("ข้าว", thai), "เขากำลังกิน<mark>ข้าว</mark>ที่บ้าน");
    assert_eq!(shelf.found("\"กินข้าว\""), [1], "words in their order");
    let mixed = texts(Analyzer::English, &["ซื้อiPhone15ที่Siamพารากอน ๒๕๖๗"]);
    assert_eq!(mixed.found("iphone15"), [1]);
    assert_eq!(mixed.found("siam"), [1]);
    assert_eq!(mixed.found("2567"), [1]);
}

#[test]
fn marks_of_indic_scripts_are_part_of_a_word() {
    let shelf = texts(
        Analyzer::English,
        &["वह हिन्दी में लिखता है", "தமிழ் மொழி", "বাংলা ভাষা", "మాతృభాష"],
    );
    assert_eq!(shelf.found("हिन्दी"), [1]);
    assert_eq!(
        shelf.found("न"),
        [] as [u64; 0],
        "no word was cut at its marks"
    );
    assert_eq!(shelf.found("தமிழ்"), [2]);
    assert_eq!(shelf.found("ভাষা"), [3]);
    assert_eq!(shelf.found("మాతృభాష"), [4]);
    assert_eq!(shelf.found("हिन्*"), [1]);
}

#[test]
fn signs_make_words() {
    for analyzer in ANALYZERS {
        let shelf = texts(
            analyzer,
            &[
                "Vitamin C tablets",
                "Senior C# developer",
                "Senior C++ developer",
                "F# and .NET in Notepad++",
                "a fishing net and a notepad",
                "Disney+ is dear, C++11 is old",
                "Ｃ＋＋ in wide letters",
                "the sonata in C♯ minor",
            ],
        );
        assert_eq!(shelf.found("C++"), [3, 6, 7], "{analyzer}");
        assert_eq!(shelf.found("+C++ -wide"), [3, 6], "{analyzer}");
        assert_eq!(shelf.found("\"C++\""), [3, 6, 7], "{analyzer}");
        assert_eq!(shelf.found("C#"), [2, 8], "{analyzer}");
        assert_eq!(shelf.found("c"), [1], "{analyzer}");
        assert_eq!(shelf.found("f#"), [4], "{analyzer}");
        assert_eq!(
            shelf.find(".NET"),
            [4, 5],
            "{analyzer}: the one that is asked for first"
        );
        assert_eq!(shelf.find("+.NET"), [4], "{analyzer}");
        assert_eq!(shelf.find("notepad++"), [4, 5], "{analyzer}");
        assert_eq!(shelf.found("notepad"), [4, 5], "{analyzer}");
        assert_eq!(shelf.found("developer -C++"), [2], "{analyzer}");
        assert_eq!(shelf.found("disney"), [6], "{analyzer}");
        assert_eq!(shelf.found("+disney+"), [6], "{analyzer}");
        assert_eq!(shelf.found("\"senior c++ developer\""), [3], "{analyzer}");
        assert_eq!(
            shelf.marked("c++", "I like C++."),
            "I like <mark>C++</mark>."
        );
    }
    let shelf = texts(
        Analyzer::English,
        &["see #rust and @anna", "rust, says Anna", "a+b=c", "A+ or B"],
    );
    assert_eq!(shelf.find("#rust"), [1, 2]);
    assert_eq!(shelf.found("+#rust"), [1]);
    assert_eq!(shelf.found("+@anna"), [1]);
    assert_eq!(shelf.found("anna"), [1, 2]);
    assert_eq!(shelf.found("\"A+\""), [4]);
}

#[test]
fn emoji_are_words() {
    let shelf = texts(
        Analyzer::English,
        &[
            "I ❤\u{fe0f} pizza🍕🍕",
            "family 👨\u{200d}👩\u{200d}👧 trip",
            "fine 👍🏽",
            "fine 👍",
            "from 🇫🇷🇩🇪",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} kilt",
            "man 👨",
        ],
    );
    assert_eq!(shelf.found("❤"), [1]);
    assert_eq!(shelf.found("🍕"), [1]);
    assert_eq!(shelf.found("pizza"), [1]);
    assert_eq!(shelf.found("👨\u{200d}👩\u{200d}👧"), [2]);
    assert_eq!(shelf.found("👨"), [7], "not the one within a family");
    assert_eq!(shelf.find("👍🏽"), [3, 4]);
    assert_eq!(shelf.found("👍"), [3, 4]);
    assert_eq!(shelf.found("🇩🇪"), [5]);
    assert_eq!(shelf.found("🇪🇩"), [] as [u64; 0]);
    assert_eq!(
        shelf.found("🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}"),
        [6]
    );
    assert_eq!(shelf.found("fine -👍🏽"), [4]);
    assert_eq!(shelf.marked("🍕", "a 🍕!"), "a <mark>🍕</mark>!");
}

#[test]
fn parts_of_words_are_found_together_and_alone() {
    let shelf = texts(
        Analyzer::English,
        &[
            "send an e-mail",
            "send an email",
            "the wi‑fi is slow",
            "1,234 people",
            "1234 people",
            "part AB-1234",
            "550e8400-e29b-41d4-a716-446655440000",
            "pages 100,200,300",
            "write to anna.smith@example.com or https://example.org/a-path?q=1",
            "3.14",
        ],
    );
    for query in ["email", "e-mail", "+e-mail", "\"e-mail\"", "+email"] {
        assert_eq!(shelf.found(query), [1, 2], "{query}");
    }
    assert_eq!(shelf.found("mail"), [1]);
    assert_eq!(shelf.found("wifi"), [3]);
    assert_eq!(shelf.found("1234"), [4, 5, 6]);
    assert_eq!(shelf.found("+\"1,234\" people"), [4, 5, 6]);
    assert_eq!(shelf.found("+AB1234"), [6]);
    assert_eq!(shelf.found("+AB-1234"), [6]);
    assert_eq!(shelf.found("AB-12*"), [6]);
    assert_eq!(shelf.found("550e8400e29b41d4a716446655440000"), [7]);
    assert_eq!(shelf.found("200"), [8]);
    assert_eq!(shelf.found("+anna.smith@example.com"), [9]);
    assert_eq!(shelf.found("+https://example.org/a-path?q=1"), [9]);
    assert_eq!(shelf.found("+3.14"), [10]);
    assert_eq!(
        shelf.marked("email", "an e-mail."),
        "an <mark>e-mail</mark>."
    );
}

#[test]
fn long_words_are_found() {
    let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let sha512 = format!("{sha256}{sha256}");
    let base64 = "QUJD".repeat(20_000);
    let almost = format!("{}X", &base64[..base64.len() - 1]);
    for analyzer in [Analyzer::English, Analyzer::Plain, Analyzer::Chinese] {
        let shelf = shelf(
            analyzer,
            vec![
                written(1, &format!("value {sha256} of"), json!({"sum": sha512})),
                written(2, &format!("value {base64} of"), json!({})),
                written(3, &format!("value {almost} of"), json!({})),
                written(
                    4,
                    "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz",
                    json!({}),
                ),
                written(5, &"b".repeat(64), json!({})),
                written(6, &"б".repeat(40), json!({})),
            ],
        );
        assert_eq!(shelf.found(sha256), [1], "{analyzer}");
        assert_eq!(shelf.found(&format!("+sum:{sha512}")), [1]);
        assert_eq!(shelf.found(&format!("{}*", &sha256[..12])), [1]);
        assert_eq!(
            shelf.found("Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"),
            [4]
        );
        assert_eq!(shelf.found(&"b".repeat(64)), [5]);
        assert_eq!(shelf.found(&"Б".repeat(40)), [6]);
        let whole = shelf
            .index
            .keyword(&KeywordQuery::plain(&sha512), 9, None)
            .unwrap();
        assert_eq!(whole.total, 1);
        assert_eq!(shelf.found("qujdqujdqujd*"), [2, 3]);
        let long = KeywordQuery::parse(&base64[..60_000]);
        assert_eq!(shelf.index.keyword(&long, 9, None).unwrap().total, 0);
    }
    let fifty = "x1".repeat(25_000);
    let shelf = texts(Analyzer::English, &[&fifty, &format!("{fifty}y")]);
    assert_eq!(shelf.found(&fifty), [1], "the whole word counts");
}

#[test]
fn an_excluded_word_alone_finds_all_other_documents() {
    let shelf = texts(
        Analyzer::English,
        &["a dog", "a cat", "a cat and a dog", "a bird"],
    );
    assert_eq!(shelf.find("-dog"), [2, 4]);
    assert_eq!(shelf.find("-dog -cat"), [4]);
    assert_eq!(shelf.find("-\"cat and a dog\""), [1, 2, 4]);
    assert_eq!(shelf.find("-do*"), [2, 4]);
    assert_eq!(shelf.find("-zebra"), [1, 2, 3, 4]);
    assert_eq!(shelf.find("-"), [] as [u64; 0]);
    let query = KeywordQuery::parse("-dog");
    let page = shelf.index.keyword(&query, 1, None).unwrap();
    assert_eq!((page.hits.len(), page.total, page.has_words), (1, 2, false));
    assert!(page.hits[0].score == 0.0);
    let rows = shelf.index.matching(&query, None, None).unwrap();
    assert_eq!(rows.len(), 2);
    let only = KeywordQuery::parse("cat -dog").exclusions().unwrap();
    let found = shelf.index.matching(&only, None, None).unwrap();
    assert_eq!(found, rows, "without a word of what else is asked");
    assert_eq!(KeywordQuery::parse("cat +dog").exclusions(), None);
}

#[test]
fn quotes_and_signs_of_other_keyboards() {
    let shelf = texts(Analyzer::English, &["happy potato", "potato happy"]);
    for query in [
        "“happy potato”",
        "„happy potato“",
        "«happy potato»",
        "»happy potato«",
        "＂happy potato＂",
        "「happy potato」",
    ] {
        assert_eq!(shelf.found(query), [1], "{query}");
    }
    assert_eq!(shelf.found("“happy potato"), [1, 2], "unbalanced");
    assert_eq!(shelf.found("potato －“happy potato”"), [2]);
    assert_eq!(shelf.found("＋“happy potato”"), [1]);
    assert_eq!(shelf.found("ｐｏｔａ＊"), [1, 2]);
    assert_eq!(shelf.found("-“happy potato”"), [2]);
}

#[test]
fn fields_with_unusual_names_are_searched() {
    let shelf = shelf(
        Analyzer::English,
        vec![
            written(1, "", json!({"$type": "author", "@id": "u1"})),
            written(2, "", json!({"$type": "book"})),
        ],
    );
    assert_eq!(shelf.found("+$type:author"), [1]);
    assert_eq!(shelf.found("@id:u1"), [1]);
    assert_eq!(shelf.found("-$type:author"), [2]);
}
