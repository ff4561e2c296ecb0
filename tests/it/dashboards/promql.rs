//! Metrics and labels that a PromQL expression names. Whether it is one, promtool says.

/// Words that stand before a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are neither metrics nor functions.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

/// A metric in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) metric: String,
    /// Labels in its braces.
    pub(super) labels: Vec<String>,
    /// Whether a range such as `[5m]` follows.
    pub(super) is_range: bool,
}

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) selectors: Vec<Selector>,
    /// Labels after `by`, `on` and the like.
    pub(super) labels: Vec<String>,
    /// Texts outside braces: among them the labels that `label_replace` makes.
    pub(super) texts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Sign(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Braces,
    Grouping,
}

/// Metrics and labels of an expression.
pub(super) fn named(expr: &str) -> Named {
    let tokens = tokens(expr);
    let mut named = Named::default();
    let mut place = Place::Outside;
    for (at, token) in tokens.iter().enumerate() {
        match (place, *token) {
            (Place::Braces, Token::Sign('}')) | (Place::Grouping, Token::Sign(')')) => {
                place = Place::Outside;
            }
            (Place::Braces, Token::Word(label)) => {
                let last = named.selectors.last_mut().expect("braces follow a metric");
                last.labels.push(label.to_owned());
            }
            (Place::Grouping, Token::Word(label)) => named.labels.push(label.to_owned()),
            (Place::Outside, Token::Sign('{')) => place = Place::Braces,
            (Place::Outside, Token::Sign('[')) => range_after(&tokens[..at], &mut named),
            (Place::Outside, Token::Word(word)) if GROUPING.contains(&word) => {
                place = Place::Grouping;
            }
            (Place::Outside, Token::Word(word)) => {
                if !OPERATORS.contains(&word) && !is_called(tokens.get(at + 1)) {
                    let (metric, labels) = (word.to_owned(), Vec::new());
                    named.selectors.push(Selector { metric, labels, is_range: false });
                }
            }
            (Place::Outside, Token::Text(text)) => named.texts.push(text.to_owned()),
            (Place::Braces | Place::Grouping, Token::Text(_)) | (_, Token::Sign(_)) => {}
        }
    }
    named
}

/// Whether what stands before is a function or an aggregation.
fn is_called(next: Option<&Token>) -> bool {
    matches!(next, Some(Token::Sign('(') | Token::Word("by" | "without")))
}

/// A range belongs to a metric, or else it is a subquery.
fn range_after(before: &[Token], named: &mut Named) {
    let of_metric = matches!(before.last(), Some(Token::Word(_) | Token::Sign('}')));
    if let Some(last) = named.selectors.last_mut().filter(|_| of_metric) {
        last.is_range = true;
    }
}

fn tokens(expr: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = expr.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |takes: fn(char) -> bool| rest.find(|c| !takes(c)).unwrap_or(rest.len());
        let taken = if first == '"' {
            let end = rest[1..].find('"').expect("a text ends") + 1;
            found.push(Token::Text(&rest[1..end]));
            end + 1
        } else if first.is_ascii_digit() {
            // Numbers, durations and the steps of subqueries.
            length(|c| c.is_ascii_alphanumeric() || c == '.' || c == ':')
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = length(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            found.push(Token::Word(&rest[..end]));
            end
        } else {
            found.push(Token::Sign(first));
            first.len_utf8()
        };
        rest = rest[taken..].trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_labels_and_ranges_of_an_expression_are_found() {
        let expr = r#"1.5 * sum by (le, group) (rate(a_bucket{x=~"b c", y!="d"}[5m])) / on () group_left (z) a:b_c
            or (max(max by () (e) offset 1h)[15m:1m] unless label_replace(f, "g", "$1", "h", "(.*)") > 0)"#;
        let found = named(expr);
        let selector = |metric: &str, labels: &[&str], is_range| Selector {
            metric: metric.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            is_range,
        };
        let expected = [
            selector("a_bucket", &["x", "y"], true),
            selector("a:b_c", &[], false),
            selector("e", &[], false),
            selector("f", &[], false),
        ];
        assert_eq!(found.selectors, expected);
        assert_eq!(found.labels, ["le", "group", "z"]);
        assert_eq!(found.texts, ["g", "$1", "h", "(.*)"]);
    }
}
