//! Parses a filter from JSON. Unknown names and operands of a wrong type are errors, which contain
//! their location.

use std::ops::Bound;

use serde_json::{Map, Value};

use super::{Filter, FilterError, GeoBox, Node, Test};
use crate::columns::{FieldType, Fields, LONGEST_PATH, Point, Source, found, term, unescaped};

/// Maximum depth of nested filters.
const DEPTH: usize = 32;
/// Maximum number of nested filters in a filter: each is a set of rows.
const FILTERS: usize = 4096;
/// Maximum number of conditions in a filter: each is a scan.
const CONDITIONS: usize = 1024;
/// Maximum number of conditions that read every value of a field: `$contains`, `$geo_radius`,
/// `$geo_box`.
const SEARCHES: usize = 64;
/// Maximum number of values in a filter, including those of `$in` lists.
const VALUES: usize = 65_536;

const OPERATORS: &str = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $contains, $not, \
                         $geo_radius, $geo_box";

impl Filter {
    /// Parses a filter for a collection with these declared fields. A field whose name begins with
    /// `$` is written with another `$` in front of it.
    ///
    /// # Errors
    /// An unknown operator, an operand of a wrong type, or an exceeded limit.
    pub fn parse(filter: &Value, fields: &Fields) -> Result<Self, FilterError> {
        Self::parse_where(filter, fields, &|_| false)
    }

    /// Like [`Filter::parse`], but `is_field` returns whether documents have a field: its name is
    /// then accepted even if it begins with `$`.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse_where(
        filter: &Value,
        fields: &Fields,
        is_field: &dyn Fn(&str) -> bool,
    ) -> Result<Self, FilterError> {
        let mut parser = Parser {
            fields,
            is_field,
            filters: 0,
            conditions: 0,
            searches: 0,
            values: 0,
        };
        let root = parser.filter(filter, &At::root())?;
        Ok(Self { root })
    }
}

struct Parser<'a> {
    fields: &'a Fields,
    is_field: &'a dyn Fn(&str) -> bool,
    filters: usize,
    conditions: usize,
    searches: usize,
    values: usize,
}

/// A location in the filter.
struct At {
    path: String,
    depth: usize,
}

impl At {
    fn root() -> Self {
        Self {
            path: String::new(),
            depth: 0,
        }
    }

    fn member(&self, name: &str) -> Self {
        Self {
            path: if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.path)
            },
            depth: self.depth + 1,
        }
    }

    fn element(&self, index: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            depth: self.depth + 1,
        }
    }

    fn error<T>(&self, reason: impl Into<String>) -> Result<T, FilterError> {
        Err(FilterError {
            at: self.path.clone(),
            reason: reason.into(),
        })
    }
}

/// A field with the type of its operands.
struct Operand {
    source: Source,
    declared: Option<FieldType>,
}

