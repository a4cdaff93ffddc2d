//! A request's `parameters`. Unknown ones, such as `__results__`, are ignored, as in
//! CLIP-as-service.

use clipdb_engine::{CollectionName, Query};
use prost_types::Struct;
use prost_types::value::Kind;
use serde_json::Value;

use crate::clip_as_service::filter::filter;
use crate::clip_as_service::paths::Paths;
use crate::http::error::ApiError;

#[derive(Debug, Default, PartialEq)]
pub struct Parameters {
    pub model: Option<String>,
    pub drop_image_content: bool,
    /// The documents of the tree that the call processes.
    pub paths: Paths,
    /// AnnLite's parameters for `/index` and `/search`, which take precedence.
    index_paths: Option<Paths>,
    search_paths: Option<Paths>,
    /// Matches of each query.
    pub limit: Option<usize>,
    pub collection: Option<CollectionName>,
    /// The documents that a search is limited to.
    pub filter: Option<Value>,
}

impl Parameters {
    pub fn read(parameters: Option<&Struct>) -> Result<Self, ApiError> {
        let mut read = Self::default();
        for (name, value) in parameters.into_iter().flat_map(|all| &all.fields) {
            let Some(kind) = value.kind.as_ref().filter(|kind| !is_null(kind)) else {
                continue;
            };
            match name.as_str() {
                "model_name" => {
                    read.model = Some(text(name, kind)?).filter(|name| !name.is_empty());
                }
                "drop_image_content" => read.drop_image_content = flag(name, kind)?,
                "access_paths" | "traversal_paths" => read.paths = text(name, kind)?.parse()?,
                "index_access_paths" => read.index_paths = Some(text(name, kind)?.parse()?),
                "search_access_paths" => read.search_paths = Some(text(name, kind)?.parse()?),
                "limit" => read.limit = Some(limit(kind)?),
                "collection" => {
                    read.collection = Some(text(name, kind)?.parse::<CollectionName>()?);
                }
                "filter" => match kind {
                    Kind::StructValue(fields) if fields.fields.is_empty() => {}
                    Kind::StructValue(fields) => read.filter = Some(filter(fields)?),
                    _ => return Err(wrong(name, "an object")),
                },
                _ => {}
            }
        }
        Ok(read)
    }

    pub fn index_paths(&self) -> &Paths {
        self.index_paths.as_ref().unwrap_or(&self.paths)
    }

    pub fn search_paths(&self) -> &Paths {
        self.search_paths.as_ref().unwrap_or(&self.paths)
    }
}

fn is_null(kind: &Kind) -> bool {
    matches!(kind, Kind::NullValue(_))
}

fn wrong(name: &str, expected: &str) -> ApiError {
    ApiError::InvalidField(format!("the parameter '{name}' must be {expected}"))
}

fn text(name: &str, kind: &Kind) -> Result<String, ApiError> {
    match kind {
        Kind::StringValue(text) => Ok(text.clone()),
        _ => Err(wrong(name, "a string")),
    }
}

fn flag(name: &str, kind: &Kind) -> Result<bool, ApiError> {
    match kind {
        Kind::BoolValue(flag) => Ok(*flag),
        _ => Err(wrong(name, "true or false")),
    }
}

/// All numbers are doubles.
fn limit(kind: &Kind) -> Result<usize, ApiError> {
    match kind {
        Kind::NumberValue(number)
            if number.fract() == 0.0 && (1.0..=Query::MAX_LIMIT as f64).contains(number) =>
        {
            Ok(*number as usize)
        }
        _ => {
            let most = Query::MAX_LIMIT;
            Err(wrong("limit", &format!("a whole number from 1 to {most}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clip_as_service::message::struct_from_json;

    fn read(json: Value) -> Result<Parameters, ApiError> {
        let Value::Object(fields) = json else {
            unreachable!()
        };
        Parameters::read(Some(&struct_from_json(fields)))
    }

    #[test]
    fn parameters_are_parsed() {
        let read = read(json!({
            "limit": 10, "drop_image_content": true, "model_name": "a", "collection": "b",
            "filter": {}, "__results__": {}, "access_paths": "@c",
        }))
        .unwrap();
        assert_eq!(read.limit, Some(10));
        assert!(read.drop_image_content);
        assert_eq!(read.model.as_deref(), Some("a"));
        assert_eq!(read.collection, Some("b".parse().unwrap()));
        assert_eq!(read.filter, None);
        assert_eq!(Parameters::read(None).unwrap(), Parameters::default());
    }

    #[test]
    fn the_retriever_s_paths_take_precedence() {
        let paths = |text: &str| text.parse::<Paths>().unwrap();
        let common = read(json!({ "access_paths": "@c" })).unwrap();
        assert_eq!(common.index_paths(), &paths("@c"));
        assert_eq!(common.search_paths(), &paths("@c"));
        let own = read(json!({
            "traversal_paths": "@c", "index_access_paths": "@m", "search_access_paths": "@r",
        }))
        .unwrap();
        assert_eq!(own.index_paths(), &paths("@m"));
        assert_eq!(own.search_paths(), &paths("@r"));
        assert_eq!(own.paths, paths("@c"));
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        for (json, name) in [
            (json!({ "limit": 0 }), "limit"),
            (json!({ "limit": 1.5 }), "limit"),
            (json!({ "limit": "10" }), "limit"),
            (json!({ "model_name": 1 }), "model_name"),
            (json!({ "drop_image_content": "yes" }), "drop_image_content"),
            (json!({ "filter": "a = 1" }), "filter"),
            (json!({ "collection": "No Name" }), "No Name"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
