//! Keeps secrets out of what is written down: logs, dead letters, answers.

/// Parameters of a query whose values are secrets by convention.
const SECRET_PARAMETERS: [&str; 6] =
    ["token", "secret", "password", "signature", "x-amz-signature", "x-amz-credential"];

/// The text with user names and passwords of addresses, and secret query parameters, replaced by `***`.
#[must_use]
pub fn redact(text: &str) -> String {
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

fn word(word: &str) -> String {
    match list(word) {
        Some((first, others)) => format!("{},{}", address(first), self::word(others)),
        None => address(word),
    }
}

/// The first of a list of addresses, and the others.
fn list(word: &str) -> Option<(&str, &str)> {
    let scheme =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let commas = word.match_indices(',').map(|(at, _)| (&word[..at], &word[at + 1..]));
    let mut lists = commas.filter(|(_, others)| {
        others.split_once("://").is_some_and(|(name, _)| !name.is_empty() && scheme(name))
    });
    lists.next()
}

fn address(word: &str) -> String {
    let (word, space) = word.split_at(word.trim_end().len());
    let Some((scheme, rest)) = word.split_once("://") else { return format!("{word}{space}") };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or_else(|| authority.to_owned(), |(_, host)| format!("***@{host}"));
    format!("{scheme}://{host}{}{space}", parameters(path))
}

fn parameters(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let kept: Vec<String> = query.split('&').map(parameter).collect();
    format!("{path}?{}", kept.join("&"))
}

fn parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => {
            format!("{name}=***")
        }
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_passwords_and_tokens_are_left_out() {
        assert_eq!(
            redact("at nats://me:pw@host:4222/x and https://h/p?a=1&token=t\nnext"),
            "at nats://***@host:4222/x and https://h/p?a=1&token=***\nnext"
        );
    }

    #[test]
    fn every_address_of_a_list_is_redacted() {
        assert_eq!(
            redact("to nats://a:pw@h1,nats://b:pw@h2:4222,tls://c:pw@h3/?x=1,2&token=t."),
            "to nats://***@h1,nats://***@h2:4222,tls://***@h3/?x=1,2&token=***"
        );
    }

    #[test]
    fn text_without_addresses_is_left_as_it_is() {
        let text = "frame 7: a@b c?token=x\n\tend ";
        assert_eq!(redact(text), text);
    }
}
