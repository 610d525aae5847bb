//! JSON Schema into Google's `Schema` and back.
//!
//! `Schema` is a select subset of an `OpenAPI` 3.0 schema object (<https://ai.google.dev/api/caching#Schema>). It
//! has no references, no `null` type and no unions of types, and any field it does not list is refused.

use serde_json::{Map, Value, json};

/// The fields of `Schema`, apart from those that hold schemas.
const KEPT: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "default",
    "example",
    "pattern",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "required",
    "propertyOrdering",
];

/// How many schemas one schema may unfold to. References to references multiply; beyond this the rest is left open.
const MAX_SCHEMAS: usize = 20_000;

/// Writes a JSON Schema as a `Schema`. References are resolved (recursive ones end in an open object), unions of
/// types become `anyOf`, `null` becomes `nullable`, constraints that `Schema` lacks are left out.
pub(super) fn to_google(schema: &Value) -> Value {
    let mut writer = Writer { root: schema, open: Vec::new(), written: 0 };
    writer.schema(schema)
}

/// The parameters of a function; `None` for one without any, since an object needs at least one property.
pub(super) fn parameters_to_google(schema: &Value) -> Option<Value> {
    let written = to_google(schema);
    let has_properties = written.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
    (has_properties || written.get("anyOf").is_some()).then_some(written)
}

struct Writer<'a> {
    root: &'a Value,
    /// References that are being resolved, outermost first.
    open: Vec<&'a str>,
    written: usize,
}

impl<'a> Writer<'a> {
    fn schema(&mut self, schema: &'a Value) -> Value {
        self.written += 1;
        let Some(fields) = schema.as_object().filter(|_| self.written <= MAX_SCHEMAS) else {
            return anything();
        };
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, fields);
        }
        let mut out: Map<String, Value> = fields
            .iter()
            .filter(|(name, value)| KEPT.contains(&name.as_str()) && !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(value) = fields.get("const") {
            out.insert("enum".to_owned(), json!([value]));
        }
        if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
            let properties: Map<String, Value> =
                properties.iter().map(|(name, schema)| (name.clone(), self.schema(schema))).collect();
            out.insert("properties".to_owned(), Value::Object(properties));
        }
        if let Some(items) = fields.get("items") {
            out.insert("items".to_owned(), self.schema(items));
        }
        for part in fields.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let part = self.schema(part);
            merge(&mut out, part);
        }
        self.variants(fields, &mut out);
        complete(&mut out);
        Value::Object(out)
    }

    fn reference(&mut self, reference: &'a str, fields: &'a Map<String, Value>) -> Value {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target.filter(|_| !self.open.contains(&reference)) else { return anything() };
        self.open.push(reference);
        let mut resolved = self.schema(target);
        self.open.pop();
        if let (Some(out), Some(description)) = (resolved.as_object_mut(), fields.get("description")) {
            out.insert("description".to_owned(), description.clone());
        }
        resolved
    }

    /// `anyOf`, `oneOf` and lists of types. A `Schema` with `anyOf` may hold nothing else, so that what stood
    /// beside it moves into the variants.
    fn variants(&mut self, fields: &'a Map<String, Value>, out: &mut Map<String, Value>) {
        let mut variants = Vec::new();
        let mut nullable = false;
        if let Some(listed) = fields.get("anyOf").or_else(|| fields.get("oneOf")).and_then(Value::as_array) {
            for variant in listed {
                if variant.get("type").and_then(Value::as_str) == Some("null") {
                    nullable = true;
                } else {
                    variants.push(self.schema(variant));
                }
            }
        } else if let Some(types) = fields.get("type").and_then(Value::as_array) {
            let named = || types.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            nullable = named().count() < types.len();
            out.remove("type");
            if let (Some(only), 1) = (named().next(), named().count()) {
                out.insert("type".to_owned(), Value::from(only));
            } else {
                variants.extend(named().map(|name| {
                    let mut variant = Map::new();
                    variant.insert("type".to_owned(), Value::from(name));
                    complete(&mut variant);
                    Value::Object(variant)
                }));
            }
        }
        if variants.is_empty() {
            if nullable {
                out.insert("nullable".to_owned(), Value::Bool(true));
            }
            return;
        }
        for variant in variants.iter_mut().filter_map(Value::as_object_mut) {
            if nullable {
                variant.insert("nullable".to_owned(), Value::Bool(true));
            }
            for name in ["title", "description"] {
                if let (Some(value), None) = (out.get(name), variant.get(name)) {
                    variant.insert(name.to_owned(), value.clone());
                }
            }
        }
        out.clear();
        out.insert("anyOf".to_owned(), Value::Array(variants));
    }
}

