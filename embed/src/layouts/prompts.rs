//! Published prompts of sentence models whose folders do not contain them.

use crate::tokens::Prompts;

/// The prompts from the model cards of E5 (Wang et al. 2022) and BGE (Xiao et al. 2023). `name` is
/// the model's name, with or without its owner.
pub(super) fn published(name: &str) -> Option<Prompts> {
    const ENGLISH: &str = "Represent this sentence for searching relevant passages: ";
    const CHINESE: &str = "为这个句子生成表示以用于检索相关文章：";
    let name = name.rsplit('/').next().unwrap_or(name);
    let query_alone = |query: &str| Prompts {
        query: query.to_owned(),
        ..Prompts::default()
    };
    let is_e5 = name.starts_with("e5-") || name.starts_with("multilingual-e5-");
    if is_e5 && !name.contains("instruct") && !name.contains("mistral") {
        // E5 performs worse without a prompt. The authors recommend the query's for other texts.
        return Some(Prompts {
            query: "query: ".to_owned(),
            document: "passage: ".to_owned(),
            other: "query: ".to_owned(),
        });
    }
    let bge = name.strip_prefix("bge-")?;
    let language = |tag| bge.split('-').any(|part| part == tag);
    if language("en") {
        Some(query_alone(ENGLISH))
    } else if language("zh") {
        Some(query_alone(CHINESE))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_with_and_without_their_owner() {
        for name in ["intfloat/e5-small-v2", "multilingual-e5-large"] {
            assert_eq!(published(name).unwrap().document, "passage: ");
        }
        let english = published("BAAI/bge-base-en-v1.5").unwrap();
        assert!(english.query.starts_with("Represent") && english.document.is_empty());
        assert!(
            published("bge-small-zh-v1.5")
                .unwrap()
                .query
                .ends_with('：')
        );
        for name in [
            "sentence-transformers/all-MiniLM-L6-v2",
            "intfloat/multilingual-e5-large-instruct",
            "BAAI/bge-m3",
        ] {
            assert_eq!(published(name), None, "{name}");
        }
    }
}
