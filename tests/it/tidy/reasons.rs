//! Every stable code of a failure that the sources give, so that none is without advice; and every sentence beside one.

use super::code::Source;
use super::is_test;

/// Calls whose first argument is a code.
const CALLS: [&str; 4] = ["permanent(", "task(", "dependency(", "over("];

/// Codes in product sources, each with its file.
pub(super) fn codes(sources: &[Source]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(source)) {
        let text = source.product_text();
        for call in CALLS {
            let arguments = text.match_indices(call).map(|(at, _)| &text[at + call.len()..]);
            let codes = arguments.filter_map(code);
            found.extend(codes.map(|code| (source.path.clone(), code.to_owned())));
        }
    }
    found
}

/// Calls that take a sentence, with its place among the arguments.
const TELLING: [(&str, usize); 5] = [
    ("Failure::permanent(", 1),
    ("Failure::task(", 1),
    ("Failure::dependency(", 1),
    ("Problem::new(", 2),
    ("Problem::not_found(", 1),
];

/// Sentences in product sources, each with its file. If an argument is a name, its binding above the call is used.
pub(super) fn sentences(sources: &[Source]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(source)) {
        let text = source.product_text();
        for (call, place) in TELLING {
            for (at, _) in text.match_indices(call) {
                let Some(argument) = argument(&text[at + call.len()..], place) else { continue };
                let said = match argument.strip_prefix('&').unwrap_or(argument) {
                    literal if literal.starts_with(['"', 'f']) => literals(literal),
                    name => literals(binding(&text[..at], name).unwrap_or_default()),
                };
                found.extend(said.into_iter().map(|said| (source.path.clone(), said)));
            }
        }
    }
    found
}

/// The argument with this number of a call whose arguments begin with `text`.
fn argument(text: &str, number: usize) -> Option<&str> {
    let (mut depth, mut quoted, mut start, mut passed) = (0_usize, false, 0, 0);
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '"' if before != '\\' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ',' | ')' if depth == 0 => {
                if passed == number || character == ')' {
                    return (passed == number).then(|| text[start..at].trim());
                }
                (passed, start) = (passed + 1, at + 1);
            }
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

/// The last statement above that binds `name`.
fn binding<'a>(above: &'a str, name: &str) -> Option<&'a str> {
    let at = above.rfind(&format!("let {name} ="))?;
    above[at..].split_once(";\n").map(|(statement, _)| statement)
}

/// All texts in a piece of code as they are displayed. A word stands for each placeholder.
fn literals(code: &str) -> Vec<String> {
    let mut parts = code.split('"');
    let mut found = Vec::new();
    while let (Some(_), Some(text)) = (parts.next(), parts.next()) {
        let mut text = text.to_owned();
        while text.ends_with('\\') {
            text.pop();
            text.push_str(&format!("'{}", parts.next().unwrap_or_default()));
        }
        found.push(shown(&text));
    }
    found
}

fn shown(literal: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in literal.split("\\\n") {
        for character in line.trim_start_matches(' ').chars() {
            match character {
                '{' => (inside, text) = (true, text + "X"),
                '}' => inside = false,
                other if !inside => text.push(other),
                _ => {}
            }
        }
    }
    text
}

/// The text that a call begins with, where it looks like a code.
fn code(arguments: &str) -> Option<&str> {
    let (code, _) = arguments.trim_start().strip_prefix('"')?.split_once('"')?;
    let plain = code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (plain && !code.is_empty()).then_some(code)
}

#[test]
fn sentences_are_found_wherever_they_are_bound() {
    let source = Source::new(
        "src/a.rs",
        "fn f() {\n    let detail = if x {\n        \"One.\"\n    } else {\n        \"Two.\"\n    };\n    \
         Problem::new(StatusCode::CONFLICT, \"code\", detail)\n}\nfn g() { Failure::task(\n        \"code\",\n        \
         format!(\"Three {} (\\\n         {x:?}).\", y),\n    ) }\nfn h() { Failure::permanent(\"c\", g(1, 2)) }",
    );
    let said: Vec<String> = sentences(&[source]).into_iter().map(|(_, said)| said).collect();
    assert_eq!(said, ["Three X (X).", "One.", "Two."]);
}