/// A schema that allows as much as `Schema` can: it always needs a type.
fn anything() -> Value {
    json!({"type": "object"})
}

/// Adds what `Schema` demands and JSON Schema does not: a type, the items of an array; enums are strings.
fn complete(out: &mut Map<String, Value>) {
    if out.contains_key("anyOf") {
        return;
    }
    if let Some(values) = out.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| value.as_str() != Some("") && !value.is_null());
    }
    if !out.contains_key("type") {
        let found = if out.contains_key("items") {
            "array"
        } else if out.get("enum").and_then(Value::as_array).is_some_and(|v| v.iter().all(Value::is_string)) {
            "string"
        } else {
            "object"
        };
        out.insert("type".to_owned(), Value::from(found));
    }
    let kind = out.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if kind == "array" && !out.contains_key("items") {
        out.insert("items".to_owned(), anything());
    }
    let lists_strings = out
        .get("enum")
        .and_then(Value::as_array)
        .is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_string));
    if kind != "string" || !lists_strings {
        out.remove("enum");
    }
}

/// Adds the parts of an `allOf` up; the first to say something is heard.
fn merge(out: &mut Map<String, Value>, part: Value) {
    let Value::Object(part) = part else { return };
    for (name, value) in part {
        match (name.as_str(), out.get_mut(&name)) {
            ("properties", Some(Value::Object(properties))) => {
                if let Value::Object(more) = value {
                    for (name, schema) in more {
                        properties.entry(name).or_insert(schema);
                    }
                }
            }
            ("required", Some(Value::Array(required))) => {
                if let Value::Array(more) = value {
                    for name in more {
                        if !required.contains(&name) {
                            required.push(name);
                        }
                    }
                }
            }
            (_, Some(_)) => {}
            (_, None) => {
                out.insert(name, value);
            }
        }
    }
}

