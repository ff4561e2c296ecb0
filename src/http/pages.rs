//! The web pages: static files in the program, with a content policy that allows nothing foreign.
//!
//! Pages contain no text of users from the server. They read the same JSON as every client and set it as text.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::Response;
use bytes::Bytes;
use jetreel_domain::id::VideoId;
use rust_embed::RustEmbed;

use super::objects::{Freshness, media_type, rendered};
use super::problem::Problem;

/// No inline script or style, and nothing from other servers. `blob:` is how a player passes decoded segments to the browser.
const CONTENT_POLICY: &str = "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; \
     worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "src/http/assets/"]
struct Assets;

/// The page with upload and list.
pub(super) async fn home(request: HeaderMap) -> Result<Response, Problem> {
    asset("index.html", &request)
}

/// The page with the player.
pub(super) async fn watch(Path(id): Path<String>, request: HeaderMap) -> Result<Response, Problem> {
    let _known: VideoId = id
        .parse()
        .map_err(|_| Problem::not_found("no-such-video", "There is no such video. Start at /."))?;
    asset("watch.html", &request)
}

/// A script, style sheet or icon.
pub(super) async fn file(
    Path(name): Path<String>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    asset(&name, &request)
}

fn asset(name: &str, request: &HeaderMap) -> Result<Response, Problem> {
    let file = Assets::get(name)
        .ok_or_else(|| Problem::not_found("not-found", "There is no such file. Start at /."))?;
    let body = Bytes::from(file.data.into_owned());
    let mut response = rendered(body, media_type(name), request, Freshness::Revalidate);
    guard(response.headers_mut());
    Ok(response)
}

/// Sets the security headers of a page.
pub(super) fn guard(headers: &mut HeaderMap) {
    let fixed = axum::http::HeaderValue::from_static;
    headers.insert(CONTENT_SECURITY_POLICY, fixed(CONTENT_POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
    headers.insert(REFERRER_POLICY, fixed("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_carry_a_policy_without_inline_script() {
        for page in ["index.html", "watch.html"] {
            let response = asset(page, &HeaderMap::new()).unwrap();
            let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(
                policy.contains("default-src 'self'") && !policy.contains("unsafe"),
                "{policy}"
            );
            let text = Assets::get(page).unwrap().data;
            let text = std::str::from_utf8(&text).unwrap();
            assert!(!text.contains("<style") && !text.contains(" style="), "{page}");
            assert!(!text.contains(" onclick") && !text.contains("<script>"), "{page}");
            assert!(!text.contains("http://") && !text.contains("https://"), "{page}");
        }
    }

    #[test]
    fn the_vendored_player_is_the_one_that_its_note_names() {
        use sha2::{Digest, Sha256};
        let note = Assets::get("vendor/vendor.json").unwrap().data;
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
        for file in note["files"].as_array().unwrap() {
            let name = format!("vendor/{}", file["name"].as_str().unwrap());
            let hash = Sha256::digest(&Assets::get(&name).unwrap().data);
            let hex = hex::encode(hash);
            assert_eq!(file["sha256"], hex, "{name}");
        }
    }
}