impl Parser<'_> {
    fn filter(&mut self, filter: &Value, at: &At) -> Result<Node, FilterError> {
        if at.depth > DEPTH {
            return at.error(format!("filters are nested more than {DEPTH} levels deep"));
        }
        let Value::Object(members) = filter else {
            return at.error(format!(
                "a filter must be an object like {{\"field\": value}}, not {}",
                found(filter)
            ));
        };
        self.filters += 1;
        if self.filters > FILTERS {
            return at.error(format!("it contains more than {FILTERS} filters"));
        }
        let nodes = members
            .iter()
            .map(|(name, value)| self.member(name, value, &at.member(name)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Node::All(nodes))
    }

    fn member(&mut self, name: &str, value: &Value, at: &At) -> Result<Node, FilterError> {
        match name {
            "$and" => Ok(Node::All(self.list(value, at)?)),
            "$or" => Ok(Node::Any(self.list(value, at)?)),
            "$not" => Ok(Node::Not(Box::new(self.filter(value, at)?))),
            "$text" => self.presence(Source::Text, value, at),
            "$image" => self.presence(Source::Image, value, at),
            "$id" => self.field(Source::Id, Some(FieldType::String), value, at),
            path if path.len() > LONGEST_PATH => {
                at.error(format!("the name of a field may have at most {LONGEST_PATH} bytes"))
            }
            path => match unescaped(path) {
                name if name.len() < path.len() || !name.starts_with('$') || self.is_known(name) => {
                    let source = Source::Field(name.to_owned());
                    self.field(source, self.fields.get(name), value, at)
                }
                unknown => at.error(format!(
                    "unknown name '{unknown}'; a filter has fields, $and, $or, $not, $id, $text and \
                     $image, and a field with this name is written '${unknown}'"
                )),
            },
        }
    }

    /// Whether a name that begins with `$` is the name of a field. The name of an operator never is.
    fn is_known(&self, name: &str) -> bool {
        let is_operator = OPERATORS
            .split(", ")
            .any(|operator| operator.trim() == name);
        !is_operator && (self.fields.get(name).is_some() || (self.is_field)(name))
    }

    fn list(&mut self, value: &Value, at: &At) -> Result<Vec<Node>, FilterError> {
        match value {
            Value::Array(filters) if !filters.is_empty() => filters
                .iter()
                .enumerate()
                .map(|(index, filter)| self.filter(filter, &at.element(index)))
                .collect(),
            Value::Array(_) => at.error("the list of filters is empty"),
            other => at.error(format!("expected a list of filters, not {}", found(other))),
        }
    }

    fn presence(&mut self, source: Source, value: &Value, at: &At) -> Result<Node, FilterError> {
        let Value::Bool(wanted) = value else {
            return at.error(format!("expected true or false, not {}", found(value)));
        };
        Ok(negated_unless(
            *wanted,
            self.condition(source, Test::Exists, at)?,
        ))
    }

    fn condition(&mut self, source: Source, test: Test, at: &At) -> Result<Node, FilterError> {
        self.conditions += 1;
        if self.conditions > CONDITIONS {
            return at.error(format!("it contains more than {CONDITIONS} conditions"));
        }
        if matches!(
            test,
            Test::Contains(_) | Test::Within { .. } | Test::Inside(_)
        ) {
            self.searches += 1;
            if self.searches > SEARCHES {
                return at.error(format!(
                    "it contains more than {SEARCHES} of $contains, $geo_radius and $geo_box"
                ));
            }
        }
        Ok(Node::Field(source, test))
    }

    fn field(
        &mut self,
        source: Source,
        declared: Option<FieldType>,
        value: &Value,
        at: &At,
    ) -> Result<Node, FilterError> {
        let operand = Operand { source, declared };
        match value {
            Value::Object(operators) => self.operators(&operand, operators, at),
            Value::Array(_) => at.error(
                "a list is not a value; use {\"$in\": […]} for any of its elements, or conditions in $and for all of them",
            ),
            value => self.one_of(&operand, std::slice::from_ref(value), at),
        }
    }

    fn operators(
        &mut self,
        operand: &Operand,
        operators: &Map<String, Value>,
        at: &At,
    ) -> Result<Node, FilterError> {
        if at.depth > DEPTH {
            return at.error(format!("filters are nested more than {DEPTH} levels deep"));
        }
        if operators.is_empty() {
            return at.error(format!("it has no operator; operators are {OPERATORS}"));
        }
        let mut nodes = Vec::with_capacity(operators.len());
        let mut interval = Interval::default();
        for (name, value) in operators {
            let at = at.member(name);
            match name.as_str() {
                "$gt" => interval.raise(Bound::Excluded(self.bound(operand, value, &at)?)),
                "$gte" => interval.raise(Bound::Included(self.bound(operand, value, &at)?)),
                "$lt" => interval.lower(Bound::Excluded(self.bound(operand, value, &at)?)),
                "$lte" => interval.lower(Bound::Included(self.bound(operand, value, &at)?)),
                _ => nodes.push(self.operator(operand, name, value, &at)?),
            }
        }
        if let Some(test) = interval.test(at)? {
            nodes.push(self.condition(operand.source.clone(), test, at)?);
        }
        Ok(match (nodes.len(), nodes.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                nodes.extend(last);
                Node::All(nodes)
            }
        })
    }

    fn operator(
        &mut self,
        operand: &Operand,
        name: &str,
        value: &Value,
        at: &At,
    ) -> Result<Node, FilterError> {
        match name {
            "$eq" => self.one_of(operand, std::slice::from_ref(value), at),
            "$ne" => Ok(not(self.one_of(operand, std::slice::from_ref(value), at)?)),
            "$in" => self.values_of(operand, value, at),
            "$nin" => Ok(not(self.values_of(operand, value, at)?)),
            "$exists" => self.presence(operand.source.clone(), value, at),
            "$contains" => self.contains(operand, value, at),
            "$not" => match value {
                Value::Object(operators) => Ok(not(self.operators(operand, operators, at)?)),
                other => at.error(format!(
                    "expected operators, as in {{\"$not\": {{\"$gt\": 5}}}}, not {}; $ne compares with a value",
                    found(other)
                )),
            },
            "$geo_radius" => {
                let test = radius(value, at)?;
                self.condition(operand.geo(at)?, test, at)
            }
            "$geo_box" => {
                let test = geo_box(value, at)?;
                self.condition(operand.geo(at)?, test, at)
            }
            name if name.starts_with('$') => {
                at.error(format!("unknown operator '{name}'; operators are {OPERATORS}"))
            }
            name => at.error(format!(
                "'{name}' is not an operator; a field of a nested object is named with dots, as in \"place.city\", and operators are {OPERATORS}"
            )),
        }
    }

    fn values_of(
        &mut self,
        operand: &Operand,
        value: &Value,
        at: &At,
    ) -> Result<Node, FilterError> {
        match value {
            Value::Array(values) => self.one_of(operand, values, at),
            other => at.error(format!("expected a list of values, not {}", found(other))),
        }
    }

    fn one_of(
        &mut self,
        operand: &Operand,
        values: &[Value],
        at: &At,
    ) -> Result<Node, FilterError> {
        self.values += values.len();
        if self.values > VALUES {
            return at.error(format!("it contains more than {VALUES} values"));
        }
        let mut null = false;
        let mut terms = Vec::with_capacity(values.len());
        for value in values {
            if value.is_null() {
                null = true;
            } else {
                terms.push(operand.term(value, at)?);
            }
        }
        terms.sort_unstable();
        terms.dedup();
        if null {
            terms.push(term::NULL.to_owned());
        }
        let any = self.condition(operand.source.clone(), Test::OneOf(terms), at)?;
        if !null {
            return Ok(any);
        }
        let exists = self.condition(operand.source.clone(), Test::Exists, at)?;
        Ok(Node::Any(vec![any, not(exists)]))
    }

    fn bound(&mut self, operand: &Operand, value: &Value, at: &At) -> Result<String, FilterError> {
        self.values += 1;
        match value {
            Value::Number(_) | Value::String(_) => operand.term(value, at),
            other => at.error(format!(
                "expected a number or a string, not {}",
                found(other)
            )),
        }
    }

    /// An array that contains this element, or a string that contains this string.
    fn contains(&mut self, operand: &Operand, value: &Value, at: &At) -> Result<Node, FilterError> {
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
            return at.error(format!(
                "expected a string, a number or a boolean, not {}",
                found(value)
            ));
        }
        self.values += 1;
        let array = Test::OneOf(vec![term::ARRAY.to_owned()]);
        let array = self.condition(operand.source.clone(), array, at)?;
        let element = Test::OneOf(vec![operand.term(value, at)?]);
        let element = self.condition(operand.source.clone(), element, at)?;
        let element = Node::All(vec![array.clone(), element]);
        let Value::String(text) = value else {
            return Ok(element);
        };
        let inside = Test::Contains(text.clone());
        let inside = self.condition(operand.source.clone(), inside, at)?;
        Ok(Node::Any(vec![
            element,
            Node::All(vec![not(array), inside]),
        ]))
    }
}

