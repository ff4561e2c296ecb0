//! Content of a document that this version does not know, kept for the program that wrote it.
//!
//! A newer program of the same schema version may add fields and values. An older one that changes such a document writes only what it
//! knows. So the unknown content is taken out when the document is read, and put back when it is written.

use std::collections::BTreeMap;

use serde_json::Value;

/// The content of a document beyond what is known. Empty for documents of the same program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown(Option<Box<Node>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// An unknown field.
    Added(Value),
    /// A value that was read as another one, such as a word of a later version.
    Instead { of: Value, value: Value },
    /// Unknown content within an object.
    Fields(BTreeMap<String, Node>),
    /// Unknown content within a list, by index. Lists in documents grow only at their end.
    Items(BTreeMap<usize, Node>),
}

impl Unknown {
    /// The content of `original` beyond `known`, which is the same document as this program writes it.
    #[must_use]
    pub fn between(original: &Value, known: &Value) -> Self {
        Self(beyond(original, known).map(Box::new))
    }

    /// Whether nothing is unknown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Puts the unknown content back into the changed document. A field is dropped with its object. A value that this program changed since
    /// stays changed.
    pub fn restore(&self, document: &mut Value) {
        if let Some(node) = &self.0 {
            put_back(node, document);
        }
    }
}

fn beyond(original: &Value, known: &Value) -> Option<Node> {
    match (original, known) {
        (Value::Object(original), Value::Object(known)) => {
            let left = original.iter().filter_map(|(name, value)| {
                let node = match known.get(name) {
                    None => Node::Added(value.clone()),
                    Some(known) => beyond(value, known)?,
                };
                Some((name.clone(), node))
            });
            let left: BTreeMap<_, _> = left.collect();
            (!left.is_empty()).then_some(Node::Fields(left))
        }
        (Value::Array(original), Value::Array(known)) => {
            let pairs = original.iter().zip(known).enumerate();
            let left = pairs.filter_map(|(at, (value, known))| Some((at, beyond(value, known)?)));
            let left: BTreeMap<_, _> = left.collect();
            (!left.is_empty()).then_some(Node::Items(left))
        }
        (original, known) if original == known => None,
        (original, known) => Some(Node::Instead { of: known.clone(), value: original.clone() }),
    }
}

fn put_back(node: &Node, into: &mut Value) {
    match (node, into) {
        (Node::Instead { of, value }, into) if *of == *into => *into = value.clone(),
        (Node::Fields(fields), Value::Object(object)) => {
            for (name, node) in fields {
                match (node, object.get_mut(name)) {
                    (Node::Added(value), None) => {
                        object.insert(name.clone(), value.clone());
                    }
                    (node, Some(inner)) => put_back(node, inner),
                    (Node::Instead { .. } | Node::Fields(_) | Node::Items(_), None) => {}
                }
            }
        }
        (Node::Items(items), Value::Array(list)) => {
            for (at, node) in items {
                if let Some(inner) = list.get_mut(*at) {
                    put_back(node, inner);
                }
            }
        }
        (
            Node::Added(_) | Node::Instead { .. } | Node::Fields(_) | Node::Items(_),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(original: &Value, known: &Value, mut now: Value) -> Value {
        Unknown::between(original, known).restore(&mut now);
        now
    }

    #[test]
    fn fields_and_words_of_tomorrow_survive_a_change_beside_them() {
        let original = json!({
            "v": 1, "mood": "good",
            "orders": [{ "number": 1, "takeover": "of-tomorrow", "cost": { "cents": 3 } }],
            "dead": { "main-0001": { "letter": 5, "colour": "red" } },
        });
        let known = json!({
            "v": 1, "title": "",
            "orders": [{ "number": 1, "takeover": "other" }],
            "dead": { "main-0001": { "letter": 5 } },
        });
        let now = json!({
            "v": 1, "title": "new",
            "orders": [{ "number": 1, "takeover": "other" }, { "number": 2, "takeover": null }],
            "dead": { "main-0001": { "letter": 6 } },
        });
        let wanted = json!({
            "v": 1, "title": "new", "mood": "good",
            "orders": [
                { "number": 1, "takeover": "of-tomorrow", "cost": { "cents": 3 } },
                { "number": 2, "takeover": null },
            ],
            "dead": { "main-0001": { "letter": 6, "colour": "red" } },
        });
        assert_eq!(after(&original, &known, now), wanted);
    }

    #[test]
    fn what_was_changed_or_removed_since_stays_so() {
        let original = json!({ "status": "DREAMING", "dead": { "a": { "x": 1, "y": 2 } } });
        let known = json!({ "status": "QUEUED", "dead": { "a": { "x": 1 } } });
        let now = json!({ "status": "FAILED", "dead": {} });
        assert_eq!(after(&original, &known, now.clone()), now);
    }

    #[test]
    fn nothing_is_left_of_what_is_known() {
        let same = json!({ "v": 1, "orders": [1, 2] });
        assert!(Unknown::between(&same, &same).is_empty());
        let defaulted = json!({ "v": 1, "orders": [1, 2], "more": null });
        assert!(Unknown::between(&same, &defaulted).is_empty());
    }
}
