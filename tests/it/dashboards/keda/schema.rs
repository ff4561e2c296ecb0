//! The part of OpenAPI that Kubernetes uses in the schemas of its resources. Unknown fields are complaints: the API server drops them.

use serde_json::Value;

/// Keywords that say nothing about whether a value is accepted, or that are left to the API server.
const IGNORED: [&str; 5] = ["default", "format", "pattern", "anyOf", "additionalProperties"];

/// A complaint for each place where a value is not as its schema says.
pub(super) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut complain = |what: &str| found.push(format!("{path}: {what}"));
    if schema["x-kubernetes-int-or-string"] == true {
        if !value.is_i64() && !value.is_string() {
            complain("neither a number nor a text");
        }
        return;
    }
    let is_of_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        other => panic!("{path}: a type that this test does not know: {other:?}"),
    };
    if !is_of_type {
        return complain(&format!("not of type {}", schema["type"]));
    }
    for (keyword, given) in schema.as_object().into_iter().flatten() {
        let holds = match keyword.as_str() {
            "enum" => given.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_f64() >= given.as_f64(),
            "minItems" => value.as_array().map(|all| all.len() as u64) >= given.as_u64(),
            "minLength" => value.as_str().map(|text| text.len() as u64) >= given.as_u64(),
            "required" => {
                let names = given.as_array().into_iter().flatten().filter_map(Value::as_str);
                names.map(|name| value.get(name)).all(|field| field.is_some())
            }
            "type" | "properties" | "items" => true,
            other => {
                let ignored = IGNORED.contains(&other) || other.starts_with("x-kubernetes-");
                assert!(ignored, "{path}: a keyword that this test does not know: {other}");
                true
            }
        };
        if !holds {
            complain(&format!("not as its {keyword} says"));
        }
    }
    for (key, field) in value.as_object().into_iter().flatten() {
        match field_schema(schema, key) {
            Some(inner) => check(inner, field, &format!("{path}/{key}"), found),
            None if is_open(schema) => {}
            None => found.push(format!("{path}: no field {key}")),
        }
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}/{at}"), found);
    }
}

fn field_schema<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema["properties"].get(key).or_else(|| schema.get("additionalProperties"))
}

/// Whether a schema says nothing about its fields, as that of `metadata`.
fn is_open(schema: &Value) -> bool {
    schema.get("properties").is_none()
}