impl Operand {
    /// The term of a value, if the field may have it.
    fn term(&self, value: &Value, at: &At) -> Result<String, FilterError> {
        let fits = match (self.declared, value) {
            (Some(FieldType::Date), Value::String(text)) => {
                return match term::date(text) {
                    Some(term) => Ok(term),
                    None => at.error(format!(
                        "the field is declared as {}, but the value is {}",
                        FieldType::Date,
                        found(value)
                    )),
                };
            }
            (None, _)
            | (Some(FieldType::Integer | FieldType::Number), Value::Number(_))
            | (Some(FieldType::String), Value::String(_))
            | (Some(FieldType::Boolean), Value::Bool(_)) => true,
            (Some(_), _) => false,
        };
        match (term::scalar(value), self.declared) {
            (Some(term), _) if fits => Ok(term),
            (Some(_), Some(declared)) => at.error(format!(
                "the field is declared as {declared} and cannot be compared with {}",
                found(value)
            )),
            _ => at.error(format!(
                "a value must be a string, a number or a boolean, not {}",
                found(value)
            )),
        }
    }

    fn geo(&self, at: &At) -> Result<Source, FilterError> {
        match self.declared {
            None | Some(FieldType::Geo) => Ok(self.source.clone()),
            Some(declared) => at.error(format!(
                "the field is declared as {declared} and contains no points"
            )),
        }
    }
}

fn not(node: Node) -> Node {
    Node::Not(Box::new(node))
}

fn negated_unless(wanted: bool, node: Node) -> Node {
    if wanted { node } else { not(node) }
}

/// The interval of `$gt`, `$gte`, `$lt` and `$lte` of one field.
#[derive(Default)]
struct Interval {
    low: Option<Bound<String>>,
    high: Option<Bound<String>>,
    /// The types of the bounds: the first characters of their terms.
    kinds: Vec<char>,
}

