//! Downloads: with `?download=NAME` on the address of a file, a browser saves the answer under that name.

use axum::extract::{Query, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::middleware::Next;
use axum::response::Response;
use jetreel_domain::words::printable::printable;
use serde::Deserialize;

/// Most characters of a name.
const NAME_LENGTH_MAX: usize = 200;

/// Query of a file request.
#[derive(Deserialize)]
struct Params {
    download: Option<String>,
}

/// Adds the header if the query asks for it.
pub(super) async fn named(request: Request, next: Next) -> Response {
    let query = Query::<Params>::try_from_uri(request.uri());
    let name = query.ok().and_then(|Query(params)| params.download);
    let mut response = next.run(request).await;
    if let Some(name) = name.filter(|_| response.status().is_success())
        && let Ok(value) = HeaderValue::from_str(&attachment(&name))
    {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// The header (RFC 6266), with the name as RFC 8187 encodes it.
fn attachment(name: &str) -> String {
    let name: String = printable(name).chars().take(NAME_LENGTH_MAX).collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = name.trim().bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        // Both separate folders on some system.
        b'/' | b'\\' => "_".to_owned(),
        byte => format!("%{byte:02X}"),
    });
    match encoded.collect::<String>() {
        name if name.is_empty() => "attachment".to_owned(),
        name => format!("attachment; filename*=UTF-8''{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_encoded_and_cannot_leave_its_field() {
        for (name, expected) in [
            ("Über uns-720p.mp4", "attachment; filename*=UTF-8''%C3%9Cber%20uns-720p.mp4"),
            ("../a\\b\"\r\nx: y", "attachment; filename*=UTF-8''.._a_b%22x%3A%20y"),
            (" \u{202e} ", "attachment"),
        ] {
            assert_eq!(attachment(name), expected, "{name:?}");
        }
    }
}