/// Reads a `Schema` as a JSON Schema: types in lower case, `nullable` as a type, counts (which Protobuf writes as
/// strings) as numbers.
pub(super) fn from_google(schema: Value) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let mut nullable = false;
    let mut out = Map::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("nullable", Value::Bool(said)) => nullable = said,
            ("type", Value::String(kind)) => {
                out.insert(name, Value::from(kind.to_ascii_lowercase()));
            }
            ("items", items) => {
                out.insert(name, from_google(items));
            }
            ("anyOf" | "any_of", Value::Array(variants)) => {
                let variants = variants.into_iter().map(from_google).collect();
                out.insert("anyOf".to_owned(), Value::Array(variants));
            }
            ("properties", Value::Object(properties)) => {
                let properties =
                    properties.into_iter().map(|(name, schema)| (name, from_google(schema))).collect();
                out.insert(name, Value::Object(properties));
            }
            (_, Value::String(digits)) if name.starts_with("min") || name.starts_with("max") => {
                let number = digits.parse::<i64>().map_or(Value::String(digits), Value::from);
                out.insert(name, number);
            }
            (_, value) => {
                out.insert(name, value);
            }
        }
    }
    if nullable {
        if let Some(Value::String(kind)) = out.get("type") {
            let kind = kind.clone();
            out.insert("type".to_owned(), json!([kind, "null"]));
            if let Some(Value::Array(values)) = out.get_mut("enum") {
                values.push(Value::Null);
            }
        } else if let Some(Value::Array(variants)) = out.get_mut("anyOf") {
            variants.push(json!({"type": "null"}));
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_unions_and_unknown_fields() {
        let schema = json!({
            "type": "object",
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {"Leg": {"type": "object", "title": "Leg", "properties": {"to": {"type": "string", "minLength": 2}}}},
            "properties": {
                "legs": {"type": "array", "items": {"$ref": "#/$defs/Leg"}, "uniqueItems": true},
                "budget": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}], "default": null, "title": "Budget"},
                "when": {"type": ["string", "null"], "format": "date-time"},
                "size": {"type": ["string", "integer"], "description": "in cm"},
                "mode": {"const": "fast"},
                "level": {"type": "integer", "enum": [1, 2]},
                "list": {"type": "array"}
            },
            "required": ["legs"],
            "additionalProperties": false
        });
        assert_eq!(
            to_google(&schema),
            json!({
                "type": "object",
                "properties": {
                    "legs": {"type": "array", "items": {"type": "object", "title": "Leg", "properties": {"to": {"type": "string", "minLength": 2}}}},
                    "budget": {"anyOf": [{"type": "number", "minimum": 0, "nullable": true, "title": "Budget"}]},
                    "when": {"type": "string", "format": "date-time", "nullable": true},
                    "size": {"anyOf": [{"type": "string", "description": "in cm"}, {"type": "integer", "description": "in cm"}]},
                    "mode": {"type": "string", "enum": ["fast"]},
                    "level": {"type": "integer"},
                    "list": {"type": "array", "items": {"type": "object"}}
                },
                "required": ["legs"]
            })
        );
    }

    #[test]
    fn all_of_is_added_up() {
        let schema = json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["a", "b"]}
        ]});
        assert_eq!(
            to_google(&schema),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]})
        );
    }

    #[test]
    fn recursion_and_multiplying_references_end() {
        let tree = json!({"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}});
        assert_eq!(to_google(&tree), json!({"type": "object", "properties": {"next": {"type": "object"}}}));
        let mut defs = Map::new();
        defs.insert("d0".to_owned(), json!({"type": "string"}));
        for depth in 1..40 {
            let below = format!("#/$defs/d{}", depth - 1);
            defs.insert(
                format!("d{depth}"),
                json!({"type": "object", "properties": {"a": {"$ref": below}, "b": {"$ref": below}}}),
            );
        }
        let bomb = json!({"$ref": "#/$defs/d39", "$defs": defs});
        assert!(to_google(&bomb).to_string().len() < 2_000_000);
    }

    #[test]
    fn a_function_without_parameters_has_no_schema() {
        assert_eq!(parameters_to_google(&json!({"type": "object", "properties": {}})), None);
        assert_eq!(parameters_to_google(&json!({})), None);
    }

    #[test]
    fn googles_schema_is_read_as_json_schema() {
        let schema = json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}, "u": {"type": "STRING", "enum": ["c", "f"], "nullable": true}, "l": {"type": "ARRAY", "minItems": "2", "items": {"type": "STRING"}}}});
        let read = from_google(schema);
        assert_eq!(
            read,
            json!({"type": "object", "properties": {"n": {"type": ["integer", "null"]}, "u": {"type": ["string", "null"], "enum": ["c", "f", null]}, "l": {"type": "array", "minItems": 2, "items": {"type": "string"}}}})
        );
        assert_eq!(
            to_google(&read),
            json!({"type": "object", "properties": {"n": {"type": "integer", "nullable": true}, "u": {"type": "string", "enum": ["c", "f"], "nullable": true}, "l": {"type": "array", "minItems": 2, "items": {"type": "string"}}}})
        );
    }
}