impl Interval {
    fn raise(&mut self, bound: Bound<String>) {
        let (term, excluded) = self.record_kind(&bound);
        let old = self.low.as_ref().map(parts);
        if old.is_none_or(|old| (term, excluded) > old) {
            self.low = Some(bound);
        }
    }

    fn lower(&mut self, bound: Bound<String>) {
        let (term, excluded) = self.record_kind(&bound);
        let old = self.high.as_ref().map(parts);
        if old.is_none_or(|(other, other_excluded)| (term, !excluded) < (other, !other_excluded)) {
            self.high = Some(bound);
        }
    }

    fn record_kind<'b>(&mut self, bound: &'b Bound<String>) -> (&'b str, bool) {
        let (term, excluded) = parts(bound);
        self.kinds.extend(term.chars().next());
        (term, excluded)
    }

    /// `None` without any bound.
    fn test(self, at: &At) -> Result<Option<Test>, FilterError> {
        let Some(&kind) = self.kinds.first() else {
            return Ok(None);
        };
        if self.kinds.iter().any(|other| *other != kind) {
            return at.error("the bounds have different types, and no value has both");
        }
        // The terms of a type are between its character and the next one.
        let next = char::from_u32(u32::from(kind) + 1).unwrap_or(char::MAX);
        Ok(Some(Test::Between(
            self.low.unwrap_or(Bound::Included(kind.to_string())),
            self.high.unwrap_or(Bound::Excluded(next.to_string())),
        )))
    }
}

/// The term of a bound, and whether the bound excludes it.
fn parts(bound: &Bound<String>) -> (&str, bool) {
    match bound {
        Bound::Included(term) => (term, false),
        Bound::Excluded(term) => (term, true),
        Bound::Unbounded => ("", false),
    }
}

fn radius(value: &Value, at: &At) -> Result<Test, FilterError> {
    let members = members(value, &["lat", "lon", "radius_m"], at)?;
    let [lat, lon, radius_m] = members[..] else {
        return at.error("expected {\"lat\", \"lon\", \"radius_m\"}");
    };
    match (lat.as_f64(), lon.as_f64(), radius_m.as_f64()) {
        (Some(lat), Some(lon), Some(radius_m)) if radius_m >= 0.0 => Ok(Test::Within {
            middle: point(lat, lon, at)?,
            radius_m,
        }),
        _ => at.error("'lat', 'lon' and 'radius_m' must be numbers, and 'radius_m' at least 0"),
    }
}

fn geo_box(value: &Value, at: &At) -> Result<Test, FilterError> {
    let corners = members(value, &["top_left", "bottom_right"], at)?
        .into_iter()
        .zip(["top_left", "bottom_right"])
        .map(|(corner, name)| corner_point(corner, &at.member(name)))
        .collect::<Result<Vec<_>, _>>()?;
    let [top_left, bottom_right] = corners[..] else {
        return at.error("expected {\"top_left\", \"bottom_right\"}");
    };
    if top_left.lat < bottom_right.lat {
        return at.error("'top_left' must not be south of 'bottom_right'");
    }
    Ok(Test::Inside(GeoBox {
        top_left,
        bottom_right,
    }))
}

fn corner_point(value: &Value, at: &At) -> Result<Point, FilterError> {
    let coordinates = members(value, &["lat", "lon"], at)?;
    match coordinates[..] {
        [lat, lon] => match (lat.as_f64(), lon.as_f64()) {
            (Some(lat), Some(lon)) => point(lat, lon, at),
            _ => at.error("'lat' and 'lon' must be numbers"),
        },
        _ => at.error("expected {\"lat\", \"lon\"}"),
    }
}

fn point(lat: f64, lon: f64, at: &At) -> Result<Point, FilterError> {
    match Point::new(lat, lon) {
        Some(point) => Ok(point),
        None => at.error(format!(
            "{lat}, {lon} is not a point: 'lat' must be from -90 to 90 and 'lon' from -180 to 180"
        )),
    }
}

/// The members with these names, in this order. Others are an error.
fn members<'v>(value: &'v Value, names: &[&str], at: &At) -> Result<Vec<&'v Value>, FilterError> {
    let Value::Object(object) = value else {
        return at.error(format!(
            "expected an object with {}, not {}",
            names.join(", "),
            found(value)
        ));
    };
    if let Some(other) = object.keys().find(|name| !names.contains(&name.as_str())) {
        return at.error(format!("'{other}' is not one of {}", names.join(", ")));
    }
    names
        .iter()
        .map(|name| match object.get(*name) {
            Some(value) => Ok(value),
            None => at.error(format!("'{name}' is missing")),
        })
        .collect()
}
