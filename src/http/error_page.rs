//! Errors as pages, for users who open an address in a browser. The sentence is the same as in the problem document.

use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::pages;
use super::problem::Problem;

const TEMPLATE: &str = include_str!("error.html");

/// Whether a browser opens the address. Scripts and programs request JSON or anything.
pub(super) fn is_wanted(method: &Method, headers: &HeaderMap) -> bool {
    let reads = *method == Method::GET || *method == Method::HEAD;
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types = accepted.flat_map(|value| value.split(','));
    let essence = |part: &str| part.split(';').next().unwrap_or_default().trim().to_owned();
    reads && types.map(essence).any(|kind| kind.eq_ignore_ascii_case("text/html"))
}

/// Sets the headers of the page.
pub(super) fn describe(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    pages::guard(headers);
}

/// The page of an error.
pub(super) fn page(status: StatusCode, problem: &Problem, request_id: &str) -> String {
    let title = status.canonical_reason().unwrap_or("Error");
    // One pass, so that values are never mistaken for placeholders.
    let mut page = String::with_capacity(TEMPLATE.len() + 256);
    for (index, part) in TEMPLATE.split(['{', '}']).enumerate() {
        match (index % 2, part) {
            (0, text) => page.push_str(text),
            (_, "title") => page.push_str(&escaped(title)),
            (_, "detail") => page.push_str(&escaped(&problem.detail)),
            (_, "code") => page.push_str(&escaped(&problem.code)),
            (_, "request") => page.push_str(&escaped(request_id)),
            (_, _) => {}
        }
    }
    page
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_with_a_browser_gets_a_page() {
        let wanted = |method: &Method, accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            is_wanted(method, &headers)
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(wanted(&Method::GET, browser) && wanted(&Method::GET, "TEXT/HTML;q=1"));
        assert!(!wanted(&Method::POST, browser));
        assert!(!wanted(&Method::GET, "*/*") && !wanted(&Method::GET, "application/json"));
        assert!(!is_wanted(&Method::GET, &HeaderMap::new()));
    }

    #[test]
    fn a_page_says_what_the_document_says_and_no_value_is_markup() {
        let problem = Problem::not_found("no-such-job", "There is no <b>\"{title}\"</b>.");
        let page = page(StatusCode::NOT_FOUND, &problem, "r-1");
        for part in ["Not Found", "There is no &lt;b&gt;", "no-such-job", "r-1", "href=\"/\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(page.contains("{title}") && !page.contains("{code}"), "{page}");
        assert!(!page.contains(" style=") && !page.contains("<script"), "{page}");
    }
}
